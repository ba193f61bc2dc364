"""`bench data`: fetched once into the mirror layout, offline afterwards; a file that is not what it was is named."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fewbench import mirror
from fewbench.errors import BenchError, DataError, NeedsNetwork
from fewbench.reader import read_rows

REVISION = "0123456789abcdef0123456789abcdef01234567"
TASK = f"""
[mood]
title = "Is it a good mood?"
paper = "none: a test"
licence = "Apache-2.0"
version = 1
format = "single"
labels = ["bad", "good"]
metric = "accuracy"
template = "{{0}} It was {{mask}}."
words = {{ bad = "terrible", good = "great" }}
max_length = 32

[[mood.source]]
name = "hub"
path = "owner/mood"
config = "plain"
revision = "{REVISION}"
train = "train"
test = "test"
texts = ["text"]
label = "label"

[[mood.source]]
name = "files"
path = "lm-bff/original"
config = "mood"
train = "train"
test = "test"
columns = ["label", "text"]
texts = ["text"]
label = "label"
hub = false

[[mood.source]]
name = "lm-bff"
path = "lm-bff"
config = "mood"
train = "train"
test = "test"
texts = ["text"]
label = "label"
hub = false
"""
ROWS = {
    "train": [{"text": f"Fine, {n}\u2028é.", "label": n % 2, "idx": n, "note": None} for n in range(40)],
    "test": [{"text": f"Well, {n}.", "label": n % 2, "idx": n, "note": [1.5]} for n in range(6)],
}


@pytest.fixture
def toml(tmp_path):
    """The file of a task with a source on the hub and two that are had by hand."""
    file = tmp_path / "mood.toml"
    file.write_text(TASK)
    return file


@pytest.fixture
def task(toml):
    from fewbench.declare import load_file

    return load_file(toml).tasks["mood"]


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for the hub: its rows, what was asked of it, and splits whose download dies."""

    answer = SimpleNamespace(rows=dict(ROWS), dies={}, asked=[])

    def load(source, split):
        answer.asked.append(f"{source.path}/{source.config}/{split}@{source.revision}")
        if split in answer.dies:
            raise answer.dies[split]
        return answer.rows[split]

    monkeypatch.setattr(mirror, "load_split", load)
    return answer


@pytest.fixture
def fetched(hub, task, data):
    """The data folder after a fetch."""
    assert fetch_all(task, data) == ["fetched", "fetched"]
    hub.asked.clear()
    return data


def fetch_all(task, data, **options):
    return [mirror.fetch(place, data, **options) for place in mirror.places(task, data)]


def verify(task, data):
    return list(mirror.verify(mirror.places(task, data)))


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def bytes_in(folder):
    return {path: (folder / path).read_bytes() for path in files_in(folder)}


def cli(*arguments):
    """Run the command line in this process, where the hub has a stand-in; errors are raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of click, in typer
        from typer.testing import CliRunner

        from fewbench.cli import app
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


LISTED = ["owner/mood/checksums.json", "owner/mood/plain/test.jsonl", "owner/mood/plain/train.jsonl"]


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
    assert [(e.texts[0], e.label) for e in rows.train] == [(row["text"], row["label"]) for row in ROWS["train"]]
    assert len(rows.test) == 6


def test_fetched_data_runs_offline(fetched, toml, bench, tmp_path):
    made = bench(
        *("run", "--tasks", toml, "--methods", "majority", "--k", 4, "--seeds", 13, "--offline", "--data", fetched),
        *("--results", tmp_path / "results"),
    )
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("death", [KeyboardInterrupt(), RuntimeError("killed"), NeedsNetwork("the line is cut")])
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


def test_a_death_between_the_sum_and_its_file_is_mended_by_fetching(hub, task, data, monkeypatch):
    write = mirror.write

    def dying(file, raw):
        if file.name == "test.jsonl":
            raise KeyboardInterrupt
        write(file, raw)

    monkeypatch.setattr(mirror, "write", dying)
    with pytest.raises(KeyboardInterrupt):
        fetch_all(task, data)
    assert files_in(data) == ["owner/mood/checksums.json", "owner/mood/plain/train.jsonl"]
    check = verify(task, data)[1]
    assert (check.file, check.known) == ("owner/mood/plain/test.jsonl", True)
    assert "it was written on" in str(check.error)
    monkeypatch.undo()
    monkeypatch.setattr(mirror, "load_split", lambda source, split: ROWS[split])
    assert fetch_all(task, data) == ["there", "fetched"]


def test_a_death_while_writing_leaves_no_half_file(hub, task, data, monkeypatch):
    from pathlib import Path

    renamed = Path.replace

    def dying(file, target):
        if target.name == "train.jsonl":
            raise KeyboardInterrupt
        return renamed(file, target)

    monkeypatch.setattr(Path, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        fetch_all(task, data)
    assert files_in(data) == ["owner/mood/checksums.json"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "a", "label": -1}, "the hub hides the labels"),
        ({"text": "", "label": 1}, "'text' is empty"),
        ({"text": "a", "label": 1, "when": object()}, "row 2"),
        ({"text": "a", "label": 1, "score": float("nan")}, "no JSON"),
        ({"text": "a \ud83d b", "label": 1}, "no JSON"),
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


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": {"plain/train.jsonl": {}}}', '{"files": []}'])
def test_damaged_sums_are_refused(content, fetched, task):
    (fetched / "owner/mood/checksums.json").write_text(content)
    with pytest.raises(DataError, match="file of sums is damaged"):
        fetch_all(task, fetched)


def test_what_is_had_by_hand_says_how(hub, toml, task, data):
    from fewbench.declare import with_source

    with pytest.raises(DataError, match="by hand only") as caught:
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
