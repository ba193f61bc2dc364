"""How things are printed: JSON or tables on stdout, everything else on stderr.

What is printed may hold anybody's text, so that no command prints but by these functions, which
escape it.
"""

from __future__ import annotations

import codecs
import io
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fewbench.errors import BenchError, shortened, steers, visible

if TYPE_CHECKING:
    from rich.console import Console

    from fewbench.report.tables.grid import Grid

PLAIN = {
    "─": "-",
    "━": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "±": "+-",
    "×": "x",
    "†": "+",
    "‡": "#",
    "’": "'",
}
"""What stands for our own signs in an encoding that lacks them."""


def write_anywhere() -> None:
    """Let every terminal, pipe and file take what is printed: what its encoding lacks is put
    plainly, or as "?".
    """
    codecs.register_error("fewbench-plain", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="fewbench-plain")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    shown = "".join(PLAIN.get(letter, "?") for letter in lacking)
    return shown, error.end


def note(text: str) -> None:
    """Print a line on stderr."""
    print(visible(text, lines=True), file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Print a line on stdout."""
    print(visible(text, lines=True))


def say_wrapped(text: str) -> None:
    """Print a sentence on stdout, cut between words where the terminal ends."""
    console().print(visible(text), markup=False)


def absolute(path: Path | None) -> Path | None:
    """Return a path as it is meant now: a method may change the folder that relative ones start at."""
    return None if path is None else path.absolute()


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout, in ASCII where its encoding could not take any text."""
    whole = (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(value, indent=1, ensure_ascii=not whole, default=str)
    print(text if text.isascii() else "".join(_json_escape(letter) for letter in text))


def _json_escape(letter: str) -> str:
    """JSON itself escapes the controls of ASCII alone; it is the same value with the others
    escaped.
    """
    return json.dumps(letter)[1:-1] if letter > "~" and steers(letter) else letter


def console() -> Console:
    """Return a console on stdout; it honours NO_COLOR and COLUMNS, and is plain where stdout is no
    terminal.
    """
    from rich.console import Console

    return Console(highlight=False)


def print_grid(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> None:
    """Print rows under a header; the columns in `right` are right-aligned. Long cells wrap, but not
    the first.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for number, name in enumerate(header):
        justify: Literal["left", "right"] = "right" if number in right else "left"
        grid.add_column(Text(visible(name)), justify=justify, overflow="fold", no_wrap=number == 0)
    for row in rows:
        grid.add_row(*(Text(visible(cell)) for cell in row))
    console().print(grid)


def print_grids(grids: Sequence[Grid], form: str) -> None:
    """Print tables on stdout, a blank line between them; `form` is terminal, markdown or latex."""
    from fewbench.report import render

    if form == "terminal":
        out = console()
        styled = out.is_terminal and not out.is_dumb_terminal
        texts = [render.terminal(grid, out.width, styled=styled) for grid in grids]
    else:
        texts = [{"markdown": render.markdown, "latex": render.latex}[form](grid) for grid in grids]
    print("\n\n".join(texts))


def numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    """Return the whole numbers that an option lists, each once, in the order given; None where it
    was not given.

    Raises:
        BenchError: something else, or none.
    """
    if text is None:
        return None
    try:
        found = tuple(dict.fromkeys(int(piece) for piece in text.split(",") if piece.strip()))
    except ValueError:
        found = ()
    if not found:
        fix = f"{option} 4,16"
        raise BenchError(
            f"{option} is '{shortened(text)}'", allowed="whole numbers and commas", fix=fix
        )
    return found


UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def duration(option: str, text: str | None) -> float | None:
    """Return the seconds that an option gives as 90, 90s, 30m or 2h; None where it gives nothing.

    Raises:
        BenchError: something else, or no time at all.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if found is None or float(found[1]) == 0:
        fix = f"{option} 30m"
        raise BenchError(
            f"{option} is '{text}'", allowed="a time above 0: 90, 90s, 30m, 2h", fix=fix
        )
    return float(found[1]) * UNITS[found[2]]
