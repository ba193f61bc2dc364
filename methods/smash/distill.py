"""Distil a pretrained student on text: the training, its losses, and checks of the two models.

Axes: N tokens of a batch, M masked places, V vocabulary, d width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn import losses
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded
from fewbench.nn.distil import check_depth
from fewbench.nn.fit_context import PrepareContext
from fewbench.nn.masking import mask_words
from fewbench.nn.task_model import TaskModel
from fewbench.nn.trainer import Loss, train
from fewbench.registry.pretrained import backbone_kind

MICRO = 32
"""Examples per forward pass: distributions over the vocabulary at all masked words are large."""


def learn(
    model: TaskModel,
    examples: Sequence[Encoded],
    world: PrepareContext,
    *,
    loss: Loss,
    steps: int,
    lr: float,
    batch_size: int,
) -> None:
    """Train a model without a dev set, and leave it as it is after the last update.

    Schedule, clipping and weight decay are the protocol's. The mean losses, ten in all, go into the
    notes.

    Args:
        model: trained in place, all its weights.
        examples: the training examples.
        world: gives protocol and seed, and takes the notes.
        loss: of a batch, a scalar mean over it.
        steps: updates.
        lr: the peak learning rate.
        batch_size: examples per update.
    """
    protocol = replace(
        world.protocol,
        epochs=None,
        max_steps=steps,
        eval_every=-(-steps // 10),
        patience=None,
        checkpoint_tie="last",
    )
    history = train(
        model,
        examples,
        evaluate=lambda: 0.0,  # all checkpoints tie, and the last is kept
        protocol=protocol,
        lr=lr,
        batch_size=batch_size,
        seed=world.seed,
        loss=loss,
        micro_batch=MICRO,
        whole_vocabulary=True,
    )
    world.notes |= {
        "examples": len(examples),
        "steps": steps,
        "losses": [round(loss, 6) for loss in history.losses],
    }
    if history.micro_batches:
        world.notes["micro_batches"] = [list(pair) for pair in history.micro_batches]


def imitation(
    student: Backbone, teacher: Backbone, batch: Batch, hidden: float, attention: float
) -> Tensor:
    """Return L_ce + hidden L_hidn + attention L_attn of a batch of prompts: smash, eq. 2, 3 and 4.

    L_ce is over the tokenizer's vocabulary: T5 models have rows beyond it, and not equally many.
    """
    words = len(student.tokenizer)
    if not hidden and not attention:
        with torch.no_grad():
            targets = teacher.vocabulary_scores(batch)[:, :words]
        return losses.soft_cross_entropy(student.vocabulary_scores(batch)[:, :words], targets)
    with torch.no_grad():
        teacher_trace = teacher.trace(batch)
        top = teacher_trace.states[-1][batch.read]
        targets = teacher.vocabulary_scores_of(top)[:, :words]
    trace = student.trace(batch)
    scores = student.vocabulary_scores_of(trace.states[-1][batch.read])[:, :words]
    return (
        losses.soft_cross_entropy(scores, targets)
        + hidden * losses.hidden_mse(trace.states, teacher_trace.states)
        + attention * losses.attention_mse(trace.maps, teacher_trace.maps, batch.real)
    )


def lesson(
    objective: str, model: TaskModel, teacher: Backbone, hidden: float, attention: float
) -> Loss:
    """Return the loss of an objective.

    `ce` imitates the teacher on prompts, `distilbert` on raw text; `rule` learns the labels.
    """
    student = model.backbone
    if objective == "rule":
        return model.loss
    if objective == "distilbert":
        return lambda batch: distilbert_loss(student, teacher, batch)
    return lambda batch: imitation(student, teacher, batch, hidden, attention)


def distilbert_loss(student: Backbone, teacher: Backbone, batch: Batch) -> Tensor:
    """Return DistilBERT's loss of a batch of raw passages, masked anew.

    All three terms are taken at the masked places; its code takes the first and the last at all
    places, which runs the vocabulary head on seven times as many.
    """
    masked, places, answers = mask_words(batch, student.tokenizer)
    with torch.no_grad():
        teacher_states = teacher.hidden_states(masked)[-1][places]
        targets = teacher.vocabulary_scores_of(teacher_states)
    states = student.hidden_states(masked)[-1][places]
    return losses.masked_distillation(
        student.vocabulary_scores_of(states), targets, answers, states, teacher_states
    )


def weights(backbone: Backbone) -> dict[str, Tensor]:
    """Return a model's weights by name, those that are tied once."""
    return {name: parameter.detach() for name, parameter in backbone.model.named_parameters()}


