"""Reads a task's rows, strictly: from files laid out as `<path>/<config>/<split>.<ext>`, else from
the hub.

Nothing is guessed: "NA", "null" and "007" stay text, a stray quote in a TSV is text, and a row that
does not fit is refused with its file and line. The usual readers of CSV and JSON lines do
otherwise, silently.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fewbench.data.hub import load_split, place_of
from fewbench.data.manifest import check_known
from fewbench.data.rows import DataRow, check_ids, is_dropped, to_example
from fewbench.errors import DataError, NeedsNetwork
from fewbench.io.jsonl import NEWLINE, decode, lines, objects, read_bytes
from fewbench.types import Example, Rows, Source, Task

LONGEST_FIELD = 2**31 - 1
"""Characters of a CSV field: what the module csv can count to on every platform."""

SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.parquet")
"""How the hub names the parts of a split."""


def read_rows(task: Task, data: Path | None, *, offline: bool = False) -> Rows:
    """Return all rows of a task's source, labels included.

    Args:
        task: its first source is read.
        data: the data folder; a source with a folder of its own (the demo) does without.
        offline: never ask the hub.

    Raises:
        DataError: a file that is missing or cannot be trusted.
        NeedsNetwork: the rows are on the hub only, and it may not or cannot be reached.
    """
    source = task.source
    found = {split: find_file(task, data, split) for split in source.splits}
    if None in found.values() and any(found.values()):
        raise DataError(
            f"{task.full_name}: one split is a file, the other would be the hub's",
            where=str(next(file for file in found.values() if file)),
            fix=f"put all there ({', '.join(found)}), or none",
        )
    parts: dict[str, tuple[Example, ...]] = {}
    files: list[dict[str, Any]] = []
    for split, file in found.items():
        parts[split], fact = _read(task, data, split, file, offline)
        files.append(fact)
    folds = source.published
    return Rows(
        train=tuple(
            e for name in ([train for train, _ in folds] or [source.train]) for e in parts[name]
        ),
        test=parts[source.test],
        files=tuple(files),
        folds=tuple((parts[train], parts[dev]) for train, dev in folds),
        unlabeled=parts[source.unlabeled] if source.unlabeled else (),
    )


def _read(
    task: Task, data: Path | None, split: str, file: Path | None, offline: bool
) -> tuple[tuple[Example, ...], dict[str, Any]]:
    if file is None:
        rows, fact = _from_hub(task, data, split, offline)
    else:
        rows, fact = _from_file(task, file, data)
    return check_rows(task, split, rows, str(file or fact["file"])), {**fact, "rows": len(rows)}


def check_rows(task: Task, split: str, rows: Sequence[DataRow], where: str) -> tuple[Example, ...]:
    """Return a split's rows as examples, without those that the source drops.

    Raises:
        DataError: no rows, one that does not fit the task, or two of one id.
    """
    check_ids(task, rows)
    labelled = split != task.source.unlabeled
    kept = [(n, row) for n, row in enumerate(rows) if not (labelled and is_dropped(task, row))]
    if not kept:
        raise DataError(f"{task.full_name}: no rows", where=where)
    return tuple(to_example(task, row, f"{split}-{n}", labelled=labelled) for n, row in kept)


def files_of(folder: Path, split: str) -> list[Path]:
    """Return the files of a split in a folder: one, none, or more, which is a mistake.

    The first of a hub's shards stands for all of them (`shards_of`).
    """
    firsts = sorted(folder.glob(f"{glob.escape(split)}-00000-of-*.parquet"))
    named = [
        file for file in firsts if (found := SHARD.fullmatch(file.name)) and found["split"] == split
    ]
    return [*(file for ext in _READERS if (file := folder / f"{split}{ext}").is_file()), *named]


def shards_of(file: Path) -> list[Path]:
    """Return the files that a split's file stands for, in their order: all shards, or itself.

    Raises:
        DataError: a shard that is missing.
    """
    found = SHARD.fullmatch(file.name)
    if found is None:
        return [file]
    count = int(found["count"])
    there = sorted(
        file.parent.glob(f"{glob.escape(found['split'])}-?????-of-{found['count']}.parquet")
    )
    if [one.name for one in there] != [
        f"{found['split']}-{n:05}-of-{count:05}.parquet" for n in range(len(there))
    ]:
        there = there[:1]
    if len(there) != count:
        raise DataError(
            f"{len(there)} of {count} shards of the split '{found['split']}' are there in a row",
            where=str(file.parent),
            fix=f"put all there: {found['split']}-00000-of-{count:05}.parquet and those that follow",
        )
    return there


def read_file(source: Source, file: Path) -> tuple[list[DataRow], str]:
    """Return the rows of a split's file, or of its shards, and the sha256 of their bytes.

    Raises:
        DataError: bytes that are no such file, or a shard that is missing.
    """
    digest, rows = hashlib.sha256(), []
    for shard in shards_of(file):
        raw = read_bytes(shard)
        digest.update(raw)
        rows += parse(source, raw, shard)
    return rows, digest.hexdigest()


def find_file(task: Task, data: Path | None, split: str) -> Path | None:
    """Return the file of a split, or None if it is the hub's.

    Raises:
        DataError: two files of one split, or none and the source is not on the hub.
    """
    source = task.source
    root = source.root or data
    folder = None if root is None else root / source.path / source.config
    found = [] if folder is None else files_of(folder, split)
    if len(found) > 1:
        raise DataError(
            f"{task.full_name}: two files for the split '{split}': {found[0].name} and {found[1].name}",
            where=str(folder),
            fix="keep one of them",
        )
    if found:
        return found[0]
    if source.hub and source.root is None:
        return None
    names = f"{split}.jsonl, .json (a row a line), .csv, .tsv or .parquet, or the hub's {split}-00000-of-00001.parquet"
    others = [f"{task.name}@{other.name}" for other in task.sources[1:]]
    fixes = [f"--tasks {other}" for other in others[:1]]
    fixes.append(
        f"put the file there: {names}"
        if source.root
        else f"--data DIR (or FEWBENCH_DATA) {_with(task, split)}"
    )
    raise DataError(
        f"{task.full_name}: there is no file for the split '{split}'"
        + ("" if root else ", and no data folder is given"),
        where=str(folder) if folder else f"DIR/{place_of(source, split, '.*')}",
        allowed=f"other sources: {', '.join(others)}" if others else names,
        fix=", or ".join(fixes),
    )


def _with(task: Task, split: str) -> str:
    return f"with {place_of(task.source, split, '.jsonl')} in it"


def _from_file(task: Task, file: Path, data: Path | None) -> tuple[list[DataRow], dict[str, Any]]:
    root = task.source.root or data
    digest = hashlib.sha256()
    for shard in shards_of(file):
        digest.update(read_bytes(shard))
    if root:
        check_known(task, file, root, digest.hexdigest())
    rows, found = read_file(task.source, file)
    shown = file.relative_to(root).as_posix() if root else file.name
    return rows, {"file": shown, "sha256": found}


def parse(source: Source, raw: bytes, file: Path) -> list[DataRow]:
    """Return the rows that a file's bytes hold; its name says which kind of file it is.

    Raises:
        DataError: bytes that are no such file.
    """
    try:
        return list(_READERS[file.suffix](raw, str(file), source))
    except DataError as error:
        last = f"{file}, line {raw.count(NEWLINE) + 1}"
        if not raw.endswith(NEWLINE) and error.where == last:
            error.problem += "; the file ends in mid-line and may be cut short"
            error.fix = (
                error.fix
                or "put the whole file there again: bench data fetch, or bench data import FOLDER"
            )
        raise


def _from_hub(
    task: Task, data: Path | None, split: str, offline: bool
) -> tuple[list[DataRow], dict[str, Any]]:
    source = task.source
    if offline:
        place = place_of(source, split, ".jsonl")
        raise NeedsNetwork(
            f"{task.full_name} is on the hub, and the network is off",
            where=f"no {data / place}" if data else "no data folder is given",
            fix=f"bench data fetch {task.full_name} --data DIR, or --data DIR (or FEWBENCH_DATA) {_with(task, split)}",
        )
    name = f"hub: {place_of(source, split)}@{source.revision}"
    rows = [
        DataRow(f"{name}, row {n}", columns)
        for n, columns in enumerate(load_split(source, split), 1)
    ]
    return rows, {"file": name, "sha256": None}


def _read_jsonl(raw: bytes, where: str, source: Source) -> Iterator[DataRow]:
    return (DataRow(place, columns) for place, columns in objects(raw, where))


def _read_tsv(raw: bytes, where: str, source: Source) -> Iterator[DataRow]:
    return _table(((place, line.split("\t")) for place, line in lines(raw, where)), where, source)


def _read_csv(raw: bytes, where: str, source: Source) -> Iterator[DataRow]:
    csv.field_size_limit(LONGEST_FIELD)  # the module's own limit is 128 KiB
    reader = csv.reader(io.StringIO(decode(raw, where), newline=""), strict=True)

    def cells() -> Iterator[tuple[str, list[str]]]:
        start = 1
        try:
            for row in reader:
                yield f"{where}, line {start}", row
                start = reader.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"not CSV: {error}",
                where=f"{where}, line {start}",
                fix='quote it: "…", with "" inside',
            ) from error

    return _table(cells(), where, source)


def _table(rows: Iterator[tuple[str, list[str]]], where: str, source: Source) -> Iterator[DataRow]:
    header = list(source.columns) if source.columns else next(rows, (where, []))[1]
    if len(set(header)) != len(header):
        raise DataError(
            "two columns have one name",
            where=f"{where}, line 1",
            allowed=f"different names, not {header}",
        )
    for place, row in rows:
        if len(row) != len(header):
            raise DataError(
                f"{len(row)} fields, and there are {len(header)} columns: {', '.join(header)}",
                where=place,
            )
        yield DataRow(place, dict(zip(header, row, strict=True)), untyped=True)


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
    ".json": _read_jsonl,  # what CLUE and FewCLUE publish under this name holds a row a line, too
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
}
