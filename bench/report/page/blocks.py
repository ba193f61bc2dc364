"""The page's blocks of cells, which refer to rows and columns by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fewbench.report.page.commands import command
from fewbench.report.page.data import BlockCell, BlockData, PageCell, percent
from fewbench.report.published import shown_k
from fewbench.report.statistics.interval import interval
from fewbench.report.tables.blocks import Block, CellPlace, Scores
from fewbench.report.today import UNRECORDED
from fewbench.store.record import Record


class CellNumbers:
    """Numbers the blocks in their order, and all rows and columns in sorted order."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.rows = sorted({row for block in blocks for row in block.rows})
        self.columns = sorted({column for block in blocks for column in block.columns})
        self._blocks = {block.terms: number for number, block in enumerate(blocks)}
        self._rows = {row: number for number, row in enumerate(self.rows)}
        self._columns = {column: number for number, column in enumerate(self.columns)}

    def of(self, place: CellPlace) -> PageCell:
        """Return the numbers of a place."""
        return PageCell(
            self._blocks[place.terms], self._rows[place.row], self._columns[place.column]
        )


def block_data(
    block: Block,
    protocol: str,
    numbers: CellNumbers,
    records: Mapping[CellPlace, Sequence[Record]],
) -> BlockData:
    """Return a block's data.

    Args:
        block: the block.
        protocol: the name of its protocol.
        numbers: of blocks, rows and columns.
        records: those of each cell.
    """
    cells = []
    for (row, column), scores in block.cells.items():
        seat = CellPlace(block.terms, row, column)
        cells.append(_cell(numbers.of(seat), scores, block.ddof, command(records[seat])))
    return {
        "k": shown_k(block.terms.k),
        "protocol": protocol,
        "limit": block.terms.limit,
        "drop_leaks": block.terms.drop_leaks,
        "arithmetic": block.terms.arithmetic,
        "ddof": block.ddof,
        "cells": cells,
        "chance": [],
    }


def _cell(place: PageCell, scores: Scores, ddof: int, made_by: str) -> BlockCell:
    low, high = interval(list(scores.scores.values()))
    return BlockCell(
        row=place.row,
        column=place.column,
        mean=percent(scores.mean) if scores.n else None,
        std=percent(scores.std(ddof)) if scores.n else None,
        n=scores.n,
        failed=scores.failed,
        stale=scores.stale,
        has_mixed_code=len(scores.codes) > 1,
        doubled=[_doubled(seed, keys) for seed, keys in scores.doubled.items()],
        changed=[part for part in scores.changed if part != UNRECORDED],
        low=percent(low),
        high=percent(high),
        command=made_by,
    )


def _doubled(seed: int, keys: Sequence[str]) -> str:
    return f"seed {seed}: {' and '.join(key[:8] for key in keys)}"
