"""Loyalty against eq. 4.1 to 4.4 of thesis worked by hand, and against scipy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from stored import a_record

from fewbench.errors import BenchError
from fewbench.measure.loyalty import (
    Mean,
    between,
    bootstrap,
    both_loyalties,
    label_loyalty,
    loyalty,
    own_teacher,
    probability_loyalty,
)
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Predictions

TEACHER = [[0.5, 0.5], [1.0, 0.0], [0.9, 0.1]]
STUDENT = [[0.25, 0.75], [0.0, 1.0], [0.9, 0.1]]


def by_hand(base: float) -> list[float]:
    """Return the three items' loyalties, each step of eq. 4.2 to 4.4 written out."""
    ln = math.log
    # item 0: P = (1/2, 1/2), Q = (1/4, 3/4), M = (3/8, 5/8)
    of_p = 0.5 * ln(0.5 / 0.375) + 0.5 * ln(0.5 / 0.625)
    of_q = 0.25 * ln(0.25 / 0.375) + 0.75 * ln(0.75 / 0.625)
    # item 1: disjoint, M = (1/2, 1/2): both divergences are ln 2
    divergences = [(of_p + of_q) / 2, ln(2), 0.0]
    return [1 - math.sqrt(divergence / ln(base)) for divergence in divergences]


def test_label_loyalty_is_accuracy_between_the_two():
    assert label_loyalty(TEACHER, STUDENT) == pytest.approx(
        1 / 3
    )  # item 0: the first among equals is class 0, not 1
    assert label_loyalty(TEACHER, TEACHER) == 1


@pytest.mark.parametrize(("base", "number"), [("e", math.e), ("2", 2.0)])
def test_probability_loyalty_by_hand(base, number):
    assert probability_loyalty(TEACHER, STUDENT, base=base) == pytest.approx(
        sum(by_hand(number)) / 3
    )


def test_disjoint_answers_are_the_least_loyal():
    assert probability_loyalty([[1, 0]], [[0, 1]]) == pytest.approx(0.167445, abs=1e-6)
    assert probability_loyalty([[1, 0]], [[0, 1]], base="2") == pytest.approx(0)
    assert probability_loyalty([[1, 0]], [[1, 0]]) == 1


def test_as_scipy_has_it_and_not_its_root():
    random = np.random.default_rng(1)
    p, q = random.dirichlet(np.ones(4), 50), random.dirichlet(np.ones(4), 50)
    distances = np.array([jensenshannon(one, other) for one, other in zip(p, q, strict=True)])
    assert probability_loyalty(p, q) == pytest.approx(1 - distances.mean())
    assert probability_loyalty(p, q) != pytest.approx(
        1 - np.sqrt(distances).mean()
    )  # a mistake seen in public code
    assert probability_loyalty(3 * p, q) == pytest.approx(
        1 - distances.mean()
    )  # rows are scaled to sum 1


def test_equal_rows_in_float32_are_wholly_loyal():
    rows = np.random.default_rng(2).dirichlet(np.ones(3), 200).astype(np.float32)
    assert probability_loyalty(rows, rows) == 1


def test_bootstrap_against_the_normal_interval():
    items = (np.arange(400) % 4 > 0).astype(float)  # mean 3/4, standard error sqrt(3/16/400)
    found = bootstrap(items)
    half = 1.96 * math.sqrt(3 / 16 / 400)
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - half, abs=0.006)
    assert found.high == pytest.approx(0.75 + half, abs=0.006)
    assert bootstrap(items) == found
    assert bootstrap(np.ones(10)) == Mean(1, 1, 1)


def test_both_together():
    found = loyalty(TEACHER, STUDENT, base="2")
    assert (found.label.value, found.n, found.base) == (pytest.approx(1 / 3), 3, "2")
    assert found.probability.value == probability_loyalty(TEACHER, STUDENT, base="2")
    assert found.label.low <= found.label.value <= found.label.high


@pytest.mark.parametrize(
    ("teacher", "student", "problem"),
    [
        ([[0.5, 0.5]], [[0.2, 0.3, 0.5]], "shapes"),
        ([[0.5, 0.5]] * 2, [[0.5, 0.5]], "shapes"),
        ([0.5, 0.5], [0.5, 0.5], "shapes"),
        (np.empty((0, 2)), np.empty((0, 2)), "shapes"),
        ([[0.5, 0.5]], [[float("nan"), 1]], "row 0 of the student"),
        ([[0.5, 0.5], [1.5, -0.5]], [[0.5, 0.5]] * 2, "row 1 of the teacher"),
        ([[0, 0]], [[0.5, 0.5]], "row 0 of the teacher"),
    ],
)
def test_what_is_no_probability_is_refused(teacher, student, problem):
    with pytest.raises(BenchError, match=problem):
        probability_loyalty(teacher, student)
    with pytest.raises(BenchError, match=problem):
        label_loyalty(teacher, student)


class TestRuns:
    def save(
        self, store: Store, rows: list[list[float]], record: Record | None = None, **changes: object
    ) -> Record:
        record = a_record(**changes) if record is None else record
        ids = tuple(f"test-{row}" for row in range(len(rows)))
        store.save(record, Predictions(ids, np.array(rows, np.float32)))
        stored = store.get(record.run)
        assert stored is not None
        return stored

    def test_from_stored_predictions(self, store: Store):
        teacher, student = self.save(store, TEACHER, method="ft"), self.save(store, STUDENT)
        assert between(teacher, student, store).probability.value == pytest.approx(
            sum(by_hand(math.e)) / 3
        )

    def test_other_test_sets_are_refused(self, store: Store):
        teacher, student = (
            self.save(store, TEACHER, test_fingerprint="0" * 64),
            self.save(store, STUDENT),
        )
        with pytest.raises(BenchError, match="different examples") as caught:
            between(teacher, student, store)
        assert teacher.run.key[:8] in str(caught.value)
        assert student.run.key[:8] in str(caught.value)

    def test_a_regression_has_none(self, store: Store):
        record = a_record()
        store.save(record, Predictions(("test-0",), values=np.ones(1, np.float32)))
        stored = store.get(record.run)
        assert stored is not None
        with pytest.raises(BenchError, match="answers by values"):
            between(stored, stored, store)

    def test_a_student_leads_to_its_own_teacher(self, store: Store):
        teacher = self.save(store, TEACHER, method="ft")
        told = {"teacher": {"run": teacher.run.key, "code": teacher.method_code}}
        student = self.save(store, STUDENT, replace(a_record(), details=told))
        records = {record.run.key: record for record in store.records()}
        assert own_teacher(student, records) == teacher
        assert own_teacher(teacher, records) is None
        again = {**records, teacher.run.key: replace(teacher, method_code="0" * 16)}
        assert own_teacher(student, again) is None


@pytest.mark.parametrize("classes", [2, 14])
def test_both_loyalties_are_the_two_to_the_bit(classes):
    teacher, student = np.random.default_rng(0).random((2, 50, classes)).astype(np.float32)
    each = label_loyalty(teacher, student), probability_loyalty(teacher, student)
    assert both_loyalties(teacher, student) == each


def test_the_row_without_probabilities_is_named():
    for bad in ([0.5, -0.1], [math.nan, 1.0], [math.inf, 1.0], [0.0, 0.0]):
        with pytest.raises(BenchError, match="row 1 of the student's"):
            both_loyalties([[0.5, 0.5]] * 3, [[0.5, 0.5], bad, [0.5, 0.5]])
