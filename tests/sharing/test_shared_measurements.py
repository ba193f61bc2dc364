"""Measurements come along with the outcomes they are of, and with no other."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from stores import ATTACK, add, change, demo, measure, problems, theirs, tree  # noqa: F401

from fewbench.registry.methods import methods
from fewbench.report.share.copy import copy_into
from fewbench.report.share.gather import gather
from fewbench.store.measurement import from_bytes, read, to_bytes
from fewbench.store.parts import Environment
from fewbench.store.store import Store


@pytest.mark.parametrize("command", [("submit", "--results"), ("merge", "--into")])
def test_measurements_come_along_and_submitted_ones_leave_their_texts(
    add, bench, theirs, tmp_path, command
):
    ours, file = tmp_path / "ours", add(13)
    assert bench(command[0], theirs, command[1], ours).returncode == 0
    bare = tree(ours)
    attack = measure(file)
    file.with_name(f"{file.stem}.attack-textfooler-cli.jsonl").write_text("under way")
    done = bench(command[0], theirs, command[1], ours)
    assert done.returncode == 0 and "0 records and 1 measurement copied" in done.stderr
    texts = ".jsonl" in str({*tree(ours)} - {*bare})
    assert len(tree(ours)) == len(bare) + 1 + texts and texts == (command[0] == "merge")
    assert ("1 file of attacked texts not copied" in done.stderr) == (command[0] == "submit")
    there = read(ours / attack.relative_to(theirs))
    assert there.scores == ATTACK and bool(there.files) == texts and Store(ours).fsck() == []
    again = bench(command[0], theirs, command[1], ours)
    assert "0 records and 0 measurements copied" in again.stderr


def test_a_measurement_of_another_outcome_is_not_taken_and_one_that_stands_stays(
    add, theirs, tmp_path
):
    ours = tmp_path / "ours"
    mine = measure(add(13, folder=ours), scores={**ATTACK, "mean_queries": 1.0})
    before = tree(ours)
    measure(add(13)), measure(add(13), kind="cost", name="", predictions="0" * 64)
    assert copy_into(Store(ours), gather(theirs)[0]) == (0, 1, 0, 0) and tree(ours) == before
    other = add(13, first=1, folder=tmp_path / "other")  # the run done again, with other scores
    fresh = measure(other)
    assert (
        copy_into(Store(ours), gather(tmp_path / "other")[0], "old") == (0, 1, 0, 0)
        and tree(ours) == before
    )
    assert copy_into(Store(ours), gather(tmp_path / "other")[0], "new") == (1, 0, 1, 0)
    assert mine.read_bytes() == fresh.read_bytes() and Store(ours).fsck() == []


def test_the_same_outcome_of_other_code_takes_the_place_of_the_old_if_asked(
    add, bench, theirs, tmp_path
):
    ours = tmp_path / "ours"
    change(add(13, folder=ours), method_code="0" * 16)
    measure(next(ours.glob("runs/*/*/*/k*.json")))
    add(13)
    done = bench("merge", theirs, "--into", ours)
    assert "1 record there already, 1 of them by other code (--keep new takes these)" in done.stderr
    assert copy_into(Store(ours), gather(theirs)[0], "new") == (1, 0, 0, 0)
    (record,) = Store(ours).records()
    assert record.method_code == methods()["majority"].code_hash() and Store(ours).fsck() == []
    assert copy_into(Store(ours), gather(theirs)[0], "new") == (0, 1, 0, 0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "taste"}, "not a kind of measurement"),
        ({"scores": {"mean_queries": "<b>"}}, "textfooler-paper: its queries is not a number"),
        ({"scores": {"after_attack_accuracy": [1]}}, "its after-attack accuracy is not a number"),
        ({"scores": {"mean_queries": 10**400}}, "its queries is not a number"),
        ({"scores": {"mean_queries": "nan"}}, "its queries is not a number"),
        ({"scores": {"after_attack_accuracy": 1e308}}, "its after-attack accuracy is not a number"),
        ({"scores": ["<b>"]}, "damaged measurement: its scores are no table"),
        ({"environment": Environment(dirty=True)}, "made by a checkout with changes"),
    ],
)
def test_a_measurement_that_is_refused(add, theirs, changes, said):
    measure(add(13), **changes)
    (problem,) = problems(theirs)
    assert said in problem


def test_a_damaged_measurement_keeps_all_out(add, theirs):
    attack = measure(add(13))
    text = attack.read_text()
    attack.write_text(text.replace("31.5", "3.15"))
    (problem,) = gather(theirs)[1]
    assert f"{attack.name}: damaged measurement: its checksum" in problem
    away = replace(from_bytes(text.encode(), attack), files={"/../../up": "0" * 64})
    attack.write_bytes(to_bytes(away))
    (problem,) = gather(theirs)[1]
    assert "a file cannot be attached as '/../../up'" in problem
    attack.write_text(text)
    next(attack.parent.glob("*.jsonl")).write_text("other")
    (problem,) = gather(theirs)[1]
    assert "another checksum" in problem
    next(attack.parent.glob("*.jsonl")).unlink()
    (problem,) = gather(theirs)[1]
    assert f"{attack.name}: a file attached to it is missing" in problem


def test_a_submission_is_scored_by_the_data_files_and_not_by_rows_that_are_kept(
    add, bench, theirs, tmp_path
):
    """A method that ran here may have written other labels there."""
    add(13)
    cache = tmp_path / "cache"
    done = bench("submit", theirs, "--dry-run", env={**os.environ, "FEWBENCH_CACHE": str(cache)})
    assert done.returncode == 0, done.stderr
    assert not (cache / "rows").exists()
