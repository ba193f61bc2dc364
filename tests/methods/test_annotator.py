"""PPT's annotator trained on five-star reviews: the rows it reads, the labels it keeps, its identity
(ppt, section 3.2.3, and its code's bounds).
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from fewbench.data.labelled import LabelledRows
from fewbench.errors import BenchError, DataError
from fewbench.methods.ppt.annotator import Annotator, confident, pseudo_labelled
from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.registry.methods import methods
from fewbench.runner.plan import Request, make_plan
from fewbench.runner.preflight import ask_preparation
from fewbench.runner.run import context_of
from fewbench.store.artifacts import Artifacts
from fewbench.store.store import Store
from fewbench.testing import run_job, toy_job, toy_task
from fewbench.types import Example, Predictions

PPT = methods()["ppt"]
STARS = ("one", "two", "three", "four", "five")
SAID = ("bad", "poor", "dull", "good", "wonderful")
SMALL = {"annotator": "reviews", "tokens": 5, "pretrain_batch": 8, "batch_size": 4}
TASK = """
[suite]
title = "Stars"

[stars]
title = "Stars"
paper = "none"
licence = "Apache-2.0"
version = 1
format = "single"
labels = ["one", "two", "three", "four", "five"]
metric = "accuracy"
template = "{0} It was {mask}."
words = { one = "terrible", two = "bad", three = "okay", four = "good", five = "great" }
max_length = 48

[[stars.source]]
name = "files"
folder = "."
path = "stars"
train = "train"
test = "test"
texts = ["text"]
label = "label"
hub = false
"""


@pytest.fixture
def stars(tmp_path):
    """A task file of five-star reviews, whose stars one word tells."""
    file = tmp_path / "stars.toml"
    file.write_text(TASK, "utf-8")
    (tmp_path / "stars").mkdir()
    write_rows(tmp_path, "train")
    write_rows(tmp_path, "test")
    return file


def write_rows(folder, split, end=""):
    rows = [{"text": f"the film was {SAID[n % 5]}, {n}{end}", "label": n % 5} for n in range(200)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "stars" / f"{split}.jsonl").write_text(lines, "utf-8")


def planned(stars, folder, settings="", tasks=("demo-sentiment",)):
    method = f"ppt:reviews,rows={stars}{settings}"
    request = Request(methods=(method,), tasks=tasks, seeds=(13,), protocol="demo", offline=True)
    return make_plan(request, Store(folder / "results")).jobs


def test_labels_that_are_sure_by_the_bounds_of_the_papers_code():
    rows = torch.tensor(
        [
            [0.94, 0.06, 0.0, 0.0, 0.0],  # terrible needs more than 0.95
            [0.96, 0.04, 0.0, 0.0, 0.0],
            [0.0, 0.49, 0.51, 0.0, 0.0],  # maybe needs more than 0.5
            [0.1, 0.49, 0.41, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.31, 0.69],  # great needs more than 0.7
            [0.0, 0.0, 0.0, 0.29, 0.71],
        ]
    )
    assert confident(rows) == [(1, 0), (2, 2), (5, 4)]


def test_an_annotator_that_is_never_sure_stops():
    class Unsure:
        def predict(self, examples):
            ids = tuple(example.id for example in examples)
            return Predictions(ids, probabilities=torch.full((len(ids), 5), 0.2).numpy())

        def forget(self):
            pass

    sentences = (Example(f"{n}", ("a text",)) for n in range(10**6))
    with pytest.raises(BenchError, match="sure of none of 20480 sentences"):
        next(pseudo_labelled(sentences, Annotator(Unsure(), confident)))


def test_it_learns_the_stars_and_the_prompt_is_trained_on_what_it_says(stars, tiny_model, tmp_path):
    (job,) = planned(stars, tmp_path)
    rows = job.preparation.labelled
    settings = SMALL | {"rows": str(stars), "pretrain_steps": 60}
    toy = toy_job(PPT, tiny_model, settings=settings, labelled={str(stars): rows})
    world = context_of(toy.preparation, Models(torch.device("cpu")))
    task, examples = world.labelled()
    assert task.labels == STARS and len(examples) == 200
    world.protocol = toy.protocol
    torch.manual_seed(0)  # the head is drawn, and so is dropout
    model = HeadModel(world.backbone("teacher"), task)
    loss = world.train(model, examples, updates=120, batch_size=20, lr=5e-3)
    answers = model.predict(list(examples)).array.argmax(-1)
    assert loss < 0.5 and (answers == [example.label for example in examples]).mean() > 0.6


def test_a_run_with_reviews(stars, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("fewbench.methods.ppt.annotator.SURE", (0.0,) * 5)
    (job,) = planned(stars, tmp_path)
    settings = SMALL | {"rows": str(stars), "pretrain_steps": 3}
    labelled = {str(stars): job.preparation.labelled}
    toy = toy_job(PPT, tiny_model, settings=settings, labelled=labelled)
    assert toy.run.teacher is not None
    record, _ = run_job(toy, Artifacts(tmp_path))
    assert record.error is None
    told = record.details["prepared"]
    assert told["annotator"]["rows"] == 200 and told["pretraining"]["updates"] == 3
    assert told["title"].endswith("on demo-corpus and stars@files")


def test_the_rows_are_in_the_identity(stars, tmp_path):
    (job,) = planned(stars, tmp_path)
    (same,) = planned(stars, tmp_path)
    assert (job.key, job.preparation.key) == (same.key, same.preparation.key)
    write_rows(tmp_path, "train", end="!")
    (other,) = planned(stars, tmp_path)
    assert job.key != other.key and job.preparation.key != other.preparation.key
    (plain,) = make_plan(
        Request(methods=("ppt",), tasks=("demo-sentiment",), seeds=(13,), protocol="demo"),
        Store(tmp_path / "results"),
    ).jobs
    assert plain.run.teacher is None and plain.preparation.labelled is None


def test_missing_reviews_stop_the_plan(tmp_path):
    request = Request(methods=("ppt:reviews",), tasks=("demo-sentiment",), protocol="demo")
    with pytest.raises(DataError, match="no file for the split 'train'") as caught:
        make_plan(request, Store(tmp_path))
    assert "yelp" in str(caught.value)


def test_the_task_itself_and_rows_of_another_kind_are_refused(stars, tiny_model, tmp_path):
    with pytest.raises(BenchError, match="all labelled rows of stars, the task itself"):
        planned(stars, tmp_path, tasks=(str(stars),))
    (job,) = planned(stars, tmp_path)
    rows = job.preparation.labelled
    three = LabelledRows(toy_task("single"), rows.data, True, rows.revision)
    preparation = replace(job.preparation, labelled=three)
    with pytest.raises(BenchError, match="a single task of 3 classes"):
        ask_preparation(preparation, Models(torch.device("cpu")))
