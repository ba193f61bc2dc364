"""`bench data import`: a folder from elsewhere goes into the mirror layout whole, or not at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from mood import TASK, bytes_in, cli, data, fetch_all, files_in, hub, task, toml, verify  # noqa: F401

from fewbench.data import manifest
from fewbench.data.import_folder import import_folder
from fewbench.data.reader import read_rows
from fewbench.data.task_file import load_file, with_source
from fewbench.errors import BenchError, DataError

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
    assert [tuple(one) for one in done] == [
        (f"lm-bff/original/mood/{s}.csv", 8, "imported") for s in ("train", "test")
    ]
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
    assert [one.done for one in import_folder(by_hand, folder / "original" / "mood", data)] == [
        "there",
        "there",
    ]
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
        raw = (
            tables[kind].encode()
            if kind in tables
            else jsonl({"text": "a", "label": n} for n in (0, 1))
        )
        (folder / f"{split}.{kind}").write_bytes(raw)
        (folder / f"{split}.json").write_text("of no use")
    with pytest.raises(DataError, match="two files for the split 'train'"):
        import_folder(task, tmp_path / "here", data)
    assert not data.exists()
    done = import_folder(task, tmp_path / "here", data, layout=kind)
    assert [one.file for one in done] == [
        f"owner/mood/plain/{split}.{kind}" for split in ("train", "test")
    ]
    assert fetch_all(task, data) == [
        "there",
        "there",
    ]  # what is listed and whole is not asked of the hub
    assert fetch_all(task, data, force=True) == ["there", "there"]


GOOD = [{"text": "Fine.", "label": 1, "idx": 0}, {"text": "Dull.", "label": 0, "idx": 1}]
REFUSED = {
    "a wrong column": (
        jsonl([*GOOD, {"sentence": "a", "label": 1}]),
        "there is no column 'text'",
        "line 3",
    ),
    "a label outside": (jsonl([*GOOD, {"text": "a", "label": 2}]), "the label is 2", "line 3"),
    "an empty text": (jsonl([*GOOD, {"text": " ", "label": 1}]), "'text' is empty", "line 3"),
    "a class absent": (jsonl(GOOD[:1]), "no training row is of the class 'bad'", "train"),
    "no UTF-8": (
        jsonl(GOOD) + '{"text": "é", "label": 1}'.encode("latin-1"),
        "not UTF-8",
        "line 3",
    ),
    "duplicate ids": (
        jsonl([*GOOD, {"text": "a", "label": 1, "idx": 1}]),
        "two rows have the idx 1",
        "line 3",
    ),
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
    rows = [
        {"id": 7, "text": "p", "question": q, "options": ["x", "y"], "label": n}
        for n, q in enumerate("ab")
    ]
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
    with pytest.raises(DataError, match="is read from its own folder"):
        import_folder(own, folder, data)
    assert not data.exists()


def test_a_file_that_holds_something_else_is_left_as_it_is(folder, by_hand, data):
    import_folder(by_hand, folder, data, layout="lm-bff")
    before = bytes_in(data)
    file = folder / "original" / "mood" / "test.csv"
    file.write_text(TABLE + '1,"one more"\n')
    with pytest.raises(DataError, match="exists with other contents") as caught:
        import_folder(by_hand, folder, data, layout="lm-bff")
    assert hashlib.sha256(TABLE.encode()).hexdigest() in str(caught.value)
    assert bytes_in(data) == before
    done = import_folder(by_hand, folder, data, layout="lm-bff", force=True)
    assert [one.done for one in done] == ["there", "imported"]
    assert [check.error for check in verify(by_hand, data)] == [None, None]
    file.rename(file.with_suffix(".tsv")).write_text("".join(f"{n % 2}\ta\n" for n in range(4)))
    with pytest.raises(DataError, match=r"already exists as test\.csv"):
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
        with pytest.raises(BenchError, match="leads outside its folder"):
            load_file(toml)
    own = replace(by_hand, sources=(replace(by_hand.source, path="../outside"),))
    with pytest.raises(DataError, match="outside the data folder"):
        import_folder(own, folder / "original", data)
    assert not (data.parent / "outside").exists()


@pytest.mark.parametrize("death", [KeyboardInterrupt(), DataError("the disk is full")])
@pytest.mark.parametrize("force", [False, True])
def test_a_death_in_mid_import_puts_everything_back(
    death, force, folder, by_hand, data, monkeypatch
):
    if force:
        import_folder(by_hand, folder, data, layout="lm-bff")
        for split in ("train", "test"):
            (folder / "original" / "mood" / f"{split}.csv").write_text(TABLE * 2)
    before = bytes_in(data)
    write, dead = manifest.write, []

    def dying(file, raw):
        if file.name == "test.csv" and not dead:
            dead.append(file)
            raise death
        write(file, raw)

    monkeypatch.setattr(manifest, "write", dying)
    with pytest.raises(type(death)):
        import_folder(by_hand, folder, data, layout="lm-bff", force=force)
    assert (len(dead), bytes_in(data)) == (1, before)


def test_the_command_imports(folder, toml, data, monkeypatch):
    from fewbench.registry.methods import task_files

    monkeypatch.setattr("fewbench.registry.tasks.task_files", lambda extra=(): task_files([toml]))
    asked = ("import", folder, "--task", "mood@files", "--data", data, "--from")
    result = cli(*asked, "lm-bff")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        0,
        "ok   lm-bff/original/mood/train.csv: 8 rows, imported",
    )
    assert cli("verify", "mood@files", "--data", data).exit_code == 0
    for arguments, message in (
        ((*asked, "cvs"), "nearest: csv"),
        (("import", folder, "--task", "glue"), "names 9"),
    ):
        with pytest.raises(BenchError) as caught:
            cli(*arguments)
        assert message in str(caught.value)
    with pytest.raises(BenchError, match="no data folder"):
        cli(*asked[:-3])


def test_real_files_are_imported_as_they_are(shared, data):
    from fewbench.data.task_file import declared
    from fewbench.registry.methods import task_files

    tasks = declared(task_files()).tasks
    for name, source in (("trec", "lm-bff"), ("cb", "super-glue"), ("bustm", "fewclue")):
        task = with_source(tasks[name], source)
        done = import_folder(task, shared / "data", data)
        assert {one.done for one in done} == {"imported"}
        assert all(check.known and check.error is None for check in verify(task, data))
