"""The gradient of a batch, added up over parts of it that fit in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn.batch import Batch, Encoded
from fewbench.nn.checkpoint import generator_states, restore_generators
from fewbench.nn.memory import FIX, is_lack_of_memory, release
from fewbench.nn.task_model import TaskModel

Loss = Callable[[Batch], Tensor]


class MicroBatches:
    """Computes gradients in parts of at most `size` examples, and halves the size if memory ends.

    After a lack of memory the gradients are zero again, and the global generators and the model's
    buffers are as they were before the update, which is then computed anew in smaller parts: it
    gives the same bits as if the parts had been of that size from its start. They are not those of
    the larger parts. Dropout draws a mask for each part, so another size draws others; sums are
    rounded in another order; and a loss that is a mean over tokens weighs those of each part by
    its own number of them. The training says so in a warning, and in its `History`.

    Args:
        size: examples in a part; None for whole batches.
        halves: False where a loss changes something at each call (`carries`): it would do so more
            often with smaller parts, and be another loss.
    """

    def __init__(self, size: int | None, *, halves: bool) -> None:
        self.size, self._halves = size, halves

    def gradient(
        self, model: TaskModel, loss: Loss, chosen: Sequence[Encoded], weights: Sequence[Tensor]
    ) -> Tensor:
        """Add up the gradient of one batch, and return its loss.

        Args:
            model: in training mode.
            loss: of a batch, a scalar mean over it.
            chosen: the examples of the batch.
            weights: those trained; their gradients are zero.

        Raises:
            BenchError: memory is short for a part that cannot be halved.
        """
        generators = generator_states()
        buffers = [buffer.clone() for buffer in model.buffers()]
        while True:
            found = self._try(model, loss, chosen)
            if found is not None:
                return found
            with torch.no_grad():
                for weight in weights:
                    if weight.grad is not None:
                        weight.grad.zero_()
                for buffer, before in zip(model.buffers(), buffers, strict=True):
                    buffer.copy_(before)
            restore_generators(*generators)
            release()

    def _try(self, model: TaskModel, loss: Loss, chosen: Sequence[Encoded]) -> Tensor | None:
        """Return the loss; None if memory was short, and the size is half of what it was.

        The error, and the tensors that its traceback holds, ends in here.
        """
        size = min(self.size or len(chosen), len(chosen))
        try:
            return _gradient(model, loss, chosen, size)
        except RuntimeError as error:
            if not is_lack_of_memory(error):
                raise
            if size == 1 or not self._halves:
                raise BenchError(self._reason(size), fix=FIX) from error
            self.size = size // 2
            return None

    def _reason(self, size: int) -> str:
        where = "one example" if size == 1 else f"{size} examples at once"
        short = f"memory is too small for an update by {where}"
        if size == 1 or self._halves:
            return short
        return f"{short}, and this method's loss changes with each part of a batch"


def _gradient(model: TaskModel, loss: Loss, chosen: Sequence[Encoded], size: int) -> Tensor:
    """Add up the gradient of one batch in parts, and return its loss."""
    total = torch.zeros((), device=model.backbone.device)
    for start in range(0, len(chosen), size):
        rows = chosen[start : start + size]
        value = loss(model.collate(rows)) * (len(rows) / len(chosen))
        value.backward()  # type: ignore[no-untyped-call]
        total += value.detach()
    return total


def warn_of(micro_batches: Sequence[tuple[int, int]]) -> None:
    """Warn of what a training did for lack of memory: from which update, in parts of what size."""
    if micro_batches:
        said = ", ".join(f"{size} from update {step}" for step, size in micro_batches)
        warnings.warn(
            f"memory ran short: examples at once were {said}; dropout and rounding differ from "
            "those of larger parts",
            stacklevel=2,
        )
