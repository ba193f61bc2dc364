"""Majority: the class shares of the full train set (smash, section 4.1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewbench.data.metrics import Scorer
from fewbench.data.split import count_labels, make_split
from fewbench.nn.fit_context import Models
from fewbench.registry.methods import methods
from fewbench.registry.tasks import choose_tasks
from fewbench.runner.maker import JobData, JobMaker
from fewbench.runner.plan import Request, make_plan
from fewbench.runner.run import carry_out
from fewbench.store.inputs import exact_hash, row_hashes
from fewbench.store.store import Store
from fewbench.testing import toy_protocol, toy_rows, toy_task
from fewbench.types import Rows


def job(task, rows, name="majority"):
    maker = JobMaker(toy_protocol(), methods(), {"student": None, "teacher": None}, None)
    split = make_split(task, rows, 2, 13)
    data = JobData(
        task,
        split,
        Scorer(task, rows.test),
        row_hashes(rows),
        exact_hash([*split.train, *split.dev]),
    )
    return maker.job(data, methods()[name], {})


def unbalanced(task):
    """Return rows with 8, 12 and 8 training rows of the three labels."""
    rows = toy_rows(task)
    label = rows.train[1].label
    more = [
        replace(example, id=f"train-{24 + n}", texts=(f"another text {n}",), label=label)
        for n, example in enumerate(rows.train[:4])
    ]
    return Rows((*rows.train, *more), rows.test)


def test_the_largest_class_of_all_training_rows_is_answered():
    record, predictions = carry_out(
        job(toy_task("single"), unbalanced(toy_task("single"))), Models(torch.device("cpu")), 1
    )
    assert record.status == "ok"
    assert predictions.answers.tolist() == [1] * 9
    assert predictions.array[0] == pytest.approx([8 / 28, 12 / 28, 8 / 28])


def test_among_equal_classes_the_first_label_is_answered():
    _, predictions = carry_out(
        job(toy_task("single"), toy_rows(toy_task("single"))), Models(torch.device("cpu")), 1
    )
    assert predictions.answers.tolist() == [0] * 9


def test_a_regression_answers_the_mean_of_all_training_rows():
    task = toy_task("regression")
    rows = unbalanced(task)
    _, predictions = carry_out(job(task, rows), Models(torch.device("cpu")), 1)
    mean = np.mean([example.label for example in rows.train])
    assert predictions.array == pytest.approx([mean] * 9)


def test_counts_alone_leave_the_rows_and_only_where_they_are_needed():
    rows = unbalanced(toy_task("single"))
    assert count_labels(rows.train) == ((0, 8), (1, 12), (2, 8))
    sent = job(toy_task("single"), rows).sent()
    assert sent.split.label_counts == ((0, 8), (1, 12), (2, 8))
    assert len(sent.split.train) == 6 and not sent.split.unlabeled
    assert job(toy_task("single"), rows, "ft").split.label_counts == ()


def test_other_training_rows_are_another_run():
    task = toy_task("single")
    assert job(task, unbalanced(task)).key != job(task, toy_rows(task)).key


@pytest.mark.parametrize(
    ("task", "metric", "published"),
    [
        ("mrpc", "f1", 81.2),
        ("sst-5", "accuracy", 23.1),
        ("sst-2", "accuracy", 50.9),
        ("rte", "accuracy", 52.7),
    ],
)
def test_scores_are_those_of_smash_table_2(task, metric, published, shared, tmp_path):
    name = choose_tasks([task])[0].full_name
    request = Request(
        ("majority",), (name,), k=(16,), seeds=(13,), data=shared / "data", offline=True
    )
    record, _ = carry_out(
        make_plan(request, Store(tmp_path)).jobs[0], Models(torch.device("cpu")), 1
    )
    assert 100 * record.scores["test"][metric] == pytest.approx(published, abs=0.051)
