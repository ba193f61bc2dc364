"""`bench data`: files fetched once or imported into the mirror layout; one that is not what it was is named."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from fewbench import checksums, mirror
from fewbench.declare import load_file, with_source
from fewbench.durable import TEMPORARY
from fewbench.errors import BenchError, DataError, NeedsNetwork
from fewbench.importing import import_folder
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
        *("--results", tmp_path / "results", "--dry-run"),
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


KILLED = """
import os, sys
from pathlib import Path
from fewbench import mirror
from fewbench.declare import load_file

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
def test_a_kill_between_the_sum_and_its_file_is_mended_by_fetching(writes, there, hub, toml, task, data):
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
        assert list(pool.map(fetch_all, (task, other), (data, data))) == [["fetched", "fetched"]] * 2
    assert all(check.known and check.error is None for one in (task, other) for check in verify(one, data))


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


# Importing a folder

TABLE = "".join(f'{n % 2},"fine, {n}"\n' for n in range(8))


@pytest.fixture
def by_hand(task):
    """The task, read from tables without header."""
    return with_source(task, "files")


@pytest.fixture
def folder(tmp_path):
    """A folder as LM-BFF's archive unpacks."""
    folder = tmp_path / "unpacked" / "original" / "mood"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        (folder / f"{split}.csv").write_text(TABLE)
    return tmp_path / "unpacked"


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_lm_bffs_layout_is_copied_as_it_is(folder, by_hand, data):
    done = import_folder(by_hand, folder, data, layout="lm-bff")
    assert [tuple(one) for one in done] == [(f"lm-bff/original/mood/{s}.csv", 8, "imported") for s in ("train", "test")]
    assert files_in(data) == ["lm-bff/original/checksums.json", *sorted(one.file for one in done)]
    assert (data / "lm-bff/original/mood/train.csv").read_text() == TABLE
    assert [check.known and check.error is None for check in verify(by_hand, data)] == [True, True]
    assert len(read_rows(by_hand, data, offline=True).train) == 8


def test_lm_bffs_tables_become_rows_with_the_columns_of_the_source(folder, task, data):
    task = with_source(task, "lm-bff")
    assert [one.file for one in import_folder(task, folder, data, layout="lm-bff")] == [
        "lm-bff/mood/train.jsonl",
        "lm-bff/mood/test.jsonl",
    ]
    lines = (data / "lm-bff/mood/train.jsonl").read_text().splitlines()
    assert lines[1] == '{"text": "fine, 1", "label": 1}'
    assert [check.error for check in verify(task, data)] == [None, None]


def test_importing_again_changes_nothing(folder, by_hand, data):
    import_folder(by_hand, folder, data, layout="lm-bff")
    before = bytes_in(data)
    assert [one.done for one in import_folder(by_hand, folder / "original" / "mood", data)] == ["there", "there"]
    assert bytes_in(data) == before


def test_importing_a_folder_in_its_place_lists_it(folder, by_hand, data):
    data = folder.parent / "lm-bff"
    folder.rename(data)
    own = replace(by_hand, sources=(replace(by_hand.source, path="original"),))
    assert [one.done for one in import_folder(own, data, data)] == ["there", "there"]
    assert [check.known for check in verify(own, data)] == [True, True]


@pytest.mark.parametrize("place", ["", "plain", "owner/mood/plain"])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv"])
def test_every_layout_and_kind(place, kind, task, data, tmp_path):
    folder = tmp_path / "here" / place
    folder.mkdir(parents=True)
    tables = {"csv": "text,label\na,0\nb,1\n", "tsv": "text\tlabel\na\t0\nb\t1\n"}
    for split in ("train", "test"):
        raw = tables[kind].encode() if kind in tables else jsonl({"text": "a", "label": n} for n in (0, 1))
        (folder / f"{split}.{kind}").write_bytes(raw)
        (folder / f"{split}.json").write_text("of no use")
    with pytest.raises(DataError, match="two files for the split 'train'"):
        import_folder(task, tmp_path / "here", data)
    assert not data.exists()
    done = import_folder(task, tmp_path / "here", data, layout=kind)
    assert [one.file for one in done] == [f"owner/mood/plain/{split}.{kind}" for split in ("train", "test")]
    assert fetch_all(task, data) == ["there", "there"]  # what is listed and whole is not asked of the hub
    assert fetch_all(task, data, force=True) == ["there", "there"]


