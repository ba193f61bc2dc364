"""Means of what was measured beyond the score, by cell: loyalty, robustness and cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from fewbench.report.page.data import MeasuredCell, MeasuredData, MeasuredMean, PageCell
from fewbench.report.tables.measures import figures, in_order
from fewbench.types import Settings


def beyond(runs: Iterable[tuple[PageCell, Mapping[str, Settings]]]) -> MeasuredData:
    """Return the means of each cell that has some.

    Args:
        runs: each run's cell, and the scores of its measurements, by kind and name.
    """
    digits: dict[str, int] = {}
    values: dict[PageCell, dict[str, list[float]]] = {}
    for place, measurements in runs:
        for what, scores in measurements.items():
            kind, _, name = what.partition("-")
            for column, decimals, value in figures(kind, name, scores):
                digits[column] = decimals
                values.setdefault(place, {}).setdefault(column, []).append(value)
    names = in_order(digits)
    cells = []
    for place, columns in values.items():
        means = [_mean(columns.get(name)) for name in names]
        cells.append(MeasuredCell(*place, means))
    return {"columns": [(name, digits[name]) for name in names], "cells": cells}


def _mean(values: Sequence[float] | None) -> MeasuredMean | None:
    return MeasuredMean(round(fmean(values), 4), len(values)) if values else None