@torch.no_grad()
def load_weights(backbone: Backbone, tensors: Mapping[str, Tensor]) -> Backbone:
    """Give a model other weights, as `weights` returned them, and return it."""
    for name, parameter in backbone.model.named_parameters():
        parameter.copy_(tensors[name])
    return backbone


def check_models(
    student: Backbone,
    teacher: Backbone,
    *,
    objective: str,
    hidden: float,
    attention: float,
    keep: float,
    pretrain_steps: int,
    pretrain_batch: int,
    **others: Any,
) -> None:
    """Refuse settings out of bounds, and models that the objective cannot compare."""
    for name, amount, least in (
        ("hidden", hidden, 0),
        ("attention", attention, 0),
        ("pretrain_steps", pretrain_steps, 1),
        ("pretrain_batch", pretrain_batch, 1),
    ):
        if amount < least:
            raise BenchError(f"{name}={amount}", allowed=f"{least} or more")
    if not 0 < keep <= 1:
        raise BenchError(f"keep={keep}", allowed="a share above 0, at most 1")
    if objective == "rule":
        return
    _check_vocabulary(student, teacher)
    if objective == "distilbert" or hidden or attention:
        raw = objective == "distilbert"
        _check_inside(student, teacher, width=raw or hidden > 0, heads=not raw and attention > 0)


def _check_vocabulary(student: Backbone, teacher: Backbone) -> None:
    """Refuse two models of different vocabularies.

    Raises:
        BenchError: one is masked and one an encoder-decoder, or their vocabularies differ.
    """
    kinds = [backbone_kind(backbone.ref) for backbone in (student, teacher)]
    vocabularies = [backbone.tokenizer.get_vocab() for backbone in (student, teacher)]
    if kinds[0] != kinds[1]:
        problem = (
            f"the student {student.ref.name} is {kinds[0]}, the teacher {teacher.ref.name} is "
            f"{kinds[1]}"
        )
    elif vocabularies[0] != vocabularies[1]:
        shared = len(vocabularies[0].items() & vocabularies[1].items())
        problem = (
            f"the student {student.ref.name} has {len(vocabularies[0])} tokens, the teacher "
            f"{teacher.ref.name} {len(vocabularies[1])}, and {shared} are the same: distributions "
            "over them cannot be compared"
        )
    else:
        return
    raise BenchError(problem, fix="a teacher with the student's tokenizer")


def _check_inside(
    student: Backbone, teacher: Backbone, *, width: bool = False, heads: bool = False
) -> None:
    """Refuse two models whose inner states cannot be compared (smash, section 3.2, below eq. 4).

    Raises:
        BenchError: the models are not masked ones, the teacher has fewer layers, or widths or
            numbers of heads differ where they matter.
    """
    if backbone_kind(student.ref) != "masked":
        raise BenchError(
            f"inner states need masked models, and {student.ref.name} is none",
            fix="objective=ce",
        )
    for compared, noun, size, teacher_size in (
        (width, "width", student.config.hidden_size, teacher.config.hidden_size),
        (heads, "number of heads", student.layers[0].heads, teacher.layers[0].heads),
    ):
        if compared and size != teacher_size:
            raise BenchError(
                f"the {noun} of {student.ref.name} is {size}, that of the teacher "
                f"{teacher.ref.name} {teacher_size}",
                fix=f"objective=ce, or a teacher of the same {noun}",
            )
    check_depth(student, teacher)
