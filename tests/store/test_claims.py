"""Claims: one of several takes a work, a dead holder's is broken, and rubbish stops nobody for long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import closing

import pytest

from fewbench.errors import StoreUnwritable
from fewbench.store import claims as module
from fewbench.store.claims import Claims
from fewbench.store.holder import this_process
from fewbench.store.progress import Progress, progress_from
from fewbench.store.store import Store, StoreFull

KEY, OTHER = "a" * 32, "b" * 32

HOLD = """
import sys, time
from pathlib import Path
from fewbench.store.claims import Claims
claims = Claims(Path(sys.argv[1]), beat=0.05)
print(claims.take(sys.argv[2], "held") is None, flush=True)
time.sleep(60)
"""


@pytest.fixture
def claims(tmp_path):
    with closing(Claims(tmp_path / "claims", beat=0.02, patience=5)) as made:
        yield made


def holder(claims):
    """A process that holds a claim."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(claims.root), KEY], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().strip() == "True"
    return process


def write(claims, generation=1, **changes):
    """Write the claim of a process of another machine."""
    content = {"title": "far", "host": "far", "machine": "far", "pid": 7, "born": "1"}
    content |= {"since": "2026-01-01T00:00:00+00:00", "every": 0.02, "beat": 0, "progress": None}
    claims.root.mkdir(parents=True, exist_ok=True)
    file = claims.root / f"{KEY}.{generation}.json"
    file.write_text(json.dumps(content | changes), "utf-8")
    return file


def files(claims):
    return sorted(file.name for file in claims.root.iterdir())


def test_a_claim_is_taken_once(claims):
    assert claims.take(KEY, "a run") is None
    with closing(Claims(claims.root)) as others:
        other = others.take(KEY, "the same run")
        assert (other.title, other.holder) == ("a run", this_process())
        assert others.take(OTHER, "another run") is None
        claims.release(KEY)
        assert others.take(KEY, "the same run") is None
    assert files(claims) == []


def test_the_claim_of_a_dead_process_is_broken_at_once(claims):
    with holder(claims) as process:
        try:
            assert claims.take(KEY, "mine").holder.pid == process.pid
        finally:
            process.kill()
    assert claims.take(KEY, "mine") is None
    assert files(claims) == [f"{KEY}.2.json"]
    assert claims.all()[0].title == "mine"


def test_another_process_with_the_number_of_a_dead_one_is_not_it(claims):
    write(claims, **this_process()._replace(born="12345")._asdict())
    assert claims.take(KEY, "mine") is None


@pytest.mark.parametrize(
    "content", ["far", b"", b"\xff\xfe{", b"[1]", b'{"pid": "x", "every": -3}', b"9" * 9000]
)
def test_a_claim_that_stands_still_is_broken_after_a_while(claims, content):
    """Whether its holder is on another machine, or what is there was never a claim."""
    file = write(claims)
    if content != "far":
        file.write_bytes(content)
    started = time.monotonic()
    assert claims.take(KEY, "mine") is not None
    while claims.take(KEY, "mine") is not None:
        time.sleep(0.01)
    assert 0.09 < time.monotonic() - started < 3
    assert files(claims) == [f"{KEY}.2.json"]


def test_a_claim_that_is_renewed_elsewhere_is_never_broken(claims):
    """Its times are of a clock that is years off."""
    for beat in range(30):
        file = write(claims, beat=beat)
        os.utime(file, (beat, beat))
        assert claims.take(KEY, "mine").by == "far, pid 7"
        time.sleep(0.01)


def test_of_two_that_break_a_claim_one_wins(claims):
    write(claims)
    with closing(Claims(claims.root, beat=0.02, patience=5)) as others:
        taken = []
        until = time.monotonic() + 3
        while not taken and time.monotonic() < until:
            taken = [one for one in (claims, others) if one.take(KEY, "mine") is None]
            time.sleep(0.01)
        assert len(taken) == 1
        assert {claims.take(KEY, "") is None, others.take(KEY, "") is None} == {True, False}


def test_who_breaks_a_claim_too_late_gives_it_back(claims, monkeypatch):
    """Between its judgement and its own claim another has broken the old one, worked and gone."""
    file = write(claims)
    make = claims._make

    def late(key, generation, title):
        file.unlink()
        return make(key, generation, title)

    monkeypatch.setattr(claims, "_is_dead", lambda claim: True)
    monkeypatch.setattr(claims, "_make", late)
    assert claims.take(KEY, "mine") is not None
    monkeypatch.undo()
    assert claims.take(KEY, "mine") is None


def test_a_holder_that_was_broken_leaves_the_claim_of_its_follower(claims, tmp_path):
    assert claims.take(KEY, "slow") is None
    (claims.root / f"{KEY}.1.json").unlink()
    with closing(Claims(claims.root)) as others:
        assert others.take(KEY, "quick") is None
        claims.release(KEY)
        assert others.all()[0].title == "quick"


def test_progress_is_told_with_the_next_renewal(claims):
    assert claims.take(KEY, "a run") is None
    told = Progress(2, 9, 120, 1000, 0.5, None)
    claims.note(KEY, told)
    until = time.monotonic() + 3
    while (seen := Claims(claims.root).all()[0]).progress is None and time.monotonic() < until:
        time.sleep(0.01)
    assert seen.progress == told
    assert seen.progress.title == "trial 2/9, 120/1000, loss 0.5000"
    assert round(seen.progress.share, 4) == round(1.12 / 9, 4)


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"trial": 1},
        {"trial": 1, "trials": 1, "step": -1, "steps": 3},
        {"trial": True, "trials": 1, "step": 1, "steps": 3},
    ],
)
def test_what_is_no_progress(content):
    assert progress_from(content) is None


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "claims").write_text("a file", "utf-8")
    with pytest.raises(StoreUnwritable, match="nothing was begun"):
        Claims(tmp_path / "claims").take(KEY, "mine")


def test_a_full_disk_leaves_no_claim(claims, monkeypatch):
    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(StoreFull):
        claims.take(KEY, "mine")
    assert files(claims) == []


def test_a_long_title_still_makes_a_whole_claim(claims):
    assert claims.take(KEY, "🙂" * 5000) is None
    assert claims.all()[0].holder == this_process()


def test_other_files_are_left_alone(claims):
    write(claims, title="far")
    (claims.root / "README").write_text("mine", "utf-8")
    (claims.root / f"{OTHER}.json").write_text("mine", "utf-8")
    assert [claim.title for claim in claims.all()] == ["far"]


def test_fsck_finds_the_claim_of_a_dead_process_and_strangers(claims, tmp_path):
    """A live one, and one of a machine of which nothing is known, are no findings."""
    assert claims.take(OTHER, "alive") is None
    write(claims, title="far")
    dead = write(claims, generation=2, **this_process()._replace(born="12345")._asdict())
    (claims.root / "README").write_text("mine", "utf-8")
    os.utime(dead, (0, 0))
    found = Store(tmp_path).fsck(repair=True)
    assert [(one.path.name, one.severity, one.done) for one in found] == [
        (dead.name, "leftover", "removed"),
        ("README", "unknown", ""),
    ]
    assert files(claims) == sorted(["README", f"{KEY}.1.json", f"{OTHER}.1.json"])


def test_fsck_reads_the_states_of_runs_under_way(tmp_path):
    folder = tmp_path / "unfinished"
    folder.mkdir()
    (folder / f"{KEY}.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    (found,) = Store(tmp_path).fsck()
    assert found.severity == "damage"
