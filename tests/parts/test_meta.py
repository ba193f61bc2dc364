"""The meta-gradient against autograd through an explicit update and against finite differences; the
quiz.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewbench.data.split import make_split
from fewbench.errors import BenchError
from fewbench.methods.metadistil.bilevel import MetaTeacher, cut_quiz, inner_update, meta_gradient
from fewbench.nn.classifier import HeadModel
from fewbench.nn.distil import said, soft_loss
from fewbench.nn.kinds import open_backbone
from fewbench.nn.losses import softened_mse
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_rows, toy_task

RATE = 0.3


def tensors(*shapes, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def net(weights, inputs):
    return torch.tanh(inputs @ weights["a"]) @ weights["b"]


@pytest.fixture
def small():
    """Weights of two nets with one hidden layer, and their two losses."""
    a, b, c, d, x, q = tensors((4, 5), (5, 3), (4, 6), (6, 3), (7, 4), (5, 4), seed=1)
    y, r = torch.tensor([0, 1, 2, 0, 1, 2, 0]), torch.tensor([2, 0, 1, 1, 0])

    def lesson(own, meta):
        return 0.5 * F.cross_entropy(net(own, x), y) + 0.5 * softened_mse(
            net(own, x), net(meta, x), 2.0
        )

    return {"a": a, "b": b}, {"a": c, "b": d}, lesson, lambda own: F.cross_entropy(net(own, q), r)


def test_softened_mse_by_hand():
    scores, targets = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    share = torch.sigmoid(torch.tensor(1.0))  # softmax of (2, 0) at T = 2
    assert torch.isclose(softened_mse(scores, targets, 2.0), 4 * (share - 0.5) ** 2)


def test_the_meta_gradient_is_that_of_an_explicit_update(small):
    """Thesis eq. 5.2 and 5.3."""
    student, teacher, lesson, quiz = small
    found, loss = meta_gradient(lesson, quiz, student, teacher, RATE)
    own = {name: weight.clone().requires_grad_() for name, weight in student.items()}
    meta = {name: weight.clone().requires_grad_() for name, weight in teacher.items()}
    slopes = torch.autograd.grad(lesson(own, meta), [*own.values()], create_graph=True)
    after = {name: own[name] - RATE * slope for name, slope in zip(own, slopes, strict=True)}
    expected = torch.autograd.grad(quiz(after), [*meta.values()])
    assert torch.allclose(loss, quiz(after))
    for gradient, wanted in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(gradient, wanted)
        assert wanted.abs().max() > 1e-4


def test_the_meta_gradient_by_finite_differences(small):
    student, teacher, lesson, quiz = small
    found, _ = meta_gradient(lesson, quiz, student, teacher, RATE)
    for name, row, column in (("a", 0, 0), ("a", 3, 5), ("b", 2, 1)):
        losses = []
        for shift in (1e-5, -1e-5):
            moved = {key: weight.clone() for key, weight in teacher.items()}
            moved[name][row, column] += shift
            losses.append(
                float(quiz(inner_update(lambda own, m=moved: lesson(own, m), student, RATE)))
            )
        assert float(found[name][row, column]) == pytest.approx(
            (losses[0] - losses[1]) / 2e-5, rel=1e-5
        )


@pytest.fixture
def pair(tiny_model):
    """A student and a teacher with heads, in double precision, and batches of train and quiz."""
    task = toy_task("single")
    split = make_split(task, toy_rows(task), 2, 13)
    models = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = HeadModel(open_backbone(find_model(str(tiny_model), offline=True)), task).double()
        nn.init.normal_(model.output.weight)
        models.append(model)
    batches = [
        models[0].collate(models[0].encode(part)) for part in (split.train[:4], split.train[4:])
    ]
    return task, *models, *batches


def losses_of(task, student, teacher, batch, held):
    def lesson():
        return 0.5 * student.loss(batch) + 0.5 * soft_loss(
            student, student(batch), said(teacher, teacher(batch)), 2.0
        )

    return lesson, lambda: student.loss(held)


def test_through_whole_transformers(pair):
    """Second derivatives through embeddings, attention and norms, against finite differences."""
    task, student, teacher, batch, held = pair
    student.eval()  # no dropout: the same lesson twice
    lesson, quiz = losses_of(task, student, teacher, batch, held)
    slopes, loss = MetaTeacher(teacher, student, lr=0.0, inner_lr=RATE, steps=1).slopes(
        lesson, quiz
    )

    def quizzed():
        trained = [p for p in student.parameters() if p.requires_grad]
        before = [p.detach().clone() for p in trained]
        gradients = torch.autograd.grad(lesson(), trained, allow_unused=True)
        with torch.no_grad():
            for weight, slope in zip(trained, gradients, strict=True):
                weight -= 0 if slope is None else RATE * slope
            value = float(quiz())
            for weight, old in zip(trained, before, strict=True):
                weight.copy_(old)
        return value

    assert float(loss) == pytest.approx(quizzed())
    named = dict(teacher.named_parameters())
    largest = sorted(slopes, key=lambda name: -float(slopes[name].abs().max()))[:6]
    for name in largest:
        place = int(slopes[name].abs().argmax())
        weight = named[name.removeprefix("teacher.")].data.view(-1)
        losses = []
        for shift in (1e-4, -2e-4):
            weight[place] += shift
            losses.append(quizzed())
        weight[place] += 1e-4
        wanted = (losses[0] - losses[1]) / 2e-4
        assert float(slopes[name].view(-1)[place]) == pytest.approx(wanted, rel=1e-3), name
        assert abs(wanted) > 1e-5


def test_the_trial_update_leaves_the_student_and_trains_the_teacher(pair):
    task, student, teacher, batch, held = pair
    student.train()
    before = [[p.detach().clone() for p in model.parameters()] for model in (student, teacher)]
    lesson, quiz = losses_of(task, student, teacher, batch, held)
    seen = []

    def watched():
        seen.append(student.training)
        return quiz()

    meta = MetaTeacher(teacher, student, lr=1e-2, inner_lr=RATE, steps=2)
    meta.update(lesson, watched)
    assert seen == [False] and student.training and not teacher.training
    for weight, old in zip(student.parameters(), before[0], strict=True):
        assert torch.equal(weight, old) and weight.grad is None
    assert not torch.equal(teacher.output.weight, before[1][-2])


def test_a_taught_teacher_teaches_better(pair):
    """A fixed student's quiz loss after one lesson falls while the teacher learns; the rate falls
    to 0.
    """
    task, student, teacher, batch, held = pair
    lesson, quiz = losses_of(task, student.eval(), teacher, batch, held)
    meta = MetaTeacher(teacher, student, lr=1e-2, inner_lr=RATE, steps=10)
    for _ in range(10):
        meta.update(lesson, quiz)
    curve = meta.quiz_losses()
    assert curve["last_loss"] < curve["first_loss"] - 1e-3
    last = [p.detach().clone() for p in teacher.parameters()]
    meta.update(lesson, quiz)
    assert all(torch.equal(a, b) for a, b in zip(teacher.parameters(), last, strict=True))


@pytest.mark.parametrize("kind", ["single", "pair", "choice", "regression"])
def test_the_quiz_is_cut_from_train(kind):
    task = toy_task(kind)
    split = make_split(task, toy_rows(task, train=60), 4, 13)
    rest, quiz = cut_quiz(task, split, 0.25)
    assert {*rest.train} | {*quiz} == {*split.train} and not {*rest.train} & {*quiz}
    assert not {example.id for example in quiz} & {
        example.id for example in (*split.dev, *split.test)
    }
    assert rest.dev == split.dev and cut_quiz(task, split, 0.25) == (rest, quiz)
    if kind != "regression":
        assert Counter(example.label for example in quiz) == {0: 1, 1: 1, 2: 1}


def test_every_label_gives_one_but_not_its_last():
    task = toy_task("single")
    split = make_split(task, toy_rows(task), 2, 13)
    assert len(cut_quiz(task, split, 0.01)[1]) == len(cut_quiz(task, split, 0.99)[1]) == 3
    with pytest.raises(BenchError, match="no label has an example to spare"):
        cut_quiz(task, make_split(task, toy_rows(task), 1, 13), 0.1)
