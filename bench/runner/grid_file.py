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
    methods = "vanilla-kd"
    k = "full"
    teacher = "models/large"
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
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


def read_requests(path: Path, base: Request, given: Collection[str]) -> list[Request]:
    """Return the requests of a file, one for each block and student.

    Args:
        path: of the file.
        base: what holds where the file says nothing.
        given: keys that the command line gives, too; there the file is not followed.

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
    for number, block in enumerate(blocks, 1):
        name = f"{BLOCKS} {number}" if block else "top"
        requests += _requests(TomlTable(path, name, {**content, **block}, GUIDE), base, given)
    return requests


def _requests(table: TomlTable, base: Request, given: Collection[str]) -> Iterator[Request]:
    """Yield the requests of one block."""
    values = {key: take(table, key) for key, take in _KEYS.items() if table.has(key)}
    table.finish()
    followed = {key: value for key, value in values.items() if key not in given}
    students = followed.pop("student", (base.student,))
    request = replace(base, **{_FIELDS.get(key, key): value for key, value in followed.items()})
    if "protocol" not in given and "protocol" not in values:
        request = replace(request, protocol=usual_protocol(request.tasks, request.k))
    for student in students:
        yield replace(request, student=student)


def _names(table: TomlTable, key: str) -> tuple[str, ...]:
    """Take one name or a list of them."""
    value = table.take(key, (str, list))
    names = (value,) if isinstance(value, str) else tuple(value)
    if not names or any(not isinstance(name, str) or not name.strip() for name in names):
        raise table.error(key, f"'{key}' is {value!r}", allowed="one name or several")
    return names


def _ks(table: TomlTable, key: str) -> tuple[K, ...]:
    value = table.take(key, (int, str, list))
    try:
        return tuple(parse_k(str(k)) for k in (value if isinstance(value, list) else [value]))
    except BenchError as error:
        raise table.error(key, error.problem, allowed=error.allowed) from error


def _seeds(table: TomlTable, key: str) -> tuple[int, ...]:
    value = table.take(key, (int, list))
    seeds = tuple(value) if isinstance(value, list) else (value,)
    if not seeds or any(type(seed) is not int for seed in seeds):
        raise table.error(key, f"'{key}' is {value!r}", allowed="whole numbers")
    return seeds


def _text(table: TomlTable, key: str) -> str:
    text: str = table.take(key, str)
    return text


def _flag(table: TomlTable, key: str) -> bool:
    flag: bool = table.take(key, bool)
    return flag


_KEYS: Mapping[str, Callable[[TomlTable, str], Any]] = {
    "methods": _names,
    "tasks": _names,
    "k": _ks,
    "seeds": _seeds,
    "student": _names,
    "teacher": _text,
    "protocol": _text,
    "template": _names,
    "corpus": _text,
    "limit": TomlTable.positive,
    "drop_leaks": _flag,
    "dtype": _text,
    "attention": _text,
    "keep_models": _flag,
}
"""The keys of a block."""

_FIELDS = {"template": "templates"}
"""The fields of a request that have another name than their key."""
