"""Say of stored records of before schema 5 what they were made from, where their commit proves it.

For each record the task, the protocol and the method's defaults are read from the commit that made it, the rows from
the data folder, and the planner of today makes its run again from them. The record is migrated if that run is its own
in all that it did record: the fingerprints of the split and of the test rows, K, seed, settings, and models whose
weights, configuration and tokenizer have the recorded hash. It is then stored under its new key, with its predictions
and measurements. All others stay as they are, and the reasons are counted.

    python scripts/migrate_inputs.py results --data DATA [--dry-run]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from fewbench import layout, toml
from fewbench.declare import declared, with_source
from fewbench.durable import remove
from fewbench.errors import BenchError
from fewbench.inputs import RowHashes, row_hashes
from fewbench.jobs import Maker
from fewbench.measurement import attached_file, file_of, measurements, write
from fewbench.metrics import Scorer
from fewbench.models import folder_hash
from fewbench.pipeline import PLUS, pipeline
from fewbench.prompts import with_prompt
from fewbench.protocol import Protocol, from_table
from fewbench.reader import read_rows
from fewbench.record import Record, run_key
from fewbench.registry import MethodInfo, read_method
from fewbench.split import make_split
from fewbench.store import Store
from fewbench.types import ModelRef, Rows, Split, Task

CHECKOUT = Path(__file__).resolve().parent.parent
RECORDED = ("task", "task_version", "source", "method", "settings", "k", "seed", "protocol", "fingerprint")
RECORDED += ("test_fingerprint", "limit", "template", "drop_leaks")
"""What a run of before schema 5 says of itself, but for its models, and what must come out again."""


class NotProven(Exception):
    """Why it cannot be told what a record was made from."""


class Commit:
    """The declarations of one commit of the project.

    Args:
        name: the commit.
        folder: where its files are laid out.
    """

    def __init__(self, name: str, folder: Path) -> None:
        git = ["git", "-C", str(CHECKOUT), "archive", name, "bench/protocols.toml", "bench/models", "methods", "tasks"]
        try:
            packed = subprocess.run(git, capture_output=True, check=True).stdout
        except subprocess.CalledProcessError as error:
            raise NotProven("its commit is not here") from error
        tarfile.open(fileobj=io.BytesIO(packed)).extractall(folder, filter="data")
        self.folder = folder
        files = sorted((folder / "tasks").glob("*.toml"))
        for file in files:
            file.write_text(_with_positive(file), "utf-8")
        self.tasks = declared(files).tasks
        self.protocols = {
            name: from_table(name, table) for name, table in toml.load(folder / "bench" / "protocols.toml").items()
        }
        own = [read_method(file) for file in sorted((folder / "methods").glob("[!_]*.py"))]
        self.methods = {method.name: method for method in own}

    def task(self, record: Record) -> Task:
        """Return the task of a record as its commit declared it."""
        run = record.run
        task = with_source(self.tasks[run.task], run.source)
        return with_prompt(task, run.template) if run.template else task

    def method(self, name: str) -> MethodInfo:
        """Return a method, or a pipeline of steps, as its commit had it."""
        return pipeline(name, self.methods) if PLUS in name else self.methods[name]

    def model(self, ref: ModelRef | None) -> ModelRef | None:
        """Return a model with the hash of all its files, if those that were hashed then are the commit's."""
        if ref is None:
            return None
        folder = self.folder / "bench" / "models" / ref.name
        if not ref.embedded or not folder.is_dir():
            raise NotProven(f"its model {ref.name} is none of the commit's")
        if _earlier_hash(folder) != ref.revision:
            raise NotProven(f"its model {ref.name} has other weights than the commit's")
        return ModelRef(ref.name, str(folder), folder_hash(folder), embedded=True)


def _with_positive(file: Path) -> str:
    """Return a task file's text with the class that F1 is of, which was the second label before files named it."""
    text = file.read_text("utf-8")
    for name, table in toml.load(file).items():
        scores = [table.get("metric"), *table.get("metrics", [])]
        if "f1" in scores and "positive" not in table:
            text = text.replace(f"\n[{name}]\n", f'\n[{name}]\npositive = "{table["labels"][1]}"\n', 1)
    return text


def _earlier_hash(folder: Path) -> str:
    """Return the hash that stood for a model before all files of its folder counted."""
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.safetensors"), folder / "config.json", folder / "tokenizer.json"]):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


