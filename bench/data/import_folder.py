"""A local folder taken into the mirror layout: everything is checked as the loader does before
anything is written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fewbench.data.manifest import (
    ManifestEntry,
    entry_of,
    folder_of,
    key_of,
    read_sums,
    refuse_outside,
    sums_file,
    write_listed,
)
from fewbench.data.reader import check_rows, files_of, parse, shards_of
from fewbench.data.rows import check_classes
from fewbench.errors import DataError
from fewbench.io.atomic import holds
from fewbench.io.jsonl import read_bytes
from fewbench.types import Example, Source, Task

LM_BFF = "lm-bff"
LAYOUTS = ("jsonl", "json", "csv", "tsv", "parquet", LM_BFF)
"""Kinds of file that a folder is read for, and LM-BFF's folder `original` with its own names."""


class Imported(NamedTuple):
    """A file of the mirror, its rows, and whether it was written or stood there already."""

    file: str
    rows: int
    done: Literal["imported", "there"]


class _Read(NamedTuple):
    """A split as it was found, and as it will be written: the file's name and bytes, its rows and
    examples.
    """

    split: str
    name: str
    raw: bytes
    rows: int
    examples: tuple[Example, ...]


def import_folder(
    task: Task, folder: Path, data: Path, *, layout: str | None = None, force: bool = False
) -> list[Imported]:
    """Copy the files of a task's source in use from a folder into the data folder, all or none.

    Args:
        task: its first source says which splits there are, and how their rows are read.
        folder: where the files lie: at its top, in the source's config, or laid out as in the
            mirror.
        data: the data folder.
        layout: one of `LAYOUTS`; None takes any kind of file.
        force: replace files that hold something else.

    Raises:
        DataError: a file that is missing or does not fit the task, or one that stands in the way.
    """
    source = task.source
    if source.root is not None:
        where = str(source.root / source.path / source.config)
        raise DataError(
            f"{task.full_name} has a folder of its own", where=where, fix="put the files there"
        )
    found = _find(task, folder, layout)
    reads = [_read(task, split, file, layout) for split, file in found.items()]
    trained = {train for train, _ in source.published} or {source.train}
    train = [example for read in reads if read.split in trained for example in read.examples]
    check_classes(task, train, f"{folder}, {', '.join(sorted(trained))}")
    return _write(task, reads, data, force)


def _find(task: Task, folder: Path, layout: str | None) -> dict[str, Path]:
    """Return the file of each split."""
    if not folder.is_dir():
        fix = "unpack it, and name the folder" if folder.exists() else None
        raise DataError(f"there is no folder {folder}", fix=fix)
    candidates = list(_candidates(task, folder, layout))
    for candidate in candidates:
        found = {split: _of_kind(candidate, split, layout) for split in task.source.splits}
        if any(found.values()):
            return {split: _one(task, split, candidate, files) for split, files in found.items()}
    kind = ".*" if layout in (None, LM_BFF) else f".{layout}"
    names = ", ".join(f"{split}{kind}" for split in task.source.splits)
    names += (
        f" (or the hub's {task.source.train}-00000-of-00001.parquet, …)"
        if kind in (".*", ".parquet")
        else ""
    )
    raise DataError(
        f"{task.full_name}: none of its files is there: {names}",
        where=", ".join(map(str, candidates)),
    )


def _candidates(task: Task, folder: Path, layout: str | None) -> Iterator[Path]:
    source = task.source
    if layout == LM_BFF and source.path.split("/")[0] != LM_BFF:
        others = [
            f"{task.name}@{other.name}"
            for other in task.sources
            if other.path.split("/")[0] == LM_BFF
        ]
        problem = f"{task.full_name} does not read LM-BFF's files"
        raise DataError(
            problem,
            allowed=others or "another --from",
            fix=f"--task {others[0]}" if others else None,
        )
    if layout == LM_BFF:
        places = [f"data/original/{source.config}", f"original/{source.config}", source.config, ""]
    else:  # the whole path first: another data set's folder may bear the config's name
        places = [f"{source.path}/{source.config}", source.config, ""]
    return (folder / place for place in dict.fromkeys(places))


