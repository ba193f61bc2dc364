"""How things are printed: JSON or tables on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console


def note(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    print(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def console() -> Console:
    """Return a console on stdout; it honours NO_COLOR and COLUMNS, and is plain where stdout is no terminal."""
    from rich.console import Console

    return Console(highlight=False)


def print_grid(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print rows under a header; the columns in `right` are right-aligned. Long cells wrap, but not the first."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for number, name in enumerate(header):
        justify: Literal["left", "right"] = "right" if number in right else "left"
        grid.add_column(name, justify=justify, overflow="fold", no_wrap=number == 0)
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    console().print(grid)
