"""The command line: data on stdout, progress and errors on stderr, exit codes that say what
happened.

0 ok, 1 some runs failed, 2 bad input, 3 a damaged store, 4 the network is needed and off, 130
interrupted.
"""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, cast

import typer
import typer.core

import fewbench
from fewbench.cli import (
    attack,
    compare,
    cost,
    data,
    doctor,
    export,
    fsck,
    leaderboard,
    loyalty,
    ls,
    merge,
    plot,
    pretrain,
    probe,
    run,
    show,
    split,
    submit,
    table,
    validate,
)
from fewbench.cli.out import note, write_anywhere
from fewbench.errors import BenchError, visible

# typer carries click's exceptions under a name of its own in newer versions.
ClickException = cast("type[Exception]", typer.BadParameter.__mro__[2])

INTERRUPTED = 130

typer.core.HAS_RICH = False  # plain help, for any terminal, pipe or screen reader

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"bench {fewbench.__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="print the version and exit", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Compare methods for few-shot learning and compression of small language models, fairly."""


def _add(name: str, command: Callable[..., None], summary: str, *examples: str) -> None:
    """Register a command with its line in `bench --help` and the examples below its own help."""
    shown = "\n".join(["\b", "Examples:", *(f"  {example}" for example in examples)])
    app.command(name, short_help=summary, epilog=shown)(command)


_add(
    "run",
    run.run,
    "Run methods on tasks: all that has no record yet.",
    "bench run",
    "bench run --methods ft,prompt-ft --tasks sst-2 --k 16 --seeds 13,21,42",
    "bench run --methods my_method.py,prompt-ft --tasks my-task.toml --dry-run",
)
_add(
    "table",
    table.table,
    "Show stored runs, a row a method and a column a task.",
    "bench table",
    "bench table --tasks sst-2,mr --rows method --columns task,k",
    "bench table --with loyalty,attack,cost --format latex",
)
_add(
    "compare",
    compare.compare,
    "Compare a method with others on the same splits and items.",
    "bench compare prompt-ft --against ft",
    "bench compare my-method --against all --tasks sst-2,mr --format markdown",
)
_add(
    "plot",
    plot.plot,
    "Draw a figure of stored runs.",
    "bench plot k-scaling --tasks sst-2 --out k-scaling.pdf",
)
_add(
    "show",
    show.show,
    "Show one record: what was run, how it was chosen, its scores.",
    "bench show 1f3a",
    "bench show 1f3a --text 'a fine film'",
)
_add(
    "attack",
    attack.attack,
    "Attack kept models with TextFooler.",
    "bench attack 1f3a 77c0 --limit 100",
)
_add(
    "loyalty",
    loyalty.loyalty,
    "Measure how far a student answers as its teacher.",
    "bench loyalty 1f3a 77c0",
)
_add(
    "cost",
    cost.cost,
    "Measure size, operations and latency of kept models.",
    "bench cost 1f3a 77c0",
)
_add(
    "leaderboard",
    leaderboard.leaderboard,
    "Write stored runs as one HTML page.",
    "bench leaderboard --out board.html",
)
_add(
    "fsck",
    fsck.fsck,
    "Check that every stored file is what was written.",
    "bench fsck",
    "bench fsck --repair",
)
_add("ls", ls.ls, "List tasks, methods, suites, models, protocols, figures.", "bench ls methods")
_add(
    "doctor",
    doctor.doctor,
    "Check this installation, and say how to get what is missing.",
    "bench doctor",
)
_add("split", split.split, "Show the K-shot split of a task.", "bench split sst-2 --k 16 --seed 13")
_add(
    "validate",
    validate.validate,
    "Check files: tasks, methods and records.",
    "bench validate my-task.toml my_method.py",
)
_add(
    "pretrain",
    pretrain.pretrain,
    "Pretrain a masked language model from documents.",
    "bench pretrain --corpus wikipedia/ --out my-model --tokens 50000000",
    "bench pretrain --corpus text/ --out small --objective states --teacher big/",
)
_add(
    "probe",
    probe.probe,
    "Ask masked language models for facts.",
    "bench probe lama --student fewbench-mini",
)
_add(
    "submit",
    submit.submit,
    "Check records from elsewhere and copy them in.",
    "bench submit their-results --dry-run",
)
_add(
    "merge",
    merge.merge,
    "Put several results folders into one.",
    "bench merge laptop/ cluster/ --into all/",
)
app.add_typer(export.export, name="export", short_help="Write results as CSV or as a model card.")
app.add_typer(data.app, name="data", short_help="List, fetch, verify and import data.")


def main() -> None:
    """Run the command line and exit with its code. No traceback reaches a user, unless
    FEWBENCH_DEBUG is set.
    """
    write_anywhere()
    warnings.formatwarning = _one_line
    sys.exit(_guarded())


def _one_line(
    message: Warning | str, category: type[Warning], *place: object, **more: object
) -> str:
    """Return what a warning looks like on stderr: no line of code, and nothing that steers a
    terminal.
    """
    return f"warning: {visible(str(message), lines=True)}\n"


def _guarded() -> int:
    try:
        code = typer.main.get_command(app).main(prog_name="bench", standalone_mode=False)
        sys.stdout.flush()
        return _interrupted() if code == INTERRUPTED else code if isinstance(code, int) else 0
    except BenchError as error:
        return _say(f"error: {error}", error.exit_code)
    except ClickException as error:
        context = getattr(error, "ctx", None)
        message = getattr(error, "format_message", error.__str__)()
        if (
            type(error).__name__ == "NoArgsIsHelpError"
        ):  # `bench` or `bench data` alone: its message is the help
            print(message)
            return 0
        return _say(
            f"error: {message}\n  fix: {context.command_path if context else 'bench'} --help", 2
        )
    except (
        typer.Abort,
        KeyboardInterrupt,
    ):  # some versions of typer make an exit code of it, others raise
        return _interrupted()
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), 1
        )  # whoever read stdout has gone: nothing more to say
        return 0
    except Exception as error:
        if os.environ.get("FEWBENCH_DEBUG"):
            raise
        kind = type(error).__name__
        return _say(
            f"unexpected error: {kind}: {error}\n  to see where: FEWBENCH_DEBUG=1 and the same command",
            1,
        )


def _interrupted() -> int:
    resume = shlex.join(["bench", *sys.argv[1:]])
    return _say(f"interrupted; what was finished is stored. To resume:\n  {resume}", INTERRUPTED)


def _say(text: str, code: int) -> int:
    note(text)
    return code
