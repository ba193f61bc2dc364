"""`bench data`: files fetched once into the mirror layout; one that is not what it was is named."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from mood import (  # noqa: F401
    REVISION,
    ROWS,
    bytes_in,
    cli,
    data,
    fetch_all,
    fetched,
    files_in,
    hub,
    task,
    toml,
    verify,
)

from fewbench.data.reader import read_rows
from fewbench.data.task_file import with_source
from fewbench.errors import BenchError, DataError, NeedsNetwork
from fewbench.io.atomic import TEMPORARY

LISTED = [
    "owner/mood/checksums.json",
    "owner/mood/plain/test.jsonl",
    "owner/mood/plain/train.jsonl",
]


def test_fetched_files_have_the_hubs_columns_and_are_listed(hub, task, data):
    assert fetch_all(task, data) == ["fetched", "fetched"]
    assert hub.asked == [f"owner/mood/plain/{split}@{REVISION}" for split in ("train", "test")]
    assert files_in(data) == LISTED
    raw = (data / "owner/mood/plain/train.jsonl").read_bytes()
    assert [json.loads(line) for line in raw.decode().split("\n")[:-1]] == ROWS["train"]
    listed = json.loads((data / "owner/mood/checksums.json").read_text("utf-8"))["files"]
    assert list(listed) == ["plain/test.jsonl", "plain/train.jsonl"]
    entry = listed["plain/train.jsonl"]
    assert entry.pop("date").startswith("20")
    assert entry == {
        "sha256": hashlib.sha256(raw).hexdigest(),
        "bytes": len(raw),
        "rows": 40,
        "origin": "hub",
        "revision": REVISION,
    }


def test_what_is_there_is_not_fetched_again(hub, fetched, task):
    before = bytes_in(fetched)
    assert fetch_all(task, fetched) == ["there", "there"]
    assert fetch_all(task, fetched, force=True) == ["there", "there"]
    assert (hub.asked, bytes_in(fetched)) == ([], before)


def test_fetched_rows_are_read_offline(fetched, task):
    rows = read_rows(task, fetched, offline=True)
    assert [(e.texts[0], e.label) for e in rows.train] == [
        (row["text"], row["label"]) for row in ROWS["train"]
    ]
    assert len(rows.test) == 6


def test_fetched_data_runs_offline(fetched, toml, bench, tmp_path):
    made = bench(
        *(
            "run",
            "--tasks",
            toml,
            "--methods",
            "majority",
            "--k",
            4,
            "--seeds",
            13,
            "--offline",
            "--data",
            fetched,
        ),
        *("--results", tmp_path / "results", "--dry-run"),
    )
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize(
    "death", [KeyboardInterrupt(), RuntimeError("killed"), NeedsNetwork("the line is cut")]
)
def test_a_death_between_two_files_leaves_the_first_whole(death, hub, task, data):
    hub.dies["test"] = death
    with pytest.raises(type(death)):
        fetch_all(task, data)
    assert files_in(data) == ["owner/mood/checksums.json", "owner/mood/plain/train.jsonl"]
    checks = verify(task, data)
    assert [check.error is None for check in checks] == [True, False]
    assert "missing" in str(checks[1].error)
    hub.dies.clear()
    hub.asked.clear()
    assert fetch_all(task, data) == ["there", "fetched"]
    assert len(hub.asked) == 1
    assert [check.error for check in verify(task, data)] == [None, None]


KILLED = """
import os, sys
from pathlib import Path
from fewbench.data import data_folder as mirror
from fewbench.data.task_file import load_file

task, data, left = load_file(Path(sys.argv[1])).tasks["mood"], Path(sys.argv[2]), int(sys.argv[3])
mirror.load_split = lambda source, split: eval(sys.argv[4])[split]
replace = Path.replace

def dying(file, target):
    global left
    if left == 0:
        os._exit(9)
    left -= 1
    return replace(file, target)

Path.replace = dying
for place in mirror.places(task, data):
    mirror.fetch(place, data)
