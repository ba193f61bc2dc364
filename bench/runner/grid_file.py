"""A grid of runs in one TOML file, which `bench run --config` reads.

Keys are the options of `bench run` that say which runs are meant. Those at the top hold for all
blocks; each `[[runs]]` block adds its own, and is one request. Without blocks the file is one.

    tasks = ["sst-2", "mr"]
    seeds = [13, 21]
    student = ["models/small", "models/tiny"]

    [[runs]]
    methods = ["ft", "prompt-ft"]
    k = [16, 32]

    [[runs]]
    methods = ["vanilla-kd"]
    k = "full"
    teacher = "models/large"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fewbench.data.train_size import parse_k
from fewbench.errors import BenchError
from fewbench.io import toml
from fewbench.io.toml import TomlTable
from fewbench.runner.plan import Request, usual_protocol
from fewbench.types import K

BLOCKS = "runs"
GUIDE = "bench run --help shows what each key stands for"

Values = Mapping[str, Any]


def read_requests(path: Path, given: Values, conditions: Values) -> list[Request]:
    """Return the requests of a file, one for each block and student.

    Args:
        path: of the file.
        given: options of the command, by the name of their key; they take the place of the file's.
        conditions: fields of `Request` that no file sets: where the data are, whether offline.

    Raises:
        BenchError: the file is not TOML, or a key or value has no place in it.
    """
    content = toml.load(path)
    blocks = content.pop(BLOCKS, [{}])
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise BenchError(
            f"'{BLOCKS}' is {blocks!r}", where=str(path), allowed=f"tables: [[{BLOCKS}]]"
        )
    requests: list[Request] = []
    for number, block in enumerate(blocks):
        name = f"{BLOCKS}.{number}" if number or block else ""
        table = TomlTable(path, name, {**content, **block, **given}, GUIDE)
        requests += _of_block(table, conditions)
    return requests


def _of_block(table: TomlTable, conditions: Values) -> list[Request]:
    tasks = _names(table, "tasks", ["demo"])
    ks = _ks(table)
    students = _names(table, "student", [])
    fields = {
        "methods": tuple(_names(table, "methods", ["all"])),
        "tasks": tuple(tasks),
        "k": ks,
        "seeds": _seeds(table),
        "teacher": table.take("teacher", str, None),
        "protocol": table.take("protocol", str, None) or usual_protocol(tasks, ks),
        "limit": _limit(table),
        "templates": tuple(_names(table, "template", [])),
        "corpus": table.take("corpus", str, None),
        "drop_leaks": table.take("drop_leaks", bool, False),
        "keep_models": table.take("keep_models", bool, False),
        **conditions,
    }
    table.finish()
    if not students:
        return [Request(**fields)]
    return [Request(**fields, student=student) for student in students]


def _names(table: TomlTable, key: str, usual: Sequence[str]) -> list[str]:
    """Take one name or a list of them."""
    value = table.take(key, (str, list), usual)
    names = [value] if isinstance(value, str) else list(value)
    if any(not isinstance(name, str) or not name.strip() for name in names):
        raise table.error(key, f"'{key}' is {value!r}", allowed="names")
    return names


def _ks(table: TomlTable) -> tuple[K, ...] | None:
    value = table.take("k", (int, str, list), None)
    if value is None:
        return None
    several = value if isinstance(value, list) else [value]
    try:
        return tuple(parse_k(str(k)) for k in several)
    except BenchError as error:
        raise table.error("k", error.problem, allowed=error.allowed or "") from error


def _seeds(table: TomlTable) -> tuple[int, ...] | None:
    value = table.take("seeds", (int, list), None)
    if value is None:
        return None
    several = value if isinstance(value, list) else [value]
    if not several or any(type(seed) is not int for seed in several):
        raise table.error("seeds", f"'seeds' is {value!r}", allowed="whole numbers")
    return tuple(several)


def _limit(table: TomlTable) -> int | None:
    limit: int | None = table.take("limit", int, None)
    if limit is not None and limit < 1:
        raise table.error("limit", f"'limit' is {limit}", allowed="1 or more")
    return limit
