"""Read a task's rows strictly, from files at `<path>/<config>/<split>.<ext>` or else the hub.

Nothing is guessed: "NA", "null" and "007" stay text, a stray quote in a TSV file is text, and a row
that does not fit is an error with its file and line. The usual readers of CSV and JSON lines
convert such values silently.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

from fewbench.data.hub import load_split, place_of
from fewbench.data.kept_rows import find_rows, keep_rows, key_of_rows
from fewbench.data.manifest import check_known
from fewbench.data.rows import DataRow, check_ids, is_dropped, to_example
from fewbench.errors import DataError, NeedsNetwork
from fewbench.io.jsonl import NEWLINE, decode, lines, objects, read_bytes
from fewbench.types import Example, Rows, Source, SourceFile, Task

LONGEST_FIELD = 2**31 - 1
"""Largest CSV field in characters: the most that the module csv allows on every platform."""

SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.parquet")
"""The hub's file names for parts of a split."""


def read_rows(task: Task, data: Path | None, *, offline: bool = False) -> Rows:
    """Read all rows of a task's source, labels included.

    Args:
        task: its first source is read.
        data: the data folder; a source that has its own folder (the demo) does not need it.
        offline: do not use the hub.

    Raises:
        DataError: a file is missing, or a row does not fit.
        NeedsNetwork: the rows are only on the hub, which is off limits or cannot be reached.
    """
    parts: dict[str, tuple[Example, ...]] = {}
    files: list[SourceFile] = []
    for split, path in _find_files(task, data).items():
        if path is None:
            parts[split], file = _from_hub(task, data, split, offline)
        else:
            parts[split], file = _from_file(task, data, split, path)
        files.append(file)
    source = task.source
    folds = tuple((parts[train], parts[dev]) for train, dev in source.published)
    if folds:
        train = tuple(itertools.chain.from_iterable(train for train, _ in folds))
    else:
        train = parts[source.train]
    return Rows(
        train=train,
        test=parts[source.test],
        files=tuple(files),
        folds=folds,
        unlabeled=parts[source.unlabeled] if source.unlabeled else (),
    )


def _find_files(task: Task, data: Path | None) -> dict[str, Path | None]:
    """Find the file of each split; all splits are files, or none is."""
    paths = {split: find_file(task, data, split) for split in task.source.splits}
    local = [path for path in paths.values() if path is not None]
    if local and len(local) < len(paths):
        raise DataError(
            f"{task.full_name}: one split is a file, but another is only on the hub",
            where=str(local[0]),
            fix=f"put the files of all splits there ({', '.join(paths)}), or none",
        )
    return paths


def check_rows(task: Task, split: str, rows: Sequence[DataRow], where: str) -> tuple[Example, ...]:
    """Convert a split's rows to examples, without those that the source drops.

    Raises:
        DataError: there are no rows, one does not fit the task, or two have the same id.
    """
    check_ids(task, rows)
    labelled = split != task.source.unlabeled
    examples = []
    for number, row in enumerate(rows):
        if labelled and is_dropped(task, row):
            continue
        examples.append(to_example(task, row, f"{split}-{number}", labelled=labelled))
    if not examples:
        raise DataError(f"{task.full_name}: no rows", where=where)
    return tuple(examples)


def files_of(folder: Path, split: str) -> list[Path]:
    """List the files of a split in a folder; more than one is a mistake.

    The first of a hub's shards stands for all of them (`shards_of`).
    """
    paths = (folder / f"{split}{extension}" for extension in _READERS)
    files = [path for path in paths if path.is_file()]
    for path in sorted(folder.glob(f"{glob.escape(split)}-00000-of-*.parquet")):
        name = SHARD.fullmatch(path.name)
        if name and name["split"] == split:
            files.append(path)
    return files


def shards_of(file: Path) -> list[Path]:
    """List the files that a split's file stands for, in order: all its shards, or itself.

    Raises:
        DataError: a shard is missing.
    """
    name = SHARD.fullmatch(file.name)
    if name is None:
        return [file]
    split, count = name["split"], int(name["count"])
    pattern = f"{glob.escape(split)}-?????-of-{name['count']}.parquet"
    shards = sorted(file.parent.glob(pattern))
    expected = [f"{split}-{number:05}-of-{count:05}.parquet" for number in range(len(shards))]
    if [shard.name for shard in shards] != expected:
        shards = shards[:1]
    if len(shards) != count:
        first = f"{split}-00000-of-{count:05}.parquet"
        raise DataError(
            f"only {len(shards)} of {count} shards of the split '{split}' are there without a gap",
            where=str(file.parent),
            fix=f"put all shards there: {first} and those that follow",
        )
    return shards


def read_file(source: Source, file: Path) -> tuple[list[DataRow], str]:
    """Read the rows of a split's file, or of its shards; also return the sha256 of the bytes.

    Raises:
        DataError: the bytes are not of the file's kind, or a shard is missing.
    """
    digest, rows = hashlib.sha256(), []
    for shard in shards_of(file):
        raw = read_bytes(shard)
        digest.update(raw)
        rows += parse(source, raw, shard)
    return rows, digest.hexdigest()


def find_file(task: Task, data: Path | None, split: str) -> Path | None:
    """Find the file of a split; return None if it is on the hub.

    Raises:
        DataError: the split has two files, or none and the source is not on the hub.
    """
    source = task.source
    root = source.root or data
    folder = None if root is None else root / source.path / source.config
    files = [] if folder is None else files_of(folder, split)
    if len(files) > 1:
        raise DataError(
            f"{task.full_name}: two files for the split '{split}': "
            f"{files[0].name} and {files[1].name}",
            where=str(folder),
            fix="keep one of them",
        )
    if files:
        return files[0]
    if source.hub and source.root is None:
        return None
    raise _no_file(task, split, folder)


