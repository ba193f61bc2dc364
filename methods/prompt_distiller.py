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
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch
from fewbench.nn.distil import BatchStream, check_pool, check_temperature, draw_pool
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
from fewbench.nn.sparse_embeddings import focus_on
from fewbench.nn.top_tokens import token_study
from fewbench.types import Count, Natural, Positive, Predictor, Split, Task, Weight

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

    def learn(batch: Batch, targets: Lesson) -> tuple[Tensor, Tensor]:
        *below, last = model.backbone.reads(batch)
        scores = scores_at(model, last)
        cpd: Tensor | int = 0
        if probes:
            cpd = contrasted(probes, below, targets, batch.rows, log=log, crossed=crossed)
        kd = soft_cross_entropy(scores, targets.scores[batch.rows], temperature)
        return scores, lambda1 * kd + lambda2 * cpd

    def loss(batch: Batch) -> Tensor:
        scores, distilled = learn(batch, labelled)
        value = cross_entropy(scores, batch.labels) + distilled
        if unlabelled:
            _, distilled = learn(next(more), unlabelled)
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
        )
    models = {"tuned": tuned, "pretrained": pretrained, "student": model}
    kit.notes |= token_study(models, split.dev)
    return model


def check(task: Task, student: Backbone, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse a temperature of 0, a negative pool, and models without a layer to probe."""
    check_temperature(settings["temperature"])
    check_pool(settings["n"])
    if settings["lambda2"]:
        check_probes(student, teacher)


def check_split(sizes: SplitSizes, **settings: Any) -> None:
    """Refuse a pool where the split leaves no texts over, as with full data."""
    if settings["n"] and not sizes.unlabeled:
        raise BenchError(
            "the split leaves no texts over for the pool X'",
            fix="no pool: n=0",
        )
