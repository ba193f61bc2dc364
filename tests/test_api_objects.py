"""Functions as methods and tasks in memory: they run as files do, known by source and content."""

from __future__ import annotations

import functools
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
import torch

import fewbench
from fewbench.data.memory_task import write_task
from fewbench.errors import BenchError
from fewbench.nn.classifier import HeadModel
from fewbench.registry.callables import method_source, write_method
from fewbench.registry.methods import read_method
from fewbench.registry.tasks import choose_tasks
from fewbench.store.inputs import task_hash
from fewbench.store.store import Store

RATE = 1e-3
DTYPES = [torch.float32]


def doubled(rate):
    return 2 * rate


class Widened(HeadModel):
    """A model class beside the function."""


@fewbench.method(needs=("student",), search=("lr",), paper="none: a test")
def widened(task, split, kit, *, lr: float = 1e-3):
    """Fine-tune a head of a class of our own."""
    model = Widened(kit.backbone(), task)
    kit.train(model, lr=doubled(lr) / 2 if lr else RATE, batch_size=4)
    return model


def unwritable(task, split, kit):
    """Use what no file can hold."""
    return DTYPES


def constant(task, split, kit):
    """Answer the first class."""
    import numpy as np

    from fewbench.types import Predictions

    class First:
        def predict(self, examples):
            answers = np.zeros((len(examples), len(task.labels)), "float32")
            answers[:, 0] = 1
            return Predictions(tuple(e.id for e in examples), probabilities=answers)

    return First()


