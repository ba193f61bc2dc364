"""K as a number, a total, or full data: how it is written, sorted and split."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fewbench.data.split import DevCut, make_split
from fewbench.data.train_size import is_k, k_order, k_title, parse_k, per_label
from fewbench.errors import BenchError
from fewbench.report.published import printed_k
from fewbench.testing import toy_rows, toy_task

TASK = toy_task("single")  # of three labels


@pytest.mark.parametrize(
    ("text", "k"), [("16", 16), (" 4 ", 4), ("full", "full"), ("total-32", "total-32")]
)
def test_k_as_it_is_typed(text, k):
    assert parse_k(text) == k and is_k(k)


@pytest.mark.parametrize("text", ["", "all", "total", "total-0", "total-", "1.5", "FULL", "k16"])
def test_what_is_no_k_is_refused(text):
    assert not is_k(text)
    with pytest.raises(BenchError, match="K is") as caught:
        parse_k(text)
    assert caught.value.fix == "--k 4,16, --k total-32 or --k full"


def test_full_data_comes_last_and_has_a_title():
    ks = ["full", 64, "total-32", 4, "total-8"]
    assert sorted(ks, key=k_order) == [4, 64, "total-8", "total-32", "full"]
    assert [k_title(k) for k in (4, "total-8", "full")] == [
        "K=4",
        "8 examples in all",
        "full data, not few-shot",
    ]
    assert [printed_k(k) for k in (16, "total-32", "full")] == ["16", "32 total", "full"]


ENOUGH = 999


@pytest.mark.parametrize(
    ("k", "rows", "each"),
    [
        ("total-32", (ENOUGH,) * 2, (16, 16)),
        ("total-32", (ENOUGH,) * 3, (11, 11, 10)),
        ("total-32", (ENOUGH,) * 5, (7, 7, 6, 6, 6)),
        ("total-32", (ENOUGH,) * 14, (8,) * 14),
        (16, (ENOUGH,) * 14, (16,) * 14),
        ("total-32", (119, 16, 115), (12, 8, 12)),  # CB's
        ("total-32", (ENOUGH, 9, 5, 2), (25, 4, 2, 1)),
        ("total-32", (20, 16, 16), (11, 11, 10)),  # too few in all
        ("total-3", (ENOUGH, 1), (2, 1)),
        (11, (119, 16, 115), (11,) * 3),
    ],
)
def test_a_total_is_spread_evenly_as_far_as_the_rows_go_up_to_five_labels(k, rows, each):
    """ppt, section 4.1: 32 in all, balanced; 8 per label where there are more than five."""
    assert per_label(k, rows) == each


@pytest.mark.parametrize(("k", "labels"), [("total-2", 3), ("total-3", 6)])
def test_a_total_below_one_a_label_is_refused(k, labels):
    with pytest.raises(BenchError, match=f"K is {k}, and there are {labels} labels"):
        per_label(k, (ENOUGH,) * labels)


def scarce(kept):
    """The toy rows, with so many of label 1."""
    rows = toy_rows(TASK, train=60)
    of_label = [e for e in rows.train if e.label == 1][:kept]
    return rows._replace(train=tuple(e for e in rows.train if e.label != 1 or e in of_label))


def test_a_scarce_label_is_shared_by_train_and_dev():
    split = make_split(TASK, scarce(4), "total-12", 13)
    for part in (split.train, split.dev):
        assert Counter(e.label for e in part) == {0: 5, 1: 2, 2: 5}
    assert not {e.id for e in split.train} & {e.id for e in split.dev}


@pytest.mark.parametrize(("kept", "k"), [(1, "total-12"), (0, "total-12"), (4, "total-60")])
def test_a_total_needs_rows_of_each_label_and_enough_in_all(kept, k):
    with pytest.raises(BenchError, match=f"has {kept} training rows, and {k[6:]} examples in all"):
        make_split(TASK, scarce(kept), k, 13)


def test_a_total_is_drawn_by_the_usual_rule():
    rows = toy_rows(TASK, train=60)
    split = make_split(TASK, rows, "total-10", 21)
    assert split.k == "total-10" and len(split.train) == len(split.dev) == 10
    order = np.random.RandomState(21).permutation(60)
    labels = list(dict.fromkeys(rows.train[row].label for row in order))
    for part, start in ((split.train, 0), (split.dev, 1)):
        for label, count in zip(labels, (4, 3, 3), strict=True):
            of_label = [rows.train[row].id for row in order if rows.train[row].label == label]
            expected = of_label[start * count : (start + 1) * count]
            assert [e.id for e in part if e.label == label] == expected


def test_full_data_is_all_of_train_but_a_cut_of_each_label():
    rows = toy_rows(TASK, train=99)  # 33 of each label: 3 are a tenth, rounded down
    split = make_split(TASK, rows, "full", 13)
    assert (len(split.train), len(split.dev), split.unlabeled) == (90, 9, ())
    assert Counter(e.label for e in split.dev) == {0: 3, 1: 3, 2: 3}
    assert {e.id for e in (*split.train, *split.dev)} == {e.id for e in rows.train}
    assert {e.label for e in split.test} == {None} and len(split.test) == len(rows.test)
    order = np.random.RandomState(13).permutation(99)
    first = [rows.train[row].id for row in order if rows.train[row].label == 2][:3]
    assert [e.id for e in split.dev if e.label == 2] == first
    assert make_split(TASK, rows, "full", 14).fingerprint != split.fingerprint


def test_the_dev_cut_has_a_share_and_a_limit():
    rows = toy_rows(TASK, train=99)
    assert len(make_split(TASK, rows, "full", 1, cut=DevCut(0.5, 2000)).dev) == 48
    assert len(make_split(TASK, rows, "full", 1, cut=DevCut(0.5, 12)).dev) == 12
    assert len(make_split(TASK, rows, "full", 1, cut=DevCut(0.001, 1)).dev) == 3  # one per label


def test_full_data_needs_two_rows_of_each_label():
    rows = toy_rows(TASK, train=30)
    scarce = tuple(e for e in rows.train if e.label != 1) + rows.train[1:2]
    with pytest.raises(BenchError, match="has 1 training rows, and full data"):
        make_split(TASK, rows._replace(train=scarce), "full", 1)


def test_full_data_of_values_is_cut_by_halves():
    task = toy_task("regression")
    split = make_split(task, toy_rows(task, train=40), "full", 3)
    assert len(split.train) + len(split.dev) == 40 and 2 <= len(split.dev) <= 4
