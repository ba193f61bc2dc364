"""The command line: data on stdout, progress and errors on stderr.

Exit codes: 0 ok, 1 some runs failed, 2 bad input, 3 a damaged store, 4 the network is needed and
off, 130 interrupted.
"""

from __future__ import annotations

import gc
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from copy import copy
from typing import Annotated, cast

import typer
import typer.core

import fewbench
from fewbench.cli import (
    attack,
    cite,
    compare,
    cost,
    doctor,
    fsck,
    layers,
    leaderboard,
    loyalty,
    ls,
    merge,
    paper,
    plot,
    pretrain,
    probe,
    reproduce,
    run,
    show,
    split,
    status,
    submit,
    table,
    validate,
)
from fewbench.cli.groups import data_app, exports, external_app
from fewbench.cli.help import add_command
from fewbench.cli.out import note, write_anywhere
from fewbench.cli.usage import explain
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


add_command(
    app,
    "run",
    run.run,
    "Run methods on tasks: what has no record yet.",
    "bench run",
    "bench run --methods ft,prompt-ft --tasks sst-2 --k 16 --seeds 13,21,42",
    "bench run --methods my_method.py,prompt-ft --tasks my-task.toml --dry-run",
    "bench run --methods ft,ptq --tasks mrpc --k full --protocol thesis-4-v1",
    "bench run --config grid.toml",
    "bench run --config grid.toml --shard 1/3",
    "bench run --config grid.toml --executor slurm --jobs 20 --per-job time=8h",
    "bench run --methods ft --track tensorboard:logs",
)
add_command(
    app,
    "reproduce",
    reproduce.reproduce,
    "Make a published table again, ours beside theirs.",
    "bench reproduce",
    "bench reproduce thesis 4.1 --dry-run",
    "bench reproduce smash 1 --student small/ --teacher large/ --data data/",
    "bench reproduce smash 2 --row SMASH --column SST-2 --show --format csv",
)
add_command(
    app,
    "table",
    table.table,
    "Show stored runs, a row per method and a column per task.",
    "bench table",
    "bench table --tasks sst-2,mr --rows method --columns task,k",
    "bench table --rows ft,prompt-ft --columns mrpc,sst-2",
    "bench table --tasks mrpc,sts-b --metric all --cost --with-teacher",
    "bench table --with loyalty,attack,cost --format latex",
    "bench table --tasks sst-2,mr --against ft --format latex --float",
)
add_command(
    app,
    "compare",
    compare.compare,
    "Compare a method with others on the same splits and items.",
    "bench compare prompt-ft --against ft",
    "bench compare my-method --against all --tasks sst-2,mr --format markdown",
)
add_command(
    app,
    "cite",
    cite.cite,
    "Print the BibTeX of methods, tasks and this project.",
    "bench cite pkd tinybert",
    "bench cite few-shot --tasks lm-bff > papers.bib",
)
add_command(
    app,
    "plot",
    plot.plot,
    "Draw a figure of stored runs.",
    "bench plot k-scaling --tasks sst-2 --out k-scaling.pdf",
    "bench plot sweep:setting=alpha --methods vanilla-kd --out a.svg",
)
add_command(
    app,
    "paper",
    paper.paper,
    "Write the tables and figures of a study as LaTeX.",
    "bench paper --tasks sst-2,mr --methods ft,prompt-ft --k 4,16 --out study/",
    "bench paper --protocol lm-bff-v1 --against ft --siunitx --out study/",
)
add_command(
    app,
    "show",
    show.show,
    "Show one record: what was run, how it was chosen, its scores.",
    "bench show prompt-ft/sst-2/k16/s13",
    "bench show 1f3a",
    "bench show 1f3a --text 'a fine film'",
)
add_command(
    app,
    "attack",
    attack.attack,
    "Attack kept models with TextFooler.",
    "bench attack ft/sst-2/k16/s13 77c0 --limit 100",
)
add_command(
    app,
    "loyalty",
    loyalty.loyalty,
    "Measure how closely a student follows its teacher.",
    "bench loyalty ft/sst-2/k16/s13 vanilla-kd/sst-2/k16/s13",
)
add_command(
    app,
    "cost",
    cost.cost,
    "Measure size, operations and latency of kept models.",
    "bench cost ft/sst-2/k16/s13 77c0",
)
add_command(
    app,
    "layers",
    layers.layers,
    "Measure errors and entropy by layer of early-exit models.",
    "bench layers pabee/sst-2/k16/s13",
)
add_command(
    app,
    "leaderboard",
    leaderboard.leaderboard,
    "Write stored runs as one HTML page, or as a site.",
    "bench leaderboard --out board.html",
    "bench leaderboard --site board/",
)
add_command(
    app,
    "fsck",
    fsck.fsck,
    "Check that every stored file is what was written.",
    "bench fsck",
    "bench fsck --repair",
)
add_command(
    app,
    "status",
    status.status,
    "Show what is done, under way, failing and left.",
    "bench status",
    "bench status --config grid.toml",
    "bench status --methods ft,prompt-ft --tasks glue --json",
)
add_command(
    app,
    "ls",
    ls.ls,
    "List runs, tasks, methods, suites, models, protocols, figures.",
    "bench ls methods",
    "bench ls runs --tasks sst-2 --k 16 --format csv",
)
add_command(
    app,
    "doctor",
    doctor.doctor,
    "Check this installation; show how to get what is missing.",
    "bench doctor",
)
add_command(
    app,
    "split",
    split.split,
    "Show the K-shot split of a task.",
    "bench split sst-2 --k 16 --seed 13",
)
add_command(
    app,
    "validate",
    validate.validate,
    "Check files: tasks, methods and records.",
    "bench validate my-task.toml my_method.py",
)
add_command(
    app,
    "pretrain",
    pretrain.pretrain,
    "Pretrain a masked language model from documents.",
    "bench pretrain --corpus wikipedia/ --out my-model --tokens 50000000",
    "bench pretrain --corpus text/ --out small --objective states --teacher big/",
)
add_command(
    app,
    "probe",
    probe.probe,
    "Ask masked language models for facts.",
    "bench probe lama --student fewbench-mini",
)
add_command(
    app,
    "submit",
    submit.submit,
    "Check records from elsewhere and copy them in.",
    "bench submit their-results --dry-run",
)
add_command(
    app,
    "merge",
    merge.merge,
    "Copy several results folders into one.",
    "bench merge laptop/ cluster/ --into all/",
)
app.add_typer(exports, name="export", short_help="Write models, and results for other programs.")
app.add_typer(external_app, name="external", short_help="Keep results made elsewhere.")
app.add_typer(data_app, name="data", short_help="List, fetch, verify and import data.")


