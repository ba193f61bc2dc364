"""One run end to end: its record, the one look at the test set, and runs that fail."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from fewbench.data.metrics import Scorer, score
from fewbench.nn.fit_context import Models
from fewbench.registry.methods import methods, read_method
from fewbench.registry.protocols import get_protocol
from fewbench.runner.run import carry_out
from fewbench.store.record import from_json, to_json
from fewbench.testing import toy_job, toy_protocol, toy_task

PREDICTOR = """
import numpy as np
from fewbench.types import Predictions

class Answers:
    def __init__(self, shares):
        self.shares = shares
    def predict(self, examples):
        rows = np.array([self.shares] * len(examples), np.float32)
        return Predictions(tuple(e.id for e in examples), probabilities=rows)
"""


@pytest.fixture
def models():
    return Models(torch.device("cpu"))


@pytest.fixture
def method(tmp_path):
    def make(body: str, head: str = ""):
        file = tmp_path / "mine.py"
        file.write_text(f"{PREDICTOR}\n{head}\n{body}\n", "utf-8")
        return read_method(file)

    return make


@pytest.fixture
def events(monkeypatch):
    """What methods and the scorer did, in order: methods append to `fewbench_events.seen`."""
    seen: list = []
    monkeypatch.setitem(sys.modules, "fewbench_events", SimpleNamespace(seen=seen))
    scored = Scorer.score
    monkeypatch.setattr(Scorer, "score", lambda *given: seen.append("score") or scored(*given))
    return seen


def test_a_run_end_to_end(tiny_model, models, events):
    protocol = replace(get_protocol("quick"), max_steps=4, eval_every=2, grows_from=None)
    job = toy_job(
        methods()["prompt-ft"], tiny_model, toy_task("single", metrics=("mcc",)), protocol=protocol
    )
    record, predictions = carry_out(job, models, 1)
    assert (record.status, record.error, record.run) == ("ok", None, job.run)
    assert record.split.to_json() == {
        "n_train": 6,
        "n_dev": 6,
        "n_test": 9,
        "leaks": {"exact": 0, "normalised": 0, "within_test": 0},
    }
    assert set(record.scores) == {"dev", "test"}
    assert list(record.scores["test"]) == ["accuracy", "mcc"]
    assert predictions.ids == tuple(e.id for e in job.split.test)
    assert record.scores["test"] == job.scorer.score(predictions)
    assert record.method_code == job.method.code_hash()
    assert record.details["label_words"] == ["terrible", "okay", "great"]
    assert record.details["truncated"]["examples"] == 0
    assert [step for step, _ in record.details["curve"]] == [2, 4]
    assert None not in vars(record.timing).values()
    assert record.timing.peak_memory_mib > 10
    assert record.environment.threads == 1 and record.environment.packages["torch"]
    assert record.comparable
    assert replace(from_json(to_json(record), "here"), predictions=None) == from_json(
        to_json(record), "here"
    )


def test_the_trial_table(tiny_model, models):
    protocol = toy_protocol(grid={"lr": (1e-4, 1e-2), "batch_size": (2, 4)})
    job = toy_job(methods()["ft"], tiny_model, protocol=protocol, settings={"batch_size": 3})
    record, _ = carry_out(job, models, 1)
    trials = record.selection.trials
    assert [trial.settings for trial in trials] == [
        {"batch_size": 3, "lr": lr} for lr in (1e-4, 1e-2)
    ]
    assert all(
        trial.seed == 13 and trial.step in (2, 3) and set(trial.dev) == {"accuracy"}
        for trial in trials
    )
    assert record.selection.settings == trials[record.selection.trial].settings
    assert record.scores["dev"] == trials[record.selection.trial].dev


BY_LR = """
from fewbench_events import seen

class Logged(Answers):
    def predict(self, examples):
        seen.append(("predict", examples[0].id.split("-")[0], all(e.label is None for e in examples)))
        return super().predict(examples)