class Migration:
    """Migrates the records of one store.

    Args:
        store: the records.
        data: the data folder.
        scratch: a folder for the files of commits.
    """

    def __init__(self, store: Store, data: Path, scratch: Path) -> None:
        self.store, self.data, self.scratch = store, data, scratch
        self.commit = lru_cache(None)(self._commit)
        self.rows = lru_cache(None)(self._rows)
        self.split = lru_cache(None)(self._split)

    def _commit(self, name: str) -> Commit | NotProven:
        folder = self.scratch / name
        folder.mkdir()
        try:
            return Commit(name, folder)
        except (BenchError, NotProven) as error:
            return NotProven(f"its commit cannot be read today: {error}")

    def _rows(self, task: Task) -> tuple[Rows, RowHashes]:
        rows = read_rows(task, self.data, offline=True)
        return rows, row_hashes(rows)

    def _split(self, task: Task, k: int, seed: int, limit: int | None, drop_leaks: bool) -> Split:
        return make_split(task, self.rows(task)[0], k, seed, limit=limit, drop_leaks=drop_leaks)

    def migrated(self, record: Record) -> Record:
        """Return a record that says what it was made from.

        Raises:
            NotProven: why that cannot be told.
        """
        run, name = record.run, record.environment.get("commit")
        if not isinstance(name, str) or record.environment.get("dirty"):
            raise NotProven("no clean commit made it")
        commit = self.commit(name)
        if isinstance(commit, NotProven):
            raise commit
        try:
            task, method = commit.task(record), commit.method(run.method)
            rows, hashes = self.rows(task)
            split = self.split(task, run.k, run.seed, run.limit, run.drop_leaks)
        except (BenchError, KeyError) as error:
            raise NotProven(f"its commit or the data has no such thing: {error}") from error
        again = (
            self._maker(record, commit, commit.protocols[run.protocol])
            .job(task, split, hashes, Scorer(task, rows.test), method, run.settings)
            .run
        )
        if differ := [field for field in RECORDED if getattr(again, field) != getattr(run, field)]:
            raise NotProven(f"another {differ[0]} comes out")
        fresh = replace(run, inputs=again.inputs, student=again.student, teacher=again.teacher)
        details = dict(record.details)
        if again.inputs.teacher:
            details["teacher"] = {**details["teacher"], "run": again.inputs.teacher}
        selection = dict(record.selection)
        if selection.get("metric") == "f1":
            selection["positive"] = task.positive
        return replace(record, run=replace(fresh, key=run_key(fresh)), details=details, selection=selection)

    def _maker(self, record: Record, commit: Commit, protocol: Protocol) -> Maker:
        run = record.run
        refs: Mapping[str, ModelRef | None] = {
            "student": commit.model(run.student),
            "teacher": commit.model(run.teacher),
        }
        return Maker(protocol, commit.methods, refs, run.corpus, run.limit, run.drop_leaks)

    def run(self, *, dry: bool) -> Counter[str]:
        """Migrate all records that can be, and return how many, and how many not for which reason."""
        outcome: Counter[str] = Counter()
        found: list[tuple[Record, Record]] = []
        for record in [record for record in self.store.records() if not record.run.inputs.known]:
            try:
                found.append((record, self.migrated(record)))
                outcome["migrated"] += 1
            except NotProven as error:
                outcome[f"not proven: {error}"] += 1
        self.keys = {old.run.key: new.run.key for old, new in found}
        for old, new in found if not dry else []:
            rewrite(self.store, old, new, self.keys)
        return outcome


def rewrite(store: Store, old: Record, new: Record, keys: Mapping[str, str]) -> None:
    """Store a record under its new key, with its predictions and measurements, and remove the old one.

    Args:
        store: of both.
        old: as it is stored.
        new: of the same run, under another key.
        keys: the new keys of runs, by their old ones; measurements name other runs.
    """
    file = file_of(store, old)
    predictions = store.predictions(old) if old.predictions else None
    measured = list(measurements(store, old))
    place = store.save(new, predictions)
    new = store.find(new.run.key)
    for one in measured:
        beside = layout.measurement(file, one.what)
        attached = {e: attached_file(beside, e, digest).read_bytes() for e, digest in one.files.items()}
        named = {
            name: keys.get(value, value) if isinstance(value, str) else value for name, value in one.settings.items()
        }
        write(store, new, replace(one, run=new.run.key, predictions=new.predictions, settings=named), attached)
    for other in [*file.parent.glob(f"{file.stem}.*")]:
        if other.stem != place.stem:
            remove(other)


def main() -> int:
    """Migrate a results folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--dry-run", action="store_true", help="count, and write nothing")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        outcome = Migration(Store(given.results), given.data, Path(scratch)).run(dry=given.dry_run)
    for what, count in outcome.most_common():
        print(f"{count:6} {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
