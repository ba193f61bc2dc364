"""Define a run's references: models and corpora by name and revision, and hashes of its inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""The pattern of names of tasks, methods, prompts and sources."""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A pretrained model by name (embedded, a local folder or a hub name) and revision.

    `revision` is the hub's commit, or the hash of a local folder's files
    (`fewbench.registry.pretrained.folder_hash`). `path` is the model's folder on this machine and
    is not recorded.
    """

    name: str
    path: str = field(compare=False)
    revision: str
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class CorpusRef:
    """Unlabelled documents by name (embedded, a file or a folder) and the hash of their bytes.

    `path` is their place on this machine and is not recorded.
    """

    name: str
    path: str = field(compare=False)
    revision: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """Hashes of a run's inputs, beside their names (`fewbench.store.inputs` computes them).

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


Dtype = Literal["float32", "bfloat16"]
Attention = Literal["sdpa", "eager"]

ARITHMETIC: Mapping[str, tuple[str, ...]] = {
    "dtype": get_args(Dtype),
    "attention": get_args(Attention),
}
"""The values that each part of a run's arithmetic may have, the usual one first."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """The numbers that a run's models compute with.

    `dtype` is what linear layers multiply in, forward and backward; weights, their updates and all
    else are in single precision. It is the same on every device, in training and in scoring.
    `attention` is PyTorch's fused kernel, or `eager`: two products with a softmax in between.
    """

    dtype: Dtype = "float32"
    attention: Attention = "sdpa"

    @property
    def name(self) -> str:
        """The parts that are not the usual ones, in words; empty where all are."""
        dtype = self.dtype if self.dtype != USUAL.dtype else ""
        attention = f"{self.attention} attention" if self.attention != USUAL.attention else ""
        return ", ".join(filter(None, [dtype, attention]))


USUAL = Arithmetic()
"""The arithmetic of a run that asks for no other."""