def rows(count, start=0):
    """Return rows that differ, half of each class."""
    texts = {"bad": "dull and poor", "good": "fine and lovely"}
    labels = ["bad", "good"] * (count // 2)
    return [
        {"review": f"{texts[label]} {start + n}", "mood": label} for n, label in enumerate(labels)
    ]


def reviews(**changes):
    given = {
        "name": "my-reviews",
        "labels": ["bad", "good"],
        "train": rows(40),
        "test": rows(20, start=100),
        "template": "{0} It was {mask}.",
        "words": {"bad": "terrible", "good": "great"},
        "texts": ["review"],
        "label": "mood",
    }
    return fewbench.InMemoryTask(**{**given, **changes})


def asked(folder, **more):
    given = {"k": 4, "seeds": [13], "protocol": "demo", "results": folder, "device": "cpu"}
    return {**given, "offline": True, **more}


def test_a_function_and_rows_run_are_kept_and_load(tmp_path):
    methods = [widened, functools.partial(widened, lr=5e-4)]
    records = fewbench.run(methods, reviews(), **asked(tmp_path, keep_models=True))
    assert [(r.run.method, dict(r.run.settings), r.status) for r in records] == [
        ("widened", {}, "ok"),
        ("widened", {"lr": 5e-4}, "ok"),
    ]
    again = fewbench.run(methods, reviews(), **asked(tmp_path))
    assert [r.run.key for r in again] == [r.run.key for r in records]
    frame = fewbench.results(tmp_path, tasks=reviews())
    assert list(frame["earlier"]) == ["", ""]
    model = fewbench.load_model(tmp_path, records[0].run.key, tasks=reviews(), methods=widened)
    assert type(model).__name__ == "Widened"
    compared = fewbench.compare(
        "widened:lr=0.0005", "widened", results=tmp_path, tasks=reviews(), resamples=100
    )
    assert len(compared) >= 1
    done = subprocess.run(
        [sys.executable, "-m", "fewbench", "fsck", "--results", str(tmp_path)], check=False
    )
    assert done.returncode == 0


def test_code_and_rows_decide_what_a_run_is(tmp_path):
    first = fewbench.run(constant, reviews(), **asked(tmp_path))[0]
    other = fewbench.run(constant, reviews(train=rows(38)), **asked(tmp_path))[0]
    assert first.run.key != other.run.key and first.run.inputs.task == other.run.inputs.task
    assert len(list((tmp_path / "own").glob("*/my-reviews.toml"))) == 2
    assert not [r for r in Store(tmp_path).records() if r.status != "ok"]


def test_a_table_gives_the_same_task_as_its_rows(tmp_path):
    frames = reviews(train=pd.DataFrame(rows(40)), test=pd.DataFrame(rows(20, start=100)))
    assert frames.write(tmp_path) == reviews().write(tmp_path)


def test_a_changed_task_needs_a_name_of_its_own(tmp_path):
    known = fewbench.load_task("demo-sentiment")
    changed = replace(known, template="{0} {mask}")
    with pytest.raises(BenchError, match="differs from the declared 'demo-sentiment'") as caught:
        fewbench.run(constant, changed, **asked(tmp_path))
    assert caught.value.fix == 'dataclasses.replace(task, name="my-demo-sentiment")'
    record = fewbench.run(constant, replace(changed, name="mine"), **asked(tmp_path))[0]
    plain = fewbench.run(constant, known, **asked(tmp_path))[0]
    assert record.run.inputs.task != plain.run.inputs.task
    assert record.run.inputs.train_set == plain.run.inputs.train_set


def test_every_task_is_written_as_it_was_read(tmp_path):
    for known in choose_tasks(["all"]):
        file = write_task(replace(known, name="mine"), tmp_path, {})
        written = fewbench.load_task(file)
        assert task_hash(written) == task_hash(known)
        assert [replace(source, root=None) for source in written.sources] == [
            replace(source, root=None) for source in known.sources
        ]
        assert sorted(written.prompts) == sorted(known.prompts)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "My Reviews"}, "is not a valid task name"),
        ({"template": "{0}"}, "mask"),
        ({"words": {"bad": "terrible"}}, "good"),
        ({"label": "modd"}, "there is no column 'modd'"),
        ({"train": [*rows(40), {"review": " ", "mood": "bad"}]}, "'review' is empty"),
        ({"metric": "acuracy"}, "unknown metric"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(changes, problem, tmp_path):
    with pytest.raises(BenchError, match=problem) as caught:
        fewbench.run(constant, reviews(**changes), **asked(tmp_path))
    name = changes.get("name", "my-reviews")
    assert name in str(caught.value)
    assert not list(tmp_path.rglob("*.*"))


def test_the_file_of_a_function_holds_what_it_uses(tmp_path):
    text = method_source(widened)
    assert "RATE = 0.001" in text and "def doubled(rate):" in text and "class Widened(" in text
    assert "from fewbench.nn.classifier import HeadModel" in text and "@" not in text
    info = read_method(tmp_path.joinpath("widened.py").write_text(text) and tmp_path / "widened.py")
    assert info.needs == ("student",) and info.search == ("lr",) and info.settings == {"lr": 1e-3}
    assert info.summary == "Fine-tune a head of a class of our own."


def test_what_no_file_can_hold_is_refused(tmp_path):
    with pytest.raises(BenchError, match="'DTYPES', which it uses, is a list") as caught:
        write_method(unwritable, tmp_path)
    assert "within the function" in caught.value.fix
    with pytest.raises(BenchError, match="is no method's name"):
        write_method(lambda task, split, kit: None, tmp_path)
    with pytest.raises(BenchError, match="it is no function"):
        write_method(print, tmp_path)
    with pytest.raises(BenchError, match="fixes arguments by place"):
        write_method(functools.partial(constant, 1), tmp_path)
    with pytest.raises(BenchError, match="declares no 'need'") as caught:
        fewbench.method(need=("student",))
    assert caught.value.nearest == ["needs"]
    with pytest.raises(BenchError, match="must be a literal"):
        fewbench.method(grid={"lr": torch.zeros(1)})
    assert not list(tmp_path.rglob("*.py"))


def test_a_function_within_a_function_takes_its_values_along(tmp_path):
    rate = 0.25

    def inner(task, split, kit):
        """Look outward."""
        return rate

    assert "rate = 0.25" in method_source(inner) and "def fit(" in method_source(inner)
