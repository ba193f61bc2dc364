"""CSV: plain rows, one cell of the table each, and none that a spreadsheet would compute."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fewbench.errors import visible

_FORMULA = re.compile(r"[\s'\"]*[=+\-@＝＋－＠]")
"""How a cell begins that is computed, or is after some programs have trimmed it."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
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
    steered = bool(_FORMULA.match(text)) or text[:1] in ("\t", "\r")
    computed = steered and not _NUMBER.fullmatch(text)
    return ("'" if computed else "") + visible(text, lines=True)
