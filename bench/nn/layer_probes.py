"""Probes of a prompted model: label words predicted at the mask from each layer but the last.

Axes: n examples, B batch, C classes, W label words, P probes, d width, e embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.distil import read_states, targets
from fewbench.nn.losses import contrastive
from fewbench.nn.prompt import PromptModel
from fewbench.nn.task_model import TaskModel
from fewbench.types import Example


class Probes(nn.Module):
    """MLM-based classifiers, one per layer but the last; prompt-distiller, section 2.3.

    Probe j maps layer j's hidden state at the mask by the model's own language head, and then by
    label-word rows of its own, which start as the head's: probabilities of classes are eq. 1's.
    Only those rows are trained, with the model frozen. They are frozen in their turn where a
    student learns through them; the language head below them goes on learning with the student.
    """

    def __init__(self, model: PromptModel) -> None:
        super().__init__()
        self._model = (model,)  # a tuple: its weights are not the probes'
        rows, bias = model.backbone.word_rows(model.verbalizer.words)
        count = model.backbone.depth - 1
        self.rows = nn.Parameter(rows.detach().expand(count, -1, -1).clone())
        self.bias = nn.Parameter(bias.detach().expand(count, -1).clone())

    def forward(self, states: Tensor) -> Tensor:
        """Score hidden states at the mask of all layers but the last, [..., P, d]: [..., P, C]."""
        (model,) = self._model
        return self._classes(model.backbone.projected(states))

    def mean(self, states: Tensor) -> Tensor:
        """Average the probes' class probabilities, [..., C], for states [..., P, d].

        Eq. 5 adds up the products of all pairs of a teacher's and a student's probes over their
        number: that is the product of the two means.
        """
        scores: Tensor = self(states)
        return scores.softmax(-1).mean(-2)

    def train_on(
        self, examples: Sequence[Example], *, steps: int = 100, lr: float = 1e-3
    ) -> Tensor:
        """Train the probes on labelled examples with the model frozen; return each one's loss, [P].

        Afterwards the probes are frozen too.

        Full-batch Adam on the cross-entropy with the true label words; the paper does not say how
        long or how fast.
        """
        (model,) = self._model
        labels = torch.tensor(
            [int(e.label) for e in examples if e.label is not None], device=self.rows.device
        )
        with torch.no_grad():
            inputs = model.backbone.projected(states_below(model, examples))
        optimizer = torch.optim.Adam(self.parameters(), lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            self._losses(inputs, labels).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        self.requires_grad_(False)
        return self._losses(inputs, labels)

    def _losses(self, inputs: Tensor, labels: Tensor) -> Tensor:
        scores = self._classes(inputs).transpose(0, 1)
        return torch.stack([F.cross_entropy(each, labels) for each in scores])

    def _classes(self, inputs: Tensor) -> Tensor:
        (model,) = self._model
        words = torch.einsum("...pe,pwe->...pw", inputs, self.rows) + self.bias
        scores: Tensor = model.verbalizer(words)
        return scores


class Lesson(NamedTuple):
    """A teacher's log-probabilities on n examples, `scores`, and its probes' means, `probed`.

    Both [n, C]; `probed` is None where nobody asks for it. `labels` [n] are given, or its own
    guesses.
    """

    scores: Tensor
    probed: Tensor | None
    labels: Tensor


def lesson(
    teacher: PromptModel, examples: Sequence[Example], *, probes_on: Sequence[Example]
) -> Lesson:
    """Compute a teacher's output on examples; the likeliest class labels those without one.

    Args:
        teacher: as it is; nothing of it changes.
        examples: with or without labels.
        probes_on: labelled examples to train its probes on; empty for no probes.
    """
    scores = targets(teacher, examples)
    labels = scores.argmax(1)
    for row, example in enumerate(examples):
        if example.label is not None:
            labels[row] = int(example.label)
    said = probed(teacher, probes_on).mean(states_below(teacher, examples)) if probes_on else None
    return Lesson(scores, said, labels)


def contrasted(
    probes: Probes,
    below: Sequence[Tensor],
    taught: Lesson,
    rows: Tensor,
    *,
    log: bool,
    crossed: bool,
) -> Tensor:
    """Compute L_CPD of a batch, eq. 5-7 (`losses.contrastive`), from the probes of both models.

    Args:
        probes: the student's, frozen.
        below: the student's hidden states at the mask of every layer but the last, P tensors [B,
            d].
        taught: what the teacher says, its probes included.
        rows: the batch's examples among those that it speaks of, [B].
        log: see `losses.contrastive`.
        crossed: likewise.
    """
    assert taught.probed is not None
    own = probes.mean(torch.stack(list(below), 1))
    return contrastive(own, taught.probed[rows], taught.labels[rows], log=log, crossed=crossed)


def prompt_teacher(model: TaskModel, name: str) -> PromptModel:
    """Return a trained teacher whose mask is to be read.

    Raises:
        BenchError: it reads none; `name` says which method trained it.
    """
    if not isinstance(model, PromptModel):
        raise BenchError(
            f"the teacher '{name}' reads no mask, as the student does", fix="teacher=prompt-ft"
        )
    return model


def probed(model: PromptModel, examples: Sequence[Example]) -> Probes:
    """Return the probes of a model, trained on labelled examples."""
    probes = Probes(model)
    probes.train_on(examples)
    return probes


def states_below(model: PromptModel, examples: Sequence[Example]) -> Tensor:
    """Return the hidden states at the mask of every layer but the last, [n, P, d]."""
    return read_states(model, examples)[:, 0, :-1]


def scores_at(model: PromptModel, states: Tensor) -> Tensor:
    """Score last-layer hidden states at the mask [B, d], as `model(batch)` does: [B, C]."""
    rows, bias = model.backbone.word_rows(model.verbalizer.words)
    scores: Tensor = model.verbalizer(F.linear(model.backbone.projected(states), rows, bias))
    return scores


def check_probes(*backbones: Backbone) -> None:
    """Refuse a model of one layer: it has none below its last to probe.

    Raises:
        BenchError: there is one.
    """
    for backbone in backbones:
        if backbone.depth < 2:
            raise BenchError(
                f"{backbone.ref.name} has no layer below its last to probe", fix="lambda2=0"
            )