GOOD = [{"text": "Fine.", "label": 1, "idx": 0}, {"text": "Dull.", "label": 0, "idx": 1}]
REFUSED = {
    "a wrong column": (jsonl([*GOOD, {"sentence": "a", "label": 1}]), "there is no column 'text'", "line 3"),
    "a label outside": (jsonl([*GOOD, {"text": "a", "label": 2}]), "the label is 2", "line 3"),
    "an empty text": (jsonl([*GOOD, {"text": " ", "label": 1}]), "'text' is empty", "line 3"),
    "a class absent": (jsonl(GOOD[:1]), "no training row is of the class 'bad'", "train"),
    "no UTF-8": (jsonl(GOOD) + '{"text": "é", "label": 1}'.encode("latin-1"), "not UTF-8", "line 3"),
    "duplicate ids": (jsonl([*GOOD, {"text": "a", "label": 1, "idx": 1}]), "two rows have the idx 1", "line 3"),
    "half a line": (jsonl(GOOD)[:-9], "may be cut short", "line 2"),
    "no rows": (b"", "no rows"),
}


@pytest.mark.parametrize("mistake", REFUSED)
@pytest.mark.parametrize("bad", ["train", "test"])
def test_a_mistake_is_refused_and_nothing_written(bad, mistake, task, data, tmp_path):
    raw, *parts = REFUSED[mistake]
    if (bad, mistake) == ("test", "a class absent"):
        raw, *parts = b"{", "not a JSON line", "line 1"
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_bytes(raw if split == bad else jsonl(GOOD))
    with pytest.raises(DataError) as caught:
        import_folder(task, tmp_path, data)
    for part in (bad, *parts):
        assert part in str(caught.value)
    assert not data.exists()


def test_ids_of_a_choice_may_name_its_passage(task, data, tmp_path):
    source = replace(task.source, texts=("text", "question"), options="options")
    task = replace(task, format="choice", sources=(source,))
    rows = [{"id": 7, "text": "p", "question": q, "options": ["x", "y"], "label": n} for n, q in enumerate("ab")]
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_bytes(jsonl(rows))
    assert len(import_folder(task, tmp_path, data)) == 2
    (tmp_path / "test.jsonl").write_bytes(jsonl([*rows, rows[0]]))
    with pytest.raises(DataError, match='two rows have the id 7, "a"'):
        import_folder(task, tmp_path, tmp_path / "other")


@pytest.mark.parametrize("missing", ["train", "test"])
def test_a_missing_split_is_refused(missing, folder, by_hand, data):
    (folder / "original" / "mood" / f"{missing}.csv").unlink()
    with pytest.raises(DataError, match=f"no file for the split '{missing}'"):
        import_folder(by_hand, folder, data, layout="lm-bff")
    assert not data.exists()


def test_no_folder_and_no_files_are_refused(folder, by_hand, task, data, toml):
    with pytest.raises(DataError, match="no folder"):
        import_folder(by_hand, folder / "none", data)
    with pytest.raises(DataError, match="unpack it"):
        import_folder(by_hand, toml, data)
    with pytest.raises(DataError, match=r"none of its files is there: train\.tsv, test\.tsv"):
        import_folder(by_hand, folder, data, layout="tsv")
    with pytest.raises(DataError, match="--task mood@files"):
        import_folder(task, folder, data, layout="lm-bff")
    own = replace(by_hand, sources=(replace(by_hand.source, root=folder),))
    with pytest.raises(DataError, match="a folder of its own"):
        import_folder(own, folder, data)
    assert not data.exists()


