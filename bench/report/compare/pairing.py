"""Pairs of two methods' records: the same question, split and test items, by seed.

A question is a task as asked, K, a protocol, and which test rows are used
(`fewbench.store.cell.Question`). Records of other definitions, train sets or test sets answer other
questions, whatever names they share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from operator import attrgetter
from typing import Any, NamedTuple

from fewbench.data.train_size import k_order, k_title
from fewbench.errors import BenchError
from fewbench.report.query import ROLES
from fewbench.store.cell import Question
from fewbench.store.record import Record
from fewbench.types import K, Run

EARLIER = "what runs before schema 5 were made from is not known"


class NamedQuestion(NamedTuple):
    """A question by its names alone: task, source, template, and K examples per label."""

    task: str
    source: str
    template: str
    k: K

    @classmethod
    def of(cls, run: Run) -> NamedQuestion:
        """Return the question that a run answers, by name."""
        return cls(run.task, run.source, run.template, run.k)

    @property
    def order(self) -> tuple[Any, ...]:
        """The sort key by task, then K."""
        return self.task, self.source, self.template, k_order(self.k)

    def __str__(self) -> str:
        template = f"+{self.template}" if self.template else ""
        return f"{self.task}@{self.source}{template} {k_title(self.k)}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two methods' records of one question, for the same seeds in order.

    `unlike` says in words how they differ.
    """

    question: Question
    first: tuple[Record, ...]
    second: tuple[Record, ...]
    unlike: tuple[str, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The split seeds."""
        return tuple(record.run.seed for record in self.first)

    @property
    def metric(self) -> str:
        """The task's headline metric."""
        return self.question.task.metric

    @property
    def scores(self) -> tuple[list[float], list[float]]:
        """The test scores of both, by seed."""
        first = [record.finished_score for record in self.first]
        second = [record.finished_score for record in self.second]
        return first, second


_Side = dict[NamedQuestion, dict[Question, dict[int, Record]]]


def pairs(first: Iterable[Record], second: Iterable[Record], *, anyway: bool = False) -> list[Pair]:
    """Pair the finished records of two methods.

    Args:
        first: one method's.
        second: the other's.
        anyway: also pair records of different questions with the same names, or of different
            splits, and say so in `Pair.unlike`.

    Raises:
        BenchError: records of different questions or splits with the same names; several runs of
            one seed; no question that both answer.
    """
    first_side, second_side = _side(first), _side(second)
    paired = []
    for name in sorted(first_side.keys() & second_side.keys(), key=attrgetter("order")):
        ours, theirs = first_side[name], second_side[name]
        for question, against in _matching(name, ours, theirs, anyway):
            pair = _pair(name, question, against, ours[question], theirs[against], anyway)
            if pair is not None:
                paired.append(pair)
    if not paired:
        names = [
            ", ".join(sorted(map(str, side)))[:300] or "none" for side in (first_side, second_side)
        ]
        raise BenchError(
            "the two methods have no task, K and split seed in common",
            allowed=f"of the first: {names[0]}; of the second: {names[1]}",
            fix="bench run with both methods and the same --tasks, --k, --seeds and --protocol",
        )
    return paired


def left_out(first: Iterable[Record], second: Iterable[Record]) -> list[str]:
    """Say which records have the names of paired ones, and answer another question."""
    first_side, second_side = _side(first), _side(second)
    notes = []
    for name in sorted(first_side.keys() & second_side.keys(), key=attrgetter("order")):
        shared = first_side[name].keys() & second_side[name].keys()
        for which, side in (("first", first_side), ("second", second_side)):
            for question in sorted(side[name].keys() - shared, key=attrgetter("order")):
                twins = (twin for twin in shared if twin.protocol == question.protocol)
                differences = [_hidden_differences(question, twin) for twin in twins]
                if any(differences):
                    reason = ", ".join(differences[0])
                    notes.append(f"{name}: runs of the {which} are left out: {reason}")
    return list(dict.fromkeys(notes))


def in_common(sides: Sequence[Iterable[Record]]) -> dict[Question, list[list[float]]]:
    """Return the test scores on all that several methods were run on: by question, method, seed."""
    by_question = [_questions(_side(records)) for records in sides]
    scores = {}
    for question in sorted(set.intersection(*map(set, by_question)), key=attrgetter("order")):
        runs = [side[question] for side in by_question]
        seeds = _common_seeds(runs)
        if seeds:
            scores[question] = [_scores(records, seeds) for records in runs]
    return scores


def _common_seeds(runs: Sequence[Mapping[int, Record]]) -> list[int]:
    """Return the seeds that all methods were run with, on the same test rows."""
    seeds = []
    for seed in sorted(set.intersection(*map(set, runs))):
        test_sets = {records[seed].run.test_fingerprint for records in runs}
        if len(test_sets) == 1:
            seeds.append(seed)
    return seeds


def _scores(records: Mapping[int, Record], seeds: Iterable[int]) -> list[float]:
    return [records[seed].finished_score for seed in seeds]


def unlikeness(one: Question, other: Question) -> list[str]:
    """Say in words how two questions with the same names differ."""
    facts = zip(_facts(one).items(), _facts(other).values(), strict=True)
    visible = [
        f"{name} {mine} against {name} {theirs}" for (name, mine), theirs in facts if mine != theirs
    ]
    return visible + _hidden_differences(one, other)


def _facts(question: Question) -> dict[str, str]:
    return {
        "protocol": question.protocol,
        "task version": str(question.task.version),
        "metric": question.task.metric_name,
        "limit": str(question.limit or "none"),
        "leaked test rows": "dropped" if question.drop_leaks else "kept",
        "arithmetic": question.arithmetic or "the usual",
    }


def _hidden_differences(one: Question, other: Question) -> list[str]:
    """Say how two questions differ in what none of their names shows."""
    if bool(one.task.definition) != bool(other.task.definition):
        return [EARLIER]
    same_protocol = one.protocol == other.protocol
    differs = {
        "other definitions of the task": one.task.definition != other.task.definition,
        "other train sets": one.task.train_set != other.task.train_set,
        "other test sets": one.task.test_set != other.task.test_set,
        "other constants of the protocol": same_protocol and one.constants != other.constants,
    }
    return [text for text, applies in differs.items() if applies]


def _questions(side: _Side) -> dict[Question, dict[int, Record]]:
    merged: dict[Question, dict[int, Record]] = {}
    for questions in side.values():
        merged |= questions
    return merged


def _side(records: Iterable[Record]) -> _Side:
    side: _Side = {}
    for record in records:
        run = record.run
        if record.status != "ok":
            continue
        place = NamedQuestion.of(run)
        seeds = side.setdefault(place, {}).setdefault(record.question, {})
        if run.seed in seeds:
            raise _twice(place, seeds[run.seed], record)
        seeds[run.seed] = record
    return side


def _twice(place: NamedQuestion, one: Record, other: Record) -> BenchError:
    where = f"{place}, seed {one.run.seed}"
    for role in ROLES:
        refs = [getattr(record.run, role) for record in (one, other)]
        names = sorted({ref.name if ref else "none" for ref in refs})
        if len(names) > 1:
            problem = f"'{one.run.method}' has several runs of {where}: of several {role}s"
            fix = f"--{role} NAME" if role != "corpus" else "a results folder with one of them"
            return BenchError(problem, allowed=names, fix=fix)
    keys = f"{one.run.key[:8]} and {other.run.key[:8]}"
    return BenchError(f"'{one.run.method}' has two runs of {where}: {keys}", fix="bench show KEY")


def _matching(
    place: NamedQuestion, one: Iterable[Question], other: Iterable[Question], anyway: bool
) -> list[tuple[Question, Question]]:
    """Return the questions to pair: those both have, or `anyway` the two that are most alike."""
    shared = sorted({*one} & {*other})
    if shared:
        return [(question, question) for question in shared]
    nearest = min(product(sorted(one), sorted(other)), key=lambda both: len(unlikeness(*both)))
    if not anyway:
        differences = ", ".join(unlikeness(*nearest))
        raise BenchError(
            f"{place}: the two methods' runs answer different questions: {differences}",
            allowed="runs of one protocol, task definition, train set, test set and limit",
            fix="bench run with both methods at once, or --anyway, which marks it",
        )
    return [nearest]


def _pair(
    place: NamedQuestion,
    question: Question,
    against: Question,
    one: Mapping[int, Record],
    other: Mapping[int, Record],
    anyway: bool,
) -> Pair | None:
    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        return None
    first = tuple(one[seed] for seed in seeds)
    second = tuple(other[seed] for seed in seeds)
    unlike = unlikeness(question, against)
    for what, name in (("splits", "fingerprint"), ("test sets", "test_fingerprint")):
        odd = _differing_seeds(name, first, second)
        if odd and not anyway:
            raise BenchError(
                f"{place}: the two methods had other {what} of seed {', '.join(map(str, odd))}",
                allowed="runs on the same splits and test items",
                fix="bench run both on the same data, or --anyway, which marks it",
            )
        if odd:
            unlike.append(f"other {what}")
    return Pair(question, first, second, tuple(dict.fromkeys(unlike)))


def _differing_seeds(name: str, first: Sequence[Record], second: Sequence[Record]) -> list[int]:
    return [
        a.run.seed
        for a, b in zip(first, second, strict=True)
        if getattr(a.run, name) != getattr(b.run, name)
    ]
