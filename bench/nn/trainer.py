"""The training loop: updates, dev checkpoints, the best one kept. A step is an optimizer update."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import chain

import torch
from torch import Tensor, nn

from fewbench.errors import BenchError
from fewbench.nn.batch import Encoded, Shuffled
from fewbench.nn.checkpoint import (
    SavedState,
    Stateful,
    TrainingCheckpoint,
    carried,
    generator_states,
    named,
    part,
    restore_carried,
    restore_generators,
)
from fewbench.nn.micro_batch import Loss as Loss
from fewbench.nn.micro_batch import MicroBatches
from fewbench.nn.optimizer import Rates, make_optimizer
from fewbench.nn.task_model import TaskModel
from fewbench.registry.protocol import Protocol, better
from fewbench.types import Json


@dataclass(slots=True)
class History:
    """The course of a training: (step, dev score) by checkpoint, the one kept, and mean losses.

    `micro_batches` are (first step, size) of the parts that a lack of memory led to.
    """

    curve: list[tuple[int, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    best_step: int = 0
    best_score: float | None = None
    micro_batches: list[tuple[int, int]] = field(default_factory=list)

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

    @property
    def since_best(self) -> int:
        """The number of dev scores since the best one."""
        return sum(step > self.best_step for step, _ in self.curve)


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
    carries: Sequence[Stateful] | None = (),
    checkpoint: TrainingCheckpoint | None = None,
    beside: nn.Module | None = None,
    rates: Rates = (),
    on_update: Callable[[int], None] = lambda step: None,
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
        micro_batch: examples per forward pass, where a whole batch does not fit in memory; None
            means the protocol's, or with `carries` the whole batch. If memory is short all the
            same, it is halved, and a warning says so (`fewbench.nn.micro_batch`).
        beside: trained along with the model, such as linear maps that only its loss uses.
        whole_vocabulary: embeddings of tokens beyond those examples and the label words are read.
        carries: what `loss` changes at each call, which has to be once an update; None if that is
            not known. With anything but nothing, batches are not split for want of memory.
        checkpoint: where the state is kept while training, and what a killed run goes on from.
        rates: modules of the model whose learning rate is another, as a multiple of `lr`.
        on_update: is called with the number of updates after each.

    Raises:
        BenchError: the loss is not finite, or memory is too small.
    """
    protocol = protocol.in_updates(len(examples), batch_size)
    with _focus(model, (*examples, *also_read), protocol, whole_vocabulary):
        lengths = [example.length for example in examples] if protocol.length_window else []
        order = Shuffled(len(examples), batch_size, seed, lengths, protocol.length_window)
        parts = _parts(protocol, micro_batch, carries)
        carries = carries or ()
        training = _Training(model, protocol, lr, order, parts, beside, rates)
        stored = checkpoint.read() if checkpoint else None
        if stored is not None:
            training.restore(stored, carries)
        model.train()
        while not training.finished:
            training.update(loss or model.loss, examples)
            on_update(training.step)
            training.score(evaluate)
            training.save(checkpoint, carries)
        training.keep_best()
        training.save(checkpoint, carries)
        _joined(model, beside).zero_grad(set_to_none=True)
    model.eval()
    parts.warn()
    return training.history


def _parts(
    protocol: Protocol, micro_batch: int | None, carries: Sequence[Stateful] | None
) -> MicroBatches:
    """Split batches as `train` says; a loss that changes something takes them whole."""
    if carries:
        return MicroBatches(micro_batch, halves=False)
    return MicroBatches(micro_batch or protocol.micro_batch, halves=carries is not None)