def _of_kind(folder: Path, split: str, layout: str | None) -> list[Path]:
    return [file for file in files_of(folder, split) if layout in (None, LM_BFF, file.suffix[1:])]


def _one(task: Task, split: str, folder: Path, files: Sequence[Path]) -> Path:
    if not files:
        raise DataError(
            f"{task.full_name}: there is no file for the split '{split}'", where=str(folder)
        )
    if len(files) > 1:
        names = " and ".join(file.name for file in files)
        fix = f"--from {files[0].suffix[1:]}"
        raise DataError(
            f"{task.full_name}: two files for the split '{split}': {names}",
            where=str(folder),
            fix=fix,
        )
    return files[0]


def _read(task: Task, split: str, file: Path, layout: str | None) -> _Read:
    """Return a split, checked as the loader will read it."""
    source, raw = task.source, _whole(file)
    name = f"{split}{file.suffix}"
    if (
        layout == LM_BFF
        and file.suffix == ".csv"
        and source.columns is None
        and len(source.texts) == 1
    ):
        plain = replace(source, columns=(source.label, source.texts[0]))
        examples = check_rows(task, split, parse(plain, raw, file), str(file))
        raw, name, file = _as_lines(source, examples), f"{split}.jsonl", file.with_suffix(".jsonl")
    rows = parse(source, raw, file)
    return _Read(split, name, raw, len(rows), check_rows(task, split, rows, str(file)))


def _whole(file: Path) -> bytes:
    """Return a file's bytes; several shards of the hub become one Parquet file."""
    shards = shards_of(file)
    if len(shards) == 1:
        return read_bytes(file)
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    try:
        pq.write_table(
            pa.concat_tables(
                [pq.read_table(pa.BufferReader(read_bytes(shard))) for shard in shards]
            ),
            sink,
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"these shards are not Parquet, or not of one table: {error}", where=str(file)
        ) from error
    return bytes(sink.getvalue())


def _as_lines(source: Source, examples: Sequence[Example]) -> bytes:
    """Return LM-BFF's tables without header (label, text) as the JSON lines that the source's
    columns name.
    """

    def label(index: Any) -> Any:
        return source.values[index] if isinstance(source.values, tuple) else index

    rows = [
        {source.texts[0]: example.texts[0], source.label: label(example.label)}
        for example in examples
    ]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _write(task: Task, reads: Sequence[_Read], data: Path, force: bool) -> list[Imported]:
    source = task.source
    folder, sums = folder_of(source, data), sums_file(source, data)
    known = read_sums(sums)
    entries: dict[str, ManifestEntry] = {}
    files: dict[Path, bytes] = {}
    results: list[Imported] = []
    for read in reads:
        file, key = folder / read.name, key_of(source, read.name)
        refuse_outside(data, file)
        _refuse_others(folder, read, force)
        same = holds(file, read.raw)
        if not same:
            files[file] = read.raw
        entry = entry_of(read.raw, read.rows, "import", None)
        if key not in known or known[key].sha256 != entry.sha256:
            entries[key] = entry
        results.append(
            Imported(file.relative_to(data).as_posix(), read.rows, "there" if same else "imported")
        )
    write_listed(data, sums, entries, files)
    return results


def _refuse_others(folder: Path, read: _Read, force: bool) -> None:
    """Refuse to put a file beside another of its split, or in the place of one that holds something
    else.
    """
    file = folder / read.name
    if others := [other.name for other in files_of(folder, read.split) if other != file]:
        problem = f"the split '{read.split}' stands there as {others[0]}"
        raise DataError(problem, where=str(folder), fix="move it away")
    if force or not os.path.lexists(file) or holds(file, read.raw):
        return
    new = hashlib.sha256(read.raw).hexdigest()
    old = hashlib.sha256(read_bytes(file)).hexdigest() if file.is_file() else "none"
    problem = (
        f"a file stands there that holds something else: sha256 {old}, and {new} is to be imported"
    )
    raise DataError(problem, where=str(file), fix="--force replaces it")
