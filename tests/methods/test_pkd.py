"""Patient KD: its loss by hand for two widths, and as a step after truncation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lessons import lessons_of, two_sized_job, wider

from fewbench.errors import BenchError
from fewbench.registry.methods import methods, read_method
from fewbench.registry.pipeline import pipeline
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job

KNOWN = methods()
QUICK = {"lr": 1e-3, "batch_size": 2}


def test_states_of_two_widths_are_compared_by_a_learned_map(tiny_model, tmp_path):
    """alpha CE + (1 - alpha) T^2 KL + beta PT, with PT of W h_s and h_t, each divided by its length.

    The student's first layer of two learns from the teacher's first of three.
    """
    job = two_sized_job(
        KNOWN["pkd"], tiny_model, wider(tiny_model, tmp_path / "wide"), alpha=0.3, **QUICK
    )
    (lesson,), kit = lessons_of(job, Artifacts(tmp_path / "artifacts"))
    batch, teacher, widened = lesson.batch(), kit.teacher(), lesson.given["beside"]
    states = [backbone.reads(batch) for backbone in (lesson.model.backbone, teacher.backbone)]
    own = states[0][0] @ widened.weight.T
    wanted = states[1][0]
    assert own.shape == wanted.shape == (6, 24)
    gap = own / own.norm(dim=1, keepdim=True) - wanted / wanted.norm(dim=1, keepdim=True)
    p, q = (model(batch) / 5 for model in (teacher, lesson.model))
    kl = (p.softmax(1) * (p.log_softmax(1) - q.log_softmax(1))).sum(1).mean()
    hard = F.cross_entropy(lesson.model(batch), batch.labels)
    expected = 0.3 * hard + 0.7 * 25 * kl + 100 * gap.square().mean()
    torch.testing.assert_close(lesson.loss(), expected)
    lesson.loss().backward()
    assert widened.weight.grad.norm() > 0


def test_as_a_step_it_starts_at_the_truncated_teacher(tiny_model, tmp_path):
    """Thesis Table 4.1, BERT-PKD: no student of its own, and the same settings."""
    made = pipeline("truncate+pkd", KNOWN)
    assert made.needs == ("teacher",)
    folder = wider(tiny_model, tmp_path / "deep", num_hidden_layers=4)
    job = two_sized_job(made, tiny_model, folder, **{"pkd.lr": 1e-3, "pkd.batch_size": 2})
    assert job.run.student is None
    (lesson,), kit = lessons_of(job, Artifacts(tmp_path / "artifacts"))
    assert (len(lesson.model.backbone.layers), lesson.given["beside"]) == (2, None)
    assert kit.notes["teacher_layers"] == [2]
    torch.testing.assert_close(lesson.model.output.weight, kit.teacher().output.weight)


def test_a_step_of_one_layer_has_nothing_to_learn_by(tiny_model, tmp_path):
    made = pipeline("truncate+pkd", KNOWN)
    record, _ = run_job(
        toy_job(made, tiny_model, settings={"truncate.layers": 1}), Artifacts(tmp_path)
    )
    assert "no layer below its last" in record.error


def test_a_method_and_step_of_two_minds(tmp_path):
    file = tmp_path / "both.py"
    file.write_text(
        'NEEDS = ("teacher",)\ndef fit(task, split, kit, *, teacher: str = "ft", a: int = 1):\n    pass\n'
        'def transform(model, task, split, kit, *, teacher: str = "ft"):\n    pass\n'
    )
    with pytest.raises(BenchError, match="fit and transform differ in their settings"):
        read_method(file)
