"""The rows of a split without labels, made when a method is about to get them.

A plan asks how many there are, of every split of every task; to put them in order takes longer than
all else that it does with a split.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import cast

from fewbench.data.kept_rows import LazyRows
from fewbench.data.split import pool_of
from fewbench.types import Example, Rows, Split


def with_pool(split: Split, rows: Rows) -> Split:
    """Return a split with its pool, which a worker gets as a tuple (`Job.sent`)."""
    return replace(split, unlabeled=cast("tuple[Example, ...]", UnlabeledPool(rows, split)))


class UnlabeledPool(LazyRows):
    """The unlabelled rows of a split, as `make_split` would give them.

    Args:
        rows: all rows of the task's source.
        split: its train and dev rows are left out.
    """

    def __init__(self, rows: Rows, split: Split) -> None:
        self._source = rows
        self._used = (*split.train, *split.dev)

    @cached_property
    def rows(self) -> tuple[Example, ...]:
        """The rows in their order."""
        return pool_of(self._source, self._used)

    def __len__(self) -> int:
        source = self._source
        rest = 0 if source.folds else len(source.train) - len(self._used)
        return rest + len(source.unlabeled)
