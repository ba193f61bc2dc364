"""A second model that is trained beside the first, on the same batches, by updates of its own.

Deep mutual learning and proximal knowledge teaching train the teacher so: each update of it comes
before the student's on the same batch. Axes: B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from fewbench.nn.batch import Batch
from fewbench.nn.distil import said
from fewbench.nn.optimizer import make_optimizer
from fewbench.nn.task_model import TaskModel
from fewbench.registry.protocol import Protocol
from fewbench.types import Example


class Companion:
    """Trains a second model as `fewbench.nn.trainer` trains the first, but for its selection.

    Args:
        model: trained in place; dropout is on during its updates only.
        examples: those that the first model is trained on, in the order of a batch's `rows`.
        protocol: schedule, clipping and weight decay, in updates.
        lr: the peak learning rate.
    """

    def __init__(
        self, model: TaskModel, examples: Sequence[Example], protocol: Protocol, lr: float
    ) -> None:
        self.model = model.eval()
        self._encoded = model.encode(examples)
        self._optimizer = make_optimizer(model, lr, protocol)

    def own(self, batch: Batch) -> Batch:
        """Return the first model's batch as this model reads it."""
        return self.model.collate([self._encoded[row] for row in batch.numbers])

    def update(self, batch: Batch, loss: Callable[[Tensor], Tensor]) -> None:
        """Take one step on a batch of its own, by a loss of its scores [B, C] or [B, 1]."""
        self.model.train()
        loss(self.model(batch)).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.model.eval()

    @torch.no_grad()
    def targets(self, batch: Batch) -> Tensor:
        """Score a batch of its own: logits [B, C], or values 0..1, [B]."""
        return said(self.model, self.model(batch))

    def state_dict(self) -> dict[str, Tensor]:
        """Return its weights, the optimizer's moments, and the number of updates."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `state_dict` returned."""
        self._optimizer.load_state_dict(state)
