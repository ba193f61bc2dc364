"""Import a local folder into the data folder, checking all rows before anything is written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

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
from fewbench.types import Example, Label, Source, Task

LM_BFF = "lm-bff"
LAYOUTS = ("jsonl", "json", "csv", "tsv", "parquet", LM_BFF)
"""Kinds of files to import, and LM-BFF's folder `original`, which has its own names."""


class Imported(NamedTuple):
    """An imported file, its number of rows, and whether it was written or existed already."""

    file: str
    rows: int
    done: Literal["imported", "there"]


class _Read(NamedTuple):
    """A split to be written: its file's name and bytes, number of rows, and examples."""

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
        folder: holds the files directly, below the source's config, or as in the data folder.
        data: the data folder.
        layout: one of `LAYOUTS`; None takes any kind of file.
        force: replace files with other contents.

    Raises:
        DataError: a file is missing, does not fit the task, or is in the way.
    """
    source = task.source
    if source.root is not None:
        where = str(source.root / source.path / source.config)
        problem = f"{task.full_name} is read from its own folder"
        raise DataError(problem, where=where, fix="put the files there")
    paths = _find(task, folder, layout)
    splits = [_read(task, split, path, layout) for split, path in paths.items()]
    train_names = {train for train, _ in source.published} or {source.train}
    train: list[Example] = []
    for split in splits:
        if split.split in train_names:
            train += split.examples
    check_classes(task, train, f"{folder}, {', '.join(sorted(train_names))}")
    return _write(task, splits, data, force)


def _find(task: Task, folder: Path, layout: str | None) -> dict[str, Path]:
    """Find the file of each split."""
    if not folder.is_dir():
        fix = "unpack it, and name the folder" if folder.exists() else None
        raise DataError(f"there is no folder {folder}", fix=fix)
    candidates = _candidates(task, folder, layout)
    for candidate in candidates:
        files = {split: _of_kind(candidate, split, layout) for split in task.source.splits}
        if any(files.values()):
            return {split: _only(task, split, candidate, files[split]) for split in files}
    extension = ".*" if layout in (None, LM_BFF) else f".{layout}"
    names = ", ".join(f"{split}{extension}" for split in task.source.splits)
    if extension in (".*", ".parquet"):
        names += f" (or the hub's {task.source.train}-00000-of-00001.parquet, …)"
    problem = f"{task.full_name}: none of its files is there: {names}"
    raise DataError(problem, where=", ".join(map(str, candidates)))


def _candidates(task: Task, folder: Path, layout: str | None) -> list[Path]:
    """List the folders that may hold the files, in the order in which they are tried."""
    source = task.source
    if layout == LM_BFF:
        if not _is_lm_bff(source):
            raise _not_lm_bff(task)
        config = source.config
        paths = [f"data/original/{config}", f"original/{config}", config, ""]
    else:  # the full path comes first: another data set's folder may have the config's name
        paths = [f"{source.path}/{source.config}", source.config, ""]
    return [folder / path for path in dict.fromkeys(paths)]


def _is_lm_bff(source: Source) -> bool:
    return source.path.split("/")[0] == LM_BFF


def _not_lm_bff(task: Task) -> DataError:
    others = [f"{task.name}@{source.name}" for source in task.sources if _is_lm_bff(source)]
    return DataError(
        f"{task.full_name} does not read LM-BFF's files",
        allowed=others or "another --from",
        fix=f"--task {others[0]}" if others else None,
    )


def _of_kind(folder: Path, split: str, layout: str | None) -> list[Path]:
    return [file for file in files_of(folder, split) if layout in (None, LM_BFF, file.suffix[1:])]


def _only(task: Task, split: str, folder: Path, files: Sequence[Path]) -> Path:
    """Return the only file of a split."""
    if not files:
        problem = f"{task.full_name}: there is no file for the split '{split}'"
        raise DataError(problem, where=str(folder))
    if len(files) > 1:
        names = " and ".join(file.name for file in files)
        problem = f"{task.full_name}: two files for the split '{split}': {names}"
        raise DataError(problem, where=str(folder), fix=f"--from {files[0].suffix[1:]}")
    return files[0]


def _read(task: Task, split: str, file: Path, layout: str | None) -> _Read:
    """Read a split and check it as the loader will."""
    source = task.source
    raw = _read_shards(file)
    name = f"{split}{file.suffix}"
    is_table = file.suffix == ".csv" and source.columns is None and len(source.texts) == 1
    if layout == LM_BFF and is_table:
        table = replace(source, columns=(source.label, source.texts[0]))
        examples = check_rows(task, split, parse(table, raw, file), str(file))
        raw = _json_lines(source, examples)
        name, file = f"{split}.jsonl", file.with_suffix(".jsonl")
    rows = parse(source, raw, file)
    return _Read(split, name, raw, len(rows), check_rows(task, split, rows, str(file)))


def _read_shards(file: Path) -> bytes:
    """Read a file; several shards of the hub become one Parquet file."""
    shards = shards_of(file)
    if len(shards) == 1:
        return read_bytes(file)
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    try:
        tables = [pq.read_table(pa.BufferReader(read_bytes(shard))) for shard in shards]
        pq.write_table(pa.concat_tables(tables), sink)
    except (pa.ArrowException, OSError, ValueError) as error:
        problem = f"these shards are not Parquet, or not of one table: {error}"
        raise DataError(problem, where=str(file)) from error
    return bytes(sink.getvalue())


def _json_lines(source: Source, examples: Sequence[Example]) -> bytes:
    """Convert examples of LM-BFF's headerless tables to JSON lines with the source's columns."""
    lines = []
    for example in examples:
        label: Label | str | None = example.label
        if isinstance(source.values, tuple) and isinstance(label, int):
            label = source.values[label]
        row = {source.texts[0]: example.texts[0], source.label: label}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines).encode()


def _write(task: Task, splits: Sequence[_Read], data: Path, force: bool) -> list[Imported]:
    source = task.source
    folder, sums = folder_of(source, data), sums_file(source, data)
    known = read_sums(sums)
    entries: dict[str, ManifestEntry] = {}
    files: dict[Path, bytes] = {}
    results: list[Imported] = []
    for split in splits:
        file, key = folder / split.name, key_of(source, split.name)
        refuse_outside(data, file)
        _refuse_others(folder, split, force)
        exists = holds(file, split.raw)
        if not exists:
            files[file] = split.raw
        entry = entry_of(split.raw, split.rows, "import", None)
        if key not in known or known[key].sha256 != entry.sha256:
            entries[key] = entry
        path = file.relative_to(data).as_posix()
        results.append(Imported(path, split.rows, "there" if exists else "imported"))
    write_listed(data, sums, entries, files)
    return results


def _refuse_others(folder: Path, split: _Read, force: bool) -> None:
    """Check that no other file of the split exists, and none with other contents unless forced."""
    file = folder / split.name
    if others := [other.name for other in files_of(folder, split.split) if other != file]:
        problem = f"the split '{split.split}' already exists as {others[0]}"
        raise DataError(problem, where=str(folder), fix="move it away")
    if force or not os.path.lexists(file) or holds(file, split.raw):
        return
    old = hashlib.sha256(read_bytes(file)).hexdigest() if file.is_file() else "none"
    new = hashlib.sha256(split.raw).hexdigest()
    problem = f"this file exists with other contents: sha256 {old}, not {new}"
    raise DataError(problem, where=str(file), fix="--force replaces it")
