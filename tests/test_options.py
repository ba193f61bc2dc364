"""Options that a row lacks have no probability, whatever a method answers for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewbench.data.metrics import Scorer
from fewbench.data.options import only_present
from fewbench.nn.fit_context import Models
from fewbench.registry.methods import methods
from fewbench.runner.run import carry_out
from fewbench.testing import toy_job, toy_rows, toy_task
from fewbench.types import Example, Predictions

IDS = ("a", "b", "c")


def rows_of(*options: tuple[str, ...]) -> list[Example]:
    return [
        Example(name, ("text", "question"), None, given)
        for name, given in zip(IDS, options, strict=True)
    ]


def test_an_absent_option_has_no_probability_and_the_rest_adds_up():
    rows = rows_of(("x", "y", "z"), ("x", "y", ""), ("x", "", "z"))
    given = Predictions(IDS, probabilities=np.array([[0.2, 0.3, 0.5]] * 3, np.float32))
    made = only_present(rows, given)
    # by hand: 0.2 / (0.2 + 0.3), 0.3 / (0.2 + 0.3); and 0.2 / 0.7, 0.5 / 0.7
    assert np.allclose(made.probabilities, [[0.2, 0.3, 0.5], [0.4, 0.6, 0], [2 / 7, 0, 5 / 7]])
    assert made.answers.tolist() == [2, 1, 2] and made.ids == IDS
    assert np.array_equal(
        made.probabilities[0], given.probabilities[0]
    )  # what lacks nothing is not touched
    assert given.probabilities[1].tolist() == pytest.approx([0.2, 0.3, 0.5])


def test_a_row_whose_probability_was_all_on_absent_options():
    rows = rows_of(("x", "y", ""), ("x", "y", "z"), ("x", "y", ""))
    made = only_present(rows, Predictions(IDS, probabilities=np.array([[0, 0, 1]] * 3, np.float32)))
    assert made.probabilities.tolist() == [[0.5, 0.5, 0], [0, 0, 1], [0.5, 0.5, 0]]


@pytest.mark.parametrize("rows", [rows_of(("x", "y"), ("x", "y"), ("v", "w")), rows_of((), (), ())])
def test_rows_that_lack_nothing_keep_their_predictions(rows):
    given = Predictions(IDS, probabilities=np.array([[0.5, 0.5]] * 3, np.float32))
    assert only_present(rows, given) is given
    values = Predictions(IDS, values=np.ones(3, np.float32))
    assert only_present(rows, values) is values


@pytest.mark.parametrize("name", ["zero-shot", "prompt-ft", "ft", "majority"])
def test_no_method_is_scored_on_an_option_a_row_lacks(name, tiny_model):
    """Prompts score letters and fine-tuning scores sequences: in either, the third option of each
    row is none.
    """
    task = toy_task("choice")
    rows = toy_rows(task)

    def less(examples):
        return tuple(
            replace(
                e,
                options=(*(o for n, o in enumerate(e.options) if n != (e.label + 1) % 3), ""),
                label=None,
            )
            for e in examples
        )

    job = toy_job(methods()[name], tiny_model, task)
    labels = [
        e.options.index(full.options[full.label])
        for e, full in zip(less(rows.test), rows.test, strict=True)
    ]
    test = less(rows.test)
    scorer = Scorer(task, [replace(e, label=label) for e, label in zip(test, labels, strict=True)])
    job = replace(job, split=replace(job.split, test=test), scorer=scorer)
    record, predictions = carry_out(job, Models(torch.device("cpu")), 1)
    assert record.status == "ok", record.error
    assert np.all(predictions.probabilities[:, 2] == 0)
    assert np.allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-5)
    assert record.scores["test"]["accuracy"] == np.mean(predictions.answers == labels)
