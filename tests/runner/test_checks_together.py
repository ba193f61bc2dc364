"""Our own methods' checks share a process; where it dies, each is asked alone."""

from __future__ import annotations

import pytest
import torch

from fewbench.nn.fit_context import Models
from fewbench.runner import channel, preflight, refusals
from fewbench.runner.plan import Request, make_plan
from fewbench.runner.preflight import MODELS, checks_of, grouped
from fewbench.runner.processes import End
from fewbench.store.store import Store

OWN = """
def fit(task, split, kit): ...
def check(task, student, teacher, **settings): ...
"""


@pytest.fixture
def works(tmp_path, tiny_model):
    """The jobs of two of our methods and of a user's, which all have checks."""
    file = tmp_path / "mine.py"
    file.write_text(f'"""Do nothing."""\n\nPAPER = "none: a test"\nNEEDS = ("student",)\n{OWN}')
    request = Request(
        methods=("amulap", "pet", str(file)),
        tasks=("demo-sentiment",),
        k=(2,),
        seeds=(13,),
        student=str(tiny_model),
        protocol="demo",
    )
    return make_plan(request, Store(tmp_path / "results")).jobs


def test_a_users_method_is_asked_in_a_process_of_its_own(works):
    ours, users = grouped(checks_of(works), together=True)
    assert {check.asks for check in ours.questions} == {MODELS, "amulap", "pet"}
    assert [check.asks for check in users.questions] == ["mine"]


def test_where_the_shared_process_dies_each_is_asked_alone(works, monkeypatch):
    models = Models(torch.device("cpu"))
    asked = []

    def each(groups, conditions, workers):
        for group in groups:
            names = {check.asks for check in group.questions}
            asked.append(names)
            answers = preflight.answer_checks(group, models)
            content = channel.pack({"status": "ok", "refusals": answers}, {})
            yield group, End(death="it died") if "pet" in names else End(content)

    monkeypatch.setattr(refusals, "each", each)
    (refusal,) = refusals.refused(works)
    assert refusal.check.asks == "pet"
    assert "the check of pet broke down: it died" in str(refusal.error)
    assert asked == [{MODELS, "amulap", "pet"}, {"mine"}, {MODELS}, {"amulap"}, {"pet"}]
