"""The context of a `prepare` that reads labelled rows of another task."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch

from fewbench.data.labelled import LabelledRows
from fewbench.nn.batch import Shuffled
from fewbench.nn.fit_context import PrepareContext
from fewbench.nn.loss_log import LossLog
from fewbench.nn.micro_batch import MicroBatches
from fewbench.nn.task_model import TaskModel
from fewbench.types import Example, Task


class LabelledContext(PrepareContext):
    """A context with the rows of the task that the method's setting `rows` names."""

    rows: LabelledRows

    def labelled(self) -> tuple[Task, Sequence[Example]]:
        """Return the task and its training rows, labels included."""
        return self.rows.task, self.rows.read()

    def train(
        self,
        model: TaskModel,
        examples: Sequence[Example],
        *,
        updates: int,
        batch_size: int,
        lr: float,
    ) -> float:
        """Train a model's own loss by Adam at a constant rate; return the last tenth's mean loss.

        Rows are encoded batch by batch, for they may be many. Where memory is short, the notes name
        the smaller parts of a batch.

        Raises:
            BenchError: the loss is not finite, or memory is too small.
        """
        weights = [*model.parameters()]
        optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=0.01)
        model.train()
        losses, parts = LossLog(), MicroBatches()
        batches = islice(Shuffled(len(examples), batch_size, self.seed), updates)
        for update, rows in enumerate(batches, 1):
            encoded = model.encode([examples[row] for row in rows])
            model.forget()
            optimizer.zero_grad()
            loss = parts.gradient(
                model, lambda some: model.loss(model.collate(some)), encoded, weights, update=update
            )
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            losses.note(loss)
        model.eval()
        parts.warn()
        self.notes |= parts.notes()
        tenth = losses.values()[-max(1, updates // 10) :]
        return sum(tenth) / len(tenth)
