"""What the page shows beyond the score, as plain data: loyalty, robustness and cost by cell of the
board.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from fewbench.report.tables.beyond import figures, in_order

Place = tuple[int, int, int]
"""The numbers of a cell's block, row and column."""


def beyond(runs: Iterable[tuple[Place, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the columns, by name and digits, and for each cell that has some its means and of how
    many runs they are.

    Args:
        runs: each run's cell, and the scores of what was measured of it, by kind and name.
    """
    digits: dict[str, int] = {}
    each: dict[Place, dict[str, list[float]]] = {}
    for place, measured in runs:
        for what, scores in measured.items():
            kind, _, name = what.partition("-")
            for column, decimals, value in figures(kind, name, scores):
                digits[column] = decimals
                each.setdefault(place, {}).setdefault(column, []).append(value)
    names = in_order(digits)
    cells = [
        [
            *place,
            [
                [round(fmean(found[name]), 4), len(found[name])] if name in found else None
                for name in names
            ],
        ]
        for place, found in each.items()
    ]
    return {"columns": [[name, digits[name]] for name in names], "cells": cells}
