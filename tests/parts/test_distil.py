"""Losses of distillation by hand, layer maps, and what teachers say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fewbench.data.split import make_split
from fewbench.errors import BenchError
from fewbench.nn.classifier import HeadModel
from fewbench.nn.distil import (
    BatchStream,
    check_layers,
    check_widths,
    draw_pool,
    hard_loss,
    head_scores,
    layer_map,
    logits,
    read_states,
    soft_loss,
    state_map,
    targets,
    word_targets,
)
from fewbench.nn.kinds import open_backbone
from fewbench.nn.layer_probes import Probes, lesson, scores_at, states_below
from fewbench.nn.losses import (
    contrastive,
    distillation_kl,
    logit_mse,
    patient_mse,
    soft_cross_entropy,
)
from fewbench.nn.prompt import PromptModel
from fewbench.nn.prune import truncate
from fewbench.nn.top_tokens import top_tokens
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_rows, toy_task

STUDENT = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
TEACHER = torch.tensor([[2.0, 0.0], [3.0, -1.0]])


def softmax(row, t=1.0):
    weights = [math.exp(x / t) for x in row]
    return [w / sum(weights) for w in weights]


def split_of(task):
    return make_split(task, toy_rows(task), 2, 13)


@pytest.fixture
def backbone(tiny_model):
    return open_backbone(find_model(str(tiny_model), offline=True)).eval()


def test_soft_cross_entropy_softens_the_teacher_alone():
    """smash, eq. 1; prompt-distiller, eq. 3 as read."""
    rows = zip(STUDENT.tolist(), TEACHER.tolist(), strict=True)
    each = [
        -sum(q * math.log(s) for q, s in zip(softmax(z, 10), softmax(x), strict=True))
        for x, z in rows
    ]
    assert float(soft_cross_entropy(STUDENT, TEACHER, 10)) == pytest.approx(sum(each) / 2)


def test_distillation_kl_softens_both_and_keeps_the_gradients_size():
    rows = list(zip(STUDENT.tolist(), TEACHER.tolist(), strict=True))
    for t in (1.0, 4.0):
        each = [
            sum(q * math.log(q / s) for q, s in zip(softmax(z, t), softmax(x, t), strict=True))
            for x, z in rows
        ]
        assert float(distillation_kl(STUDENT, TEACHER, t)) == pytest.approx(
            t * t * sum(each) / 2, rel=1e-5
        )
    shifted = TEACHER.log_softmax(-1)
    torch.testing.assert_close(
        distillation_kl(STUDENT, shifted, 4.0), distillation_kl(STUDENT, TEACHER, 4.0)
    )


def test_logit_mse_is_the_same_at_every_temperature():
    """Thesis, section 5.3.1: the gaps are (1, 0) and (3, 3); T^2 MSE(x / T, z / T) has no T."""
    for t in (1.0, 2.0):
        assert float(logit_mse(STUDENT, TEACHER, t)) == pytest.approx((1 + 0 + 9 + 9) / 4)
        scaled = t**2 * F.mse_loss(STUDENT / t, TEACHER / t)
        assert float(scaled) == pytest.approx((1 + 0 + 9 + 9) / 4)


def test_patient_mse():
    """(3, 4) and (0, 2) have the directions (0.6, 0.8) and (0, 1); the same directions cost
    nothing.
    """
    states = torch.tensor([[3.0, 4.0], [5.0, 0.0]])
    wanted = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    assert float(patient_mse(states, wanted)) == pytest.approx((0.36 + 0.04 + 0 + 0) / 4)


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("crossed", [True, False])
def test_contrastive(log, crossed):
    """prompt-distiller, eq. 6, example by example."""
    own = torch.tensor([[0.7, 0.3], [0.4, 0.6], [0.2, 0.8]])
    wanted = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]])
    labels = [0, 0, 1]

    def f(s, t):
        return math.exp(
            sum(a * b for a, b in zip(own[s].tolist(), wanted[t].tolist(), strict=True))
        )

    expected = []
    for i in range(3):
        others = [j for j in range(3) if labels[j] != labels[i]]
        ratio = f(i, i) / sum(f(i if crossed else j, j) for j in others)
        expected.append(-math.log(ratio) if log else -ratio)
    found = contrastive(own, wanted, torch.tensor(labels), log=log, crossed=crossed)
    assert float(found) == pytest.approx(sum(expected) / 3, abs=1e-6)


def test_contrastive_without_negatives_is_nothing_and_has_a_gradient():
    own = torch.tensor([[0.7, 0.3], [0.4, 0.6]], requires_grad=True)
    loss = contrastive(own, own.detach(), torch.tensor([1, 1]), log=True, crossed=True)
    loss.backward()
    assert float(loss.detach()) == 0
    assert own.grad is not None and not own.grad.any()
    own = own.detach()
    mixed = contrastive(
        own[[0, 0, 1]], own[[0, 0, 1]], torch.tensor([0, 1, 1]), log=True, crossed=False
    )
    assert mixed.isfinite()


def test_the_printed_contrast_of_two_examples_is_the_same_whoever_is_liked():
    """With one negative each, log f(x) / f(x') and log f(x') / f(x) cancel: why a negative is
    crossed by default.
    """
    own = torch.tensor([[0.7, 0.3], [0.4, 0.6]])
    wanted = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    labels = torch.tensor([0, 1])
    assert float(contrastive(own, wanted, labels, log=True, crossed=False)) == pytest.approx(
        0, abs=1e-6
    )
    assert float(contrastive(own, wanted, labels, log=True, crossed=True)) < -0.1


@pytest.mark.parametrize(
    ("student", "teacher", "strategy", "layers"),
    [
        (6, 12, "skip", [2, 4, 6, 8, 10]),
        (6, 12, "last", [7, 8, 9, 10, 11]),
        (3, 6, "skip", [2, 4]),
        (4, 6, "skip", [1, 3, 4]),
        (2, 2, "skip", [1]),
        (2, 2, "last", [1]),
    ],
)
def test_layer_maps(student, teacher, strategy, layers):
    assert layer_map(student, teacher, strategy) == layers


def test_layers_that_cannot_be_compared(backbone, tiny_model):
    shallow = open_backbone(backbone.ref)
    truncate(shallow, [0])
    check_layers(backbone, backbone)
    with pytest.raises(BenchError, match="has 1 layers, the student"):
        check_layers(backbone, shallow)
    with pytest.raises(BenchError, match="no layer below its last"):
        check_layers(shallow, backbone)
    wide = open_backbone(backbone.ref)
    wide.config.hidden_size = 24
    with pytest.raises(BenchError, match=r"16 wide, those of the teacher .* 24"):
        check_widths(backbone, wide)
    check_layers(backbone, wide)
    assert state_map(backbone, backbone) is None
    assert state_map(backbone, wide).weight.shape == (24, 16)


@pytest.mark.parametrize("kind", ["single", "choice"])
def test_targets_are_the_teachers_logits_but_for_a_constant(backbone, kind):
    task = toy_task(kind)
    train = split_of(task).train
    teacher = HeadModel(backbone, task).eval()
    with torch.no_grad():
        logits = teacher(teacher.collate(teacher.encode(train)))
    torch.testing.assert_close((targets(teacher, train) / 7).softmax(-1), (logits / 7).softmax(-1))
    student_scores = torch.randn(logits.shape)
    expected = distillation_kl(student_scores, logits, 7.0)
    torch.testing.assert_close(
        soft_loss(teacher, student_scores, targets(teacher, train), 7.0), expected
    )


@pytest.mark.parametrize("kind", ["single", "choice", "regression"])
@pytest.mark.parametrize("model", [HeadModel, PromptModel])
def test_logits_are_what_the_model_scores(backbone, kind, model):
    task = toy_task(kind)
    train = split_of(task).train
    teacher = model(backbone, task).eval()
    with torch.no_grad():
        scores = teacher(teacher.collate(teacher.encode(train)))
    wanted = teacher.answer(scores) / 5 if kind == "regression" else scores
    torch.testing.assert_close(logits(teacher, train), wanted, atol=1e-5, rtol=1e-5)


def test_regression_learns_values(backbone):
    task = toy_task("regression")
    train = split_of(task).train
    teacher = PromptModel(backbone, task).eval()
    values = torch.from_numpy(teacher.predict(train).array)
    torch.testing.assert_close(targets(teacher, train), values / 5)
    torch.testing.assert_close(word_targets(teacher, train).exp()[:, 1], values / 5)
    student = HeadModel(backbone, task).eval()
    scores = torch.rand(len(train), 1)
    torch.testing.assert_close(
        soft_loss(student, scores, targets(teacher, train), 2.0),
        F.mse_loss(scores[:, 0], values / 5),
    )


@pytest.mark.parametrize("kind", ["single", "choice", "regression"])
def test_heads_and_losses_are_the_models_own(backbone, kind):
    task = toy_task(kind)
    train = split_of(task).train
    for model in (HeadModel(backbone, task).eval(), PromptModel(backbone, task).eval()):
        batch = model.collate(model.encode(train))
        scores = model(batch)
        torch.testing.assert_close(hard_loss(task, scores, batch.labels), model.loss(batch))
        last = model.backbone.reads(batch)[-1]
        again = head_scores(model, last) if isinstance(model, HeadModel) else scores_at(model, last)
        torch.testing.assert_close(again, scores)
        states = read_states(model, train)
        assert states.shape == (
            len(train),
            3 if kind == "choice" and isinstance(model, HeadModel) else 1,
            2,
            16,
        )
        torch.testing.assert_close(
            states[:, :, -1].flatten(0, 1), last.detach(), atol=1e-5, rtol=1e-5
        )


def test_a_pool_is_drawn_by_the_split_with_replacement(backbone):
    task = toy_task("single")
    split = split_of(task)
    pool = draw_pool(split, 10)
    assert len(pool) == 10 * len(split.train) > len(split.unlabeled)
    assert pool == draw_pool(split, 10) != draw_pool(replace(split, seed=21), 10)
    kept = {e.id for e in (*split.train, *split.dev)}
    assert not kept & {e.id for e in pool} and {e.label for e in pool} == {None}
    empty = replace(split, unlabeled=())
    assert draw_pool(empty, 0) == []
    with pytest.raises(BenchError, match="leaves no texts over"):
        draw_pool(empty, 1)
    batches = BatchStream(PromptModel(backbone, task), pool[:6], 4, seed=1)
    rows = [next(batches).rows.tolist() for _ in range(4)]
    assert sorted(rows[0] + rows[1]) == sorted(rows[2] + rows[3]) == list(range(6))


def test_probes_are_trained_alone_and_average_as_equation_5(backbone):
    task = toy_task("single")
    train = split_of(task).train
    model = PromptModel(backbone, task).eval()
    before = [p.detach().clone() for p in model.parameters()]
    untrained = Probes(model)
    states = states_below(model, train)
    assert states.shape == (len(train), 1, 16)
    at_start = scores_at(model, states[:, 0])  # probes start as the model's own head
    torch.testing.assert_close(untrained(states)[:, 0], at_start)
    labels = torch.tensor([e.label for e in train])
    losses = Probes(model).train_on(train, steps=0)
    torch.testing.assert_close(losses, F.cross_entropy(at_start, labels)[None])
    probes = Probes(model)
    assert probes.train_on(train, steps=30, lr=0.05)[0] < 0.75 * losses[0]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    assert all(p.grad is None for p in model.parameters())
    rng = torch.Generator().manual_seed(0)
    ours, theirs = (torch.rand(4, count, 3, generator=rng).softmax(-1) for count in (2, 5))
    pairs = torch.einsum("njc,nkc->n", ours, theirs) / (2 * 5)
    torch.testing.assert_close((ours.mean(1) * theirs.mean(1)).sum(-1), pairs)
    torch.testing.assert_close(probes.mean(states), probes(states).softmax(-1).mean(1))


def test_a_lesson_guesses_the_labels_that_are_not_given(backbone):
    task = toy_task("single")
    split = split_of(task)
    model = PromptModel(backbone, task).eval()
    given = lesson(model, split.train, probes_on=())
    assert given.labels.tolist() == [e.label for e in split.train] and given.probed is None
    guessed = lesson(model, split.unlabeled, probes_on=split.train)
    assert guessed.labels.tolist() == model.predict(split.unlabeled).array.argmax(1).tolist()
    assert guessed.probed is not None and guessed.probed.shape == (len(split.unlabeled), 3)


def test_top_tokens(backbone):
    task = toy_task("single")
    dev = split_of(task).dev[:2]
    model = PromptModel(backbone, task).eval()
    scores = model.backbone.vocabulary_scores(model.collate(model.encode(dev))).detach().numpy()
    best = [backbone.tokenizer.convert_ids_to_tokens(int(row)) for row in np.argmax(scores, 1)]
    found = top_tokens(model, dev, 4)
    assert [row[0] for row in found] == best and {len(row) for row in found} == {4}
