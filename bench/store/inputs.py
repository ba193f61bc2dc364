"""What a run was made from, as hashes: whatever decides its number beside the names that it goes
by.

A task's name stays when its template, its label words or its rows change, and so does a protocol's
when its constants do. Runs of both are runs of different things, so a run's key covers these hashes
(`fewbench.store.record.run_key`), and a stored record whose hashes are not today's is no answer to
today's question.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from fewbench.io.checked_json import plain
from fewbench.registry.methods import MethodInfo
from fewbench.registry.protocol import Protocol
from fewbench.types import Example, Inputs, Rows, Split, Task

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
"""What of a task's declaration decides numbers. Where its rows lie does not: the rows themselves
are hashed.
"""

NOT_OF_A_RUN = ("name", "title", "paper", "k", "seeds", "ddof")
"""What of a protocol decides no number of a single run: texts, what a run states itself, and how
tables sum up.
"""


class RowHashes(NamedTuple):
    """Hashes of all rows of a task's source, to the letter; `unlabeled` is empty where none are
    published.
    """

    train: str
    test: str
    unlabeled: str


def task_hash(task: Task) -> str:
    """Return a hash of a task's definition, with the prompt in use."""
    return _hash(
        {name: getattr(task, name) for name in TASK_FIELDS if getattr(task, name) is not None}
    )


def protocol_hash(protocol: Protocol) -> str:
    """Return a hash of a protocol's constants, whatever the protocol is called."""
    names = [field.name for field in fields(protocol) if field.name not in NOT_OF_A_RUN]
    return _hash({name: getattr(protocol, name) for name in names})


def trials_of(
    protocol: Protocol, task: Task, method: MethodInfo, fixed: Mapping[str, Any]
) -> tuple[Protocol, tuple[Mapping[str, Any], ...]]:
    """Return what a protocol comes to for a run: with the updates its task gets, and the settings
    of its trials.
    """
    grown = protocol.of_classes(len(task.labels))
    return grown, tuple(grown.trials(method.searched(fixed), fixed, method.grid))


def trials_hash(protocol: Protocol, trials: Sequence[Mapping[str, Any]]) -> str:
    """Return a hash of what a protocol comes to for one run: the settings of its trials, and the
    updates of each.

    The constants alone do not say it: how trials are laid out and how updates grow with the classes
    is code.
    """
    updates = (protocol.max_steps, protocol.eval_every, protocol.warmup_steps)
    return _hash({"trials": [dict(trial) for trial in trials], "updates": updates})


def settings_hash(method: MethodInfo, fixed: Mapping[str, Any]) -> str:
    """Return a hash of a method's settings: the fixed ones, and the defaults of the others."""
    return _hash({**method.settings, **fixed})


def exact_hash(examples: Iterable[Example]) -> str:
    """Return a hash of texts, options and labels, in order and to the letter.

    `fewbench.data.split.fingerprint` normalises texts and so takes two sources of one data set for
    the same. A tokenizer does not: a doubled blank can be another token, and another number.
    """
    digest = hashlib.sha256()
    for example in examples:
        label = "" if example.label is None else repr(example.label)
        row = json.dumps([example.texts, example.options, label], separators=(",", ":"))
        digest.update(row.encode() + b"\n")
    return digest.hexdigest()[:DIGITS]


def row_hashes(rows: Rows) -> RowHashes:
    """Return the hashes of all rows of a task's source. Those of published folds' dev sets are
    hashed with train.
    """
    dev = [example for _, fold in rows.folds for example in fold]
    unlabeled = exact_hash(rows.unlabeled) if rows.unlabeled else ""
    return RowHashes(exact_hash([*rows.train, *dev]), exact_hash(rows.test), unlabeled)


def make_inputs(
    task: Task,
    rows: RowHashes,
    split: Split,
    protocol: Protocol,
    trials: str,
    method: MethodInfo,
    fixed: Mapping[str, Any],
    *,
    teacher: str = "",
) -> Inputs:
    """Return what a run is made from.

    Args:
        task: with the prompt in use.
        rows: of the task's source.
        split: its train and dev parts are hashed; which test rows are in use follows from the run.
        protocol: the constants.
        trials: the hash of what they come to for this run.
        method: its defaults.
        fixed: the settings that its user fixed.
        teacher: the key of the run that trains its teacher, if there is one.
    """
    return Inputs(
        task=task_hash(task),
        train_set=rows.train,
        test_set=rows.test,
        split=exact_hash([*split.train, *split.dev]),
        unlabeled=rows.unlabeled if "unlabeled" in method.needs else "",
        protocol=protocol_hash(protocol),
        trials=trials,
        settings=settings_hash(method, fixed),
        teacher=teacher,
    )


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=plain)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
