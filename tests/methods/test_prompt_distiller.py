"""Prompt-Distiller's hidden term by hand, for two widths, on examples with and without labels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lessons import lessons_of, two_sized_job, wider

from fewbench.errors import BenchError
from fewbench.nn.distil import draw_pool
from fewbench.nn.fit_context import Models
from fewbench.nn.kinds import prompt_model
from fewbench.registry.methods import methods
from fewbench.runner.preflight import ask_method
from fewbench.store.artifacts import Artifacts

METHOD = methods()["prompt-distiller"]
ALONE = {"lambda1": 0.0, "lambda2": 0.0, "lr": 1e-3, "batch_size": 6}


def term(own, teacher, batch, widen):
    """sum_m MSE(H_m W, H_g(m)) at the mask: of three layers, the first and the third teach."""
    ours, theirs = (model.backbone.reads(batch) for model in (own, teacher))
    return sum(F.mse_loss(ours[m] @ widen.T, theirs[g]) for m, g in ((0, 0), (1, 2)))


@pytest.mark.parametrize("n", [0, 1])
def test_states_at_the_mask_are_those_of_the_teachers_layers(tiny_model, tmp_path, n):
    """The tuned teacher shows those of X, the pretrained one those of X' (eq. 8's two terms)."""
    job = two_sized_job(
        METHOD, tiny_model, wider(tiny_model, tmp_path / "wide"), hidden=0.3, n=n, **ALONE
    )
    (lesson,), kit = lessons_of(job, Artifacts(tmp_path / "artifacts"))
    batch, widen = lesson.batch(), lesson.given["beside"].weight
    assert widen.shape == (24, lesson.model.backbone.config.hidden_size)
    expected = F.cross_entropy(lesson.model(batch), batch.labels)
    expected = expected + 0.3 * term(lesson.model, kit.teacher(), batch, widen)
    if n:
        pretrained = prompt_model(kit.backbone("teacher"), job.task).eval()
        pool = lesson.model.collate(lesson.model.encode(draw_pool(job.split, n)))
        assert len(pool.rows) == 6
        expected = expected + 0.3 * term(lesson.model, pretrained, pool, widen)
    torch.testing.assert_close(lesson.loss(), expected)
    lesson.loss().backward()
    assert lesson.given["beside"].weight.grad.norm() > 0


def test_a_teacher_of_fewer_layers_shows_nothing(tiny_model, tmp_path):
    shallow = wider(tiny_model, tmp_path / "shallow", num_hidden_layers=1)
    job = two_sized_job(METHOD, tiny_model, shallow, hidden=0.3, **ALONE)
    with pytest.raises(BenchError, match="has 1 layers"):
        ask_method(job, Models(torch.device("cpu")))
