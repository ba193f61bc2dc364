"""The record of a run, and its text: JSON with sorted keys and its own checksum."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from fewbench.errors import BenchError, StoreDamaged
from fewbench.io.checked_json import MEND, dumps, plain, seal, unseal
from fewbench.store.cell import UNKNOWN_METRIC, Cell, Question, TaskCell, Variant, entrant_of
from fewbench.store.parts import Environment, RecordPart, RunTiming, Selection, SplitFacts
from fewbench.types import CorpusRef, Inputs, Json, ModelRef, Run

SCHEMA = 6


def _second(old: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 names the template of a run; there was but the task's own before."""
    return {**old, "schema": 2, "run": {**old["run"], "template": ""}}


def _third(old: dict[str, Any]) -> dict[str, Any]:
    """Schema 3 names the corpus of a run; no method read one before."""
    return {**old, "schema": 3, "run": {**old["run"], "corpus": None}}


def _fourth(old: dict[str, Any]) -> dict[str, Any]:
    """Schema 4 says whether leaked test rows were left out; none ever were before."""
    return {**old, "schema": 4, "run": {**old["run"], "drop_leaks": False}}


def _fifth(old: dict[str, Any]) -> dict[str, Any]:
    """Schema 5 says what a run was made from; of earlier runs that is not known."""
    return {**old, "schema": 5, "run": {**old["run"], "inputs": plain(Inputs())}}


def _sixth(old: dict[str, Any]) -> dict[str, Any]:
    """Schema 6 covers what the protocol came to; of earlier runs the constants alone were hashed."""
    run = old["run"]
    return {**old, "schema": 6, "run": {**run, "inputs": {**run["inputs"], "trials": ""}}}


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: _second,
    2: _third,
    3: _fourth,
    4: _fifth,
    5: _sixth,
}
"""By schema n: what makes a payload of schema n + 1 of it. Records of every schema load for ever.
"""


PARTS: Mapping[str, type[RecordPart]] = {
    "selection": Selection,
    "split": SplitFacts,
    "environment": Environment,
    "timing": RunTiming,
}


@dataclass(frozen=True, slots=True)
class Record:
    """The stored outcome of a run.

    `scores` has "dev" and "test", each a score by metric's name. `details` are the method's own
    notes, and `method_code` is the hash of its code. Apart from `timing` and `environment` a record
    is the same bytes wherever and whenever the run is made. `error` says why a run failed.
    `predictions` is the sha256 of the predictions file, set by `Store.save`.
    """

    run: Run
    status: Literal["ok", "failed"]
    scores: Mapping[str, Mapping[str, float]]
    selection: Selection
    split: SplitFacts
    details: Json
    method_code: str
    environment: Environment
    timing: RunTiming
    warnings: tuple[str, ...] = ()
    error: str | None = None
    predictions: str | None = None
    schema: int = SCHEMA

    @property
    def comparable(self) -> bool:
        """True if the whole test set was used."""
        return self.run.limit is None and not self.run.drop_leaks

    @property
    def score(self) -> float | None:
        """The headline test score; None if the run failed or has no score by the metric it names."""
        metric = self.selection.metric
        if self.status == "failed" or metric is None:
            return None
        return self.scores.get("test", {}).get(metric)

    @property
    def finished_score(self) -> float:
        """The headline test score of a run that is known to have finished."""
        assert self.score is not None, f"run {self.run.key} has no score"
        return float(self.score)

    @property
    def whole_test_fingerprint(self) -> str:
        """The normalised fingerprint of the test set, with the leaked rows that were left out."""
        return self.split.whole_test_fingerprint or self.run.test_fingerprint

    @property
    def test_set(self) -> str:
        """The hash of the test set; before schema 5 its normalised fingerprint behind a `~`."""
        return self.run.inputs.test_set or f"~{self.whole_test_fingerprint}"

    @property
    def question(self) -> Question:
        """The question that the run answers."""
        run = self.run
        task = TaskCell(
            task=run.task,
            source=run.source,
            template=run.template,
            version=run.task_version,
            definition=run.inputs.task,
            train_set=run.inputs.train_set,
            test_set=self.test_set,
            metric=self.selection.metric or UNKNOWN_METRIC,
            positive=self.selection.positive or "",
        )
        return Question(task, run.k, run.protocol, run.inputs.protocol, run.limit, run.drop_leaks)

    @property
    def cell(self) -> Cell:
        """The table cell that the run belongs to."""
        inputs = self.run.inputs
        variant = Variant(inputs.settings, inputs.unlabeled, inputs.trials)
        return Cell(self.question, entrant_of(self.run), variant)


