"""The record of a run, stored as JSON with sorted keys and a checksum."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from fewbench.data.train_size import is_k
from fewbench.errors import BenchError, StoreDamaged
from fewbench.io.checked_json import MEND, dumps, plain, seal, unseal
from fewbench.refs import ARITHMETIC, USUAL
from fewbench.store.cell import UNKNOWN_METRIC, Cell, Question, TaskCell, Variant, entrant_of
from fewbench.store.parts import Environment, RecordPart, RunTiming, Selection, SplitFacts
from fewbench.types import Arithmetic, CorpusRef, Inputs, Json, ModelRef, Run

SCHEMA = 7


def _second(old: Json) -> Json:
    """Schema 2 names the template of a run; before there was only the task's own."""
    return {**old, "schema": 2, "run": {**old["run"], "template": ""}}


def _third(old: Json) -> Json:
    """Schema 3 names the corpus of a run; before no method read one."""
    return {**old, "schema": 3, "run": {**old["run"], "corpus": None}}


def _fourth(old: Json) -> Json:
    """Schema 4 says whether leaked test rows are left out; before they never were."""
    return {**old, "schema": 4, "run": {**old["run"], "drop_leaks": False}}


def _fifth(old: Json) -> Json:
    """Schema 5 has hashes of what a run was made from; for earlier runs they are unknown."""
    return {**old, "schema": 5, "run": {**old["run"], "inputs": plain(Inputs())}}


def _sixth(old: Json) -> Json:
    """Schema 6 has a hash of the run's trials; before only the protocol's constants were hashed."""
    run = old["run"]
    return {**old, "schema": 6, "run": {**run, "inputs": {**run["inputs"], "trials": ""}}}


def _seventh(old: Json) -> Json:
    """Schema 7 states the arithmetic of a run; before there was only the usual."""
    return {**old, "schema": 7, "run": {**old["run"], "arithmetic": plain(USUAL)}}


MIGRATIONS: dict[int, Callable[[Json], Json]] = {
    1: _second,
    2: _third,
    3: _fourth,
    4: _fifth,
    5: _sixth,
    6: _seventh,
}
"""By schema n: the function that turns a payload of it into one of schema n + 1.

Records of every schema load for ever.
"""

PARTS: Mapping[str, type[RecordPart]] = {
    "selection": Selection,
    "split": SplitFacts,
    "environment": Environment,
    "timing": RunTiming,
}
"""The fields of a record that are objects with known names."""


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
        """The headline test score; None if the run failed or has no score of its metric."""
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
    def simulates_int8(self) -> bool:
        """True if 8 bits were rounded in floating point: neither size nor speed is theirs."""
        return str(self.details.get("int8", "")).startswith("rounded in floating point")

    @property
    def training_seconds(self) -> float | None:
        """The seconds of all trials with their dev scores; None if they are not known.

        On a CPU they are the processor's where these are less: other programs kept the run waiting.
        """
        clock, processor = self.timing.search_seconds, self.timing.search_processor_seconds
        if clock is None or processor is None or not str(self.environment.device).startswith("cpu"):
            return clock
        return min(clock, processor)

    def with_run(self, run: Run) -> Record:
        """Return the record of another run with the same outcome."""
        return replace(self, run=run)

    def by(self, metric: str) -> Record:
        """Return this record with another headline metric: its score, question and cell are by it.

        Which class the metric is of is not recorded where it is not the task's own.
        """
        if metric == self.selection.metric:
            return self
        return replace(self, selection=replace(self.selection, metric=metric, positive=None))

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
        return Question(
            task,
            run.k,
            run.protocol,
            run.inputs.protocol,
            run.limit,
            run.drop_leaks,
            run.arithmetic.name,
        )

    @property
    def cell(self) -> Cell:
        """The table cell that the run belongs to."""
        inputs = self.run.inputs
        variant = Variant(inputs.settings, inputs.unlabeled, inputs.trials)
        return Cell(self.question, entrant_of(self.run), variant)


