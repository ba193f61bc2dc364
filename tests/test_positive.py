"""Metrics of one class: the task file names it, every score is of it, and every header says it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from fewbench.data.metrics import score, shown_metric
from fewbench.data.task_file import declared, load_file
from fewbench.errors import BenchError
from fewbench.nn.fit_context import Models
from fewbench.registry.methods import task_files
from fewbench.report.figures import panels, titles
from fewbench.report.render import markdown
from fewbench.report.statistics.sums import SUMMED
from fewbench.report.tables.blocks import build
from fewbench.report.tables.entry import entries
from fewbench.report.tables.flat import to_rows
from fewbench.report.tables.pivot import grids
from fewbench.runner.plan import Request, make_plan
from fewbench.runner.run import carry_out
from fewbench.store.store import Store
from fewbench.testing import toy_task
from fewbench.types import Predictions

MAIL = """
[mail]
title = "Is it spam?"
paper = "none"
licence = "Apache-2.0"
version = 1
format = "single"
labels = ["spam", "ham"]
metric = "f1"
POSITIVE
template = "{0} It was {mask}."
words = { spam = "bad", ham = "good" }
max_length = 64

[[mail.source]]
name = "files"
folder = "."
path = "mail"
train = "train"
test = "test"
texts = ["text"]
label = "label"
"""


@pytest.fixture
def mail(tmp_path):
    """Write the task file with what stands for its positive class, and rows of which one in four is
    spam.
    """
    (tmp_path / "mail").mkdir()
    for part, count in (("train", 24), ("test", 12)):
        rows = [{"text": f"{part} mail number {n}", "label": int(n % 4 > 0)} for n in range(count)]
        (tmp_path / "mail" / f"{part}.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def write(positive, **changes):
        text = MAIL.replace("POSITIVE", positive)
        for old, new in changes.items():
            text = text.replace(old, new)
        file = tmp_path / "mail.toml"
        file.write_text(text)
        return file

    return write


@pytest.mark.parametrize("positive", ["", 'positive = "junk"', 'positive = "Spam"'])
def test_a_task_that_does_not_say_which_class_is_refused(mail, positive):
    with pytest.raises(BenchError) as refused:
        load_file(mail(positive))
    assert "[mail] positive" in str(
        refused.value
    ) and 'positive = "ham", or the other label' in str(refused.value)
    assert "ham, spam" in str(refused.value)


@pytest.mark.parametrize("metric", ['metrics = ["f1"]', 'metrics = ["evaluate:recall"]'])
def test_so_is_one_whose_other_metrics_need_it(mail, metric):
    file = mail("", **{'metric = "f1"': f'metric = "accuracy"\n{metric}'})
    with pytest.raises(BenchError, match="needs the class that it measures"):
        load_file(file)


def test_a_class_that_no_metric_is_of_is_refused(mail):
    with pytest.raises(BenchError, match="'positive' belongs to metrics of one class"):
        load_file(mail('positive = "spam"', f1="mcc"))


def test_the_shipped_tasks_name_the_class_that_their_scores_are_of():
    named = {name: task for name, task in declared(task_files()).tasks.items() if task.positive}
    assert set(named) == {"mrpc", "qqp"} and all(
        task.positive_index == 1 for task in named.values()
    )


@pytest.mark.parametrize(("positive", "index"), [("spam", 0), ("ham", 1), ("", 1)])
def test_the_score_is_of_the_class_named(positive, index):
    labels, answers = [0, 0, 0, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1, 1, 0]
    task = replace(toy_task("single", metric="f1"), labels=("spam", "ham"), positive=positive)
    given = Predictions(
        tuple(map(str, range(8))), probabilities=np.eye(2, dtype=np.float32)[answers]
    )
    want = f1_score(labels, answers, pos_label=index)
    assert score(task, labels, given)["f1"] == pytest.approx(want)
    features, value = SUMMED["f1"]
    added = features(np.array(labels), np.array(answers), 2, task.positive_index)
    assert value(added.sum(0)) == pytest.approx(want)


def test_answers_of_one_class_alone_are_scored(mail):
    (task,) = load_file(mail('positive = "spam"')).tasks.values()
    given = Predictions(("a", "b"), probabilities=np.array([[0, 1], [0, 1]], np.float32))
    assert [score(task, labels, given)["f1"] for labels in ([1, 1], [0, 1], [0, 0])] == [0, 0, 0]


def test_records_and_headers_name_the_class(mail, tmp_path):
    found = {}
    for name in ("spam", "ham"):
        request = Request(
            methods=("majority",), tasks=(str(mail(f'positive = "{name}"')),), k=(2,), seeds=(13,)
        )
        (job,) = make_plan(request, Store(tmp_path / name)).jobs
        found[name] = carry_out(job, Models(torch.device("cpu")), 1)[0]
        assert found[name].selection.metric == "f1" and found[name].selection.positive == name
        (block,) = build([found[name]], {}, {})
        (grid,) = grids(entries([block]))
        assert f"f1 ({name})" in markdown(grid)
        assert [(row["metric"], row["positive"]) for row in to_rows([block])] == [("f1", name)]
        shown = panels([found[name]])
        assert list(titles(list(shown)).values()) == [f"mail (f1 ({name}))"]
    # Of all 24 rows of train 18 are ham, so ham is the answer to each of the 12 of test, 9 of them ham.
    assert [found[name].scores["test"]["f1"] for name in ("spam", "ham")] == [
        0,
        pytest.approx(2 * 9 / (12 + 9)),
    ]
    both = build(found.values(), {}, {})
    assert [len(block.columns) for block in both] == [2]  # scores of two classes share no cell


def test_validate_shows_the_class(mail, bench):
    shown = bench("validate", mail('positive = "spam"'), "--k", 3)
    assert shown.returncode == 0 and "mail: single, f1 (spam), spam ham" in shown.stdout
    refused = bench("validate", mail(""))
    assert refused.returncode == 2 and "f1 needs the class that it measures" in refused.stdout


def test_names_of_other_metrics_are_shown_as_they_are():
    assert [shown_metric("accuracy", "spam"), shown_metric("f1")] == ["accuracy", "f1"]


def test_a_shared_task_that_says_nothing_is_refused(shared):
    with pytest.raises(BenchError, match='positive = "ham", or the other label') as refused:
        load_file(shared / "cases" / "13-f1-of-which-class" / "sms.toml")
    assert refused.value.allowed == "ham, spam"