def fit(task, split, kit, *, lr=0.0):
    seen.append(("fit", lr))
    kit.notes["mine"] = lr
    return Logged({1.0: (1, 0, 0), 2.0: (0.25, 0.5, 0.25), 3.0: (0, 0, 1)}[lr])
"""


@pytest.mark.parametrize(("tie", "trial"), [("first", 0), ("last", 2)])
def test_the_test_set_is_looked_at_once_and_after_all_trials(
    method, tiny_model, models, events, tie, trial
):
    """All three trials answer one class, so dev accuracy is 1/3 for each, and the tie rule decides."""
    protocol = toy_protocol(grid={"lr": (1.0, 2.0, 3.0)}, trial_tie=tie)
    record, predictions = carry_out(
        toy_job(method(BY_LR, 'SEARCH = ("lr",)'), tiny_model, protocol=protocol), models, 1
    )
    trials = [
        [("fit", lr), ("predict", "train", True)] for lr in (1.0, 2.0, 3.0)
    ]  # dev rows come from the train file
    assert events == [*trials[0], *trials[1], *trials[2], ("predict", "test", True), "score"]
    assert record.selection.trial == trial and record.selection.tied_best == 3
    assert record.selection.trial_tie == tie
    assert record.details == {"mine": [1.0, 2.0, 3.0][trial]}
    assert predictions.probabilities[0].tolist() == [[1, 0, 0], [0.25, 0.5, 0.25], [0, 0, 1]][trial]


def test_the_best_dev_trial_wins_whatever_its_test_score(method, tiny_model, models):
    """Trials answer the dev labels of one, two and three classes right; the middle one stands
    first.
    """
    body = """
class ByText(Answers):
    def __init__(self, right):
        self.right = right
    def predict(self, examples):
        truth = [0 if "wonderful" in e.texts[0] else 1 if "dull" in e.texts[0] else 2 for e in examples]
        truth = [t if t < self.right else 0 for t in truth]
        return Predictions(tuple(e.id for e in examples), probabilities=np.eye(3, dtype=np.float32)[truth])

def fit(task, split, kit, *, lr=0):
    return ByText(lr)