def run_key(run: Run) -> str:
    """Return what identifies a run: 32 hex digits.

    Everything in the run counts, but of a model only its revision: neither its name nor where its
    folder lies. The task's own template is left out, and so are a corpus that is not read, leaks
    that are kept, and inputs (or trials among them) that are not known: keys of runs of an earlier
    schema stay what they were.

    Raises:
        BenchError: a setting that JSON cannot hold.
    """
    payload = plain(run) | {
        name: _revision(getattr(run, name)) for name in ("student", "teacher", "corpus")
    }
    del payload["key"]
    for name in ("template", "corpus", "drop_leaks"):
        if not payload[name]:
            del payload[name]
    if not run.inputs.known:
        del payload["inputs"]
    elif not run.inputs.trials:
        payload["inputs"] = {
            name: value for name, value in plain(run.inputs).items() if name != "trials"
        }
    text = dumps(payload, f"the run of {run.method} on {run.task}", separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def to_json(record: Record) -> str:
    """Return a record's text, which ends in a newline.

    Raises:
        BenchError: the record holds a number that is not finite, or a thing that JSON cannot hold.
    """
    payload = {field.name: getattr(record, field.name) for field in fields(record)}
    payload |= {name: payload[name].to_json() for name in PARTS}
    return seal(payload, f"the record {record.run.key}")


def from_json(text: str, where: str) -> Record:
    """Return the record that a text holds. `where` names the file in errors.

    Raises:
        StoreDamaged: not JSON, cut short, not what was written, or a field missing or of another
            type.
        BenchError: a newer version of fewbench wrote it.
    """
    payload = unseal(text, where, "record")
    schema = payload.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise BenchError(
            f"a newer version of fewbench made this record (schema {schema})",
            where=where,
            allowed=f"schemas up to {SCHEMA}",
            fix="pip install --upgrade fewbench",
        )
    try:
        while payload["schema"] != SCHEMA:
            if payload["schema"] not in MIGRATIONS:
                raise ValueError(f"there never was a schema {payload['schema']!r}")
            payload = MIGRATIONS[payload["schema"]](payload)
        return _record(payload)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise StoreDamaged(f"damaged record: {problem}", where=where, fix=MEND) from error


_KINDS = {
    "method_code": str,
    **dict.fromkeys(("scores", "details", *PARTS), dict),
}
_HEX = re.compile("[0-9a-f]*").fullmatch
_LONGEST_HASH = 64

_RECORD_FIELDS = frozenset(field.name for field in fields(Record))
_RUN_FIELDS = frozenset(field.name for field in fields(Run))
_RUN = {
    "task": str,
    "task_version": int,
    "source": str,
    "method": str,
    "settings": dict,
    "k": int,
    "seed": int,
    "protocol": str,
    "fingerprint": str,
    "test_fingerprint": str,
    "template": str,
    "drop_leaks": bool,
    "inputs": dict,
    "key": str,
}


def _record(payload: dict[str, Any]) -> Record:
    del payload["checksum"]
    _expect_all(payload, _RECORD_FIELDS)
    run = payload["run"]
    _expect_all(run, _RUN_FIELDS)
    _expect_kinds(run, _RUN)
    run["settings"] = {name: _tuples(value) for name, value in run["settings"].items()}
    for role in ("student", "teacher"):
        run[role] = None if run[role] is None else ModelRef(path="", **run[role])
    run["corpus"] = None if run["corpus"] is None else CorpusRef(path="", **run["corpus"])
    run["inputs"] = _inputs(run["inputs"])
    payload["run"] = Run(**run)
    _expect_digest(run["key"], 32, "key")
    if payload["predictions"] is not None:
        _expect_digest(payload["predictions"], 64, "predictions")
    _expect_kinds(payload, _KINDS)
    for name, scores in payload["scores"].items():
        for metric, score in scores.items():
            if not isinstance(score, (int, float)):
                raise TypeError(f"{metric} is {score!r}")
            if not math.isfinite(score):
                raise ValueError(f"{metric} on {name} is {score}")
    if payload["status"] not in ("ok", "failed"):
        raise ValueError(f"status is {payload['status']!r}")
    payload["warnings"] = tuple(payload["warnings"])
    for name, part in PARTS.items():
        payload[name] = part.from_json(payload[name])
    return Record(**payload)


def _inputs(payload: dict[str, Any]) -> Inputs:
    """Return what a run was made from; a field that is not written is one that its version did not
    know.
    """
    for name, value in payload.items():
        if not isinstance(value, str) or len(value) > _LONGEST_HASH or not _HEX(value):
            raise ValueError(f"inputs.{name} is {value!r}")
    return Inputs(**payload)


def _expect_all(payload: dict[str, Any], names: frozenset[str]) -> None:
    """Refuse a payload that lacks a field, though the class may have a default for it."""
    if missing := names - payload.keys():
        raise KeyError(min(missing))


def _expect_kinds(payload: dict[str, Any], kinds: Mapping[str, type]) -> None:
    for name, kind in kinds.items():
        if not isinstance(payload[name], kind):
            raise TypeError(f"{name} is {payload[name]!r}")


def _expect_digest(value: object, digits: int, name: str) -> None:
    """Refuse what is no hash: file names are made of it."""
    if not isinstance(value, str) or len(value) != digits or not _HEX(value):
        raise ValueError(f"{name} is {value!r}")


def _tuples(value: Any) -> Any:
    """Return a setting as a signature's default would hold it: JSON has only lists."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _revision(ref: ModelRef | CorpusRef | None) -> str | None:
    return None if ref is None else ref.revision
