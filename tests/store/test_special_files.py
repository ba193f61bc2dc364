"""What is no file, has no end, leads in a circle or cannot be read is told, and stops nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from stored import a_record, run_script, same, some_predictions

from fewbench.errors import BenchError, StoreDamaged, StoreUnwritable
from fewbench.io.files import LARGEST_RECORD, NotAFile, open_file, parse_json, read_file, walk
from fewbench.store.measurement import measured, measurements, write
from fewbench.store.parts import Environment
from fewbench.store.store import Store


def pipe(file: Path) -> None:
    os.mkfifo(file)


def device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def folder(file: Path) -> None:
    file.mkdir()


def nowhere(file: Path) -> None:
    file.symlink_to("nowhere")


def circle(file: Path) -> None:
    file.symlink_to(file.name)


def listener(file: Path) -> None:
    here = Path.cwd()
    os.chdir(file.parent)  # a socket's path may have about a hundred letters
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(file.name)
    finally:
        os.chdir(here)


def endless(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(8 * 2**40)  # eight TiB, of which the disk holds nothing


SPECIAL = [pipe, device, folder, nowhere, circle, listener, endless]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")


def put(file: Path, kind: Callable[[Path], None]) -> None:
    file.unlink(missing_ok=True)
    try:
        kind(file)
    except OSError as error:  # a file system may have no files of that size
        pytest.skip(f"cannot be made here: {error}")


@pytest.mark.parametrize("kind", SPECIAL)
def test_none_is_read(tmp_path: Path, kind: Callable[[Path], None]):
    put(tmp_path / "x", kind)
    with pytest.raises(NotAFile) as caught:
        read_file(tmp_path / "x")
    assert caught.value.strerror and not isinstance(caught.value, FileNotFoundError)


def test_links_to_files_are_read_and_what_is_not_there_is_not_there(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "b").symlink_to("a")
    assert read_file(tmp_path / "b") == b"text"
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "c")
    with pytest.raises(NotAFile, match="a file of 4 bytes; the limit is 3"):
        read_file(tmp_path / "a", 3)


@pytest.mark.parametrize("kind", SPECIAL)
def test_a_record(store: Store, kind: Callable[[Path], None]):
    file = store.save(a_record(), some_predictions())
    store.save(a_record(seed=21), None)
    put(file, kind)
    assert [record.run.seed for record in store.records()] == [21]
    if kind is not folder:  # which is told by fsck
        assert [damage.path for damage in store.damaged] == [file]
    assert [damage.path for damage in store.fsck() if damage.serious] == [file]
    heard: list[str] = []
    store.on_damage = lambda damage: heard.append(str(damage))
    store.save(a_record(), some_predictions())
    assert "moved to" in heard[0] and store.get(a_record().run) is not None and store.fsck() == []


@pytest.mark.parametrize("kind", SPECIAL)
def test_predictions(store: Store, kind: Callable[[Path], None]):
    store.save(a_record(), some_predictions())
    put(next(store.root.rglob("*.safetensors")), kind)
    with pytest.raises(StoreDamaged):
        store.predictions(store.find(a_record().run.key))
    assert any(damage.serious for damage in store.fsck(repair=True))
    assert not any(damage.serious for damage in store.fsck())


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("ending", [".json", ".jsonl"])
def test_a_measurement_and_what_is_attached_to_it(
    store: Store, kind: Callable[[Path], None], ending: str
):
    store.save(a_record(), some_predictions())
    record = store.find(a_record().run.key)
    file = write(
        store,
        record,
        measured(record, "cost", settings={}, scores={}, environment=Environment()),
        {".jsonl": b"{}\n"},
    )
    put(file if ending == ".json" else next(store.root.rglob("*.jsonl")), kind)
    store.on_damage = lambda damage: None
    assert list(measurements(store, record)) == []
    assert any(damage.serious for damage in store.fsck())


@pytest.mark.parametrize("kind", SPECIAL)
def test_an_artifact(store: Store, kind: Callable[[Path], None]):
    key = "0" * 32
    store.artifacts.root.mkdir(parents=True)
    put(store.artifacts.file(key), kind)
    with pytest.raises(StoreDamaged, match="damaged artifact"):
        store.artifacts.has(key)
    assert [damage.severity for damage in store.fsck(repair=True)] == ["damage"]
    assert not store.artifacts.has(key) and store.fsck() == []


class TestFolders:
    def test_links_are_followed_and_each_folder_is_read_once(self, store: Store, tmp_path: Path):
        store.save(a_record(), some_predictions())
        (task,) = store.runs.iterdir()
        task.rename(tmp_path / "elsewhere")
        task.symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / "again").symlink_to(store.runs)
        (store.runs / "and-again").symlink_to(store.runs)
        (record,) = store.records()
        assert (
            same(store.predictions(record), some_predictions()) and store.get(record.run) == record
        )
        assert store.damaged == [] and store.fsck() == []

    def test_a_folder_is_read_where_it_is_and_not_by_a_link_to_it(self, store: Store):
        store.save(a_record(), some_predictions())
        (task,) = store.runs.iterdir()
        (store.runs / "a-link-that-sorts-first").symlink_to(task)
        assert [file.parents[2] for file, _ in store.filed()] == [task] and store.fsck() == []

    def test_a_second_record_of_a_run_does_not_count_twice(self, store: Store, tmp_path: Path):
        file = store.save(a_record(), None)
        other = file.parent.with_name("zzz")
        other.mkdir()
        (other / file.name).write_bytes(file.read_bytes())
        assert [found for found, _ in store.filed()] == [file]
        assert (
            [damage.path for damage in store.damaged]
            == [other / file.name]
            == [d.path for d in store.fsck()]
        )

    def test_what_cannot_be_listed_is_told(self, store: Store, monkeypatch: pytest.MonkeyPatch):
        """The superuser may list any folder, so this one is made unreadable by hand."""
        store.save(a_record(), some_predictions())
        file = store.save(a_record(task="closed"), some_predictions())
        closed, scandir = file.parents[1], os.scandir

        def refusing(place: str) -> object:
            if Path(place) == closed:
                raise PermissionError(13, "Permission denied", place)
            return scandir(place)

        monkeypatch.setattr(os, "scandir", refusing)
        assert len(list(store.records())) == 1
        (told,) = store.damaged
        assert (told.path, told.severity, told.serious) == (closed, "unreadable", True)
        assert store.fsck(repair=True) == [told]
        monkeypatch.undo()
        assert len(list(store.records())) == 2

    @pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read any folder"
    )
    def test_without_rights(self, store: Store):
        file = store.save(a_record(), some_predictions())
        file.parent.chmod(0)
        try:
            assert list(store.records()) == [] and [damage.path for damage in store.damaged] == [
                file.parent
            ]
            with pytest.raises(StoreUnwritable):
                store.get(a_record().run)
        finally:
            file.parent.chmod(0o755)

    def test_what_vanishes_meanwhile_is_passed_over(self, tmp_path: Path):
        (tmp_path / "a").mkdir()
        told: list[OSError] = []
        for found in walk(tmp_path, told.append):
            if found.path == tmp_path:
                (tmp_path / "a").rmdir()
        assert told == []


BOMBS = ["[" * 200_000, '{"a":' * 200_000, "9" * 5000, "1e999", "-1e999", "NaN", '{"a": Infinity}']


@pytest.mark.parametrize("text", BOMBS, ids=range(len(BOMBS)))
def test_json_that_no_reader_should_see_is_one_error(store: Store, text: str):
    with pytest.raises(ValueError):
        parse_json(text)
    file = store.save(a_record(), None)
    file.write_text(text)
    with pytest.raises(BenchError):
        store.find(a_record().run.key)
    file.write_text(text + " " * (LARGEST_RECORD + 1))
    assert [damage.severity for damage in store.fsck()] == ["damage"]


def test_nothing_large_is_held_in_memory(store: Store):
    """A process that may have 400 MiB more lists a store with endless files in every place."""
    store.save(a_record(), some_predictions())
    store.save(a_record(seed=21), some_predictions())
    file = next(iter(store.filed()))[0]
    put(file, endless)
    put(next(other for other in store.root.rglob("*s21*.safetensors")), endless)
    store.artifacts.root.mkdir()
    put(store.artifacts.file("0" * 32), endless)
    code = """
        import resource, sys
        from pathlib import Path
        from stored import Store
        import fewbench.store.fsck, safetensors.numpy
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 400 * 2**20,) * 2)
        found = Store(Path(sys.argv[1])).fsck()
        print(sum(damage.serious for damage in found))
    """
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    done = run_script(code, store.root)
    assert done.returncode == 0 and done.stdout == "3\n", done.stderr
