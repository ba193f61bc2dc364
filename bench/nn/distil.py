"""Distillation: a teacher's predictions and states, computed once per trial, and losses on them.

A teacher reads examples in its own way (tokenizer, prompt or head) and says what it thinks of them:
student and teacher share nothing but the task.

Axes: n examples, B batch, C classes, L layers, S sequences of an example, d width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewbench.errors import BenchError
from fewbench.nn import losses
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Shuffled, by_length
from fewbench.nn.classifier import HeadModel
from fewbench.nn.task_model import TOKENS_A_BATCH, TaskModel
from fewbench.types import Example, Split, Task


def targets(teacher: TaskModel, examples: Sequence[Example]) -> Tensor:
    """Compute a teacher's log-probabilities [n, C]; for regression, its values scaled to 0..1, [n].

    Log-probabilities are its logits up to a constant a row, which no softmax sees.
    """
    given = torch.from_numpy(teacher.predict(examples).array).to(teacher.backbone.device)
    if teacher.task.bounds is None:
        return given.clamp(min=torch.finfo(given.dtype).tiny).log()
    return _scaled(given, teacher.task.bounds)


@torch.no_grad()
def logits(teacher: TaskModel, examples: Sequence[Example]) -> Tensor:
    """Compute a teacher's logits [n, C]; for regression, its values scaled to 0..1, [n].

    Raises:
        BenchError: it has classifiers after several layers, and no logits of its own.
    """
    was_training = teacher.training
    teacher.eval()
    encoded = teacher.encode([example.without_label() for example in examples])
    order: list[int] = []
    found: list[Tensor] = []
    for indices in by_length(encoded, TOKENS_A_BATCH):
        scores = teacher(teacher.collate([encoded[i] for i in indices])).float()
        if scores.ndim != 2:
            raise BenchError(
                f"a {type(teacher).__name__} has several classifiers, and no logits of its own",
                fix="kd=kl",
            )
        found.append(said(teacher, scores))
        order += indices
    teacher.train(was_training)
    return torch.cat(found)[torch.tensor(order).argsort()]


def said(teacher: TaskModel, scores: Tensor) -> Tensor:
    """Turn a teacher's scores [B, C] into targets with gradients: [B, C], or values 0..1, [B]."""
    return (
        scores
        if teacher.task.bounds is None
        else _scaled(teacher.answer(scores), teacher.task.bounds)
    )


@torch.no_grad()
def opinion(model: TaskModel, batch: Batch) -> Tensor:
    """Return a training model's scores of a batch, without dropout; shaped as in `said`."""
    was_training = model.training
    found = said(model, model.eval()(batch))
    model.train(was_training)
    return found


def head_teacher(model: TaskModel, name: str) -> HeadModel:
    """Return a trained teacher whose first token is to be read.

    Raises:
        BenchError: it reads a mask; `name` says which method trained it.
    """
    if not isinstance(model, HeadModel):
        raise BenchError(
            f"the teacher '{name}' does not read the first token, as the student does",
            fix="teacher=ft",
        )
    return model


def word_targets(teacher: TaskModel, examples: Sequence[Example]) -> Tensor:
    """Compute a teacher's log-probabilities of a prompt's classes or two words, [n, C].

    A value y between the bounds l and u stands for the shares (u - y) / (u - l) and (y - l) / (u -
    l), smash, 3.1.
    """
    found = targets(teacher, examples)
    if teacher.task.bounds is None:
        return found
    shares = torch.stack([1 - found, found], -1)
    return shares.clamp(min=torch.finfo(shares.dtype).tiny).log()


@torch.no_grad()
def read_states(model: TaskModel, examples: Sequence[Example]) -> Tensor:
    """Return every layer's hidden states of each sequence's read token, [n, S, L, d]."""
    was_training = model.training
    model.eval()
    encoded = model.encode([example.without_label() for example in examples])
    order: list[int] = []
    found: list[Tensor] = []
    for indices in by_length(encoded, TOKENS_A_BATCH):
        states = torch.stack(model.backbone.reads(model.collate([encoded[i] for i in indices])), 1)
        found.append(states.view(len(indices), -1, *states.shape[1:]))
        order += indices
    model.train(was_training)
    return torch.cat(found)[torch.tensor(order).argsort()]


def draw_pool(split: Split, times: int) -> list[Example]:
    """Draw `times` |train| unlabelled examples, with replacement, from those that the split leaves.

    The split's seed decides: all trials, and all methods, get the same (prompt-distiller, section
    3.1).

    Raises:
        BenchError: the split leaves none over.
    """
    rest = split.unlabeled
    if times and not rest:
        raise BenchError(
            f"{split.task} leaves no texts over for a pool without labels", fix="no pool: n=0"
        )
    rows = np.random.default_rng(split.seed).integers(
        max(len(rest), 1), size=times * len(split.train)
    )
    return [rest[row] for row in rows]


