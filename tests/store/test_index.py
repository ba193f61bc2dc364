"""The index of a store: the same records with it and without, seen anew when files change, never
believed over them.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from stored import a_record

from fewbench.store import index, paths
from fewbench.store.parts import RunTiming
from fewbench.store.record import Record, to_json
from fewbench.store.store import Store
from fewbench.types import CorpusRef, ModelRef


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Index few files, and those written just now."""
    monkeypatch.setattr(index, "LEAST", 1)
    monkeypatch.setattr(index, "YOUNG_NS", 0)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files of records that were read."""
    from fewbench.store import store

    read, load = [], store.load
    monkeypatch.setattr(store, "load", lambda file: read.append(file) or load(file))
    return read


@pytest.fixture
def filled(store: Store) -> Store:
    teacher, corpus = ModelRef("big", "", "1" * 16), CorpusRef("wiki", "", "2" * 16)
    for seed in range(6):
        for task in ("sst-2", "mr"):
            store.save(
                a_record(seed=seed, task=task, settings={"layers": (1, (2, 3)), "lr": 0.5}), None
            )
    store.save(a_record(seed=7, teacher=teacher, corpus=corpus, limit=5, settings={}), None)
    store.save(replace(a_record(seed=8), status="failed", error="no \x1b memory", scores={}), None)
    return store


def from_files(store: Store) -> list[Record]:
    return [index.summary_of(record) for record in store.records()]


def test_the_second_reading_opens_no_record(filled, opened):
    wanted = from_files(filled)
    opened.clear()
    assert list(filled.summaries()) == wanted and len(opened) == len(wanted)
    opened.clear()
    assert list(Store(filled.root).summaries()) == wanted and opened == []
    assert [file for file, _ in filled.placed()] == paths.record_files(filled.runs, print)


def test_summaries_lack_what_no_table_shows(filled):
    record = next(iter(filled.summaries()))
    assert record.selection.trials is None and record.environment.load is None
    assert record.warnings == ()
    taught = replace(a_record(seed=99), details={"teacher": {"run": "x"}, "curve": [1]})
    filled.save(taught, None)
    assert [r.details for r in filled.summaries() if r.run.seed == 99] == [
        {"teacher": {"run": "x"}}
    ]


def test_what_is_added_changed_or_removed_is_seen(filled, opened):
    list(filled.summaries())
    first, second, *_ = paths.record_files(filled.runs, print)
    opened.clear()
    filled.save(a_record(seed=50), None)
    record = next(iter(filled.records()))
    first.write_text(to_json(replace(record, timing=RunTiming(total_seconds=9.0))), "utf-8")
    second.unlink()
    assert list(filled.summaries()) == from_files(filled)
    assert next(r.timing for r in filled.summaries()) == RunTiming(total_seconds=9.0)


def test_a_file_of_the_same_size_and_time_is_seen_too(filled):
    list(filled.summaries())
    file = paths.record_files(filled.runs, print)[0]
    before, text = file.stat(), file.read_text("utf-8")
    file.write_text(text.replace('"accuracy"', '"accurate"'), "utf-8")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size and file.stat().st_mtime_ns == before.st_mtime_ns
    store = Store(filled.root)
    assert list(store.summaries()) == from_files(filled)
    assert [damage.path for damage in store.damaged] == [file]


def test_damaged_records_are_named_each_time(filled):
    file = paths.record_files(filled.runs, print)[0]
    file.write_text("{", "utf-8")
    for _ in range(3):
        store = Store(filled.root)
        assert len(list(store.summaries())) == 13
        assert [damage.path for damage in store.damaged] == [file]


def resealed(text: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


HARM = {
    "cut short": lambda data: data[: len(data) // 2],
    "another byte": lambda data: data[:-9] + b"x" + data[-8:],
    "empty": lambda data: b"",
    "no JSON": lambda data: resealed(b"["),
    "a list": lambda data: resealed(b"[]"),
    "no columns": lambda data: resealed(json.dumps({**body(data), "run": {}}).encode()),
    "columns of other lengths": lambda data: resealed(
        json.dumps({**body(data), "stamps": []}).encode()
    ),
    "another class": lambda data: resealed(
        data.partition(b"\n")[2].replace(b"ModelRef", b"PosixPath")
    ),
    "other code": lambda data: resealed(json.dumps({**body(data), "maker": "0"}).encode()),
}


def body(data: bytes) -> dict:
    return json.loads(data.partition(b"\n")[2])


@pytest.mark.parametrize("harm", HARM.values(), ids=[*HARM])
def test_a_damaged_index_is_made_anew(filled, opened, harm):
    wanted = from_files(filled)
    list(filled.summaries())
    for file in (filled.root / index.FOLDER).glob("*.json"):
        file.write_bytes(harm(file.read_bytes()))
    opened.clear()
    assert list(filled.summaries()) == wanted and len(opened) == len(wanted)
    opened.clear()
    assert list(filled.summaries()) == wanted and opened == []


def test_an_index_that_came_with_a_folder_is_not_believed(filled, opened, tmp_path):
    import shutil

    list(filled.summaries())
    copy = tmp_path / "copy"
    shutil.copytree(filled.root, copy)  # with times
    opened.clear()
    assert len(list(Store(copy).summaries())) == len(opened) == 14


def test_no_index_where_none_can_be_written(filled, opened):
    (filled.root / index.FOLDER).write_text("a file", "utf-8")
    wanted = from_files(filled)
    for _ in range(2):
        assert list(filled.summaries()) == wanted
    assert (filled.root / index.FOLDER).read_text("utf-8") == "a file"


def test_few_or_young_files_are_not_indexed(filled, monkeypatch):
    monkeypatch.setattr(index, "YOUNG_NS", 10**15)
    list(filled.summaries())
    monkeypatch.setattr(index, "YOUNG_NS", 0)
    monkeypatch.setattr(index, "LEAST", 100)
    list(filled.summaries())
    assert not (filled.root / index.FOLDER).exists()


def test_git_fsck_and_others_pass_an_index_by(filled, tmp_path):
    from fewbench.report.share.gather import gather

    list(filled.summaries())
    assert (filled.root / index.FOLDER / ".gitignore").read_text("utf-8") == "*\n"
    assert filled.fsck() == [] and len(gather(filled.root)[0]) == 14
