"""Declarations of sources: where a task's rows come from, and how their columns are read."""

from __future__ import annotations

import re
from typing import Any, Literal

from fewbench.data.rows import FIELD
from fewbench.io.toml import TomlTable
from fewbench.refs import NAME
from fewbench.types import Source

FORMATS = {"single": (1,), "pair": (2,), "choice": (1, 2)}
"""How many texts an item of each format has (a choice: a question, or passage and question, besides
its options).
"""

MOST_FOLDS = 1000
"""Every one of them is two files and a run of every method."""


def take_sources(table: TomlTable, form: str, labels: tuple[str, ...]) -> tuple[Source, ...]:
    """Return the sources of a task's table, the default one first.

    Raises:
        BenchError: none, two of one name, sources with different numbers of texts, or a mistake in
            one.
    """
    found: dict[str, Source] = {}
    for content in table.take("source", list):
        source = _source(TomlTable(table.path, f"{table.name}.source", content), form, labels)
        if source.name in found:
            raise table.error("source", f"two sources are called '{source.name}'")
        found[source.name] = source
    if not found:
        raise table.error("source", "a task needs a source", fix=f"[[{table.name}.source]]")
    if len({len(source.texts) for source in found.values()}) > 1:
        raise table.error("source", "its sources have different numbers of texts", fix="two tasks")
    return tuple(found.values())


def _source(table: TomlTable, form: str, labels: tuple[str, ...]) -> Source:
    texts = _texts(table, form)
    for key in ("options", "may_repeat_options", "may_lack_options"):
        if table.has(key) and form != "choice":
            raise table.error(key, f"'{key}' belongs to a choice, and to nothing else")
    if form == "choice" and not table.has("options"):
        raise table.error("options", "a choice needs the column of its options")
    values, columns = _values(table, form, labels), table.take("columns", list, None, of=str)
    folder = table.take("folder", str, None)
    source = Source(
        name=table.take("name", str),
        path=table.inside("path", ""),
        config=table.inside("config", ""),
        train=table.inside("train"),
        test=table.inside("test"),
        texts=texts,
        label=table.take("label", str),
        options=table.take("options", str, None),
        columns=None if columns is None else tuple(columns),
        values=values,
        hub=table.take("hub", bool, folder is None),
        revision=table.take("revision", str, None),
        may_be_empty=table.take("may_be_empty", bool, False),
        may_repeat_options=table.take("may_repeat_options", bool, False),
        may_lack_options=table.take("may_lack_options", bool, False),
        join=_join(table),
        drop=_drop(table),
        dev=table.inside("dev", "") or None,
        folds=table.take("folds", int, 0),
        unlabeled=table.inside("unlabeled", "") or None,
        root=None if folder is None else table.path.parent / folder,
    )
    table.finish()
    if not NAME.fullmatch(source.name):
        raise table.error(
            "name", f"'{source.name}' is no source name", allowed="lower-case letters, digits, '-'"
        )
    if source.train == source.test:
        raise table.error("test", f"train and test are one split, '{source.test}'")
    _check_folds(table, source)
    if source.hub and folder is not None:
        raise table.error(
            "hub", "a source with a folder of its own is not read from the hub", fix="hub = false"
        )
    if source.hub and not re.fullmatch("[0-9a-f]{40}", source.revision or ""):
        raise table.error(
            "revision",
            "a hub source needs its revision pinned",
            allowed="a commit of 40 hex digits",
        )
    return source


def _texts(table: TomlTable, form: str) -> tuple[str, ...]:
    texts: tuple[str, ...] = tuple(table.take("texts", list, of=str))
    if len(texts) not in FORMATS[form]:
        allowed = " or ".join(map(str, FORMATS[form]))
        raise table.error(
            "texts", f"{len(texts)} text columns", allowed=f"{allowed} for the format {form}"
        )
    if odd := [text for text in texts if re.search("[{}]", FIELD.sub("", text))]:
        raise table.error(
            "texts", f"a brace without a partner in '{odd[0]}'", allowed="{column} for each column"
        )
    return texts


def _check_folds(table: TomlTable, source: Source) -> None:
    if source.folds > MOST_FOLDS:
        raise table.error("folds", f"'folds' is {source.folds}", allowed=f"at most {MOST_FOLDS}")
    if bool(source.folds) != (source.dev is not None) or source.folds < 0:
        raise table.error(
            "folds",
            f"'folds' is {source.folds}",
            allowed="their number, where 'dev' too is published",
        )
    for key, name in (("train", source.train), ("dev", source.dev)):
        if name is not None and ("{fold}" in name) != bool(source.folds):
            allowed = (
                "a name with {fold} in it, which stands for 0, 1, …"
                if source.folds
                else "{fold} where folds are"
            )
            raise table.error(key, f"'{key}' is '{name}'", allowed=allowed)
    names = [name for pair in source.published for name in pair] + [source.test]
    if len(set(names)) != len(names):
        raise table.error("dev", "train, dev and test are not different splits")


def _values(
    table: TomlTable, form: str, labels: tuple[str, ...]
) -> tuple[str | int, ...] | Literal["options"] | None:
    values = table.take("values", (list, str), None)
    if values is None:
        return None
    if isinstance(values, str):
        if values != "options" or form != "choice":
            allowed = 'a list, one value a label; or "options" where the label of a choice is the right option itself'
            raise table.error("values", f"'values' is '{values}'", allowed=allowed)
        return "options"
    if not _alike(values) or len(values) != len(labels):
        allowed = f"{len(labels)} different texts, or integers: one a label, in order"
        raise table.error("values", f"'values' is {values}", allowed=allowed)
    return tuple(values)


def _drop(table: TomlTable) -> tuple[str | int, ...]:
    drop = table.take("drop", list, None)
    if drop is not None and not _alike(drop):
        raise table.error(
            "drop",
            f"'drop' is {drop}",
            allowed="label values of rows to leave out: texts, or integers",
        )
    return tuple(drop or ())


def _alike(values: list[Any]) -> bool:
    """Whether values are all texts or all integers, and all different."""
    return {type(value) for value in values} in ({str}, {int}) and len(set(values)) == len(values)


def _join(table: TomlTable) -> str | None:
    # A blank or a line break is a good text here, and `take` refuses blank ones.
    join = table.take("join", list, None, of=str)
    if join is not None and len(join) != 1:
        raise table.error(
            "join", f"'join' is {join}", allowed='one text in brackets, as in join = [" "]'
        )
    return None if join is None else str(join[0])
