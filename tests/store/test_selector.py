"""Stored runs by the first digits of a key, or by method, task, K, seed and more."""

from __future__ import annotations

import re

import pytest
from stored import a_record

from fewbench.errors import BenchError
from fewbench.store.selector import find_run, parse_selector, selector_of, shortened_keys
from fewbench.store.store import Store
from fewbench.types import ModelRef

SMALL, LARGE = ModelRef("small", "", "a" * 16), ModelRef("lab/large", "", "b" * 16)
RETRAINED = ModelRef("lab/large", "", "c" * 16)


@pytest.fixture
def filled(store: Store) -> Store:
    """Runs of three methods that differ in one or two parts each."""
    same = {"teacher": None, "settings": {}, "student": SMALL}
    for method in ("ft", "prompt-ft"):
        for seed in (13, 21):
            store.save(a_record(method=method, seed=seed, **same), None)
    store.save(a_record(method="ft", seed=13, **{**same, "settings": {"lr": 0.5}}), None)
    store.save(a_record(method="ft", seed=13, template="man-2", **same), None)
    store.save(a_record(method="ft", seed=13, limit=40, **same), None)
    store.save(a_record(method="ft", seed=13, protocol="ppt-v1", **same), None)
    for model in (LARGE, RETRAINED):
        store.save(a_record(method="kd", seed=13, **{**same, "student": model}), None)
    return store


def found(store: Store, text: str) -> str:
    return selector_of(find_run(store, text).run)


def test_a_run_by_its_parts_in_any_order(filled: Store):
    task = a_record().run
    expected = f"prompt-ft/{task.task}@{task.source}/k{task.k}/s21"
    for text in (
        expected,
        f"prompt-ft/{task.task}/s21",
        "prompt-ft/s21",
        f"prompt-ft/s21/k{task.k}/{task.task}@{task.source}",
        "prompt-ft/s21/student=small",
        f"prompt-ft/s21/protocol={task.protocol}/",
    ):
        assert found(filled, text) == expected


def test_a_key_by_its_first_digits(filled: Store):
    for record in filled.records():
        for digits in (10, 32):
            assert find_run(filled, record.run.key[:digits].upper()) == record


def test_the_plain_run_is_preferred_and_the_others_can_be_named(filled: Store):
    plain = find_run(filled, "ft/s13/protocol=quick")
    assert (plain.run.settings, plain.run.template, plain.run.limit) == ({}, "", None)
    assert find_run(filled, "ft:lr=5e-1").run.settings == {"lr": 0.5}
    assert find_run(filled, "ft/template=man-2").run.template == "man-2"
    task = plain.run.task
    assert find_run(filled, f"ft/{task}+man-2").run.template == "man-2"
    assert find_run(filled, "ft/limit=40").run.limit == 40


def test_several_runs_are_listed_with_what_tells_them_apart(filled: Store):
    with pytest.raises(BenchError) as caught:
        find_run(filled, "prompt-ft")
    problem, *candidates = caught.value.problem.splitlines()
    assert problem == "'prompt-ft' fits 2 stored runs:"
    keys = shortened_keys(record.run.key for record in filled.records())
    assert [line.split()[0] for line in candidates] == [
        keys[find_run(filled, f"prompt-ft/s{seed}").run.key] for seed in (13, 21)
    ]
    assert caught.value.fix == "add /s13 or the like, or type a key's first digits"
    with pytest.raises(BenchError, match="protocol=ppt-v1"):
        find_run(filled, "ft/s13")


def test_two_models_of_one_name_are_told_apart_by_their_revisions(filled: Store):
    with pytest.raises(BenchError, match="student=large@bbbbbbbb"):
        find_run(filled, "kd/student=large")
    assert find_run(filled, "kd/student=large@cccccccc").run.student == ModelRef(
        "lab/large", "", "c" * 16
    )


def test_no_more_than_eight_candidates_are_listed(store: Store):
    for seed in range(10, 22):
        store.save(a_record(method="ft", settings={}, seed=seed), None)
    with pytest.raises(BenchError, match="fits 12 stored runs") as caught:
        find_run(store, "ft")
    lines = caught.value.problem.splitlines()
    assert len(lines) == 10 and lines[-1] == "and 4 more"
    several = {record.run.key[:4] for record in store.records()}
    assert len(several) == 12


def test_keys_that_begin_alike_are_listed_as_candidates(store: Store):
    for seed in range(17):
        store.save(a_record(method="ft", settings={}, seed=seed), None)
    digits = [record.run.key[0] for record in store.records()]
    most = max(digits, key=digits.count)
    with pytest.raises(BenchError, match=f"'{most}' fits {digits.count(most)} stored runs"):
        find_run(store, most)


@pytest.mark.parametrize(
    ("text", "problem", "nearest"),
    [
        ("promt-ft/s13", "no stored run has the method 'promt-ft'", "prompt-ft"),
        ("ft:lrr=1", "method 'ft' has no setting 'lrr'", "lr"),
        ("ft/s14", "no stored run has the seed '14'", ""),
        ("ft/k3", "no stored run has the K '3'", ""),
        ("ft/sst2", "no stored run has the task 'sst2'", "sst-2"),
        ("ft/student=smal", "no stored run has the student 'smal'", "small"),
        ("prompt-ft/protocol=ppt-v1", "no stored run is 'prompt-ft/protocol=ppt-v1'", None),
        ("ft/studnet=x", "unknown part 'studnet=x'", "student="),
        ("ft/k1/k2", "has two parts for the k", ""),
        ("student=small", "names no run", ""),
        ("/", "names no run", ""),
        ("", "names no run", ""),
    ],
)
def test_what_fits_no_run_names_the_part_that_is_wrong(filled: Store, text, problem, nearest):
    with pytest.raises(BenchError, match=re.escape(problem)) as caught:
        find_run(filled, text)
    assert nearest is None or nearest in ["", *caught.value.nearest]
    assert caught.value.fix


def test_parts_by_name():
    selector = parse_selector("ft:lr=1e-5/sst-2@lm-bff+man-2/k16/s13/student=a/limit=none")
    assert selector.method == "ft:lr=1e-5" and selector.settings == {"lr": 1e-5}
    assert selector.parts == {
        "task": "sst-2@lm-bff+man-2",
        "k": "16",
        "seed": "13",
        "student": "a",
        "limit": "none",
    }
    assert parse_selector("gone:x=1").settings is None
