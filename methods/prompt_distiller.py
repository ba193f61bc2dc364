"""Prompt-Distiller: a prompted student learns from a prompt-tuned and a pretrained teacher.

prompt-distiller: L = L_MLM(X) + lambda1 (L_KD(X) + L_KD(X')) + lambda2 (L_CPD(X) + L_CPD(X')), eq.
8. X is train, taught by the trained teacher (eq. 3); X' are n |X| texts without labels, drawn with
replacement from what the split leaves over, the same for all trials, and taught by the pretrained
one (eq. 4). Eq. 3 and 4 are read as in prompt-kd; Table 2 is the presets.

L_CPD (eq. 5-7) compares probes of intermediate layers, whose training is ours. Eq. 6 prints no
logarithm, and f(x') with both models on x': over all examples that nearly cancels. We read
contrastive predictive coding, which the paper cites: -log, and the student on x against the teacher
on x' (`log`, `crossed`; the preset `printed` has neither). Negatives have another label in the
batch; in X' the pretrained teacher guesses labels. lambda2 is not searched.

`hidden` weighs what the paper tried and left out (its footnote 1): TinyBERT's L_hidn (Jiao et al.,
2020, eq. 8) on X and X', here at the mask alone, for other tokenizers have other tokens around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.distil import (
    BatchStream,
    check_depth,
    check_pool,
    check_temperature,
    draw_pool,
    layer_map,
    read_states,
    state_map,
)
from fewbench.nn.fit_context import FitContext
from fewbench.nn.kinds import prompt_model
from fewbench.nn.layer_probes import (
    Lesson,
    check_probes,
    contrasted,
    lesson,
    probed,
    prompt_teacher,
    scores_at,
)
from fewbench.nn.losses import cross_entropy, soft_cross_entropy
from fewbench.nn.prompt import PromptModel
from fewbench.nn.sparse_embeddings import focus_on
from fewbench.nn.top_tokens import token_study
from fewbench.types import Count, Example, Natural, Positive, Predictor, Split, Task, Weight

if TYPE_CHECKING:
    from fewbench.types import SplitSizes

PAPER = "Hou et al., 2023 (Prompt-Distiller); prompt-distiller"
NEEDS = ("student", "teacher", "words", "unlabeled")
KINDS = ("single", "pair", "choice")
STUDY = "top_tokens"
SEARCH = ("temperature", "lambda1", "lr", "batch_size")
GRID = {"temperature": (10.0, 2.0), "lambda1": (0.2, 1.0)}
PRESETS = {
    "no-contrast": {"lambda2": 0.0},
    "no-unlabeled": {"n": 0},
    "neither": {"lambda2": 0.0, "n": 0},
    "printed": {"log": False, "crossed": False},
}


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher: str = "prompt-ft",
    temperature: Positive = 10.0,
    lambda1: Weight = 0.2,
    lambda2: Weight = 0.2,
    n: Natural = 10,
    log: bool = True,
    crossed: bool = True,
    hidden: Weight = 0.0,
    lr: Positive = 1e-5,
    batch_size: Count = 4,
) -> Predictor:
    """Train probes on the frozen models, then the student on eq. 8.

    The teachers' outputs are computed once, before the training.
    """
    tuned = prompt_teacher(kit.teacher(), teacher)
    pretrained = prompt_model(kit.backbone("teacher"), task).requires_grad_(False)
    model = prompt_model(kit.backbone("student"), task)
    pool = draw_pool(split, n)
    probe_examples = split.train if lambda2 else ()
    probes = probed(model, probe_examples) if probe_examples else None
    labelled = lesson(tuned, split.train, probes_on=probe_examples)
    unlabelled = lesson(pretrained, pool, probes_on=probe_examples) if pool else None
    more = BatchStream(model, pool, batch_size, kit.seed)
    hints = Hints(model.backbone, pretrained.backbone) if hidden else None
    shown = hints.of(tuned, split.train) if hints else None
    shown_too = hints.of(pretrained, pool) if hints and pool else None

    def learn(batch: Batch, targets: Lesson, states: Tensor | None) -> tuple[Tensor, Tensor]:
        reads = model.backbone.reads(batch)
        scores = scores_at(model, reads[-1])
        kd = soft_cross_entropy(scores, targets.scores[batch.rows], temperature)
        value = lambda1 * kd
        if probes:
            below = reads[:-1]
            cpd = contrasted(probes, below, targets, batch.rows, log=log, crossed=crossed)
            value = value + lambda2 * cpd
        if hints and states is not None:
            value = value + hidden * hints.loss(reads, states[batch.rows])
        return scores, value

    def loss(batch: Batch) -> Tensor:
        scores, distilled = learn(batch, labelled, shown)
        value = cross_entropy(scores, batch.labels) + distilled
        if unlabelled:
            _, distilled = learn(next(more), unlabelled, shown_too)
            value = value + distilled
        return value

    with focus_on(model, kit.protocol, split.train, split.dev, pool):
        kit.train(
            model,
            lr=lr,
            batch_size=batch_size,
            loss=loss,
            whole_vocabulary=True,
            carries=[more],
            beside=hints.map if hints else None,
        )
    models = {"tuned": tuned, "pretrained": pretrained, "student": model}
    kit.notes |= token_study(models, split.dev)
    return model


class Hints:
    """The hidden term, sum_m MSE(H_m W_h, H_g(m)) at the mask with g(m) = m M_tea / M_stu.

    Axes: B batch, n examples, M the student's layers, d the teacher's width.

    Attributes:
        map: W_h, to be learned; None where both are equally wide.
    """

    def __init__(self, student: Backbone, teacher: Backbone) -> None:
        self.map = state_map(student, teacher)
        below = layer_map(student.depth, teacher.depth, "skip")
        self._layers = [layer - 1 for layer in (*below, teacher.depth)]

    def of(self, teacher: PromptModel, examples: Sequence[Example]) -> Tensor:
        """Return a teacher's states for each of the student's layers, [n, M, d]."""
        return read_states(teacher, examples)[:, 0, self._layers]

    def loss(self, reads: Sequence[Tensor], wanted: Tensor) -> Tensor:
        """Return the term for the student's states, M of [B, its width], and [B, M, d]."""
        own = torch.stack(list(reads), 1)
        own = own if self.map is None else self.map(own)
        return F.mse_loss(own, wanted) * len(self._layers)


def check(task: Task, student: Backbone, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse a temperature of 0, a negative pool, and layers that cannot be probed or compared."""
    check_temperature(settings["temperature"])
    check_pool(settings["n"])
    if settings["lambda2"]:
        check_probes(student, teacher)
    if settings["hidden"]:
        check_depth(student, teacher)


def check_split(sizes: SplitSizes, **settings: Any) -> None:
    """Refuse a pool where the split leaves no texts over, as with full data."""
    if settings["n"] and not sizes.unlabeled:
        raise BenchError(
            "the split leaves no texts over for the pool X'",
            fix="no pool: n=0",
        )
