"""Kept rows are those of the file: the same bytes, task and code, or they are parsed anew."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from fewbench.data import kept_rows
from fewbench.data.reader import read_rows
from fewbench.data.split import draw_test, make_split
from fewbench.errors import DataError
from fewbench.registry.tasks import choose_tasks
from fewbench.store.inputs import row_hashes

ROW = '{{"text": "{text}", "label": {label}}}\n'
ROWS = [ROW.format(text=f"say {n} \\ud83d\\ude00\\u0001", label=n % 2) for n in range(12)]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of this test's own."""
    monkeypatch.setenv("FEWBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def task(tmp_path):
    """A task whose files stand beside it."""
    (demo,) = choose_tasks(["demo-sentiment"])
    source = replace(
        demo.source, root=tmp_path, path="mood", config="", texts=("text",), values=None,
        train="train", test="test",
    )  # fmt: skip
    (tmp_path / "mood").mkdir()
    for split in ("train", "test"):
        (tmp_path / "mood" / f"{split}.jsonl").write_text("".join(ROWS))
    return replace(demo, sources=(source,))


def splits(task, rows):
    """What a plan makes of rows."""
    split = make_split(task, rows, 2, 13, drawn_test=draw_test(rows))
    return replace(split, test=tuple(split.test)), row_hashes(rows)


def test_kept_rows_are_those_of_the_file(task, cache, monkeypatch):
    parsed = read_rows(task, None)
    kept = read_rows(task, None)
    again = read_rows(task, None)
    assert isinstance(kept.train, kept_rows.KeptRows)
    assert tuple(kept.train) == parsed.train
    assert kept.train[3] == parsed.train[3]
    assert kept.files == parsed.files
    assert splits(task, kept) == splits(task, parsed)
    monkeypatch.setattr(kept_rows.DERIVED.__class__, "put_bytes", None)  # all is there already
    assert splits(task, again) == splits(task, parsed)


def test_what_is_computed_of_rows_just_parsed_is_kept_too(task, cache, monkeypatch):
    parsed = read_rows(task, None)
    first = kept_rows.as_kept(task, parsed)
    assert isinstance(first.test, kept_rows.KeptRows)
    assert first.test._all == parsed.test
    made = splits(task, first)
    monkeypatch.setattr(kept_rows.DERIVED.__class__, "put_bytes", None)  # all is there already
    assert splits(task, read_rows(task, None)) == made == splits(task, parsed)


def test_rows_stay_as_they_are_where_none_are_kept(task, cache, monkeypatch):
    monkeypatch.setenv("FEWBENCH_CACHE", "off")
    parsed = read_rows(task, None)
    assert kept_rows.as_kept(task, parsed) == parsed
    assert isinstance(kept_rows.as_kept(task, parsed).train, tuple)


def test_an_edit_of_one_byte_is_read_whatever_the_time_stamp_says(task, cache, tmp_path):
    first = splits(task, read_rows(task, None))
    file = tmp_path / "mood" / "test.jsonl"
    before = file.stat()
    file.write_text(file.read_text().replace("say 7", "say 8"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    rows = read_rows(task, None)
    assert rows.test[7].texts[0].startswith("say 8")
    assert splits(task, rows)[0].test_fingerprint != first[0].test_fingerprint


def test_another_definition_reads_anew(task, cache):
    read_rows(task, None)
    dropped = replace(task, sources=(replace(task.source, drop=(1,)),))
    assert len(read_rows(dropped, None).train) == 6
    with pytest.raises(DataError, match=r"no column|has no"):
        read_rows(replace(task, sources=(replace(task.source, texts=("said",)),)), None)


def test_other_code_reads_anew(task, cache, monkeypatch):
    read_rows(task, None)
    monkeypatch.setattr(kept_rows, "project_hash", lambda: "0" * 64)
    assert isinstance(read_rows(task, None).train, tuple)


def test_damaged_rows_are_parsed_again(task, cache):
    parsed = read_rows(task, None)
    for file in (cache / "rows").iterdir():
        file.write_bytes(file.read_bytes()[:-9])
    again = read_rows(task, None)
    assert isinstance(again.train, tuple)
    assert again == parsed