def main() -> None:
    """Run the command line; show a traceback only if FEWBENCH_DEBUG is set."""
    write_anywhere()
    # A command's objects mostly last as long as it does: looking for garbage often is time lost.
    gc.set_threshold(50_000, 20, 20)
    warnings.formatwarning = _one_line
    sys.exit(_guarded())


def _one_line(
    message: Warning | str, category: type[Warning], *place: object, **more: object
) -> str:
    """Format a warning for stderr: without its line of code, and printable."""
    return f"warning: {visible(str(message), lines=True)}\n"


def _guarded() -> int:
    try:
        code = _run_command()
        sys.stdout.flush()
    except BenchError as error:
        return _say(f"error: {error}", error.exit_code)
    except (typer.Abort, KeyboardInterrupt):  # some versions of typer return an exit code instead
        return _interrupted()
    except BrokenPipeError:
        # The reader of stdout has gone, and Python would flush it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        if os.environ.get("FEWBENCH_DEBUG"):
            raise
        problem = f"unexpected error: {type(error).__name__}: {error}"
        return _say(f"{problem}\n  to see where: FEWBENCH_DEBUG=1 and the same command", 1)
    if code == INTERRUPTED:
        return _interrupted()
    return code if isinstance(code, int) else 0


def _run_command() -> object:
    """Run the command that was asked for, and return its exit code, if any."""
    command = typer.main.get_command(_asked_for(sys.argv[1:]))
    try:
        return command.main(prog_name="bench", standalone_mode=False)
    except ClickException as error:
        return _usage(error)


def _asked_for(arguments: Sequence[str]) -> typer.Typer:
    """Return the command line with only the command asked for: typer builds all it is given."""
    name = arguments[0] if arguments else ""
    commands = [command for command in app.registered_commands if command.name == name]
    groups = [group for group in app.registered_groups if group.name == name]
    if not commands and not groups:
        return app
    only = copy(app)
    only.registered_commands, only.registered_groups = commands, groups
    return only


def _usage(error: Exception) -> int:
    """Say what is wrong with a command, or its help if it is `bench` or `bench data` alone."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(getattr(error, "format_message", error.__str__)())
        return 0
    only = _asked_for(sys.argv[1:])
    asked = "bench" if only is app else f"bench {sys.argv[1]}"
    return _say(f"error: {explain(error, asked)}", BenchError.exit_code)


def _interrupted() -> int:
    resume = shlex.join(["bench", *sys.argv[1:]])
    return _say(f"interrupted; what was finished is stored. To resume:\n  {resume}", INTERRUPTED)


def _say(text: str, code: int) -> int:
    note(text)
    return code
