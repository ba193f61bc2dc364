"""Numbers printed in papers, as rows of the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fewbench.report.page.data import PublishedCell, PublishedRow
from fewbench.report.published import Published, paper_of


def rows(numbers: Iterable[Published], headlines: Mapping[str, str]) -> list[PublishedRow]:
    """Return one row per paper, table, line, backbone and K.

    Args:
        numbers: of any tables.
        headlines: the headline metric of each task; numbers of other metrics or tasks are left out.
    """
    lines: dict[tuple[str, ...], PublishedRow] = {}
    for number in numbers:
        if headlines.get(number.task) != number.metric:
            continue
        line = (
            number.paper,
            number.table,
            number.group,
            number.row,
            number.backbone,
            number.k,
        )
        row = lines.setdefault(line, _row(number))
        cell = PublishedCell(
            number.task,
            number.metric,
            number.value,
            number.std,
            number.n,
            number.note,
            number.task_source,
        )
        row["cells"].append(cell)
    return list(lines.values())


def _row(number: Published) -> PublishedRow:
    paper = paper_of(number.paper)
    return {
        "paper": paper.reference if paper else number.paper,
        "table": number.table,
        "address": paper.address if paper else "",
        "label": ": ".join(filter(None, (number.group, number.row))),
        "method": number.method,
        "backbone": number.backbone,
        "k": number.k,
        "cells": [],
    }