def test_a_file_that_holds_something_else_is_left_as_it_is(folder, by_hand, data):
    import_folder(by_hand, folder, data, layout="lm-bff")
    before = bytes_in(data)
    file = folder / "original" / "mood" / "test.csv"
    file.write_text(TABLE + '1,"one more"\n')
    with pytest.raises(DataError, match="holds something else") as caught:
        import_folder(by_hand, folder, data, layout="lm-bff")
    assert hashlib.sha256(TABLE.encode()).hexdigest() in str(caught.value)
    assert bytes_in(data) == before
    done = import_folder(by_hand, folder, data, layout="lm-bff", force=True)
    assert [one.done for one in done] == ["there", "imported"]
    assert [check.error for check in verify(by_hand, data)] == [None, None]
    file.rename(file.with_suffix(".tsv")).write_text("".join(f"{n % 2}\ta\n" for n in range(4)))
    with pytest.raises(DataError, match=r"stands there as test\.csv"):
        import_folder(by_hand, folder, data, layout="lm-bff", force=True)


@pytest.mark.parametrize("link", ["lm-bff", "lm-bff/original", "lm-bff/original/mood"])
def test_an_import_follows_no_link_out_of_the_data_folder(link, folder, by_hand, data, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (data / link).parent.mkdir(parents=True)
    (data / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="outside the data folder"):
        import_folder(by_hand, folder, data, layout="lm-bff", force=True)
    assert files_in(tmp_path / "elsewhere") == files_in(data) == []


def test_a_path_that_leaves_the_data_folder_is_refused(folder, by_hand, data, toml):
    for path in ("../outside", "/outside"):
        toml.write_text(TASK.replace("lm-bff/original", path))
        with pytest.raises(BenchError, match="leaves its folder"):
            load_file(toml)
    own = replace(by_hand, sources=(replace(by_hand.source, path="../outside"),))
    with pytest.raises(DataError, match="outside the data folder"):
        import_folder(own, folder / "original", data)
    assert not (data.parent / "outside").exists()


@pytest.mark.parametrize("death", [KeyboardInterrupt(), DataError("the disk is full")])
@pytest.mark.parametrize("force", [False, True])
def test_a_death_in_mid_import_puts_everything_back(death, force, folder, by_hand, data, monkeypatch):
    if force:
        import_folder(by_hand, folder, data, layout="lm-bff")
        for split in ("train", "test"):
            (folder / "original" / "mood" / f"{split}.csv").write_text(TABLE * 2)
    before = bytes_in(data)
    write, dead = checksums.write, []

    def dying(file, raw):
        if file.name == "test.csv" and not dead:
            dead.append(file)
            raise death
        write(file, raw)

    monkeypatch.setattr(checksums, "write", dying)
    with pytest.raises(type(death)):
        import_folder(by_hand, folder, data, layout="lm-bff", force=force)
    assert (len(dead), bytes_in(data)) == (1, before)


def test_the_command_imports(folder, toml, data, monkeypatch):
    from fewbench.registry import task_files

    monkeypatch.setattr("fewbench.plan.task_files", lambda extra=(): task_files([toml]))
    asked = ("import", folder, "--task", "mood@files", "--data", data, "--from")
    result = cli(*asked, "lm-bff")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        0,
        "ok   lm-bff/original/mood/train.csv: 8 rows, imported",
    )
    assert cli("verify", "mood@files", "--data", data).exit_code == 0
    for arguments, message in (((*asked, "cvs"), "nearest: csv"), (("import", folder, "--task", "glue"), "names 9")):
        with pytest.raises(BenchError) as caught:
            cli(*arguments)
        assert message in str(caught.value)
    with pytest.raises(BenchError, match="no data folder"):
        cli(*asked[:-3])


def test_real_files_are_imported_as_they_are(shared, data):
    from fewbench.declare import declared
    from fewbench.registry import task_files

    tasks = declared(task_files()).tasks
    for name, source in (("trec", "lm-bff"), ("cb", "super-glue"), ("bustm", "fewclue")):
        task = with_source(tasks[name], source)
        done = import_folder(task, shared / "data", data)
        assert {one.done for one in done} == {"imported"}
        assert all(check.known and check.error is None for check in verify(task, data))
