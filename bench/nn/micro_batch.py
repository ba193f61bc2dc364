"""Gradients, and other sums over a batch, added up over parts of it that fit in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from fewbench.errors import BenchError
from fewbench.nn.batch import Batch
from fewbench.nn.checkpoint import generator_states, restore_generators
from fewbench.nn.memory import FIX, is_lack_of_memory, release
from fewbench.types import Json

Loss = Callable[[Batch], Tensor]
Item = TypeVar("Item")


def _nothing() -> None:
    pass


class MicroBatches:
    """Adds up over parts of at most `size` examples, and halves the size if memory ends.

    After a lack of memory the gradients are zero again, and the global generators and the model's
    buffers are as they were before the update, which is then computed anew in smaller parts: it
    gives the same bits as if the parts had been of that size from its start. They are not those of
    the larger parts. Dropout draws a mask for each part, so another size draws others; sums are
    rounded in another order; and a loss that is a mean over tokens weighs those of each part by
    its own number of them, unless `counts` says how many each example has. The training says so in
    a warning (`warn`), and in its record.

    Args:
        size: examples in a part; None for whole batches.
        halves: False where a loss changes something at each call (`carries`): it would do so more
            often with smaller parts, and be another loss.
        fix: what to do if memory is short for a part that cannot be halved.

    Attributes:
        changes: (first update, size) of the parts that a lack of memory led to.
    """

    def __init__(self, size: int | None = None, *, halves: bool = True, fix: str = FIX) -> None:
        self.size, self._halves, self._fix = size, halves, fix
        self.changes: list[tuple[int, int]] = []

    def go_on(self, changes: Sequence[Sequence[int]]) -> None:
        """Go on with the parts of an earlier process, by its `changes`."""
        self.changes = [(update, size) for update, size in changes]
        if self.changes:
            self.size = self.changes[-1][1]

    def gradient(
        self,
        model: nn.Module,
        loss: Callable[[Sequence[Item]], Tensor],
        chosen: Sequence[Item],
        weights: Sequence[Tensor],
        *,
        update: int,
        counts: Sequence[int] | None = None,
        undo: Callable[[], None] = _nothing,
    ) -> Tensor:
        """Add up the gradient of one batch, and return its loss.

        Args:
            model: in training mode.
            loss: of some examples, a scalar mean over them.
            chosen: the examples of the batch.
            weights: those trained; they have no gradient yet, or a gradient of zero.
            update: its number, from 1.
            counts: how much each example counts in the mean; alike if None.
            undo: takes back what the loss has noted of the update, which begins again.

        Raises:
            BenchError: memory is short for a part that cannot be halved.
        """
        generators = generator_states()
        buffers = [buffer.clone() for buffer in model.buffers()]

        @torch.no_grad()
        def begin_again() -> None:
            for weight in weights:
                if weight.grad is not None:
                    weight.grad.zero_()
            for buffer, before in zip(model.buffers(), buffers, strict=True):
                buffer.copy_(before)
            restore_generators(*generators)
            undo()

        def backward(rows: Sequence[Item], share: float) -> Tensor:
            value = loss(rows) * share
            value.backward()  # type: ignore[no-untyped-call]
            return value.detach()

        return self.total(backward, chosen, update=update, counts=counts, undo=begin_again)

    def total(
        self,
        part: Callable[[Sequence[Item], float], Tensor],
        chosen: Sequence[Item],
        *,
        update: int,
        counts: Sequence[int] | None = None,
        undo: Callable[[], None] = _nothing,
    ) -> Tensor:
        """Add up what a function returns for the parts of a batch, of any shape.

        Args:
            part: is called with a part's examples, and the part's share of the batch.
            chosen: the examples of the batch.
            update: as in `gradient`.
            counts: likewise; a part whose examples count for nothing is left out.
            undo: takes back what `part` has done, after a lack of memory.

        Raises:
            BenchError: memory is short for a part that cannot be halved.
        """
        counts = counts or [1] * len(chosen)
        while True:
            found = self._try(part, chosen, counts, update)
            if found is not None:
                return found
            undo()
            release()

    def warn(self) -> None:
        """Warn of what was done for lack of memory: from which update, in parts of what size."""
        if self.changes:
            said = ", ".join(f"{size} from update {update}" for update, size in self.changes)
            warnings.warn(
                f"memory ran short: examples at once were {said}; dropout and rounding differ from "
                "those of larger parts",
                stacklevel=2,
            )

    def notes(self) -> Json:
        """Return the changes as a record has them: nothing, or `micro_batches`."""
        return {"micro_batches": [list(pair) for pair in self.changes]} if self.changes else {}

    def _try(
        self,
        part: Callable[[Sequence[Item], float], Tensor],
        chosen: Sequence[Item],
        counts: Sequence[int],
        update: int,
    ) -> Tensor | None:
        """Return the sum; None if memory was short, and the size is half of what it was.

        The error, and the tensors that its traceback holds, ends in here.
        """
        size = min(self.size or len(chosen), len(chosen))
        try:
            return _added(part, chosen, counts, size)
        except RuntimeError as error:
            if not is_lack_of_memory(error):
                raise
            if size == 1 or not self._halves:
                raise BenchError(self._reason(size), fix=self._fix) from error
            self.size = size // 2
            self._note(update, self.size)
            return None

    def _note(self, update: int, size: int) -> None:
        """Note the size of an update's parts, in place of one tried before it."""
        if self.changes and self.changes[-1][0] == update:
            self.changes.pop()
        self.changes.append((update, size))

    def _reason(self, size: int) -> str:
        where = "one example" if size == 1 else f"{size} examples at once"
        short = f"memory is too small for an update by {where}"
        if size == 1 or self._halves:
            return short
        return f"{short}, and this method's loss changes with each part of a batch"


def _added(
    part: Callable[[Sequence[Item], float], Tensor],
    chosen: Sequence[Item],
    counts: Sequence[int],
    size: int,
) -> Tensor:
    """Add up what a function returns for the parts of a batch."""
    whole = sum(counts)
    found: list[Tensor] = []
    for start in range(0, len(chosen), size):
        rows = slice(start, start + size)
        if count := sum(counts[rows]):
            found.append(part(chosen[rows], count / whole))
    return sum(found[1:], start=found[0]) if found else torch.zeros(())
