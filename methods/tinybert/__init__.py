"""TinyBERT: a student learns its teacher's embeddings, states and attention, then its predictions.

Jiao et al., 2020, eq. 6-11. First the layers, for the protocol's updates: the sum over m = 0..M of
L_embd = MSE(E_s W_e, E_t) at m = 0, and of L_hidn + L_attn = MSE(H_s W_h, H_t) + MSE(A_s, A_t) / h
above, where A are attention scores before the softmax, h heads, and layer m learns from layer g(m)
= m M_t / M_s. Then, for as many updates, L_pred = CE(softmax(z_t / t), softmax(z_s / t)) alone.
Labels only choose the checkpoint, on dev. `augment` copies of each example have words replaced by a
masked model (Algorithm 1): the pretrained teacher; words of several pieces stay, for which the
paper asks GloVe.

Departs from the authors' code: W_e and W_h are two maps without bias (the code has one, with it),
and padding counts for nothing. The student is the run's own: the general distillation before it
is a pretrained model. Regression as in vanilla-kd.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone, Trace
from fewbench.nn.batch import Batch
from fewbench.nn.classifier import HeadModel
from fewbench.nn.distil import check_depth, check_vocabulary, head_teacher, logits, soft_loss
from fewbench.nn.fit_context import FitContext
from fewbench.nn.losses import attention_mse, hidden_mse, soft_cross_entropy
from fewbench.types import Count, Natural, Positive, Predictor, Share, Split, Task

from .augment import augmented

PAPER = "Jiao et al., 2020 (TinyBERT); thesis section 5.3"
NEEDS = ("student", "teacher")
SEARCH = ("lr", "batch_size")
PRESETS = {"augmented": {"augment": 20}}


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher: str = "ft",
    temperature: Positive = 1.0,
    augment: Natural = 0,
    replaced: Share = 0.4,
    candidates: Count = 15,
    layers_lr: Positive = 5e-5,
    lr: Positive = 3e-5,
    batch_size: Count = 8,
) -> Predictor:
    """Train the student's layers, then its predictions."""
    teacher_model = head_teacher(kit.teacher(), teacher)
    model = HeadModel(kit.backbone("student"), task)
    check_heads(model.backbone, teacher_model.backbone)
    if augment:
        masked = kit.backbone("teacher").eval()
        more = augmented(masked, split.train, augment, replaced, candidates, kit.seed)
        split = replace(split, train=(*split.train, *more))
        kit = kit.with_split(split)
    maps = learned_maps(model.backbone, teacher_model.backbone)
    teacher_logits = logits(teacher_model, split.train)

    def layers(batch: Batch) -> Tensor:
        with torch.no_grad():
            wanted = teacher_model.backbone.trace(batch)
        return layer_loss(model.backbone.trace(batch), wanted, maps, batch.real)

    def predictions(batch: Batch) -> Tensor:
        given = teacher_logits[batch.rows]
        return soft_loss(model, model(batch), given, temperature, softened_cross_entropy)

    first = kit.train(
        model,
        lr=layers_lr,
        batch_size=batch_size,
        loss=layers,
        carries=(),
        beside=maps,
        keep_last=True,
    )
    kit.train(model, lr=lr, batch_size=batch_size, loss=predictions, carries=())
    kit.notes["layers"] = {"losses": [round(value, 6) for value in first.losses]}
    return model


def learned_maps(student: Backbone, teacher: Backbone) -> nn.ModuleDict:
    """Return the maps W_e of embeddings and W_h of hidden states, to be learned."""
    widths = student.config.hidden_size, teacher.config.hidden_size
    maps = {name: nn.Linear(*widths, bias=False) for name in ("embeddings", "hidden")}
    return nn.ModuleDict(maps).to(student.device)


def layer_loss(own: Trace, wanted: Trace, maps: nn.ModuleDict, real: Tensor) -> Tensor:
    """Return the sum of L_embd, L_hidn and L_attn over all layers, eq. 7-9 and 11.

    Args:
        own: the student's embeddings, states and attention scores.
        wanted: the teacher's.
        maps: W_e and W_h.
        real: [S, T], false where a place is padding.
    """
    embeddings, *hidden = own.states
    states = [maps["embeddings"](embeddings), *map(maps["hidden"], hidden)]
    heads = own.scores[0].shape[1]
    attention = attention_mse(own.scores, wanted.scores, real) / heads
    return hidden_mse(states, wanted.states) + attention


def softened_cross_entropy(scores: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return CE(softmax(targets / t), softmax(scores / t)) of logits [B, C], eq. 10."""
    return soft_cross_entropy(scores / temperature, targets, temperature)


def check_heads(student: Backbone, teacher: Backbone) -> None:
    """Refuse models whose attention cannot be compared head by head.

    Raises:
        BenchError: they have not equally many heads in every layer.
    """
    ours = {layer.heads for layer in student.layers}
    theirs = {layer.heads for layer in teacher.layers}
    if len(ours | theirs) > 1:
        raise BenchError(
            f"{student.ref.name} has {_listed(ours)} heads a layer, "
            f"the teacher {teacher.ref.name} {_listed(theirs)}",
            fix="a teacher of as many heads, or pkd",
        )


def _listed(counts: set[int]) -> str:
    return " or ".join(map(str, sorted(counts)))


def check(task: Task, student: Backbone, teacher: Backbone, /, **settings: Any) -> None:
    """Refuse models of other heads or tokens, a teacher of fewer layers or no masked words."""
    check_vocabulary(student, teacher)
    check_depth(student, teacher)
    check_heads(student, teacher)
    if settings["augment"]:
        teacher.check_head()
