"""A model with a classifier after every layer, and rules that stop an example at one of them.

thesis, chapter 3 (PABEE) and the criteria it compares with. Layers above an example's exit are not
computed for it: a batch goes on with the examples that have not left.

Axes: L layers, B batch, C classes, S sequences, n examples, d width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fewbench.data.metrics import score
from fewbench.nn import losses
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded, by_length, narrow
from fewbench.nn.classifier import HeadModel
from fewbench.nn.encoder import look_ahead, run_layer, run_rest
from fewbench.nn.exit_rules import (
    Confidence,
    Depth,
    Entropy,
    Patience,
    Rule,
    SpeedUps,
    at_exits,
    exit_layers,
    summary,
)
from fewbench.nn.memory import in_parts
from fewbench.nn.task_model import TOKENS_A_BATCH, TaskModel
from fewbench.types import Example, Json, Predictions, Task


class ExitModel(TaskModel):
    """A task's model with a classifier after every layer.

    Args:
        base: how examples are encoded and scores become answers.
        classifiers: one per layer, from the hidden states [S, d] of the tokens that are read to
            scores [S, ...].
        score_loss: of one classifier's scores and the labels, a scalar.

    Attributes:
        rule: by which examples exit; the last layer unless set, as is conventional.
        weights: of the classifiers' losses, [L].
        exits: the layer each example of the last prediction left by, 1 to L, [n].
    """

    def __init__(
        self,
        base: TaskModel,
        classifiers: Sequence[nn.Module],
        score_loss: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        super().__init__(base.backbone, base.task)
        self._base = base
        self.classifiers = nn.ModuleList(classifiers)
        self.score_loss = score_loss
        self.rule: Rule = Depth(len(classifiers))
        self.weights = by_layer(len(classifiers))
        self.exits = torch.zeros(0, dtype=torch.int32)

    def forward(self, batch: Batch) -> Tensor:
        """Return every classifier's scores, [L, B, C] ([L, B, 1] from regression heads)."""
        reads = self.backbone.reads(batch)
        return torch.stack([self._scores(layer, read) for layer, read in enumerate(reads)])

    def _scores(self, layer: int, read: Tensor) -> Tensor:
        scores: Tensor = self.classifiers[layer](read)
        return scores.view(-1, len(self.task.labels)) if self.task.format == "choice" else scores

    def answer(self, scores: Tensor) -> Tensor:
        """Return probabilities [B, C], or values [B] for regression, of one classifier's scores."""
        return self._base.answer(scores)

    def loss(self, batch: Batch) -> Tensor:
        """Return the weighted average of the classifiers' losses; thesis, eq. 3.6."""
        each = [self.score_loss(scores, batch.labels) for scores in self(batch)]
        return losses.weighted_average(torch.stack(each), self.weights)

    def exit(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return each example's answer at its exit, [B, C] or [B], and its layer, [B].

        A layer by which examples may leave is first run for the token that is read; only those that
        stay pay for the rest of it, whose keys and values are there already.
        """
        layers = self.backbone.layers
        states = self.backbone.embed(batch)
        answers: list[Tensor] = []  # of the examples still here, one entry per layer
        for number, layer in enumerate(layers, 1):
            is_last = number == len(layers)
            may_leave = is_last or self.rule.may_leave(answers)
            if may_leave:
                read, ahead = look_ahead(layer, states, batch, self.training)
            else:
                states = run_layer(layer, states, batch, self.training)
                read = states.index_select(0, batch.read)
            answers.append(self.answer(self._scores(number - 1, read).float()))
            if number == 1:
                here = torch.arange(len(answers[0]), device=read.device)
                final, left_by = torch.empty_like(answers[0]), torch.full_like(here, len(layers))
                sequences = len(read) // len(here)  # per example
            if not may_leave:
                continue
            leaves = torch.ones_like(here, dtype=torch.bool) if is_last else self.rule(answers)
            if leaves.any():
                final[here[leaves]], left_by[here[leaves]] = answers[-1][leaves], number
                stays = ~leaves
                if not stays.any():
                    break
                here, answers = here[stays], [answer[stays] for answer in answers]
                kept = stays.repeat_interleave(sequences)
                batch, states, ahead = _narrowed(batch, states, ahead, kept)
            states = run_rest(layer, states, ahead, batch, self.training)
        return final, left_by

    @torch.no_grad()
    def predict(self, examples: Sequence[Example], *, tokens: int = TOKENS_A_BATCH) -> Predictions:
        """Predict examples by the rule, and note the layers they exit by in `exits`.

        Args:
            examples: in any order; the answers come in theirs.
            tokens: padded tokens a batch; 1 takes the examples one by one, as the thesis does.

        Raises:
            ValueError: the model gave numbers that are not finite.
        """
        answers, self.exits = self._in_batches(examples, tokens, self.exit)
        return _predictions(self.task, examples, answers, self.exits)

    @torch.no_grad()
    def answers(self, examples: Sequence[Example]) -> Tensor:
        """Return all classifiers' answers from one pass through all layers, [L, n, C] or [L, n]."""

        def all_layers(batch: Batch) -> tuple[Tensor, Tensor]:
            answers = torch.stack([self.answer(scores.float()) for scores in self(batch)], dim=1)
            return answers, torch.full((len(answers),), len(self.classifiers))

        return self._in_batches(examples, TOKENS_A_BATCH, all_layers)[0].transpose(0, 1)

    def _in_batches(
        self,
        examples: Sequence[Example],
        tokens: int,
        work: Callable[[Batch], tuple[Tensor, Tensor]],
    ) -> tuple[Tensor, Tensor]:
        """Run `work` on batches of similar length; return its two results on the CPU, in order."""
        was_training = self.training
        if was_training:  # walking all modules takes a good part of one short example's time
            self.eval()
        encoded = self.encode([example.without_label() for example in examples])
        order: list[int] = []
        done: list[tuple[Tensor, Tensor]] = []
        batches = by_length(encoded, tokens)
        for indices, found in in_parts(
            batches, lambda part: work(self.collate([encoded[i] for i in part]))
        ):
            order += indices
            done.append(found)
        if was_training:
            self.train()
        back = torch.tensor(order).argsort()
        first, second = (torch.cat(column).cpu()[back] for column in zip(*done, strict=True))
        return first, second.int()

    def blueprint(self) -> Json:
        """Return the rule."""
        settings = asdict(self.rule)  # type: ignore[call-overload]
        return {"rule": type(self.rule).__name__, **settings}

    @classmethod
    def rebuild(  # type: ignore[override]
        cls, backbone: Backbone, task: Task, *, rule: str, **settings: Any
    ) -> ExitModel:
        """Return a model with classifiers on the first token that exits by the rule."""
        model = head_exits(backbone, task)
        kinds: Sequence[type[Any]] = (Patience, Entropy, Confidence, Depth)
        model.rule = {kind.__name__: kind for kind in kinds}[rule](**settings)
        return model

    def without_exits(self) -> TaskModel:
        """Return the model that its layers and its last classifier make; weights are shared."""
        return self._base

    def extra_tokens(self) -> tuple[int, ...]:
        """Return the tokens that the base looks up besides its inputs."""
        return self._base.extra_tokens()

    def describe(self) -> Json:
        """Describe the base, the rule, and the exits of the last prediction."""
        return super().describe() | {
            "exits": {"rule": str(self.rule), **summary(self.exits, len(self.classifiers))}
        }

    def _encode_new(self, examples: Sequence[Example]) -> list[Encoded]:
        return self._base._encode_new(examples)


def _narrowed(
    batch: Batch, states: Tensor, ahead: tuple[Tensor, Tensor], keep: Tensor
) -> tuple[Batch, Tensor, tuple[Tensor, Tensor]]:
    """Narrow a batch, its hidden states [N, d], and a layer's keys and values [S, h, T, d/h]."""
    left, tokens = narrow(batch, keep)
    keys, values = ahead
    longest = left.grid.shape[1]
    return left, states[tokens], (keys[keep, :, :longest], values[keep, :, :longest])


def by_layer(layers: int) -> Tensor:
    """Return the weights 1, 2, … L of eq. 3.6, by which deeper classifiers count more."""
    return torch.arange(1.0, layers + 1)


def head_exits(backbone: Backbone, task: Task) -> ExitModel:
    """Build a model with a new linear classifier on every layer's first token (thesis 3.3.3)."""
    base = HeadModel(backbone, task)
    std = getattr(backbone.config, "initializer_range", 0.02)
    outputs = [*(copy.deepcopy(base.output) for _ in backbone.layers[1:]), base.output]
    for output in outputs[:-1]:
        nn.init.normal_(output.weight, std=std)

    def score_loss(scores: Tensor, labels: Tensor) -> Tensor:
        if task.bounds is None:
            return losses.cross_entropy(scores, labels)
        return losses.bounded_mse(scores[:, 0], labels, task.bounds)

    return ExitModel(base, [nn.Sequential(base.dropout, output) for output in outputs], score_loss)


CHOICE = "the best dev score; of equal ones the fewest layers, then the first tried"
ANY_SPEED_UP = SpeedUps()


def choose_rule(
    model: ExitModel,
    rules: Sequence[Rule],
    dev: Sequence[Example],
    speed_ups: SpeedUps = ANY_SPEED_UP,
) -> list[Json]:
    """Give a trained model the rule that is best on dev, and return what each one gives there.

    All layers are run once for all rules: how a model exits is no part of its training. Rules whose
    speed-up on dev is in the range, or nearest to it where none is, come before all others. Ties go
    as `CHOICE` says.

    Args:
        model: its `rule` is set.
        rules: in the order they are tried.
        dev: labelled examples.
        speed_ups: the range of speed-ups.
    """
    task, answers = model.task, model.answers(dev)
    labels = [example.label for example in dev if example.label is not None]
    table: list[Json] = []
    best: tuple[float, float, float] | None = None
    for rule in rules:
        exits = exit_layers(rule, answers)
        value = score(task, labels, _predictions(task, dev, at_exits(answers, exits), exits))[
            task.metric
        ]
        mean = float(exits.double().mean())
        table.append(
            {"rule": str(rule), task.metric: round(value, 6), "mean_layers": round(mean, 4)}
        )
        merit = (-speed_ups.distance(len(answers) / mean), value, -mean)
        if best is None or merit > best:
            best, model.rule = merit, rule
    return table


def _predictions(
    task: Task, examples: Sequence[Example], answers: Tensor, exits: Tensor
) -> Predictions:
    ids, array = tuple(example.id for example in examples), answers.numpy().astype(np.float32)
    extras = {"exits": exits.numpy().astype(np.int32)}
    if task.is_regression:
        return Predictions(ids, values=array, extras=extras)
    return Predictions(ids, probabilities=array, extras=extras)