class BatchStream:
    """Batches of examples without end, beside those of `kit.train`; `rows` number the examples.

    A model trained on them is trained with `whole_vocabulary`: the loop does not know their tokens.
    Its place goes into a checkpoint by `carries`.
    """

    def __init__(
        self, model: TaskModel, examples: Sequence[Example], batch_size: int, seed: int
    ) -> None:
        self._model = model
        self._encoded = [
            example._replace(row=row) for row, example in enumerate(model.encode(examples))
        ]
        self._order = Shuffled(len(self._encoded), batch_size, seed)

    def __iter__(self) -> BatchStream:
        return self

    def __next__(self) -> Batch:
        return self._model.collate([self._encoded[i] for i in next(self._order)])

    def state_dict(self) -> dict[str, Tensor]:
        """Return its place among the examples."""
        return self._order.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a place that `state_dict` returned."""
        self._order.load_state_dict(state)


def hard_loss(task: Task, scores: Tensor, labels: Tensor) -> Tensor:
    """Compute the task's own loss of scores [B, C], or of a regression head [B, 1], and labels."""
    if task.bounds is None:
        return losses.cross_entropy(scores, labels)
    if scores.shape[1] == 1:
        return losses.bounded_mse(scores[:, 0], labels, task.bounds)
    return losses.interpolation_kl(scores, labels, task.bounds)


def soft_loss(
    model: TaskModel,
    scores: Tensor,
    wanted: Tensor,
    temperature: float,
    distance: Callable[[Tensor, Tensor, float], Tensor] = losses.distillation_kl,
) -> Tensor:
    """Compute T^2 KL(teacher || student); in regression, the squared error of scaled values.

    Args:
        model: the student, which made the scores.
        scores: [B, C], or [B, 1] from a regression head.
        wanted: the rows of `targets` that belong to the batch.
        temperature: T.
        distance: of two softened rows of scores, in place of T^2 KL (`logit_mse` wants the rows of
            `logits`).
    """
    if model.task.bounds is None:
        return distance(scores, wanted, temperature)
    return F.mse_loss(_scaled(model.answer(scores), model.task.bounds), wanted.to(scores.dtype))


def head_scores(model: HeadModel, states: Tensor) -> Tensor:
    """Score last-layer first tokens [B x S, d] as `model(batch)` does: [B, C] or [B, 1]."""
    scores: Tensor = model.output(model.dropout(states))
    return scores.view(-1, len(model.task.labels)) if model.task.format == "choice" else scores


def layer_map(student: int, teacher: int, strategy: str) -> list[int]:
    """Map each student layer but the last to a teacher layer, from 1 (Sun et al., 2019).

    `skip` takes every teacher / student-th layer (12 to 6: 2, 4, 6, 8, 10), rounded down where that
    is no whole number; `last` the topmost ones (7, 8, 9, 10, 11). The last layers meet in the
    predictions.
    """
    if strategy == "skip":
        return [layer * teacher // student for layer in range(1, student)]
    return [teacher - student + layer for layer in range(1, student)]


def state_map(student: Backbone, teacher: Backbone) -> nn.Linear | None:
    """Return a new linear map of the student's states to the teacher's width; None if it is one."""
    widths = (student.config.hidden_size, teacher.config.hidden_size)
    return None if widths[0] == widths[1] else nn.Linear(*widths, bias=False).to(student.device)


def check_widths(student: Backbone, teacher: Backbone) -> None:
    """Refuse two models of different widths.

    Raises:
        BenchError: they are.
    """
    widths = [backbone.config.hidden_size for backbone in (student, teacher)]
    if widths[0] != widths[1]:
        raise BenchError(
            f"hidden states of {student.ref.name} are {widths[0]} wide, "
            f"those of the teacher {teacher.ref.name} {widths[1]}",
            fix="a student and a teacher of one width, or pkd, which learns a map",
        )


def check_layers(student: Backbone, teacher: Backbone) -> None:
    """Refuse two models whose layers below the last cannot be compared.

    Raises:
        BenchError: a teacher of fewer layers, or a student of one.
    """
    check_depth(student, teacher)
    if student.depth < 2:
        raise BenchError(
            f"{student.ref.name} has no layer below its last", fix="a deeper student, or vanilla-kd"
        )


def check_depth(student: Backbone, teacher: Backbone) -> None:
    """Refuse a teacher that has fewer layers than its student.

    Raises:
        BenchError: it has.
    """
    ours, theirs = student.depth, teacher.depth
    if theirs < ours:
        raise BenchError(
            f"the teacher {teacher.ref.name} has {theirs} layers, "
            f"the student {student.ref.name} {ours}",
            fix="a teacher of at least as many layers",
        )


def check_vocabulary(student: Backbone, teacher: Backbone) -> None:
    """Refuse two models that do not read the same tokens.

    Raises:
        BenchError: their vocabularies differ.
    """
    if student.tokenizer.get_vocab() != teacher.tokenizer.get_vocab():
        raise BenchError(
            f"the student {student.ref.name} and the teacher {teacher.ref.name} have other tokens: "
            "their states cannot be compared token by token",
            fix="a teacher with the student's tokenizer, or pkd",
        )


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that is not above 0.

    Raises:
        BenchError: it is not.
    """
    if not temperature > 0:
        raise BenchError(
            f"temperature={temperature}", allowed="a number above 0", fix="temperature=1"
        )


def check_pool(times: int) -> None:
    """Refuse a pool of less than nothing.

    Raises:
        BenchError: `times` is negative.
    """
    if times < 0:
        raise BenchError(f"n={times}", allowed="0 or more times the training examples", fix="n=10")


def _scaled(values: Tensor, bounds: tuple[float, float]) -> Tensor:
    lower, upper = bounds
    return (values - lower) / (upper - lower)
