"""Print data on stdout (text, tables or JSON) and everything else on stderr.

What is printed may hold anybody's text. Commands print only by these functions, which escape it.
"""

from __future__ import annotations

import codecs
import io
import json
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fewbench.data.train_size import ALLOWED, parse_k
from fewbench.errors import BenchError, shortened, steers, visible

if TYPE_CHECKING:
    from rich.console import Console

    from fewbench.report.tables.grid import Grid
    from fewbench.store.damage import Damage
    from fewbench.types import Json, K

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
"""The plain signs that replace ours in an encoding that lacks them."""


def write_anywhere() -> None:
    """Replace characters that stdout or stderr cannot encode by plain ones, or by "?"."""
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
    """Make a path absolute: a method may change the working folder."""
    return None if path is None else path.absolute()


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout, in ASCII where its encoding could not take any text."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(value, indent=1, ensure_ascii=not unicode, default=str)
    print(text if text.isascii() else "".join(_json_escape(letter) for letter in text))


def _json_escape(letter: str) -> str:
    """Escape a control character beyond ASCII, which JSON itself leaves; the value is the same."""
    return json.dumps(letter)[1:-1] if letter > "~" and steers(letter) else letter


def console() -> Console:
    """Return a console on stdout that honours NO_COLOR and COLUMNS."""
    from rich.console import Console

    return Console(highlight=False)


FORMATS = ("terminal", "markdown", "latex", "csv", "json")


def chosen_format(form: str, *, json: bool = False) -> str:
    """Return the format that `--format` and `--json` name.

    Raises:
        BenchError: an unknown format.
    """
    if form not in FORMATS:
        raise BenchError(
            f"unknown format '{form}'", allowed=FORMATS, given=form, fix="--format markdown"
        )
    return "json" if json else form


def print_list(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[int] = (),
    form: str = "terminal",
    caption: str = "",
) -> None:
    """Print rows under a header on stdout.

    Args:
        header: a name per column.
        rows: their texts.
        right: the columns that a terminal shows aligned to the right.
        form: terminal, markdown or latex.
        caption: what the rows are; a terminal shows none.
    """
    from fewbench.report import render
    from fewbench.report.tables.grid import Grid, GridCell

    if form == "terminal":
        print(render.listing(header, rows, console().width, right=right))
        return
    cells = [list(map(GridCell, row)) for row in rows]
    print_grids([Grid(caption, list(header), cells, [], labels=len(header))], form)


def print_grids(grids: Sequence[Grid], form: str) -> None:
    """Print tables on stdout, a blank line between them; `form` is terminal, markdown or latex."""
    from fewbench.report import render

    if form == "terminal":
        terminal = console()
        styled = terminal.is_terminal and not terminal.is_dumb_terminal
        texts = [render.terminal(grid, terminal.width, styled=styled) for grid in grids]
    elif form == "markdown":
        texts = [render.markdown(grid) for grid in grids]
    else:
        texts = [render.latex(grid) for grid in grids]
    print("\n\n".join(texts))


def print_csv(rows: Sequence[Json]) -> None:
    """Print rows of the same keys on stdout as CSV."""
    from fewbench.report.render import to_csv

    print(to_csv(rows))


def numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    """Return the whole numbers that an option lists, in order and once; None if it is not given.

    Raises:
        BenchError: it lists something else, or nothing.
    """
    if text is None:
        return None
    try:
        listed = [int(piece) for piece in text.split(",") if piece.strip()]
    except ValueError:
        listed = []
    if not listed:
        fix = f"{option} 4,16"
        raise BenchError(
            f"{option} is '{shortened(text)}'", allowed="whole numbers and commas", fix=fix
        )
    return tuple(dict.fromkeys(listed))


def k_values(text: str | None) -> tuple[K, ...] | None:
    """Return the K that `--k` lists, in order and once; None if it is not given.

    Raises:
        BenchError: it lists something else, or nothing.
    """
    if text is None:
        return None
    listed = [parse_k(piece) for piece in text.split(",") if piece.strip()]
    if not listed:
        raise BenchError(f"--k is '{shortened(text)}'", allowed=ALLOWED, fix="--k 4,16")
    return tuple(dict.fromkeys(listed))


def one_k(text: str | None) -> K | None:
    """Return the one K that `--k` gives; None if it is not given.

    Raises:
        BenchError: it is none.
    """
    return None if text is None else parse_k(text)


UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def duration(option: str, text: str | None) -> float | None:
    """Return an option's 90, 90s, 30m or 2h in seconds; None if it is not given.

    Raises:
        BenchError: something else, or no time at all.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None or float(match[1]) == 0:
        fix = f"{option} 30m"
        raise BenchError(
            f"{option} is '{text}'", allowed="a time above 0: 90, 90s, 30m, 2h", fix=fix
        )
    return float(match[1]) * UNITS[match[2]]


def shown_time(seconds: float) -> str:
    """Return seconds as a person reads them: 1h 05m, 2m 03s or 4s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {rest:02}s" if minutes else f"{rest}s"


def fail_if_damaged(damages: Iterable[Damage]) -> None:
    """Print what is damaged in a store.

    Raises:
        Exit: with the code of a damaged store, if any damage is serious.
    """
    damages = list(damages)
    for damage in damages:
        note(f"damaged: {damage}")
    if any(damage.serious for damage in damages):
        raise typer.Exit(3)
