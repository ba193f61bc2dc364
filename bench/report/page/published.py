"""Numbers printed in papers, as rows of the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fewbench.report.published import Published


def rows(numbers: Iterable[Published], headlines: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return one row a paper, table, line, backbone and K, with its cells: [task, metric, value,
    std, n, note].

    Args:
        numbers: of any tables.
        headlines: the headline metric of each task; what is of another metric, or of no task of
            ours, is left out.
    """
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in numbers:
        if headlines.get(one.task) != one.metric:
            continue
        place = (one.paper, one.table, one.group, one.row, one.backbone, one.k)
        told = {
            "paper": f"{one.paper} Table {one.table}",
            "label": ": ".join(filter(None, (one.group, one.row))),
            "method": one.method,
            "backbone": one.backbone,
            "k": one.k,
            "cells": [],
        }
        row = found.setdefault(place, told)
        row["cells"].append([one.task, one.metric, one.value, one.std, one.n, one.note])
    return list(found.values())
