"""Hashes of what a run is made from: everything that decides its scores besides its names.

A task keeps its name when its template, label words or rows change, and so does a protocol when its
constants change. Such runs are not comparable. So a run's key covers these hashes
(`fewbench.store.record.run_key`), and a stored record with other hashes than today's does not count
as today's run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import NamedTuple

from fewbench.data.kept_rows import derived
from fewbench.io.checked_json import plain
from fewbench.io.jsonl import compact
from fewbench.registry.methods import MethodInfo
from fewbench.registry.named_inputs import names_input
from fewbench.registry.protocol import Protocol
from fewbench.types import Example, Inputs, K, Prompt, Rows, Settings, Task

DIGITS = 16

TASK_FIELDS = (
    "format",
    "labels",
    "positive",
    "metric",
    "metrics",
    "template",
    "words",
    "bounds",
    "max_length",
    "rule",
)
"""The fields of a task that decide scores. Its rows have hashes of their own."""

NOT_OF_A_RUN = ("name", "title", "paper", "k", "seeds", "ddof", "file")
"""The fields of a protocol that decide no score of a single run.

They are texts, fields that a run has itself, and the way that tables average.
"""


ADDED = (
    "epochs",
    "evals_per_epoch",
    "warmup_share",
    "patience",
    "micro_batch",
    "length_window",
    "steps_by_k",
    "max_length",
    "sizes",
    "dev_share",
    "dev_most",
)
"""Later fields of a protocol. At their defaults they are left out, so that older hashes stay."""


_DEFAULTS: Settings = {
    **{field.name: field.default for field in fields(Protocol)},
    "steps_by_k": {},
    "max_length": {},
}


class RowHashes(NamedTuple):
    """Hashes of all rows of a task's source; `unlabeled` is empty where none are published."""

    train: str
    test: str
    unlabeled: str


def task_hash(task: Task) -> str:
    """Return a hash of a task's definition, with the prompt in use."""
    values = {name: getattr(task, name) for name in TASK_FIELDS}
    return _hash({name: value for name, value in values.items() if value is not None})


def protocol_hash(protocol: Protocol) -> str:
    """Return a hash of a protocol's constants, without its name."""
    constants = {
        field.name: getattr(protocol, field.name)
        for field in fields(protocol)
        if field.name not in NOT_OF_A_RUN
    }
    for name in ADDED:
        if constants[name] == _DEFAULTS[name]:
            del constants[name]
    return _hash(constants)


def trials_of(
    protocol: Protocol, task: Task, k: K, method: MethodInfo, fixed: Settings
) -> tuple[Protocol, tuple[Settings, ...]]:
    """Return a protocol with the updates for a task and K, and the settings of a run's trials."""
    grown = protocol.for_run(len(task.labels), k)
    return grown, tuple(grown.trials(method.searched(fixed), fixed, method.grid))


def trials_hash(protocol: Protocol, trials: Sequence[Settings]) -> str:
    """Return a hash of the settings of a run's trials and of their updates.

    The protocol's constants do not determine them alone: code lays out the trials and lets updates
    grow with the number of classes.
    """
    updates = (protocol.max_steps, protocol.eval_every, protocol.warmup_steps)
    return _hash({"trials": [dict(trial) for trial in trials], "updates": updates})


def settings_hash(
    method: MethodInfo, fixed: Settings, prompts: Sequence[Prompt] = (), rows: str = ""
) -> str:
    """Return a hash of a method's settings: the fixed ones, and the defaults of the others.

    A setting that names a model or a file is left out where it names none.

    For methods that read the task's other prompts, these are part of it: the task's definition,
    which runs of all methods share, covers the prompt in use alone. So is the revision of the
    labelled rows of another task (`rows`), which a setting names.
    """
    settings = {**method.settings, **fixed}
    if rows:
        settings["rows.revision"] = rows
    for name, annotation in method.annotations.items():
        if names_input(annotation) and settings[name] is None:
            del settings[name]
    if "prompts" in method.needs:
        settings["task.prompts"] = [list(prompt) for prompt in prompts]
    return _hash(settings)


def exact_hash(examples: Iterable[Example]) -> str:
    """Return a hash of the exact texts, options, labels and answers, in order.

    `fewbench.data.leaks.fingerprint` normalises texts, so that two sources of one data set are
    equal. To a tokenizer they are not: a doubled blank can be another token, and change the score.
    """
    digest = hashlib.sha256()
    for example in examples:
        label = "" if example.label is None else repr(example.label)
        answers = [example.answers] if example.answers else []
        parts = [example.texts, example.options, label, *answers]
        digest.update(compact(parts).encode() + b"\n")
    return digest.hexdigest()[:DIGITS]


def row_hashes(rows: Rows) -> RowHashes:
    """Return the hashes of all rows of a task's source; dev sets of folds count as train rows."""
    dev = [example for _, fold in rows.folds for example in fold]
    train = exact_hash([*rows.train, *dev]) if dev else _all_hash(rows.train)
    return RowHashes(
        train, _all_hash(rows.test), _all_hash(rows.unlabeled) if rows.unlabeled else ""
    )


def _all_hash(rows: Sequence[Example]) -> str:
    return str(derived(rows, "exact", lambda: exact_hash(rows)))


def make_inputs(
    task: Task,
    rows: RowHashes,
    constants: str,
    trials: str,
    method: MethodInfo,
    fixed: Settings,
    *,
    labelled: str = "",
) -> Inputs:
    """Return the hashes of what runs are made from, without those of one seed.

    These are `split`, the `exact_hash` of train and dev (the run itself determines its test rows),
    and `teacher`, the key of the run that trains it.

    Args:
        task: with the prompt in use.
        rows: of the task's source.
        constants: the hash of the protocol's (`protocol_hash`).
        trials: the hash of the run's trials (`trials_hash`).
        method: for its defaults and needs.
        fixed: the settings that the user fixed.
        labelled: the revision of another task's rows that a preparation reads, if any.
    """
    return Inputs(
        task=task_hash(task),
        train_set=rows.train,
        test_set=rows.test,
        unlabeled=rows.unlabeled if "unlabeled" in method.needs else "",
        protocol=constants,
        trials=trials,
        settings=settings_hash(method, fixed, task.prompts, labelled),
    )


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=plain)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
