"""The rows of data files, kept in the user's cache: parsed and checked once for each content.

A file's bytes are read and hashed each time; kept rows count for the same bytes, the same task and
the same code of the project alone. So an edited file is parsed anew, whatever its size and time of
change say. Each row is made when it is asked for, and what is computed of all rows (`derived`) is
kept beside them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import PurePath
from typing import Any, TypeVar, cast, overload

from fewbench.io.jsonl import compact
from fewbench.io.kept import Kept, key_of, project_hash
from fewbench.types import Example, Label, Rows, Task

FILES = Kept("rows", most=500, most_bytes=512 << 20)
DERIVED = Kept("derived", most=2000, most_bytes=128 << 20)

T = TypeVar("T")


class KeptRows(Sequence[Example]):
    """The rows of a split's file, labels included.

    Args:
        key: of the rows in the cache.
        read: how many rows the file has, those that the task drops among them.
        ids: of the rows that are left.
        labels: of these.
        lines: what else they hold, as JSON.
    """

    def __init__(
        self, key: str, read: int, ids: list[str], labels: list[Label | None], lines: list[bytes]
    ) -> None:
        self.key, self.read = key, read
        self.ids, self.labels = ids, labels
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, place: int) -> Example: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Example, ...]: ...
    def __getitem__(self, place: int | slice) -> Example | tuple[Example, ...]:
        if isinstance(place, slice):
            return tuple(map(self._row, range(*place.indices(len(self)))))
        return self._row(place)

    def __iter__(self) -> Iterator[Example]:
        return iter(self._all)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, KeptRows):
            return self._all == other._all
        return self._all == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)

    def derived(self, name: str, compute: Callable[[], T]) -> T:
        """Return a JSON value computed of all rows, from the cache if it is there."""
        key = key_of(self.key, name)
        value: T | None = DERIVED.get(key)
        if value is None:
            value = compute()
            DERIVED.put(key, value)
        return value

    def with_parsed(self, rows: tuple[Example, ...]) -> tuple[Example, ...]:
        """Return these rows with what was parsed of the same bytes, so that it is made once."""
        self.__dict__["_all"] = rows
        return cast("tuple[Example, ...]", self)

    @cached_property
    def _all(self) -> tuple[Example, ...]:
        return tuple(map(self._row, range(len(self))))

    def _row(self, place: int) -> Example:
        texts, *more = json.loads(self._lines[place])
        options, answers = more or ((), ())
        spans = tuple((int(start), int(end)) for start, end in answers)
        return Example(self.ids[place], tuple(texts), self.labels[place], tuple(options), spans)


class LazyRows(Sequence[Example]):
    """Rows that are made when one of them is asked for: `rows` makes all."""

    @cached_property
    def rows(self) -> tuple[Example, ...]:
        """The rows in their order."""
        raise NotImplementedError

    @overload
    def __getitem__(self, place: int) -> Example: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Example, ...]: ...
    def __getitem__(self, place: int | slice) -> Example | tuple[Example, ...]:
        return self.rows[place]

    def __iter__(self) -> Iterator[Example]:
        return iter(self.rows)


class WithoutLabels(LazyRows):
    """Rows with their labels and answers withheld."""

    def __init__(self, rows: Sequence[Example]) -> None:
        self._source = rows
        self.ids = ids_of(rows)
        self.labels: list[Label | None] = [None] * len(rows)

    def __len__(self) -> int:
        return len(self._source)

    @cached_property
    def rows(self) -> tuple[Example, ...]:
        """The rows in their order."""
        return tuple(example.without_label() for example in self._source)


def key_of_rows(task: Task, split: str, suffix: str, sha256: str) -> str:
    """Return the key of a split's rows: a hash of bytes, definition and code.

    Args:
        task: with the source in use.
        split: its name.
        suffix: of the file, which says how it is parsed.
        sha256: of the file's bytes.
    """
    return key_of(project_hash(), repr(task), split, suffix, sha256)


def find_rows(key: str) -> KeptRows | None:
    """Return the rows that are kept under a key; None without any."""
    content = FILES.get_bytes(key)
    if content is None:
        return None
    head, *lines = content.split(b"\n")
    kept = json.loads(head)
    return KeptRows(key, kept["read"], kept["ids"], kept["labels"], lines)


def as_kept(task: Task, rows: Rows) -> Rows:
    """Return rows that were just parsed as the kept rows of the same bytes, where there are any.

    What is computed of kept rows is kept too (`derived`), so that the next plan finds it.
    """
    files = dict(zip(task.source.splits, rows.files, strict=True))

    def kept(split: str, parsed: tuple[Example, ...]) -> tuple[Example, ...]:
        file = files[split]
        if isinstance(parsed, KeptRows) or file["sha256"] is None:
            return parsed
        key = key_of_rows(task, split, PurePath(file["file"]).suffix, file["sha256"])
        found = find_rows(key)
        return parsed if found is None else found.with_parsed(parsed)

    source = task.source
    return rows._replace(
        train=rows.train if rows.folds else kept(source.train, rows.train),
        test=kept(source.test, rows.test),
        unlabeled=kept(source.unlabeled, rows.unlabeled) if source.unlabeled else (),
    )


def keep_rows(key: str, rows: Sequence[Example], read: int) -> None:
    """Keep checked rows; `read` is how many the file has."""
    head = {"read": read, "ids": ids_of(rows), "labels": labels_of(rows)}
    lines = [json.dumps(head, separators=(",", ":")), *map(_line, rows)]
    FILES.put_bytes(key, "\n".join(lines).encode())


def _line(example: Example) -> str:
    more = [example.options, example.answers] if example.options or example.answers else []
    return compact([example.texts, *more])


def ids_of(rows: Sequence[Example]) -> list[str]:
    """Return the ids of rows."""
    if isinstance(rows, (KeptRows, WithoutLabels)):
        return rows.ids
    return [example.id for example in rows]


def labels_of(rows: Iterable[Example]) -> list[Label | None]:
    """Return the labels of rows."""
    if isinstance(rows, (KeptRows, WithoutLabels)):
        return rows.labels
    return [example.label for example in rows]


def derived(rows: Iterable[Example], name: str, compute: Callable[[], Any]) -> Any:
    """Return a JSON value computed of rows; that of kept rows is kept too."""
    return rows.derived(name, compute) if isinstance(rows, KeptRows) else compute()
