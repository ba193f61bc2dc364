"""Answers of our own checks are kept, and met again by the same question alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fewbench.nn.fit_context import Models
from fewbench.runner import answers, channel, preflight, refusals
from fewbench.runner.plan import Request, make_plan
from fewbench.runner.preflight import MODELS
from fewbench.runner.processes import End
from fewbench.store.store import Store

USERS = """\"\"\"Do nothing.\"\"\"

PAPER = "none: a test"
NEEDS = ("student",)
def fit(task, split, kit): ...
def check(task, student, teacher, **settings): ...
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of this test's own."""
    monkeypatch.setenv("FEWBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "checks"


@pytest.fixture
def asked(monkeypatch):
    """Whom was asked, in order; the answers are given in this process."""
    names: list[str] = []

    def each(groups, conditions, workers):
        for group in groups:
            names.extend(check.asks for check in group.questions)
            given = preflight.answer_checks(group, Models(torch.device("cpu")))
            yield group, End(channel.pack({"status": "ok", "refusals": given}, {}))

    monkeypatch.setattr(refusals, "each", each)
    return names


@pytest.fixture
def plan(tmp_path, tiny_model):
    """Make the jobs of methods on a demo task."""

    def make(*methods):
        request = Request(methods, ("demo-sentiment",), (2,), (13,), str(tiny_model))
        return make_plan(replace(request, protocol="demo"), Store(tmp_path / "results")).jobs

    return make


def test_a_question_is_asked_once(plan, cache, asked):
    assert refusals.refused(plan("amulap")) == []
    assert asked == [MODELS, "amulap"]
    asked.clear()
    assert refusals.refused(plan("amulap")) == []
    assert asked == []
    assert refusals.refused(plan("amulap", "amulap:k=3")) == []
    assert asked == ["amulap"]


def test_a_refusal_is_kept_with_its_words(plan, cache, asked):
    jobs = plan("layerdrop:drop=0.9")
    (first,) = refusals.refused(jobs)
    asked.clear()
    (again,) = refusals.refused(jobs)
    assert asked == []
    assert str(again.error) == str(first.error)


def test_another_task_or_model_file_is_another_question(plan, cache, asked, tiny_model):
    (job,) = plan("amulap")
    refusals.refused([job])
    asked.clear()
    refusals.refused([replace(job, task=replace(job.task, template="{0} So {mask}."))])
    assert asked == [MODELS, "amulap"]
    asked.clear()
    config = next(file for file in tiny_model.iterdir() if file.name == "config.json")
    config.write_bytes(config.read_bytes())
    refusals.refused([job])
    assert asked == [MODELS, "amulap"]


def test_other_code_asks_again(plan, cache, asked, monkeypatch):
    refusals.refused(plan("amulap"))
    asked.clear()
    monkeypatch.setattr(answers, "_maker", lambda: "0" * 64)
    refusals.refused(plan("amulap"))
    assert asked == [MODELS, "amulap"]


def test_a_users_method_is_asked_each_time(plan, cache, asked, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(USERS)
    refusals.refused(plan(str(file)))
    asked.clear()
    refusals.refused(plan(str(file)))
    assert asked == ["mine"]


def test_what_broke_down_is_asked_again(plan, cache, asked, monkeypatch):
    monkeypatch.setattr(
        preflight,
        "_refusal",
        lambda *given: preflight.ErrorFields(
            kind="CheckBroke",
            problem="it broke down: no memory",
            where=None,
            allowed=None,
            nearest=[],
            fix=None,
        ),
    )
    jobs = plan("amulap")
    assert len(refusals.refused(jobs)) == 2
    assert not cache.exists()


@pytest.mark.parametrize("damage", [b"", b"{}", b"0" * 64 + b"\n{}"])
def test_a_damaged_file_answers_nothing(plan, cache, asked, damage):
    refusals.refused(plan("amulap"))
    (file,) = cache.iterdir()
    file.write_bytes(damage)
    asked.clear()
    refusals.refused(plan("amulap"))
    assert asked == [MODELS, "amulap"]


def test_where_nothing_is_kept_all_is_asked(plan, asked, monkeypatch):
    monkeypatch.setenv("FEWBENCH_CACHE", "off")
    refusals.refused(plan("amulap"))
    refusals.refused(plan("amulap"))
    assert asked == 2 * [MODELS, "amulap"]