class _Training:
    """The state of a training between two updates."""

    def __init__(
        self,
        model: TaskModel,
        protocol: Protocol,
        lr: float,
        order: Shuffled,
        parts: MicroBatches,
        beside: nn.Module | None = None,
        rates: Rates = (),
    ) -> None:
        self.model, self.protocol, self.order, self.parts = model, protocol, order, parts
        self.optimizer = make_optimizer(_joined(model, beside), lr, protocol, rates)
        self.selected = [*self.optimizer.weights, *_moving(model)]
        self.best = [tensor.detach().clone() for tensor in self.selected]
        self.total = torch.zeros((), device=model.backbone.device)
        self.step = 0
        self.history = History(micro_batches=parts.changes)

    @property
    def finished(self) -> bool:
        """True after the last update, or if dev scores have not risen for too long."""
        patience = self.protocol.patience
        stopped = patience is not None and self.history.since_best >= patience
        return stopped or self.step >= self.protocol.max_steps

    def update(self, loss: Loss, examples: Sequence[Encoded]) -> None:
        """Take one step of the optimizer on the next batch."""
        chosen = [examples[i] for i in next(self.order)]
        self.total += self.parts.gradient(
            self.model,
            lambda rows: loss(self.model.collate(rows)),
            chosen,
            self.optimizer.weights,
            update=self.step + 1,
        )
        self.optimizer.step()
        self.step += 1

    def score(self, evaluate: Callable[[], float]) -> None:
        """Score on dev, where it is time, and keep the weights if they are the best so far."""
        protocol, history = self.protocol, self.history
        if self.step % protocol.eval_every and self.step != protocol.max_steps:
            return
        history.note_loss(float(self.total), self.step)
        self.total.zero_()
        score = evaluate()
        history.curve.append((self.step, score))
        if better(score, history.best_score, protocol.checkpoint_tie):
            history.best_step, history.best_score = self.step, score
            for kept, tensor in zip(self.best, self.selected, strict=True):
                kept.copy_(tensor.detach())

    @torch.no_grad()
    def keep_best(self) -> None:
        """Give the model the best weights."""
        for kept, tensor in zip(self.best, self.selected, strict=True):
            tensor.copy_(kept)

    def save(self, checkpoint: TrainingCheckpoint | None, carries: Sequence[Stateful]) -> None:
        """Write the state where a killed run goes on from, if it is time."""
        if checkpoint and checkpoint.is_due():
            checkpoint.write(*self.state(carries))

    def state(self, carries: Sequence[Stateful]) -> tuple[Json, dict[str, Tensor]]:
        """Return all that the rest of the training depends on."""
        generators, generator_tensors = generator_states()
        facts: Json = {
            "step": self.step,
            "history": asdict(self.history),
            "generators": generators,
        }
        tensors = named("buffer", dict(self.model.named_buffers()))
        tensors |= named("order", self.order.state_dict())
        tensors |= named("generator", generator_tensors)
        tensors |= carried(carries)
        tensors["total"] = self.total
        tensors |= {f"best{number}": best for number, best in enumerate(self.best)}
        tensors |= named("optimizer", self.optimizer.state_dict())
        return facts, tensors

    @torch.no_grad()
    def restore(self, stored: SavedState, carries: Sequence[Stateful]) -> None:
        """Go on from a state."""
        facts, tensors = stored
        self.step = facts["step"]
        history = facts["history"]
        curve = [(step, score) for step, score in history.pop("curve")]
        self.parts.go_on(history.pop("micro_batches", []))
        self.history = History(curve=curve, micro_batches=self.parts.changes, **history)
        self.optimizer.load_state_dict(part("optimizer", tensors))
        for name, buffer in self.model.named_buffers():
            buffer.copy_(tensors[f"buffer/{name}"])
        for number, best in enumerate(self.best):
            best.copy_(tensors[f"best{number}"])
        self.total.copy_(tensors["total"])
        self.order.load_state_dict(part("order", tensors))
        restore_carried(carries, tensors)
        restore_generators(facts["generators"], part("generator", tensors))


def _moving(model: nn.Module) -> list[Tensor]:
    """Return the buffers that training may move (ranges of quantised inputs)."""
    return [buffer for buffer in model.buffers() if buffer.is_floating_point()]


def _joined(model: nn.Module, beside: nn.Module | None) -> nn.Module:
    return model if beside is None else nn.ModuleList([model, beside])


def _focus(
    model: TaskModel, examples: Sequence[Encoded], protocol: Protocol, whole_vocabulary: bool
) -> AbstractContextManager[None]:
    """Train only the embeddings of tokens in use; weight decay would move the others.

    Ids below 0 are no words, but a prompt's own.
    """
    if whole_vocabulary or protocol.weight_decay:
        return nullcontext()
    sequences = chain.from_iterable(example.sequences for example in examples)
    seen = set(chain.from_iterable(sequence.ids for sequence in sequences))
    words = {token for token in seen if token >= 0}
    return model.backbone.focused(words | set(model.extra_tokens()))
