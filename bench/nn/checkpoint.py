"""Checkpoints of a run under way: a killed run goes on from the last one, to the same bits.

A checkpoint holds everything that the rest of a training depends on: trained weights and the best
so far, the optimizer's moments, the random number generators, the place in the data, and what a
method's loss carries from update to update. It is an artifact (`fewbench.store.artifacts`): written
atomically, and checked when it is read. One that is damaged, or of another device, number of
threads or version of torch, is not used. Checkpoints are removed when the record of their run is
stored.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.store.artifacts import Artifacts
from fewbench.types import Json

Tensors = dict[str, Tensor]


class Stateful(Protocol):
    """A thing that a loss changes from update to update."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Return its state as tensors."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor], /) -> object:
        """Restore a state."""
        ...


class SavedState(NamedTuple):
    """A checkpoint as read: its facts, and its tensors on the CPU."""

    facts: Json
    tensors: Tensors


class Checkpoints:
    """The checkpoints of one run: one for each training of its trials, and the finished trials.

    Args:
        artifacts: the folder they are in.
        key: of the run.
        device: of the models; a checkpoint of another kind of device is not used.
        every: seconds between two of them.
    """

    def __init__(self, artifacts: Artifacts, key: str, device: torch.device, every: float) -> None:
        self._artifacts, self._key = artifacts, key
        threads = torch.get_num_threads()
        self._made_with = f"torch {torch.__version__}, {device.type}, {threads} threads"
        self._every = every
        self._written = time.monotonic()
        self._trial = self._training = 0

    def begin_trial(self, number: int) -> None:
        """Count trainings from 0 again, those of another trial."""
        self._trial, self._training = number, 0

    def next_training(self) -> TrainingCheckpoint:
        """Return the checkpoint of the trial's next training."""
        self._training += 1
        return TrainingCheckpoint(self, f"{self._key}-{self._trial}-{self._training}")

    def is_due(self) -> bool:
        """True if the last one was written long enough ago."""
        return time.monotonic() - self._written >= self._every

    def read(self, name: str) -> SavedState | None:
        """Return a checkpoint; None if there is none that can be used."""
        try:
            manifest, content = self._artifacts.read(name)
        except (BenchError, OSError):
            return None
        if manifest.pop("made_with", None) != self._made_with:
            return None
        return SavedState(manifest, load(content))

    def write(self, name: str, facts: Json, tensors: Mapping[str, Tensor]) -> None:
        """Write a checkpoint; where there is no room for it, the one before stays."""
        content = save({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()})
        with suppress(BenchError, OSError):
            self._artifacts.save(name, {**facts, "made_with": self._made_with}, content)
        self._written = time.monotonic()

    def write_trial(self, number: int, facts: Json, tensors: Mapping[str, Tensor]) -> None:
        """Keep the outcome of a finished trial, if it is time."""
        trained = self._artifacts.root.glob(f"{self._key}-{number}-*")
        if self.is_due() or any(trained):
            self.write(f"{self._key}-{number}", facts, tensors)

    def read_trial(self, number: int) -> SavedState | None:
        """Return the outcome of a trial that had finished."""
        return self.read(f"{self._key}-{number}")

    def drop_trainings(self, number: int) -> None:
        """Remove the weights of a finished trial that was not the best."""
        self._artifacts.remove(f"{self._key}-{number}-")


class TrainingCheckpoint(NamedTuple):
    """The checkpoint of one training."""

    checkpoints: Checkpoints
    name: str

    def is_due(self) -> bool:
        """True if the last one was written long enough ago."""
        return self.checkpoints.is_due()

    def read(self) -> SavedState | None:
        """Return the checkpoint, if it can be used."""
        return self.checkpoints.read(self.name)

    def write(self, facts: Json, tensors: Mapping[str, Tensor]) -> None:
        """Write it in the place of the one before."""
        self.checkpoints.write(self.name, facts, tensors)


def generator_states() -> tuple[Json, Tensors]:
    """Return the states of the global random number generators: torch's, NumPy's and Python's."""
    version, internal, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    facts = {
        "python": [version, list(internal), gauss],
        "numpy": [kind, [int(key) for key in keys], position, has_gauss, cached],
    }
    tensors = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    return facts, tensors


def restore_generators(facts: Json, tensors: Mapping[str, Tensor]) -> None:
    """Set the global random number generators to the states that `generator_states` returned."""
    version, internal, gauss = facts["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, position, has_gauss, cached = facts["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors:
        torch.cuda.set_rng_state(tensors["cuda"])


def named(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Return tensors under names of their own in a checkpoint."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def part(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Return the tensors that `named` put under a prefix."""
    start = f"{prefix}/"
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }


def carried(things: Iterable[Stateful]) -> Tensors:
    """Return the states of what a loss carries."""
    tensors: Tensors = {}
    for number, thing in enumerate(things):
        tensors |= named(f"carried{number}", thing.state_dict())
    return tensors


def restore_carried(things: Iterable[Stateful], tensors: Mapping[str, Tensor]) -> None:
    """Restore the states of what a loss carries."""
    for number, thing in enumerate(things):
        thing.load_state_dict(part(f"carried{number}", tensors))
