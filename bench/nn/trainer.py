"""The training loop: updates, dev checkpoints, the best one kept. A step is an optimizer update."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor, nn

from fewbench.errors import BenchError
from fewbench.nn.batch import Batch, Encoded, shuffled
from fewbench.nn.task_model import TaskModel
from fewbench.registry.protocol import Protocol, better

Loss = Callable[[Batch], Tensor]


@dataclass(slots=True)
class History:
    """The course of a training: (step, dev score) by checkpoint, the one kept, and mean losses."""

    curve: list[tuple[int, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    best_step: int = 0
    best_score: float | None = None

    def note_loss(self, total: float, step: int) -> None:
        """Note the mean loss since the last checkpoint, given the sum.

        Raises:
            BenchError: it is not finite.
        """
        last = self.curve[-1][0] if self.curve else 0
        mean = total / (step - last)
        if not math.isfinite(mean):
            raise BenchError(
                f"training diverged: the loss is {mean} at step {step}",
                fix="a smaller learning rate",
            )
        self.losses.append(mean)


def train(
    model: TaskModel,
    examples: Sequence[Encoded],
    *,
    evaluate: Callable[[], float],
    protocol: Protocol,
    lr: float,
    batch_size: int,
    seed: int,
    also_read: Sequence[Encoded] = (),
    loss: Loss | None = None,
    micro_batch: int | None = None,
    whole_vocabulary: bool = False,
) -> History:
    """Train a model and leave it at its best dev checkpoint.

    AdamW with the protocol's schedule, clipping and weight decay; every `eval_every` updates
    `evaluate` gives a dev score, and the protocol's tie rule says whether it takes the place of the
    best so far (LM-BFF: a strict >).

    Args:
        model: trained in place; dropout is on during updates only.
        examples: the labelled training examples, encoded.
        evaluate: the dev score, higher is better.
        protocol: steps, schedule and selection.
        lr: the peak learning rate.
        batch_size: examples per update.
        seed: of the order of examples.
        also_read: examples that `evaluate` or `loss` reads (dev, an unlabelled pool).
        loss: of a batch, a scalar mean over it; None means the task's own.
        micro_batch: examples per forward pass, where a whole batch does not fit in memory.
        whole_vocabulary: embeddings of tokens beyond those examples and the label words are read.

    Raises:
        BenchError: the loss is not finite.
    """
    loss = loss or model.loss
    order = shuffled(len(examples), batch_size, torch.Generator().manual_seed(seed))
    history = History()
    with _focus(model, (*examples, *also_read), protocol, whole_vocabulary):
        vectors, optimizer = _optimizer(model, lr, protocol)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, _schedule(protocol))
        state = [*vectors, *_moving(model)]
        best = [tensor.detach().clone() for tensor in state]
        model.train()
        total = torch.zeros((), device=model.backbone.device)
        for step in range(1, protocol.max_steps + 1):
            total += _update(model, loss, [examples[i] for i in next(order)], micro_batch)
            nn.utils.clip_grad_norm_(vectors, protocol.max_grad_norm)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad(set_to_none=False)
            if step % protocol.eval_every and step != protocol.max_steps:
                continue
            history.note_loss(float(total), step)
            total.zero_()
            score = evaluate()
            history.curve.append((step, score))
            if better(score, history.best_score, protocol.checkpoint_tie):
                history.best_step, history.best_score = step, score
                for kept, tensor in zip(best, state, strict=True):
                    kept.copy_(tensor.detach())
        with torch.no_grad():
            for kept, tensor in zip(best, state, strict=True):
                tensor.copy_(kept)
        model.zero_grad(set_to_none=True)
    model.eval()
    return history


def _moving(model: nn.Module) -> list[Tensor]:
    """Return the buffers that training may move (ranges of quantised inputs)."""
    return [buffer for buffer in model.buffers() if buffer.is_floating_point()]


def _update(model: TaskModel, loss: Loss, chosen: list[Encoded], micro_batch: int | None) -> Tensor:
    """Add up the gradient of one batch, and return its loss."""
    total = torch.zeros((), device=model.backbone.device)
    size = micro_batch or len(chosen)
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        with _mixed_precision(model):
            value = loss(model.collate(part)) * (len(part) / len(chosen))
        value.backward()  # type: ignore[no-untyped-call]
        total += value.detach()
    return total


def _focus(
    model: TaskModel, examples: Sequence[Encoded], protocol: Protocol, whole_vocabulary: bool
) -> AbstractContextManager[None]:
    """Train only the embeddings of tokens in use; weight decay would move the others."""
    if whole_vocabulary or protocol.weight_decay:
        return nullcontext()
    sequences = chain.from_iterable(example.sequences for example in examples)
    seen = set(chain.from_iterable(sequence.ids for sequence in sequences))
    return model.backbone.focused(seen | set(model.extra_tokens()))


def _optimizer(
    model: nn.Module, lr: float, protocol: Protocol
) -> tuple[list[nn.Parameter], torch.optim.Optimizer]:
    """Gather trained parameters in vectors, with AdamW; no decay of biases and norms."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not protocol.weight_decay:
        vector = _as_views_of_one(trained)
        return [vector], torch.optim.AdamW([vector], lr=lr, weight_decay=0.0, fused=True)
    matrices = [parameter for parameter in trained if parameter.ndim > 1]
    others = [parameter for parameter in trained if parameter.ndim <= 1]
    vectors: list[nn.Parameter] = []
    groups = []
    for parameters, decay in ((matrices, protocol.weight_decay), (others, 0.0)):
        if parameters:
            vectors.append(_as_views_of_one(parameters))
            groups.append({"params": [vectors[-1]], "weight_decay": decay})
    return vectors, torch.optim.AdamW(groups, lr=lr, fused=True)


def _as_views_of_one(parameters: list[nn.Parameter]) -> nn.Parameter:
    """Move parameters and their gradients into one vector each, and make them views of it.

    Clipping, the update and keeping the best checkpoint then walk one tensor instead of dozens of
    small ones, which on a small model take a fifth of a step.
    """
    vector = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    vector.grad = torch.zeros_like(vector)
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.data = vector.data[start:end].view_as(parameter)
        parameter.grad = vector.grad[start:end].view_as(parameter)
        start = end
    return vector


def _schedule(protocol: Protocol) -> Callable[[int], float]:
    """Return the learning rate's factor by updates done: warm-up, then constant or linear."""

    def factor(done: int) -> float:
        if done < protocol.warmup_steps:
            return done / protocol.warmup_steps
        if protocol.schedule == "constant":
            return 1.0
        return max(
            0.0, (protocol.max_steps - done) / max(1, protocol.max_steps - protocol.warmup_steps)
        )

    return factor


def _mixed_precision(model: TaskModel) -> AbstractContextManager[object]:
    on_gpu = model.backbone.device.type == "cuda"
    return torch.autocast("cuda", dtype=torch.bfloat16) if on_gpu else nullcontext()