"""
    protocol = toy_protocol(grid={"lr": (2, 3, 1)})
    record, _ = carry_out(
        toy_job(method(body, 'SEARCH = ("lr",)'), tiny_model, protocol=protocol), models, 1
    )
    assert [trial.dev["accuracy"] for trial in record.selection.trials] == pytest.approx(
        [2 / 3, 1, 1 / 3]
    )
    assert record.selection.trial == 1 and record.selection.tied_best == 1
    assert record.scores["test"] == {"accuracy": 1.0}


def test_dev_is_scored_against_the_splits_labels(tiny_model, models):
    job = toy_job(methods()["majority"], tiny_model)
    record, _ = carry_out(job, models, 1)
    predictor = job.method.module().fit(job.task, job.split, None)
    labels = [e.label for e in job.split.dev]
    assert record.scores["dev"] == score(job.task, labels, predictor.predict(job.split.dev))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "def fit(task, split, kit):\n    raise ValueError('no such luck')",
            "ValueError: no such luck (mine.py, line",
        ),
        ("def fit(task, split, kit):\n    return Answers((float('nan'),) * 3)", "not finite"),
        ("def fit(task, split, kit):\n    return Answers((0.5, 0.5, float('inf')))", "not finite"),
        ("def fit(task, split, kit):\n    return None", "AttributeError"),
        (
            "def fit(task, split, kit):\n    kit.backbone('teacher')",
            "asked for a teacher it does not name in NEEDS",
        ),
        (
            "def fit(task, split, kit):\n    kit.backbone('student')",
            "asked for a student it does not name in NEEDS",
        ),
        (
            "def fit(task, split, kit):\n    assert split.test[0].label is not None",
            "AssertionError",
        ),
        ("import nothing_of_this_name\ndef fit(task, split, kit): ...", "ModuleNotFoundError"),
        (
            "class Turned(Answers):\n    def predict(self, e):\n        return super().predict(e[::-1])\n"
            "def fit(task, split, kit):\n    return Turned((1, 0, 0))",
            "not for the examples asked for",
        ),
        ("def fit(task, split, kit):\n    split.train[0].label = 1", "FrozenInstanceError"),
    ],
)
def test_runs_that_fail_say_why(method, tiny_model, models, body, reason):
    job = toy_job(method(body), tiny_model)
    record, predictions = carry_out(job, models, 1)
    assert record.status == "failed" and predictions is None
    assert reason in record.error
    assert record.scores == {} and record.run == job.run
    assert from_json(to_json(record), "here") == record


def test_nothing_is_scored_when_a_trial_fails(method, tiny_model, models, events):
    body = "def fit(task, split, kit, *, lr=0.0):\n    assert lr < 2\n    return Answers((1, 0, 0))"
    protocol = toy_protocol(grid={"lr": (1.0, 2.0)})
    record, _ = carry_out(
        toy_job(method(body, 'SEARCH = ("lr",)'), tiny_model, protocol=protocol), models, 1
    )
    assert record.status == "failed" and "score" not in events


def test_warnings_go_into_the_record_once(method, tiny_model, models):
    body = "def fit(task, split, kit):\n    import warnings as w\n    [w.warn(x) for x in ('one\\ntwo', 'one', 'three')]\n"
    record, _ = carry_out(
        toy_job(method(body + "    return Answers((1, 0, 0))"), tiny_model), models, 1
    )
    assert record.warnings == ("one", "three")


def test_a_run_is_the_same_whatever_came_before_it(tiny_model, models):
    """Trials are seeded one by one, and models are copies."""
    from fewbench.testing import untimed

    job = toy_job(methods()["ft"], tiny_model, toy_task("pair"))
    first, predictions = carry_out(job, models, 1)
    carry_out(toy_job(methods()["prompt-ft"], tiny_model, seed=5), models, 1)
    second, again = carry_out(job, models, 1)
    assert untimed(first) == untimed(second)
    assert predictions.array.tobytes() == again.array.tobytes()


@pytest.mark.parametrize("name", ["zero-shot", "prompt-ft", "ft"])
def test_what_was_cut_is_counted_in_the_record(name, tiny_model, models):
    """Of 6 train, 6 dev and 9 test texts only the long ones are cut, each by what it has too many."""
    task = toy_task("single", max_length=16)
    job = toy_job(
        methods()[name],
        tiny_model,
        task,
        protocol=replace(toy_protocol(), max_steps=2, eval_every=2),
    )
    long = [replace(e, texts=("dull " * 30,)) if n < 2 else e for n, e in enumerate(job.split.test)]
    job = replace(job, split=replace(job.split, test=tuple(long)))
    record, _ = carry_out(job, models, 1)
    assert record.status == "ok", record.error
    tokenizer = models.pretrained(job.run.student).tokenizer
    around = (
        0 if name == "ft" else len(tokenizer(" It was.", add_special_tokens=False)["input_ids"]) + 1
    )  # the mask
    read = [*job.split.test, *([] if name == "zero-shot" else job.split.train), *job.split.dev]
    lengths = [
        len(tokenizer(e.texts[0], add_special_tokens=False)["input_ids"]) + around + 2 for e in read
    ]
    cuts = [length - 16 for length in lengths if length > 16]
    assert len(cuts) >= 2
    assert record.details["truncated"] == {
        "examples": len(cuts),
        "tokens": sum(cuts),
        "of": len(read),
    }
    shown = to_json(record)
    assert (
        '"truncated"' in shown
        and from_json(shown, "here").details["truncated"] == record.details["truncated"]
    )
