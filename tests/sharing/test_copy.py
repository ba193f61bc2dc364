"""Records from elsewhere come whole or not at all."""

from __future__ import annotations

import json

import pytest
from stores import add, change, demo, theirs, tree  # noqa: F401

from fewbench.errors import BenchError
from fewbench.io import atomic
from fewbench.report.share.copy import copy_into
from fewbench.report.share.gather import gather
from fewbench.store.store import Store


def test_whole_records_are_copied_byte_for_byte_and_once(add, bench, theirs, tmp_path):
    add(13), add(21)
    ours = tmp_path / "ours"
    done = bench("submit", theirs, "--results", ours)
    assert done.returncode == 0 and "2 records and 0 measurements copied" in done.stderr
    assert tree(ours) == tree(theirs) and Store(ours).fsck() == []
    again = bench("submit", theirs, "--results", ours, "--json")
    assert {**json.loads(again.stdout), "notes": None} == {
        "records": 2, "problems": [], "notes": None, "written": 0, "there": 2, "measurements": 0,
        "other_code": 0,
    }  # fmt: skip


def test_a_problem_with_one_keeps_all_out(add, bench, theirs, tmp_path):
    add(13)
    change(add(21), scores={"test": {"accuracy": 0.999}})
    done = bench("submit", theirs, "--results", tmp_path / "ours")
    assert (
        done.returncode == 2
        and "but it says 0.999" in done.stdout
        and "nothing was copied" in done.stderr
    )
    assert not (tmp_path / "ours").exists()


def test_merge(add, bench, theirs, tmp_path):
    other, into = tmp_path / "other", tmp_path / "into"
    add(13), add(21), add(21, folder=other), add(13, folder=other, protocol="lm-bff-v1")
    done = bench("merge", theirs, other, "--into", into)
    assert (
        done.returncode == 0
        and "3 records and 0 measurements" in done.stderr
        and "1 record there already" in done.stderr
    )
    assert len(list(Store(into).records())) == 3 and Store(into).fsck() == []


def test_two_records_of_one_run_with_other_scores_need_a_word(add, bench, theirs, tmp_path, demo):
    other, into = tmp_path / "other", tmp_path / "into"
    add(13, first=0), add(13, first=1, folder=other)
    change(next((other / "runs").rglob("*.json")), scores={"test": {"accuracy": 0.25}})
    done = bench("merge", theirs, other, "--into", into)
    assert done.returncode == 2 and "--keep old or --keep new" in done.stderr and not into.exists()
    for keep, folder in (("old", theirs), ("new", other)):
        assert (
            bench("merge", theirs, other, "--into", tmp_path / keep, "--keep", keep).returncode == 0
        )
        (kept,), (wanted,) = Store(tmp_path / keep).records(), Store(folder).records()
        assert kept == wanted


@pytest.mark.parametrize("name", ["../../../../escaped", "/etc/escaped", "..", "a/../../b"])
def test_names_that_lead_elsewhere_stay_inside(add, theirs, tmp_path, name):
    add(13, method=name, source=name)
    found, wrong = gather(theirs)
    assert len(found) == 1 and wrong == []  # the store makes folders' names of any text
    copy_into(Store(tmp_path / "ours"), found)
    assert tree(tmp_path / "ours").keys() == tree(theirs).keys()
    assert not list(tmp_path.rglob("escaped*.json")) and sorted(
        p.name for p in tmp_path.iterdir()
    ) == [
        "ours",
        "theirs",
    ]


def test_a_link_in_our_own_store_is_not_written_through(add, theirs, tmp_path):
    file = add(13)
    ours, away = tmp_path / "ours", tmp_path / "away"
    away.mkdir()
    place = ours / file.parent.parent.relative_to(theirs)
    place.parent.mkdir(parents=True)
    place.symlink_to(away)
    with pytest.raises(BenchError, match="outside the store"):
        copy_into(Store(ours), gather(theirs)[0])
    assert list(away.iterdir()) == []


def test_when_the_disk_is_full_in_the_middle_all_is_as_before(add, theirs, tmp_path, monkeypatch):
    from fewbench.report.share import copy

    add(13, folder=tmp_path / "ours", first=1)
    before = tree(tmp_path / "ours")
    add(13), add(21)
    written = []

    def full(file, data):
        written.append(file)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        atomic.write_whole(file, data)

    monkeypatch.setattr(copy, "write_whole", full)
    with pytest.raises(BenchError, match="nothing was copied: No space left"):
        copy_into(Store(tmp_path / "ours"), gather(theirs)[0], "new")
    assert tree(tmp_path / "ours") == before
