"""Labelled rows of another task, which a preparation reads: to train an annotator, for example."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewbench.data.reader import read_rows
from fewbench.types import Example, Task


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """The training rows of a task, by where they are read and a hash of what they are.

    Args:
        task: with the source that is read.
        data: the data folder.
        offline: do not use the hub.
        revision: a hash of the task's definition and the rows.
    """

    task: Task
    data: Path | None
    offline: bool
    revision: str

    def read(self) -> tuple[Example, ...]:
        """Read the rows; those of the task's test part are not handed out.

        Raises:
            DataError: as in `read_rows`.
        """
        return read_rows(self.task, self.data, offline=self.offline).train
