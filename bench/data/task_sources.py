"""Read the sources in a task's table: where its rows come from, and their columns."""

from __future__ import annotations

import itertools
import re
from typing import Any, Literal

from fewbench.data.rows import FIELD
from fewbench.io.toml import TomlTable
from fewbench.refs import NAME
from fewbench.types import Source

FORMATS = {"single": (1,), "pair": (2,), "choice": (1, 2), "span": (2,)}
"""Number of texts per example; a choice has a question, or as a span a passage and a question."""

MOST_FOLDS = 1000
"""Largest number of folds: each means two files, and a run of every method."""


def take_sources(table: TomlTable, form: str, labels: tuple[str, ...]) -> tuple[Source, ...]:
    """Take the sources of a task's table, the default one first.

    Raises:
        BenchError: there is none, two have the same name, they have different numbers of texts, or
            one has a mistake.
    """
    sources: dict[str, Source] = {}
    for content in table.take("source", list):
        source = _source(TomlTable(table.path, f"{table.name}.source", content), form, labels)
        if source.name in sources:
            raise table.error("source", f"two sources are called '{source.name}'")
        sources[source.name] = source
    if not sources:
        raise table.error("source", "a task needs a source", fix=f"[[{table.name}.source]]")
    if len({len(source.texts) for source in sources.values()}) > 1:
        raise table.error("source", "its sources have different numbers of texts", fix="two tasks")
    return tuple(sources.values())


def _source(table: TomlTable, form: str, labels: tuple[str, ...]) -> Source:
    texts = _texts(table, form)
    _check_options(table, form)
    values = _values(table, form, labels)
    columns = table.take("columns", list, None, of=str)
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
        problem = f"'{source.name}' is not a valid source name"
        raise table.error("name", problem, allowed="lower-case letters, digits, '-'")
    if source.train == source.test:
        raise table.error("test", f"train and test are the same split, '{source.test}'")
    _check_folds(table, source)
    _check_hub(table, source)
    return source


def _check_options(table: TomlTable, form: str) -> None:
    if form == "choice":
        if not table.has("options"):
            raise table.error("options", "a choice needs the column of its options")
        return
    for key in ("options", "may_repeat_options", "may_lack_options"):
        if table.has(key):
            raise table.error(key, f"'{key}' belongs to the format choice only")


def _check_hub(table: TomlTable, source: Source) -> None:
    if not source.hub:
        return
    if source.root is not None:
        problem = "a source that has its own folder is not read from the hub"
        raise table.error("hub", problem, fix="hub = false")
    if not re.fullmatch("[0-9a-f]{40}", source.revision or ""):
        problem = "a hub source needs a pinned revision"
        raise table.error("revision", problem, allowed="a commit of 40 hexadecimal digits")


def _texts(table: TomlTable, form: str) -> tuple[str, ...]:
    texts: tuple[str, ...] = tuple(table.take("texts", list, of=str))
    if len(texts) not in FORMATS[form]:
        allowed = " or ".join(map(str, FORMATS[form])) + f" for the format {form}"
        raise table.error("texts", f"{len(texts)} text columns", allowed=allowed)
    if odd := [text for text in texts if re.search("[{}]", FIELD.sub("", text))]:
        problem = f"an unmatched brace in '{odd[0]}'"
        raise table.error("texts", problem, allowed="{column} for each column")
    return texts


def _check_folds(table: TomlTable, source: Source) -> None:
    if source.folds > MOST_FOLDS:
        raise table.error("folds", f"'folds' is {source.folds}", allowed=f"at most {MOST_FOLDS}")
    if bool(source.folds) != (source.dev is not None) or source.folds < 0:
        allowed = "the number of folds, together with 'dev'"
        raise table.error("folds", f"'folds' is {source.folds}", allowed=allowed)
    _check_fold_name(table, "train", source.train, source.folds)
    if source.dev is not None:
        _check_fold_name(table, "dev", source.dev, source.folds)
    names = [*itertools.chain.from_iterable(source.published), source.test]
    if len(set(names)) != len(names):
        raise table.error("dev", "train, dev and test are not different splits")


def _check_fold_name(table: TomlTable, key: str, name: str, folds: int) -> None:
    if ("{fold}" in name) == bool(folds):
        return
    allowed = (
        "a name with {fold}, which stands for 0, 1, …" if folds else "{fold} only with 'folds'"
    )
    raise table.error(key, f"'{key}' is '{name}'", allowed=allowed)


def _values(
    table: TomlTable, form: str, labels: tuple[str, ...]
) -> tuple[str | int, ...] | Literal["options"] | None:
    values = table.take("values", (list, str), None)
    if values is None:
        return None
    if form == "span":
        raise table.error("values", "answers that are spans of a passage have no values")
    if isinstance(values, str):
        if values != "options" or form != "choice":
            allowed = (
                'a list with one value per label, or "options" '
                "if the label column of a choice holds the right option itself"
            )
            raise table.error("values", f"'values' is '{values}'", allowed=allowed)
        return "options"
    if not _alike(values) or len(values) != len(labels):
        allowed = f"{len(labels)} different strings, or integers: one per label, in order"
        raise table.error("values", f"'values' is {values}", allowed=allowed)
    return tuple(values)


def _drop(table: TomlTable) -> tuple[str | int, ...]:
    drop = table.take("drop", list, None)
    if drop is not None and not _alike(drop):
        allowed = "label values of rows to leave out: strings, or integers"
        raise table.error("drop", f"'drop' is {drop}", allowed=allowed)
    return tuple(drop or ())


def _alike(values: list[Any]) -> bool:
    """Return True if all values are strings or all are integers, and none is repeated."""
    return {type(value) for value in values} in ({str}, {int}) and len(set(values)) == len(values)


def _join(table: TomlTable) -> str | None:
    # The value is a list because `take` refuses blank strings, which are valid here.
    join = table.take("join", list, None, of=str)
    if join is not None and len(join) != 1:
        allowed = 'one string in brackets, as in join = [" "]'
        raise table.error("join", f"'join' is {join}", allowed=allowed)
    return None if join is None else str(join[0])
