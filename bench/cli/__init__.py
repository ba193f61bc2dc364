"""The command line: data on stdout, progress and errors on stderr.

Exit codes: 0 ok, 1 some runs failed, 2 bad input, 3 a damaged store, 4 the network is needed and
off, 130 interrupted.
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
    export_formats,
    external,
    fsck,
    layers,
    leaderboard,
    loyalty,
    ls,
    merge,
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
from fewbench.cli.help import PanelCommand
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


def _add(
    to: typer.Typer, name: str, command: Callable[..., None], summary: str, *examples: str
) -> None:
    """Register a command with its line in `bench --help` and the examples below its own help."""
    epilog = "\n".join(["\b", "Examples:", *(f"  {example}" for example in examples)])
    to.command(name, cls=PanelCommand, short_help=summary, epilog=epilog)(command)


_add(
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
    "bench run --methods ft --track tensorboard:logs",
)
_add(
    app,
    "reproduce",
    reproduce.reproduce,
    "Make a published table again, ours beside theirs.",
    "bench reproduce",
    "bench reproduce thesis 4.1 --dry-run",
    "bench reproduce smash 1 --student small/ --teacher large/ --data data/",
    "bench reproduce smash 2 --row SMASH --column SST-2 --show --format csv",
)
_add(
    app,
    "table",
    table.table,
    "Show stored runs, a row per method and a column per task.",
    "bench table",
    "bench table --tasks sst-2,mr --rows method --columns task,k",
    "bench table --rows ft,prompt-ft --columns mrpc,sst-2",
    "bench table --tasks mrpc,sts-b --metric all --cost --with-teacher",
    "bench table --with loyalty,attack,cost --format latex",
)
_add(
    app,
    "compare",
    compare.compare,
    "Compare a method with others on the same splits and items.",
    "bench compare prompt-ft --against ft",
    "bench compare my-method --against all --tasks sst-2,mr --format markdown",
)
_add(
    app,
    "plot",
    plot.plot,
    "Draw a figure of stored runs.",
    "bench plot k-scaling --tasks sst-2 --out k-scaling.pdf",
    "bench plot sweep:setting=alpha --methods vanilla-kd --out a.svg",
)
_add(
    app,
    "show",
    show.show,
    "Show one record: what was run, how it was chosen, its scores.",
    "bench show prompt-ft/sst-2/k16/s13",
    "bench show 1f3a",
    "bench show 1f3a --text 'a fine film'",
)
_add(
    app,
    "attack",
    attack.attack,
    "Attack kept models with TextFooler.",
    "bench attack ft/sst-2/k16/s13 77c0 --limit 100",
)
_add(
    app,
    "loyalty",
    loyalty.loyalty,
    "Measure how closely a student follows its teacher.",
    "bench loyalty ft/sst-2/k16/s13 vanilla-kd/sst-2/k16/s13",
)
_add(
    app,
    "cost",
    cost.cost,
    "Measure size, operations and latency of kept models.",
    "bench cost ft/sst-2/k16/s13 77c0",
)
_add(
    app,
    "layers",
    layers.layers,
    "Measure errors and entropy by layer of early-exit models.",
    "bench layers pabee/sst-2/k16/s13",
)
_add(
    app,
    "leaderboard",
    leaderboard.leaderboard,
    "Write stored runs as one HTML page.",
    "bench leaderboard --out board.html",
)
_add(
    app,
    "fsck",
    fsck.fsck,
    "Check that every stored file is what was written.",
    "bench fsck",
    "bench fsck --repair",
)
_add(
    app,
    "status",
    status.status,
    "Show what is done, under way, failing and left.",
    "bench status",
    "bench status --config grid.toml",
    "bench status --methods ft,prompt-ft --tasks glue --json",
)
_add(
    app,
    "ls",
    ls.ls,
    "List runs, tasks, methods, suites, models, protocols, figures.",
    "bench ls methods",
    "bench ls runs --tasks sst-2 --k 16 --format csv",
)
_add(
    app,
    "doctor",
    doctor.doctor,
    "Check this installation; show how to get what is missing.",
    "bench doctor",
)
_add(
    app,
    "split",
    split.split,
    "Show the K-shot split of a task.",
    "bench split sst-2 --k 16 --seed 13",
)
_add(
    app,
    "validate",
    validate.validate,
    "Check files: tasks, methods and records.",
    "bench validate my-task.toml my_method.py",
)
_add(
    app,
    "pretrain",
    pretrain.pretrain,
    "Pretrain a masked language model from documents.",
    "bench pretrain --corpus wikipedia/ --out my-model --tokens 50000000",
    "bench pretrain --corpus text/ --out small --objective states --teacher big/",
)
_add(
    app,
    "probe",
    probe.probe,
    "Ask masked language models for facts.",
    "bench probe lama --student fewbench-mini",
)
_add(
    app,
    "submit",
    submit.submit,
    "Check records from elsewhere and copy them in.",
    "bench submit their-results --dry-run",
)
_add(
    app,
    "merge",
    merge.merge,
    "Copy several results folders into one.",
    "bench merge laptop/ cluster/ --into all/",
)
exports = typer.Typer(
    help="Write kept models, and results for other programs.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
_add(
    exports,
    "card",
    export.card,
    "Print results as the metadata of a model card.",
    "bench export card prompt-ft --tasks sst-2,mr --k 16",
)
_add(
    exports,
    "csv",
    export.csv,
    "Write runs.csv, trials.csv and cells.csv.",
    "bench export csv --out tables/",
)
_add(
    exports,
    "model",
    export.model,
    "Write a kept model for use without this project.",
    "bench export model prompt-ft/sst-2/k16/s13 --to my-model/",
    "bench export model 1f3a --to my-model/ --int8",
)
_add(
    exports,
    "eee",
    export_formats.eee,
    "Write results as Every Eval Ever has them.",
    "bench export eee --tasks sst-2 --out eee/",
    "bench export eee --methods prompt-ft --samples --data data/ --out eee/",
)
_add(
    exports,
    "eval-results",
    export_formats.eval_results,
    "Write results as the hub's .eval_results.",
    "bench export eval-results prompt-ft --tasks sst-2 --out my-model/",
)
_add(
    exports,
    "schema",
    export_formats.schema,
    "Print the JSON Schema of a record.",
    "bench export schema",
)
app.add_typer(exports, name="export", short_help="Write models, and results for other programs.")

external_app = typer.Typer(
    help="Keep results made elsewhere, to be shown beside ours.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
_add(
    external_app,
    "add",
    external.add,
    "Check results made elsewhere, and keep them.",
    "bench external add their-table table.csv",
    "bench external add lm-bff-again log --as lm-bff --tag exp",
    "bench external add setfit-again results/MODEL --as setfit --rename emotion=",
)
_add(external_app, "ls", external.ls, "List what is kept.", "bench external ls")
app.add_typer(external_app, name="external", short_help="Keep results made elsewhere.")

data_app = typer.Typer(
    help="List, fetch, verify and import data.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
_add(
    data_app,
    "ls",
    data.ls,
    "List files, which are missing, and how to get those.",
    "bench data ls sst-2 --data data/",
)
_add(
    data_app,
    "fetch",
    data.fetch,
    "Fetch data from the hub, once.",
    "bench data fetch sst-2 mr@lm-bff --data data/",
)
_add(
    data_app,
    "verify",
    data.verify,
    "Check the files that are there.",
    "bench data verify --data data/",
)
_add(
    data_app,
    "import",
    data.import_,
    "Check files of your own, and copy them in.",
    "bench data import downloads/SST-2 --task sst-2@glue --from tsv --data data/",
)
app.add_typer(data_app, name="data", short_help="List, fetch, verify and import data.")


def main() -> None:
    """Run the command line; show a traceback only if FEWBENCH_DEBUG is set."""
    write_anywhere()
    warnings.formatwarning = _one_line
    sys.exit(_guarded())


def _one_line(
    message: Warning | str, category: type[Warning], *place: object, **more: object
) -> str:
    """Format a warning for stderr: without its line of code, and printable."""
    return f"warning: {visible(str(message), lines=True)}\n"


def _guarded() -> int:
    try:
        code = typer.main.get_command(app).main(prog_name="bench", standalone_mode=False)
        sys.stdout.flush()
    except BenchError as error:
        return _say(f"error: {error}", error.exit_code)
    except ClickException as error:
        return _usage(error)
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


def _usage(error: Exception) -> int:
    """Say what is wrong with a command, or its help if it is `bench` or `bench data` alone."""
    message = getattr(error, "format_message", error.__str__)()
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message)
        return 0
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "bench"
    return _say(f"error: {message}\n  fix: {command} --help", 2)


def _interrupted() -> int:
    resume = shlex.join(["bench", *sys.argv[1:]])
    return _say(f"interrupted; what was finished is stored. To resume:\n  {resume}", INTERRUPTED)


def _say(text: str, code: int) -> int:
    note(text)
    return code
