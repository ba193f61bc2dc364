"""CSV: plain rows, without cells that a spreadsheet would compute."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fewbench.errors import visible

_FORMULA = re.compile(r"[\s'\"]*[=+\-@＝＋－＠]")
"""The start of a cell that a spreadsheet computes, perhaps after trimming it."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

Row = Mapping[str, Any]
"""Plain values by column name."""


def to_csv(rows: Sequence[Row]) -> str:
    """Return rows of the same keys as CSV; lists are joined by spaces.

    A text that a spreadsheet would take for a formula gets an apostrophe in front; a number stays
    as it is.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_cell(name) for name in (rows[0] if rows else ["task"])])
    for row in rows:
        writer.writerow([_cell(value) for value in row.values()])
    return out.getvalue().rstrip("\n")


def _cell(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        value = " ".join(map(str, value))
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = str(value)
    looks_computed = bool(_FORMULA.match(text)) or text[:1] in ("\t", "\r")
    computed = looks_computed and not _NUMBER.fullmatch(text)
    return ("'" if computed else "") + visible(text, lines=True)