"""


@pytest.mark.parametrize(("writes", "there"), [(1, LISTED[:1]), (3, [LISTED[0], LISTED[2]])])
def test_a_kill_between_the_sum_and_its_file_is_mended_by_fetching(
    writes, there, hub, toml, task, data
):
    command = [sys.executable, "-c", KILLED, toml, data, str(writes), repr(ROWS)]
    assert subprocess.run(command, timeout=60, check=False).returncode == 9
    assert [file for file in files_in(data) if not file.endswith(TEMPORARY)] == there
    check = verify(task, data)[writes // 2]
    assert (check.file, check.known, check.rows) == (LISTED[2 - writes // 2], True, None)
    assert "it was written on" in str(check.error)
    assert fetch_all(task, data) == ["fetched" if writes == 1 else "there", "fetched"]
    assert files_in(data) == LISTED
    assert [check.error for check in verify(task, data)] == [None, None]


@pytest.mark.parametrize("death", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_death_while_writing_leaves_nothing(death, hub, task, data, monkeypatch):
    renamed = Path.replace

    def dying(file, target):
        if target.name == "train.jsonl":
            raise death
        return renamed(file, target)

    monkeypatch.setattr(Path, "replace", dying)
    with pytest.raises((KeyboardInterrupt, DataError)):
        fetch_all(task, data)
    assert files_in(data) == []


def test_processes_that_fetch_together_lose_no_entry(hub, task, data, monkeypatch):
    other = replace(task, sources=(replace(task.source, config="other"), *task.sources[1:]))
    with ThreadPoolExecutor(2) as pool:
        assert (
            list(pool.map(fetch_all, (task, other), (data, data))) == [["fetched", "fetched"]] * 2
        )
    assert all(
        check.known and check.error is None for one in (task, other) for check in verify(one, data)
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "a", "label": -1}, "the hub hides the labels"),
        ({"text": "", "label": 1}, "'text' is empty"),
        ({"text": "a", "label": 1, "when": object()}, "row 2"),
        ({"text": "a", "label": 1, "score": float("nan")}, "JSON cannot represent this row"),
        ({"text": "a \ud83d b", "label": 1}, "JSON cannot represent this row"),
    ],
)
def test_rows_that_do_not_fit_are_not_written(row, message, hub, task, data):
    hub.rows["train"] = [ROWS["train"][0], row]
    with pytest.raises(DataError, match=message):
        fetch_all(task, data)
    assert not data.exists()


@pytest.mark.parametrize("name", ["train.jsonl", "train.csv"])
def test_a_file_that_was_not_fetched_is_left_as_it_is(name, hub, task, data):
    folder = data / "owner" / "mood" / "plain"
    folder.mkdir(parents=True)
    (folder / name).write_text("mine")
    with pytest.raises(DataError, match="was not fetched") as caught:
        fetch_all(task, data)
    assert (str(folder / name) in str(caught.value), hub.asked) == (True, [])
    assert bytes_in(data) == {f"owner/mood/plain/{name}": b"mine"}
    if name == "train.csv":  # beside it a fetched file would be the second of its split
        with pytest.raises(DataError, match="move it away"):
            fetch_all(task, data, force=True)
    else:
        assert fetch_all(task, data, force=True) == ["fetched", "fetched"]
        assert [check.error for check in verify(task, data)] == [None, None]


def test_a_link_out_of_the_data_folder_is_refused(hub, task, data, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (data / "owner").mkdir(parents=True)
    (data / "owner" / "mood").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="outside the data folder"):
        fetch_all(task, data)
    assert files_in(tmp_path / "elsewhere") == []


def test_a_link_that_leads_nowhere_is_left_as_it_is(hub, task, data, tmp_path):
    folder = data / "owner" / "mood" / "plain"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="was not fetched"):
        fetch_all(task, data)
    assert not (tmp_path / "nowhere").exists()


def damage(file, how):
    raw = file.read_bytes()
    file.write_bytes({"changed": raw.replace(b"Fine", b"Dull", 1), "cut short": raw[:-30]}[how])
    return hashlib.sha256(raw).hexdigest(), hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("how", ["changed", "cut short"])
def test_a_file_that_is_not_what_it_was_is_named_with_both_sums(how, hub, fetched, task, toml):
    file = fetched / "owner/mood/plain/train.jsonl"
    before, after = damage(file, how)
    first, second = verify(task, fetched)
    assert second.error is None
    for part in (how, before, after, str(file), "--force"):
        assert part in str(first.error)
    result = cli("verify", f"{toml}", "--data", fetched)
    assert result.exit_code == 2
    assert result.stdout.startswith("BAD  owner/mood/plain/train.jsonl\n")
    assert "ok   owner/mood/plain/test.jsonl: 6 rows, sum as written" in result.stdout
    with pytest.raises(DataError, match=how):
        fetch_all(task, fetched)
    assert hub.asked == []
    assert fetch_all(task, fetched, force=True) == ["fetched", "there"]
    assert cli("verify", f"{toml}", "--data", fetched).exit_code == 0


def test_a_file_without_a_sum_is_read_as_the_loader_does(fetched, task):
    (fetched / "owner/mood/checksums.json").unlink()
    assert [(check.known, check.rows, check.error) for check in verify(task, fetched)] == [
        (False, 40, None),
        (False, 6, None),
    ]
    damage(fetched / "owner/mood/plain/train.jsonl", "cut short")
    assert "may be cut short" in str(verify(task, fetched)[0].error)


def test_another_pinned_revision_is_fetched_anew(hub, fetched, task):
    moved = replace(task, sources=(replace(task.source, revision="f" * 40), *task.sources[1:]))
    assert "the task pins ffff" in str(verify(moved, fetched)[0].error)
    assert fetch_all(moved, fetched) == ["fetched", "fetched"]
    assert verify(moved, fetched)[0].error is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"files": {"plain/train.jsonl": {}}}', '{"files": []}']
)
def test_damaged_sums_are_refused(content, fetched, task):
    (fetched / "owner/mood/checksums.json").write_text(content)
    with pytest.raises(DataError, match="file of checksums is damaged"):
        fetch_all(task, fetched)


def test_what_is_had_by_hand_says_how(hub, toml, task, data):
    with pytest.raises(DataError, match="imported by hand") as caught:
        fetch_all(with_source(task, "lm-bff"), data)
    assert "mood@hub" in str(caught.value)
    assert "bench data import FOLDER --task mood@lm-bff" in str(caught.value)


def test_the_command_fetches_and_lists(hub, toml, data):
    result = cli("fetch", toml, "--data", data)
    assert (result.exit_code, result.stdout.count("fetched")) == (0, 2)
    rows = json.loads(cli("ls", toml, "--data", data, "--json").stdout)
    assert [(row["task"], row["file"], row["state"], row["rows"]) for row in rows] == [
        ("mood@hub", "owner/mood/plain/train.jsonl", "here", 40),
        ("mood@hub", "owner/mood/plain/test.jsonl", "here", 6),
        ("mood@files", "lm-bff/original/mood/train.jsonl", "by hand", None),
        ("mood@files", "lm-bff/original/mood/test.jsonl", "by hand", None),
        ("mood@lm-bff", "lm-bff/mood/train.jsonl", "by hand", None),
        ("mood@lm-bff", "lm-bff/mood/test.jsonl", "by hand", None),
    ]
    assert rows[0]["revision"] == REVISION
    assert len(rows[0]["sha256"]) == 64


def test_the_list_of_every_task_is_80_columns_wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FEWBENCH_DATA", raising=False)
    lines = cli("ls").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert any("sst-2@glue, hub bcdcba79" in line for line in lines)
    assert any(line.split() == ["lm-bff/mr/train.jsonl", "by", "hand"] for line in lines)


def test_a_bad_file_does_not_stop_the_others(hub, toml, data):
    hub.rows["train"] = [{"text": "a", "label": 7}]
    result = cli("fetch", toml, "--data", data)
    assert result.exit_code == 2
    assert "BAD  owner/mood/plain/train.jsonl" in result.stdout
    assert "ok   owner/mood/plain/test.jsonl: fetched" in result.stdout


def test_fetching_needs_a_folder(hub, toml, monkeypatch):
    monkeypatch.delenv("FEWBENCH_DATA", raising=False)
    for command in ("fetch", "verify"):
        with pytest.raises(BenchError, match="no data folder"):
            cli(command, toml)
        with pytest.raises(BenchError, match="is a file"):
            cli(command, toml, "--data", toml)
