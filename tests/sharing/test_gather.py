"""Results from elsewhere are refused with a reason."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from stores import add, change, demo, problems, theirs  # noqa: F401

from fewbench.errors import BenchError
from fewbench.report.share.gather import gather
from fewbench.report.share.submit import Checker
from fewbench.store.parts import Environment


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fingerprint": "f" * 16}, "its fingerprint is not that of this task"),
        ({"test_fingerprint": "f" * 16}, "its test_fingerprint is not that"),
        ({"task_version": 99}, "is of version"),
        ({"task": "no-such-task"}, "is not declared here"),
        ({"protocol": "mine"}, "the protocol 'mine' is not known"),
        ({"method": "a/../b"}, "is not a method's name"),
        ({"method": "ft\x1b[31m"}, "is not a method's name"),
        ({"limit": 5}, "not comparable"),
        ({"drop_leaks": True}, "not comparable"),
    ],
)
def test_runs_that_do_not_fit_what_is_here(add, theirs, changes, said):
    add(13, **changes)
    assert said in "\n".join(problems(theirs))


def test_uncommitted_code_is_refused_and_other_code_is_noted(add, theirs):
    file = add(13, environment=Environment(commit="0" * 40, dirty=True))
    assert "not committed" in "\n".join(problems(theirs))
    change(file, environment=Environment(), method_code="f" * 16)
    report = Checker(None).check(gather(theirs)[0])
    assert report.problems == [] and any("run by other code" in note for note in report.notes)
    (found,) = gather(theirs)[0]
    steps = replace(
        found, record=replace(found.record, run=replace(found.record.run, method="truncate+kd"))
    )
    assert any(
        "'truncate+kd' was run by other code" in note for note in Checker(None).check([steps]).notes
    )


@pytest.mark.parametrize("kind", ["record", "predictions", "folder"])
def test_links_are_refused_and_not_followed(add, theirs, tmp_path, kind):
    file = add(13)
    if kind == "folder":
        (theirs / "runs" / "away").symlink_to(tmp_path)
        wanted = "away: a link"
    else:
        target = file if kind == "record" else next(file.parent.glob("*.safetensors"))
        moved = target.rename(tmp_path / target.name)
        target.symlink_to(moved)
        wanted = f"{target.name}: a link"
    assert wanted in "\n".join(gather(theirs)[1])


@pytest.mark.parametrize("runs", ["a link", "a file", "nothing"])
def test_a_folder_that_is_none(theirs, tmp_path, runs):
    theirs.mkdir()
    if runs == "a link":
        (theirs / "runs").symlink_to(tmp_path)
    elif runs == "a file":
        (theirs / "runs").write_text("")
    with pytest.raises(BenchError, match="there is no folder"):
        gather(theirs)


def test_files_that_are_none_of_a_stores(add, theirs):
    file = add(13)
    (theirs / "runs" / "script.py").write_text("")
    file.with_name("k4-s13-00000000.11111111.safetensors").write_bytes(b"")
    os.mkfifo(file.with_name("pipe.json"))
    said = "\n".join(gather(theirs)[1])
    for text in (
        "script.py: not a file of a store",
        "predictions of no record",
        "pipe.json: not a file but",
    ):
        assert text in said


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.write_text("{"), "damaged record"),
        (lambda file: file.write_text(file.read_text().replace("quick", "quack")), "checksum"),
        (lambda file: file.write_bytes(b"\xff\xfe"), "not a text in UTF-8"),
        (lambda file: file.rename(file.with_name("k4-s99-00000000.json")), "it belongs to"),
        (
            lambda file: next(file.parent.glob("*.safetensors")).write_bytes(b"x"),
            "another checksum",
        ),
        (
            lambda file: next(file.parent.glob("*.safetensors")).unlink(),
            "its predictions are missing",
        ),
        (lambda file: change(file, schema=99), "newer version"),
    ],
)
def test_damaged_files(add, theirs, spoil, said):
    spoil(add(13))
    found, wrong = gather(theirs)
    assert found == [] and said in "\n".join(wrong)
