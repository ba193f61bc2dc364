"""Splits: LM-BFF's rule, worked independently, and what is refused."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import numpy as np
import pytest

from fewbench.data.leaks import count_leaks, counted, fingerprint, texts_of
from fewbench.data.split import (
    CHAINED_SEEDS,
    check_split,
    make_split,
    shuffled_order,
)
from fewbench.errors import BenchError
from fewbench.testing import toy_rows, toy_task
from fewbench.types import Example, Rows

TASK = toy_task("single")
REGRESSION = toy_task("regression")


def rule(k, group, order):
    """Shuffle a list, group by label in order of appearance, first K and next K."""
    groups: dict = {}
    for example in order:
        groups.setdefault(group(example), []).append(example)
    return [e for g in groups.values() for e in g[:k]], [
        e for g in groups.values() for e in g[k : 2 * k]
    ]


def ids(examples):
    return [example.id for example in examples]


@pytest.mark.parametrize("seed", [0, 13, 100, 2**32 - 1])
@pytest.mark.parametrize("k", [1, 3, 16])
def test_the_rule_is_a_shuffled_list(k, seed):
    rows = toy_rows(TASK, train=101)
    listed = list(rows.train)
    np.random.RandomState(seed).shuffle(listed)
    train, dev = rule(k, lambda e: e.label, listed)
    split = make_split(TASK, rows, k, seed)
    assert (ids(split.train), ids(split.dev)) == (ids(train), ids(dev))
    assert [e.label for e in split.train] == [e.label for e in train]
    assert ids(split.test) == ids(rows.test)


def test_regression_is_sampled_by_halves_the_middle_above():
    rows = Rows(tuple(Example(f"train-{i}", (f"t{i}",), i * 0.1) for i in range(51)), ())
    listed = list(rows.train)
    np.random.RandomState(42).shuffle(listed)
    train, dev = rule(4, lambda e: e.label >= 2.5, listed)
    split = make_split(REGRESSION, rows, 4, 42)
    assert (ids(split.train), ids(split.dev)) == (ids(train), ids(dev))
    values = (2.4, 2.5, 2.5, 0.0)  # the middle belongs to the upper half
    middle = Rows(
        tuple(Example(f"train-{i}", (f"t{i}",), value) for i, value in enumerate(values)), ()
    )
    assert sorted(e.label for e in make_split(REGRESSION, middle, 1, 1).train)[1] == 2.5


def test_the_chained_rule_shuffles_one_list_in_place():
    task = toy_task("single", rule="chained")
    rows = toy_rows(task, train=90)
    listed = list(rows.train)
    seen = {}
    for seed in (100, 13, 21, 42, 87):
        np.random.RandomState(seed).shuffle(listed)
        seen[seed] = rule(5, lambda e: e.label, listed)
    assert tuple(seen) == CHAINED_SEEDS
    for seed, (train, dev) in seen.items():
        split = make_split(task, rows, 5, seed)
        assert (ids(split.train), ids(split.dev)) == (ids(train), ids(dev))
    assert shuffled_order(task, 90, 100) == shuffled_order(TASK, 90, 100)  # the chain's first link
    assert shuffled_order(task, 90, 13) != shuffled_order(TASK, 90, 13)
    assert shuffled_order(task, 90, 7) == shuffled_order(
        TASK, 90, 7
    )  # a seed outside the chain stands alone


def test_parts_are_disjoint_dev_is_as_large_as_train_and_labels_are_withheld():
    split = make_split(TASK, toy_rows(TASK, train=60), 4, 21)
    assert len(split.train) == len(split.dev) == 12
    assert all(e.label is not None for e in split.train + split.dev)
    assert all(e.label is None for e in split.test + split.unlabeled)
    rows = toy_rows(TASK, train=60).train
    given = [e.texts for e in split.train + split.dev + split.unlabeled]
    assert sorted(given) == sorted(e.texts for e in rows)
    assert ids(split.unlabeled) == [f"pool-{i}" for i in range(36)]
    assert len({e.label for e in split.train}) == 3


def test_a_limit_draws_test_rows_the_same_for_every_seed():
    """Rows of a task may be sorted by label (mr), so that the first ones would be of one."""
    rows = toy_rows(TASK, test=60)
    rows = rows._replace(test=tuple(sorted(rows.test, key=lambda e: e.label)))
    whole, short = make_split(TASK, rows, 2, 1), make_split(TASK, rows, 2, 1, limit=20)
    assert len(short.test) == 20 and short.drawn_of == 60 and whole.drawn_of == 0
    assert [e for e in whole.test if e in set(short.test)] == list(short.test)
    assert {e.label for e in rows.test if e.id in set(ids(short.test))} == {0, 1, 2}
    assert (
        short.fingerprint == whole.fingerprint and short.test_fingerprint != whole.test_fingerprint
    )
    assert make_split(TASK, rows, 2, 2, limit=20).test == short.test
    assert set(make_split(TASK, rows, 2, 1, limit=5).test) < set(short.test)
    assert make_split(TASK, rows, 2, 1, limit=60).test == whole.test


def test_too_large_a_k_names_class_count_and_what_to_type():
    rows = toy_rows(TASK, train=24)
    scarce = rows._replace(
        train=tuple(e for e in rows.train if e.label != 1 or e.id in ("train-1", "train-4"))
    )
    with pytest.raises(BenchError) as caught:
        make_split(TASK, scarce, 3, 13)
    assert "class 'fair' has 2 training rows, and K = 3 needs 6" in str(caught.value)
    assert "--k 1" in str(caught.value)
    assert len(make_split(TASK, scarce, 1, 13).train) == 3


def test_a_class_without_rows_is_refused():
    rows = toy_rows(TASK)
    with pytest.raises(BenchError, match="class 'good' has 0 training rows"):
        make_split(TASK, rows._replace(train=tuple(e for e in rows.train if e.label != 2)), 1, 13)


@pytest.mark.parametrize(("k", "seed"), [(0, 13), (-1, 13), (2, -1), (2, 2**32)])
def test_k_and_seed_out_of_range(k, seed):
    with pytest.raises(BenchError, match=r"K is|seed is"):
        make_split(TASK, toy_rows(TASK), k, seed)


def test_a_row_in_two_parts_is_refused():
    rows = toy_rows(TASK)
    with pytest.raises(BenchError, match=r"train-0 among them|are in two parts"):
        make_split(TASK, rows._replace(test=rows.train), 2, 13)


def test_a_dev_set_of_another_size_and_labels_in_test_are_refused():
    split = make_split(TASK, toy_rows(TASK), 2, 13)
    with pytest.raises(BenchError, match="dev has 5 examples and train 6"):
        check_split(replace(split, dev=split.dev[:-1]))
    with pytest.raises(BenchError, match="labels reached"):
        check_split(replace(split, test=(replace(split.test[0], label=0), *split.test[1:])))
    with pytest.raises(BenchError, match="labels reached"):
        check_split(replace(split, unlabeled=(replace(split.unlabeled[0], label=0),)))


def test_leaks_are_counted():
    seen = [Example("train-0", ("A good film.",), 1), Example("train-1", ("bad", "plot"), 0)]
    test = [
        Example("test-0", ("A good film.",), 1),  # letter for letter
        Example("test-1", ("a GOOD film !",), 1),  # the same words
        Example("test-2", ("new",), 1),
        Example("test-3", ("new",), 1),  # repeats a test row
        Example("test-4", ("plot", "bad"), 0),  # other way round: not the same
        Example("test-5", ("bad", "plot"), 0),
    ]
    assert count_leaks(seen, counted(texts_of(test))) == {
        "exact": 2,
        "normalised": 3,
        "within_test": 1,
    }
    rows = toy_rows(TASK)
    order = shuffled_order(TASK, len(rows.train), 13)
    leaked = replace(rows.train[order[0]], id="test-x")
    assert make_split(TASK, rows._replace(test=(*rows.test, leaked)), 2, 13).leaks["exact"] == 1


def test_fingerprint_ignores_white_space_and_unicode_form():
    name = "café"
    plain = [Example("a-0", (f"a {name}  film\n",), 1, ("x y",))]
    same = [Example("b-7", (unicodedata.normalize("NFD", f" a {name}\tfilm"),), 1, (" x  y ",))]
    assert unicodedata.normalize("NFD", name) != name
    assert fingerprint(plain) == fingerprint(same)
    assert len(fingerprint(plain)) == 16


@pytest.mark.parametrize(
    "other",
    [
        [Example("a", ("one",), 1), Example("b", ("two",), 1)],
        [Example("a", ("one",), 0), Example("b", ("Two",), 1)],
        [Example("b", ("two",), 1), Example("a", ("one",), 0)],
        [Example("a", ("one",), 0)],
        [Example("a", ("one", ""), 0), Example("b", ("two",), 1)],
        [Example("a", ("one",), 0, ("",)), Example("b", ("two",), 1)],
        [Example("a", ("one",), None), Example("b", ("two",), 1)],
        [Example("a", ("one",), 0.5), Example("b", ("two",), 1)],
    ],
)
def test_fingerprint_changes_with_any_change(other):
    assert fingerprint(other) != fingerprint([Example("a", ("one",), 0), Example("b", ("two",), 1)])


def test_fingerprint_of_the_split_counts_train_and_dev():
    split = make_split(TASK, toy_rows(TASK), 2, 13)
    assert split.fingerprint == fingerprint((*split.train, *split.dev))
    assert split.fingerprint != make_split(TASK, toy_rows(TASK), 2, 14).fingerprint
    assert split.test_fingerprint == make_split(TASK, toy_rows(TASK), 2, 14).test_fingerprint
