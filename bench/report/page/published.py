"""Numbers printed in papers, as rows of the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fewbench.report.page.data import PublishedCell, PublishedRow
from fewbench.report.published import Published, paper_of


def rows(numbers: Iterable[Published], headlines: Mapping[str, str]) -> list[PublishedRow]:
    """Return one row per paper, table, line, backbone and K.

    Args:
        numbers: of any tables.
        headlines: the headline metric of each task.
    """
    lines: dict[tuple[str, ...], PublishedRow] = {}
    for number in numbers:
        line = (
            number.paper,
            number.table,
            number.group,
            number.row,
            number.backbone,
            number.k,
        )
        row = lines.setdefault(line, _row(number))
        taken = any(cell[:2] == (number.task, number.metric) for cell in row["cells"])
        cell = PublishedCell(
            number.column if taken or not number.task else number.task,
            number.metric,
            number.value,
            number.std,
            number.n,
            number.note,
            number.task_source,
            int(headlines.get(number.task) == number.metric),
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
