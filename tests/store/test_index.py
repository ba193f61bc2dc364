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
from fewbench.store.seed_runs import SeedRuns
from fewbench.store.store import Store
from fewbench.types import CorpusRef, Inputs, ModelRef


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
            settings = {"layers": (1, (2, 3)), "lr": 0.5}
            record = a_record(seed=seed, task=task, settings=settings)
            store.save(record.by("accuracy"), None)
    store.save(a_record(seed=7, teacher=teacher, corpus=corpus, limit=5, settings={}), None)
    store.save(replace(a_record(seed=8), status="failed", error="no \x1b memory", scores={}), None)
    return store


def from_files(store: Store) -> list[Record]:
    return [index.summary_of(record) for record in store.records()]


def groups_from_files(store: Store) -> list[SeedRuns]:
    return [SeedRuns.alone(record) for record in store.records()]


def by_run(groups: list[SeedRuns]) -> dict:
    """The cell of each run, what else its table shows, and its score."""
    return {
        run[:3]: (
            group.like.cell,
            group.like.status,
            group.like.method_code,
            group.like.environment.device,
            group.like.environment.threads,
        )
        for group in groups
        for run in group.runs
    }


READINGS = [
    pytest.param(lambda store: list(store.summaries()), id="summaries"),
    pytest.param(lambda store: by_run(store.seed_runs()), id="scores"),
]


def test_runs_that_differ_in_their_seed_are_one_group(filled, opened):
    first = filled.seed_runs()
    opened.clear()
    groups = Store(filled.root).seed_runs()
    assert opened == [] and by_run(groups) == by_run(first) == by_run(groups_from_files(filled))
    assert sorted(len(group.runs) for group in groups) == [1, 1, 6, 6]
    assert {run.score is None for group in groups for run in group.runs} == {True, False}
    assert not any(group.like.scores or group.like.details for group in groups)


def test_runs_are_not_one_group_where_tables_place_them_apart(store):
    one = a_record(seed=0)
    inputs = Inputs(task="1" * 16, test_set="2" * 16, split="3" * 16)
    others = [
        replace(one, method_code="f" * 16),
        replace(one, environment=replace(one.environment, threads=7)),
        replace(one, status="failed"),
        one.by("f1"),
        one.with_run(replace(one.run, test_fingerprint="4" * 16)),
        one.with_run(replace(one.run, inputs=inputs)),
        one.with_run(replace(one.run, inputs=replace(inputs, settings="5" * 16))),
    ]
    for seed, record in enumerate([one, *others]):
        store.save(record.with_run(replace(record.run, seed=seed)), None)
    same = replace(inputs, split="6" * 16, teacher="7" * 32)
    store.save(one.with_run(replace(one.run, seed=50, inputs=same)), None)
    store.seed_runs()
    found = [sorted(run.seed for run in group.runs) for group in store.seed_runs()]
    assert sorted(found) == [[0], [1], [2], [3], [4], [5], [6, 50], [7]]


def test_a_second_record_of_a_run_is_told_and_not_counted(filled):
    import shutil

    file = next(file for file in paths.record_files(filled.runs, print) if "mr" in str(file))
    other = file.parent.parent / "another"
    other.mkdir()
    shutil.copy2(file, other / file.name)
    for _ in range(2):
        store = Store(filled.root)
        assert by_run(store.seed_runs()) == by_run(groups_from_files(filled))
        assert len(store.damaged) == 1


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
    assert by_run(filled.seed_runs()) == by_run(groups_from_files(filled))
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
    assert by_run(store.seed_runs()) == by_run(groups_from_files(filled))
    assert [damage.path for damage in store.damaged] == [file]
    store = Store(filled.root)
    assert list(store.summaries()) == from_files(filled)
    assert [damage.path for damage in store.damaged] == [file]


def test_damaged_records_are_named_each_time(filled):
    file = paths.record_files(filled.runs, print)[0]
    file.write_text("{", "utf-8")
    for _ in range(3):
        store = Store(filled.root)
        assert len(list(store.summaries())) == len(by_run(store.seed_runs())) == 13
        assert [damage.path for damage in store.damaged] == [file]


def lines(data: bytes) -> list[dict]:
    return [json.loads(line) for line in data.splitlines()[1:]]


def sealed(*lines: object) -> bytes:
    return resealed(*(json.dumps(line).encode() + b"\n" for line in lines))


def resealed(*texts: bytes) -> bytes:
    import hashlib

    digests = [hashlib.sha256(text).hexdigest().encode() for text in texts]
    return b" ".join(digests) + b"\n" + b"".join(texts)


def changed(data: bytes, **parts: object) -> bytes:
    """An index with other parts in its lines, where they have such parts."""
    return sealed(
        *({**line, **{name: parts[name] for name in parts if name in line}} for line in lines(data))
    )


HARM = {
    "cut short": lambda data: data[: len(data) // 4],
    "another byte in both lines": lambda data: data.replace(b"accuracy", b"accurate"),
    "empty": lambda data: b"",
    "no JSON": lambda data: resealed(b"[\n", b"[\n"),
    "lists": lambda data: sealed([], []),
    "one line": lambda data: sealed(lines(data)[1]),
    "no columns": lambda data: changed(data, run={}, groups={}),
    "columns of other lengths": lambda data: changed(data, stamps=[]),
    "another class": lambda data: resealed(
        *(line.replace(b"ModelRef", b"PosixPath") + b"\n" for line in data.splitlines()[1:])
    ),
    "other code": lambda data: changed(data, maker="0"),
}


@pytest.mark.parametrize("read", READINGS)
@pytest.mark.parametrize("harm", HARM.values(), ids=[*HARM])
def test_a_damaged_index_is_made_anew(filled, opened, harm, read):
    wanted = by_run(groups_from_files(filled)), from_files(filled)
    list(filled.summaries())
    for file in (filled.root / index.FOLDER).glob("*.json"):
        harmed = harm(file.read_bytes())
        assert harmed != file.read_bytes()
        file.write_bytes(harmed)
    opened.clear()
    assert read(filled) in wanted and len(opened) == len(wanted[1])
    opened.clear()
    assert read(filled) in wanted and opened == []


def test_scores_are_read_where_the_rest_is_damaged(filled, opened):
    wanted = by_run(groups_from_files(filled))
    list(filled.summaries())
    for file in (filled.root / index.FOLDER).glob("*.json"):
        file.write_bytes(file.read_bytes()[:-9] + b"x" * 9)
    opened.clear()
    assert by_run(filled.seed_runs()) == wanted and opened == []
    assert list(filled.summaries()) == from_files(filled)


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
        assert by_run(filled.seed_runs()) == by_run(groups_from_files(filled))
    assert (filled.root / index.FOLDER).read_text("utf-8") == "a file"


def test_few_or_young_files_are_not_indexed(filled, monkeypatch):
    monkeypatch.setattr(index, "YOUNG_NS", 10**15)
    list(filled.summaries())
    monkeypatch.setattr(index, "YOUNG_NS", 0)
    monkeypatch.setattr(index, "LEAST", 100)
    list(filled.summaries())
    filled.seed_runs()
    assert not (filled.root / index.FOLDER).exists()


def test_git_fsck_and_others_pass_an_index_by(filled, tmp_path):
    from fewbench.report.share.gather import gather

    list(filled.summaries())
    assert (filled.root / index.FOLDER / ".gitignore").read_text("utf-8") == "*\n"
    assert filled.fsck() == [] and len(gather(filled.root)[0]) == 14
