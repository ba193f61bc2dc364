"""What a run refers to: models and corpora by name and revision, and hashes of what it was made
from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""What names of tasks, methods, prompts and sources are made of."""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A pretrained model by name: an embedded name, a local folder or a hub name, and what pins its
    weights.

    `revision` is the hub's commit, or the hash of a local folder's files
    (`fewbench.registry.pretrained.folder_hash`). `path` is where it lies on this machine; it is no
    part of a record.
    """

    name: str
    path: str = field(compare=False)
    revision: str
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class CorpusRef:
    """Unlabelled documents by name: an embedded name, a file or a folder, and the hash of their
    bytes.

    `path` is where they lie on this machine; it is no part of a record.
    """

    name: str
    path: str = field(compare=False)
    revision: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """Hashes of what a run was made from, beside the names it goes by (`fewbench.store.inputs`
    computes them).

    `task` is of the task's whole definition with the prompt in use. `train_set` and `test_set` are
    of all rows of the source, `split` of the rows drawn for train and dev, `unlabeled` of published
    rows without labels where the method reads them: texts count to the letter. `protocol` is of the
    protocol's constants, `trials` of the settings and the updates that each trial has by them,
    `settings` of the method's settings with their defaults, and `teacher` is the key of the run
    that trained the teacher.

    All are 16 hexadecimal digits (`teacher` 32), or empty where a run has nothing of the kind. In
    records of before schema 5 all are empty: what these were made from is not known. `trials` is
    empty in those of before schema 6.
    """

    task: str = ""
    train_set: str = ""
    test_set: str = ""
    split: str = ""
    unlabeled: str = ""
    protocol: str = ""
    trials: str = ""
    settings: str = ""
    teacher: str = ""

    @property
    def known(self) -> bool:
        """True if the record says what its run was made from."""
        return bool(self.task)
