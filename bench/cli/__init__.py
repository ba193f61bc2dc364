"""The command line: data on stdout, progress and errors on stderr, exit codes that say what happened.

0 ok, 1 some runs failed, 2 bad input, 3 a damaged store, 4 the network is needed and off, 130 interrupted.
"""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from typing import cast

import typer

from fewbench.cli import (
    attacking,
    comparing,
    data,
    listing,
    measuring,
    page,
    plotting,
    pretraining,
    probing,
    results,
    running,
    sharing,
    tasks,
)
from fewbench.cli.out import note, write_anywhere
from fewbench.errors import BenchError, visible

# typer carries click's exceptions under a name of its own in newer versions.
ClickException = cast("type[Exception]", typer.BadParameter.__mro__[2])

INTERRUPTED = 130

app = typer.Typer(
    name="bench",
    help="Few-shot learning and compression of small language models, compared fairly.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run")(running.run)
app.command("probe")(probing.probe)
app.command("attack")(attacking.attack)
app.command("table")(results.table)
app.command("compare")(comparing.compare)
app.command("plot")(plotting.plot)
app.command("show")(results.show)
app.command("loyalty")(measuring.loyalty)
app.command("cost")(measuring.cost)
app.command("leaderboard")(page.leaderboard)
app.command("fsck")(results.fsck)
app.command("ls")(listing.ls)
app.command("doctor")(listing.doctor)
app.command("split")(tasks.split)
app.command("validate")(tasks.validate)
app.command("pretrain")(pretraining.pretrain)
app.command("submit")(sharing.submit)
app.command("merge")(sharing.merge)
app.add_typer(sharing.export, name="export")
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line and exit with its code. No traceback reaches a user, unless FEWBENCH_DEBUG is set."""
    write_anywhere()
    warnings.formatwarning = _one_line
    sys.exit(_guarded())


def _one_line(message: Warning | str, category: type[Warning], *place: object, **more: object) -> str:
    """Return what a warning looks like on stderr: no line of code, and nothing that steers a terminal."""
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
        return _say(f"error: {message}\n  to mend: {context.command_path if context else 'bench'} --help", 2)
    except (typer.Abort, KeyboardInterrupt):  # some versions of typer make an exit code of it, others raise
        return _interrupted()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read stdout has gone: nothing more to say
        return 0
    except Exception as error:
        if os.environ.get("FEWBENCH_DEBUG"):
            raise
        kind = type(error).__name__
        return _say(f"unexpected error: {kind}: {error}\n  to see where: FEWBENCH_DEBUG=1 and the same command", 1)


def _interrupted() -> int:
    resume = shlex.join(["bench", *sys.argv[1:]])
    return _say(f"interrupted; what was finished is stored. To resume:\n  {resume}", INTERRUPTED)


def _say(text: str, code: int) -> int:
    note(text)
    return code
