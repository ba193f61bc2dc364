"""Encoded examples and their batches: packed, so that linear layers see no padding at all.

Axes: B examples, S sequences (B, or B x options where each option is its own sequence), T positions
of the longest sequence, N tokens of all sequences together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewbench.types import Label, Span


class Tokens(NamedTuple):
    """The token ids and segment ids of one sequence, and the position that is read."""

    ids: tuple[int, ...]
    segments: tuple[int, ...]
    read: int = 0
    spans: NDArray[np.int32] | None = None
    """Each token's characters in the passage, [T, 2], where answers are spans of it; 0, 0 for
    tokens elsewhere.
    """


class Encoded(NamedTuple):
    """One example as token ids: one sequence, or one for each option or window of a passage."""

    sequences: tuple[Tokens, ...]
    label: Label | None
    truncated: int = 0
    """How many tokens were cut off to fit the maximum length."""
    answer: Span | None = None
    """The right span of the passage, where answers are spans; None where there is none."""
    row: int = -1
    """The example's number among those trained on, by which a loss finds what belongs to it (a
    teacher's scores).
    """

    @property
    def length(self) -> int:
        """The longest sequence, in tokens."""
        return max(len(sequence.ids) for sequence in self.sequences)


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences one after another without padding, and the grid that attention needs.

    `ids`, `segments`, `positions` [N]; `grid` [S, T] the token at each place (0 where `real` [S, T]
    is false); `place` [N] each token's place in the flattened grid; `read` [S] the tokens that are
    read; `labels` [B] (empty if withheld); `rows` [B] the examples' numbers among those trained on,
    -1 outside, and `numbers` the same off the device: to read `rows` would wait for a GPU.
    """

    ids: Tensor
    segments: Tensor
    positions: Tensor
    grid: Tensor
    real: Tensor
    place: Tensor
    read: Tensor
    labels: Tensor
    rows: Tensor
    numbers: tuple[int, ...] = ()


def collate(examples: Sequence[Encoded], device: torch.device) -> Batch:
    """Return the batch of some encoded examples."""
    sequences = list(chain.from_iterable(example.sequences for example in examples))
    ids = list(chain.from_iterable(sequence.ids for sequence in sequences))
    segments = list(chain.from_iterable(sequence.segments for sequence in sequences))
    lengths = torch.tensor([len(sequence.ids) for sequence in sequences])
    starts = lengths.cumsum(0) - lengths
    steps = torch.arange(int(lengths.max()))
    real = steps < lengths[:, None]
    grid = (starts[:, None] + steps) * real
    read = starts + torch.tensor([sequence.read for sequence in sequences])
    labels = [example.label for example in examples if example.label is not None]
    numbers = tuple(example.row for example in examples)
    return Batch(
        ids=moved(torch.tensor(ids), device),
        segments=moved(torch.tensor(segments), device),
        positions=moved(steps.expand_as(grid)[real], device),
        grid=moved(grid, device),
        real=moved(real, device),
        place=moved(real.flatten().nonzero()[:, 0], device),
        read=moved(read, device),
        labels=moved(torch.tensor(labels), device),
        rows=moved(torch.tensor(numbers), device),
        numbers=numbers,
    )


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU on a device.

    A GPU is not waited for: the next batch is made while it computes an update.
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def narrow(batch: Batch, keep: Tensor) -> tuple[Batch, Tensor]:
    """Return the batch of some of its sequences, without labels, and which tokens are left, [N'].

    Args:
        batch: sequences that each begin at the first place of their grid row, as `collate` makes
            them.
        keep: [S], true for those that stay; at least one.
    """
    lengths = batch.real[keep].sum(1)
    real = batch.real[keep, : int(lengths.max())]
    starts = lengths.cumsum(0) - lengths
    tokens = batch.grid[keep, : real.shape[1]][real]
    left = Batch(
        ids=batch.ids[tokens],
        segments=batch.segments[tokens],
        positions=batch.positions[tokens],
        grid=(starts[:, None] + torch.arange(real.shape[1], device=real.device)) * real,
        real=real,
        place=real.flatten().nonzero()[:, 0],
        read=batch.read[keep] - batch.grid[keep, 0] + starts,
        labels=batch.labels[:0],
        rows=batch.rows[:0],
    )
    return left, tokens


def by_length(examples: Sequence[Encoded], tokens: int) -> Iterator[list[int]]:
    """Yield batches of indices, longest examples first, each of at most `tokens` padded tokens.

    A batch holds at least one example.

    Like lengths together keep the attention grid dense.
    """
    batch: list[int] = []
    longest = sequences = 0
    for index in sorted(range(len(examples)), key=lambda i: -examples[i].length):
        example = examples[index]
        if batch and (sequences + len(example.sequences)) * longest > tokens:
            yield batch
            batch, sequences = [], 0
        longest = longest if batch else example.length
        sequences += len(example.sequences)
        batch.append(index)
    if batch:
        yield batch


class Shuffled:
    """Batches of indices without end, each epoch in a new order, its last batch smaller.

    Args:
        n: how many there are.
        batch_size: indices per batch.
        seed: of the orders.
        lengths: of the examples, with `window`.
        window: so many batches in a row are made of examples of like length each, and come in a
            random order; 0 for none. Attention over a batch costs as much as its longest example.
    """

    def __init__(
        self, n: int, batch_size: int, seed: int, lengths: Sequence[int] = (), window: int = 0
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batches of {batch_size} examples")
        self._n, self._batch_size = n, batch_size
        self._lengths, self._window = lengths, window
        self._generator = torch.Generator().manual_seed(seed)
        self._epoch = self._generator.get_state()
        self._order: list[int] = []
        self._next = 0

    def __iter__(self) -> Iterator[list[int]]:
        return self

    def __next__(self) -> list[int]:
        if self._next >= len(self._order):
            self._begin_epoch()
        batch = self._order[self._next : self._next + self._batch_size]
        self._next += self._batch_size
        return batch

    def _begin_epoch(self) -> None:
        self._epoch = self._generator.get_state()
        order = torch.randperm(self._n, generator=self._generator).tolist()
        self._order = self._by_windows(order) if self._window else order
        self._next = 0

    def _by_windows(self, order: list[int]) -> list[int]:
        """Put examples of like length into one batch, window by window."""
        rows = self._batch_size * self._window
        ordered: list[int] = []
        for start in range(0, len(order), rows):
            alike = sorted(order[start : start + rows], key=lambda i: self._lengths[i])
            whole = len(alike) // self._batch_size
            for number in torch.randperm(whole, generator=self._generator).tolist():
                ordered += alike[number * self._batch_size : (number + 1) * self._batch_size]
            ordered += alike[whole * self._batch_size :]
        return ordered

    def state_dict(self) -> dict[str, Tensor]:
        """Return the place in the epoch, and the generator's state at its start."""
        return {"epoch": self._epoch, "next": torch.tensor(self._next)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a place that `state_dict` returned."""
        self._generator.set_state(state["epoch"])
        if place := int(state["next"]):
            self._begin_epoch()
            self._next = place