def run_key(run: Run) -> str:
    """Return the key of a run: 32 hexadecimal digits.

    Every field of the run counts, but of a model only its revision, not its name or folder. Fields
    that later schemas added are left out where they say nothing new (the task's own template, no
    corpus, leaks kept, inputs or trials unknown, the usual arithmetic), so that older runs keep
    their keys.

    Raises:
        BenchError: a setting that JSON cannot hold.
    """
    payload: Json = plain(run)
    del payload["key"]
    for name in ("student", "teacher", "corpus"):
        payload[name] = _revision(payload[name])
    for name in ("template", "corpus", "drop_leaks"):
        if not payload[name]:
            del payload[name]
    if run.arithmetic == USUAL:
        del payload["arithmetic"]
    if not run.inputs.known:
        del payload["inputs"]
    elif not run.inputs.trials:
        inputs: Json = plain(run.inputs)
        del inputs["trials"]
        payload["inputs"] = inputs
    text = dumps(payload, f"the run of {run.method} on {run.task}", separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def to_json(record: Record) -> str:
    """Return a record as JSON text that ends in a newline.

    Raises:
        BenchError: a number is not finite, or a value has no JSON form.
    """
    payload = {field.name: getattr(record, field.name) for field in fields(record)}
    payload |= {name: payload[name].to_json() for name in PARTS}
    return seal(payload, f"the record {record.run.key}")


def from_json(text: str, where: str) -> Record:
    """Parse a record. `where` names the file in errors.

    Raises:
        StoreDamaged: the text is not JSON, cut short or altered, or a field is missing or has the
            wrong type.
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
        return _parse(payload)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise StoreDamaged(f"damaged record: {problem}", where=where, fix=MEND) from error


_TYPES = {
    "method_code": str,
    **dict.fromkeys(("scores", "details", *PARTS), dict),
}
_HEX = re.compile("[0-9a-f]*").fullmatch
_LONGEST_HASH = 64

_RECORD_FIELDS = frozenset(field.name for field in fields(Record))
_RUN_FIELDS = frozenset(field.name for field in fields(Run))
_RUN_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "task": str,
    "task_version": int,
    "source": str,
    "method": str,
    "settings": dict,
    "k": (int, str),
    "seed": int,
    "protocol": str,
    "fingerprint": str,
    "test_fingerprint": str,
    "template": str,
    "drop_leaks": bool,
    "inputs": dict,
    "arithmetic": dict,
    "key": str,
}


def _parse(payload: Json) -> Record:
    del payload["checksum"]
    _expect_fields(payload, _RECORD_FIELDS)
    payload["run"] = _parse_run(payload["run"])
    if payload["predictions"] is not None:
        _expect_digest(payload["predictions"], 64, "predictions")
    _expect_types(payload, _TYPES)
    for part, scores in payload["scores"].items():
        _expect_finite(scores, part)
    if payload["status"] not in ("ok", "failed"):
        raise ValueError(f"status is {payload['status']!r}")
    payload["warnings"] = tuple(payload["warnings"])
    for name, part in PARTS.items():
        payload[name] = part.from_json(payload[name])
    return Record(**payload)


def _parse_run(payload: Json) -> Run:
    _expect_fields(payload, _RUN_FIELDS)
    _expect_types(payload, _RUN_TYPES)
    _expect_digest(payload["key"], 32, "key")
    if not is_k(payload["k"]):  # it becomes a part of file names
        raise ValueError(f"k is {payload['k']!r}")
    settings = payload["settings"]
    payload["settings"] = {name: _with_tuples(value) for name, value in settings.items()}
    for role in ("student", "teacher"):
        if payload[role] is not None:
            payload[role] = ModelRef(path="", **payload[role])
    if payload["corpus"] is not None:
        payload["corpus"] = CorpusRef(path="", **payload["corpus"])
    payload["inputs"] = _parse_inputs(payload["inputs"])
    payload["arithmetic"] = _parse_arithmetic(payload["arithmetic"])
    return Run(**payload)


def _parse_inputs(payload: Json) -> Inputs:
    """Return the hashes of what a run was made from; its version may not have known all of them."""
    for name, value in payload.items():
        if not isinstance(value, str) or len(value) > _LONGEST_HASH or not _HEX(value):
            raise ValueError(f"inputs.{name} is {value!r}")
    return Inputs(**payload)


def _parse_arithmetic(payload: Json) -> Arithmetic:
    for name, value in payload.items():
        if value not in ARITHMETIC.get(name, ()):
            raise ValueError(f"arithmetic.{name} is {value!r}")
    return Arithmetic(**payload)


def _expect_fields(payload: Json, names: frozenset[str]) -> None:
    """Refuse a payload that lacks a field, even one for which the class has a default."""
    if missing := names - payload.keys():
        raise KeyError(min(missing))


def _expect_types(payload: Json, types: Mapping[str, type | tuple[type, ...]]) -> None:
    for name, kind in types.items():
        if not isinstance(payload[name], kind):
            raise TypeError(f"{name} is {payload[name]!r}")


def _expect_finite(scores: Json, part: str) -> None:
    for metric, score in scores.items():
        if not isinstance(score, (int, float)):
            raise TypeError(f"{metric} is {score!r}")
        if not math.isfinite(score):
            raise ValueError(f"{metric} on {part} is {score}")


def _expect_digest(value: object, digits: int, name: str) -> None:
    """Refuse a value that is not a hash: it becomes a part of file names."""
    if not isinstance(value, str) or len(value) != digits or not _HEX(value):
        raise ValueError(f"{name} is {value!r}")


def _with_tuples(value: Any) -> Any:
    """Return a setting with tuples for lists, as signatures have them and JSON does not."""
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _revision(ref: ModelRef | CorpusRef | None) -> str | None:
    return None if ref is None else ref.revision
