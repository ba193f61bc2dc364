"""Which records of two methods stand beside each other: the same question, split and test items, by
seed.

A question is a task as asked, K, a protocol, and which test rows are used
(`fewbench.store.cell.Question`). Records of other definitions, train sets or test sets answer other
questions, whatever names they share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.store.cell import Question
from fewbench.store.record import Record

EARLIER = "what a run of before schema 5 was made from is not known"


class NamedQuestion(NamedTuple):
    """What a question is about by its names alone: a task from a source, by a template, with K
    examples a label.
    """

    task: str
    source: str
    template: str
    k: int

    def __str__(self) -> str:
        return (
            f"{self.task}@{self.source}"
            + (f"+{self.template}" if self.template else "")
            + f" K={self.k}"
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """Two methods' records of one question, for the same seeds in order; `unlike` says what is not
    the same.
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
        return first, [record.finished_score for record in self.second]


_Side = dict[NamedQuestion, dict[Question, dict[int, Record]]]


def pairs(first: Iterable[Record], second: Iterable[Record], *, anyway: bool = False) -> list[Pair]:
    """Return all that can be paired of two methods' finished records.

    Args:
        first: one method's.
        second: the other's.
        anyway: also pair records of other questions in one place, or of other splits, and say so in
            `Pair.unlike`.

    Raises:
        BenchError: records of other questions or splits in one place; several runs of one seed; no
            place that both have.
    """
    one, other = _side(first), _side(second)
    found = [
        _pair(place, question, against, one[place][question], other[place][against], anyway)
        for place in sorted(one.keys() & other.keys())
        for question, against in _matching(place, one[place], other[place], anyway)
    ]
    whole = [pair for pair in found if pair is not None]
    if not whole:
        shown = [", ".join(sorted(map(str, side)))[:300] or "none" for side in (one, other)]
        raise BenchError(
            "the two methods have no task, K and split seed in common",
            allowed=f"of the first: {shown[0]}; of the second: {shown[1]}",
            fix="bench run with both methods and the same --tasks, --k, --seeds and --protocol",
        )
    return whole


def left_out(first: Iterable[Record], second: Iterable[Record]) -> list[str]:
    """Return what is to be said of records that go by the names of paired ones, and answer another
    question.
    """
    one, other = _side(first), _side(second)
    told = []
    for place in sorted(one.keys() & other.keys()):
        shared = one[place].keys() & other[place].keys()
        for name, side in (("first", one), ("second", other)):
            for question in sorted(side[place].keys() - shared):
                twins = [
                    _hidden(question, twin) for twin in shared if twin.protocol == question.protocol
                ]
                told += (
                    [f"{place}: runs of the {name} are left out: {', '.join(twins[0])}"]
                    if any(twins)
                    else []
                )
    return list(dict.fromkeys(told))


def in_common(sides: Sequence[Iterable[Record]]) -> dict[Question, list[list[float]]]:
    """Return the test scores of several methods wherever all were run alike: by question, by
    method, by seed.
    """
    found = [dict(_questions(_side(records))) for records in sides]
    scores = {}
    for question in sorted(set.intersection(*map(set, found))):
        runs = [side[question] for side in found]
        seeds = [
            seed
            for seed in sorted(set.intersection(*map(set, runs)))
            if len({records[seed].run.test_fingerprint for records in runs}) == 1
        ]
        if seeds:
            scores[question] = [
                [records[seed].finished_score for seed in seeds] for records in runs
            ]
    return scores


def unlikeness(one: Question, other: Question) -> list[str]:
    """Return what tells two questions in one place apart, in words."""
    said = {
        "protocol": (one.protocol, other.protocol),
        "task version": (one.task.version, other.task.version),
        "metric": (one.task.metric_name, other.task.metric_name),
        "limit": (one.limit or "none", other.limit or "none"),
        "leaked test rows": tuple(
            "dropped" if each.drop_leaks else "kept" for each in (one, other)
        ),
    }
    plain = [
        f"{what} {mine} against {what} {its}" for what, (mine, its) in said.items() if mine != its
    ]
    return plain + _hidden(one, other)


def _hidden(one: Question, other: Question) -> list[str]:
    """Return what tells two questions apart that no name of theirs shows."""
    if bool(one.task.definition) != bool(other.task.definition):
        return [EARLIER]
    found = []
    for what, name in (("definitions of the task", "definition"), ("train sets", "train_set")):
        found += [f"other {what}"] if getattr(one.task, name) != getattr(other.task, name) else []
    found += ["other test sets"] if one.task.test_set != other.task.test_set else []
    constants = one.constants != other.constants and one.protocol == other.protocol
    return found + (["other constants of the protocol"] if constants else [])


def _questions(side: _Side) -> Iterator[tuple[Question, dict[int, Record]]]:
    for questions in side.values():
        yield from questions.items()


def _side(records: Iterable[Record]) -> _Side:
    side: _Side = {}
    for record in records:
        run = record.run
        if record.status != "ok":
            continue
        place = NamedQuestion(run.task, run.source, run.template, run.k)
        seeds = side.setdefault(place, {}).setdefault(record.question, {})
        if run.seed in seeds:
            raise _twice(place, seeds[run.seed], record)
        seeds[run.seed] = record
    return side


def _twice(place: NamedQuestion, one: Record, other: Record) -> BenchError:
    for role in ("student", "teacher", "corpus"):
        names = sorted(
            {ref.name if (ref := getattr(record.run, role)) else "none" for record in (one, other)}
        )
        if len(names) > 1:
            fix = f"--{role} NAME" if role != "corpus" else "a results folder with one of them"
            return BenchError(
                f"'{one.run.method}' has several runs of {place}, seed {one.run.seed}: of several {role}s",
                allowed=names,
                fix=fix,
            )
    keys = f"{one.run.key[:8]} and {other.run.key[:8]}"
    return BenchError(
        f"'{one.run.method}' has two runs of {place}, seed {one.run.seed}: {keys}",
        fix="bench show KEY",
    )


def _matching(
    place: NamedQuestion, one: Iterable[Question], other: Iterable[Question], anyway: bool
) -> list[tuple[Question, Question]]:
    """Return the questions to pair in a place: those both have; without any, and `anyway`, the two
    most alike.
    """
    shared = sorted({*one} & {*other})
    if shared:
        return [(question, question) for question in shared]
    nearest = min(product(sorted(one), sorted(other)), key=lambda both: len(unlikeness(*both)))
    if not anyway:
        raise BenchError(
            f"{place}: the two methods' runs answer other questions: {', '.join(unlikeness(*nearest))}",
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
    first, second = tuple(one[seed] for seed in seeds), tuple(other[seed] for seed in seeds)
    unlike = unlikeness(question, against)
    for what, name in (("splits", "fingerprint"), ("test sets", "test_fingerprint")):
        odd = _odd(name, first, second)
        if odd and not anyway:
            raise BenchError(
                f"{place}: the two methods had other {what} of seed {', '.join(map(str, odd))}",
                allowed="runs on the same splits and test items",
                fix="bench run both on the same data, or --anyway, which marks it",
            )
        unlike += [f"other {what}"] if odd else []
    return Pair(question, first, second, tuple(dict.fromkeys(unlike))) if seeds else None


def _odd(name: str, first: Sequence[Record], second: Sequence[Record]) -> list[int]:
    return [
        a.run.seed
        for a, b in zip(first, second, strict=True)
        if getattr(a.run, name) != getattr(b.run, name)
    ]
