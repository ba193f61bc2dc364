"""The size of dev with full data."""

from __future__ import annotations

from typing import NamedTuple


class DevCut(NamedTuple):
    """The size of dev that is cut off full data: a share of all rows, but at most so many."""

    share: float = 0.1
    most: int = 2000


USUAL_CUT = DevCut()
