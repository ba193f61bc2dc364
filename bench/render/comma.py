"""CSV: plain rows, one cell of the table each."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of the same keys as CSV; lists are joined by spaces."""
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys() if rows else ["task"], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: " ".join(map(str, v)) if isinstance(v, list) else v for k, v in row.items()})
    return out.getvalue().rstrip("\n")
