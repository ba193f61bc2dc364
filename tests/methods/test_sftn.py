"""SFTN: the loss of the teacher with branches, by the layers of transformers themselves."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lessons import lessons_of, two_sized_job, wider

from fewbench.registry.methods import methods
from fewbench.store.artifacts import Artifacts

METHOD = methods()["sftn"]
QUICK = {"lr": 1e-3, "teacher_lr": 1e-3, "batch_size": 2}


@pytest.fixture
def caught(tiny_model, tmp_path):
    """A student of three layers, width 16, and a teacher of six, width 24."""
    student = wider(tiny_model, tmp_path / "student", hidden_size=16)
    teacher = wider(tiny_model, tmp_path / "teacher", num_hidden_layers=6)
    job = two_sized_job(
        METHOD, student, teacher, branch_ce=2.0, branch_kl=5.0, kd="logits", **QUICK
    )
    lessons, _ = lessons_of(job, Artifacts(tmp_path / "artifacts"))
    return lessons


def kl(p, q):
    """KL(softmax(p) || softmax(q)), the mean over rows."""
    return (p.softmax(1) * (p.log_softmax(1) - q.log_softmax(1))).sum(1).mean()


@torch.no_grad()
def test_the_teacher_learns_with_branches_on_its_layers(caught):
    """Park et al., 2021: branches of layers 1 and 2 stand on the teacher's 2 and 4."""
    first = caught[0]
    branches = first.given["beside"].eval()
    batch = first.batch()
    own, of_branches = [], [[], []]
    for ids in batch.ids.split(batch.real.sum(1).tolist()):
        bert = first.model.backbone.model.bert
        states = bert(input_ids=ids[None], output_hidden_states=True).hidden_states
        own.append(first.model.output(states[-1][0, 0]))
        for number, (branch, teacher_layer) in enumerate(zip(branches, (2, 4), strict=True)):
            state = branch.widened(states[teacher_layer])
            for layer in branch.student.backbone.model.bert.encoder.layer[number + 1 :]:
                given = layer(state)
                state = given[0] if isinstance(given, tuple) else given
            of_branches[number].append(branch.student.output(state[0, 0]))
    scores = torch.stack(own)
    expected = F.cross_entropy(scores, batch.labels)
    for rows in map(torch.stack, of_branches):
        expected = expected + F.cross_entropy(rows, batch.labels)  # 2 / 2 branches
        expected = expected + 2.5 * kl(scores, rows)
    torch.testing.assert_close(first.loss(), expected, atol=1e-5, rtol=1e-5)


def test_all_of_the_teacher_and_the_branches_above_learn(caught):
    first = caught[0]
    first.loss().backward()
    branches = first.given["beside"]
    for number, branch in enumerate(branches, 1):
        layers = branch.student.backbone.model.bert.encoder.layer
        trained = [any(p.requires_grad for p in layer.parameters()) for layer in layers]
        assert trained == [place >= number for place in range(3)]
        assert branch.widened.weight.grad.norm() > 0
        assert branch.student.output.weight.grad.norm() > 0
    assert first.model.backbone.model.bert.embeddings.word_embeddings.weight.grad is not None


def test_then_it_is_vanilla_kd(caught):
    """Eq. 5.1 with the squared error of logits."""
    first, second = caught
    batch = second.batch()
    hard = F.cross_entropy(second.model(batch), batch.labels)
    soft = F.mse_loss(second.model(batch), first.model(first.batch()))
    torch.testing.assert_close(second.loss(), 0.5 * hard + 0.5 * soft, atol=1e-5, rtol=1e-5)