def _no_file(task: Task, split: str, folder: Path | None) -> DataError:
    problem = f"{task.full_name}: there is no file for the split '{split}'"
    where = str(folder)
    if folder is None:
        problem += ", and no data folder is given"
        where = f"DIR/{place_of(task.source, split, '.*')}"
    allowed = names = (
        f"{split}.jsonl, .json (a row per line), .csv, .tsv or .parquet, "
        f"or the hub's {split}-00000-of-00001.parquet"
    )
    if task.source.root:
        fix = f"put the file there: {names}"
    else:
        fix = f"use --data DIR (or FEWBENCH_DATA) {_with_file(task, split)}"
    others = [f"{task.name}@{other.name}" for other in task.sources[1:]]
    if others:
        allowed = f"other sources: {', '.join(others)}"
        fix = f"--tasks {others[0]}, or {fix}"
    return DataError(problem, where=where, allowed=allowed, fix=fix)


def _with_file(task: Task, split: str) -> str:
    return f"with {place_of(task.source, split, '.jsonl')} in it"


_SplitRows = tuple[tuple[Example, ...], SourceFile]


def _from_file(task: Task, data: Path | None, split: str, path: Path) -> _SplitRows:
    """Return the rows of a file, from the cache if they were read before (`kept_rows`)."""
    root = task.source.root or data
    digest = hashlib.sha256()
    for shard in shards_of(path):
        digest.update(read_bytes(shard))
    if root:
        check_known(task, path, root, digest.hexdigest())
    name = path.relative_to(root).as_posix() if root else path.name
    kept = find_rows(key_of_rows(task, split, path.suffix, digest.hexdigest()))
    if kept is not None:
        file = SourceFile(file=name, sha256=digest.hexdigest(), rows=kept.read)
        return cast("tuple[Example, ...]", kept), file
    rows, sha256 = read_file(task.source, path)
    examples = check_rows(task, split, rows, str(path))
    keep_rows(key_of_rows(task, split, path.suffix, sha256), examples, len(rows))
    return examples, SourceFile(file=name, sha256=sha256, rows=len(rows))


def parse(source: Source, raw: bytes, file: Path) -> list[DataRow]:
    """Parse a file's bytes to rows; the file's extension gives its kind.

    Raises:
        DataError: the bytes are not of this kind.
    """
    try:
        return list(_READERS[file.suffix](raw, str(file), source))
    except DataError as error:
        last_line = f"{file}, line {raw.count(NEWLINE) + 1}"
        if not raw.endswith(NEWLINE) and error.where == last_line:
            error.problem += "; the file ends in mid-line and may be cut short"
            again = "bench data fetch, or bench data import FOLDER"
            error.fix = error.fix or f"replace the file with a complete one: {again}"
        raise


def _from_hub(task: Task, data: Path | None, split: str, offline: bool) -> _SplitRows:
    source = task.source
    if offline:
        file = place_of(source, split, ".jsonl")
        fetch = f"bench data fetch {task.full_name} --data DIR"
        raise NeedsNetwork(
            f"{task.full_name} is on the hub, and the network is off",
            where=f"no {data / file}" if data else "no data folder is given",
            fix=f"{fetch}, or use --data DIR (or FEWBENCH_DATA) {_with_file(task, split)}",
        )
    name = f"hub: {place_of(source, split)}@{source.revision}"
    loaded = enumerate(load_split(source, split), 1)
    rows = [DataRow(f"{name}, row {number}", columns) for number, columns in loaded]
    examples = check_rows(task, split, rows, name)
    return examples, SourceFile(file=name, sha256=None, rows=len(rows))


def _read_jsonl(raw: bytes, where: str, source: Source) -> Iterator[DataRow]:
    return (DataRow(place, columns) for place, columns in objects(raw, where))


def _read_tsv(raw: bytes, where: str, source: Source) -> Iterator[DataRow]:
    records = ((place, line.split("\t")) for place, line in lines(raw, where))
    return _read_table(records, where, source)


def _read_csv(raw: bytes, where: str, source: Source) -> Iterator[DataRow]:
    return _read_table(_csv_records(decode(raw, where), where), where, source)


def _csv_records(text: str, where: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each record's place and fields; a record may span several lines."""
    csv.field_size_limit(LONGEST_FIELD)  # the module's own limit is 128 KiB
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    start = 1
    try:
        for fields in reader:
            yield f"{where}, line {start}", fields
            start = reader.line_num + 1
    except csv.Error as error:
        fix = 'quote the field: "…", with "" for a quote inside'
        raise DataError(f"not CSV: {error}", where=f"{where}, line {start}", fix=fix) from error


def _read_table(
    records: Iterator[tuple[str, list[str]]], where: str, source: Source
) -> Iterator[DataRow]:
    header = list(source.columns) if source.columns else next(records, (where, []))[1]
    if len(set(header)) != len(header):
        raise DataError(
            "two columns have the same name",
            where=f"{where}, line 1",
            allowed=f"different names, not {header}",
        )
    for place, fields in records:
        if len(fields) != len(header):
            problem = f"{len(fields)} fields for {len(header)} columns: {', '.join(header)}"
            raise DataError(problem, where=place)
        yield DataRow(place, dict(zip(header, fields, strict=True)), untyped=True)


def _read_parquet(raw: bytes, where: str, source: Source) -> Iterator[DataRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(pa.BufferReader(raw)).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"not Parquet, or cut short: {error}", where=where) from error
    for number, columns in enumerate(rows, 1):
        yield DataRow(f"{where}, row {number}", columns)


_READERS: dict[str, Callable[[bytes, str, Source], Iterator[DataRow]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_jsonl,  # CLUE and FewCLUE publish JSON lines with this extension
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
}
