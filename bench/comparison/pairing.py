"""Which records of two methods stand beside each other: the same task, K, protocol, split and test items, by seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.record import Record


class Place(NamedTuple):
    """What a comparison is about: a task from a source, by a template, with K examples a label."""

    task: str
    source: str
    template: str
    k: int

    def __str__(self) -> str:
        return f"{self.task}@{self.source}" + (f"+{self.template}" if self.template else "") + f" K={self.k}"


class Terms(NamedTuple):
    """What must be the same for scores to be compared."""

    protocol: str
    version: int
    limit: int | None
    drop_leaks: bool

    def __str__(self) -> str:
        rest = {
            "task version": self.version if self.version > 1 else None,
            "limit": self.limit,
            "drop-leaks": self.drop_leaks,
        }
        return " ".join([f"protocol {self.protocol}", *(f"{name} {v}" for name, v in rest.items() if v)])


@dataclass(frozen=True, slots=True)
class Pair:
    """Two methods' records in one place, for the same seeds in the same order; `unlike` says what is not the same."""

    place: Place
    terms: Terms
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
        return str(self.first[0].selection["metric"])

    @property
    def scores(self) -> tuple[list[float], list[float]]:
        """The test scores of both, by seed."""
        first, second = ([float(r.scores["test"][self.metric]) for r in side] for side in (self.first, self.second))
        return first, second


_Side = Mapping[Place, Mapping[Terms, Mapping[int, Record]]]


def pairs(first: Iterable[Record], second: Iterable[Record], *, anyway: bool = False) -> list[Pair]:
    """Return all that can be paired of two methods' finished records.

    Args:
        first: one method's.
        second: the other's.
        anyway: also pair records of other protocols, splits or test sets, and say so in `Pair.unlike`.

    Raises:
        BenchError: records of other protocols, splits or test sets in one place; several runs of one seed; no place
            that both have.
    """
    one, other = _side(first), _side(second)
    found = [
        _pair(place, terms, against, one[place][terms], other[place][against], anyway)
        for place in sorted(one.keys() & other.keys())
        for terms, against in _matching(place, one, other, anyway)
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


def in_common(sides: Sequence[Iterable[Record]]) -> list[list[list[float]]]:
    """Return the test scores of several methods wherever all were run alike: by place, by method, by seed."""
    found = [_side(records) for records in sides]
    places = sorted(set.intersection(*({(p, t) for p, by in side.items() for t in by} for side in found)), key=str)
    scores = []
    for place, terms in places:
        runs = [side[place][terms] for side in found]
        seeds = [
            s for s in sorted(set.intersection(*map(set, runs))) if len({r[s].run.test_fingerprint for r in runs}) == 1
        ]
        if seeds:
            scores.append([[float(r[s].scores["test"][str(r[s].selection["metric"])]) for s in seeds] for r in runs])
    return scores


def _side(records: Iterable[Record]) -> _Side:
    side: dict[Place, dict[Terms, dict[int, Record]]] = {}
    for record in records:
        run = record.run
        if record.status != "ok":
            continue
        place = Place(run.task, run.source, run.template, run.k)
        terms = Terms(run.protocol, run.task_version, run.limit, run.drop_leaks)
        seeds = side.setdefault(place, {}).setdefault(terms, {})
        if run.seed in seeds:
            raise _twice(place, seeds[run.seed], record)
        seeds[run.seed] = record
    return side


def _twice(place: Place, one: Record, other: Record) -> BenchError:
    for role in ("student", "teacher", "corpus"):
        names = sorted({ref.name if (ref := getattr(record.run, role)) else "none" for record in (one, other)})
        if len(names) > 1:
            fix = f"--{role} NAME" if role != "corpus" else "a results folder with one of them"
            return BenchError(
                f"'{one.run.method}' has several runs of {place}, seed {one.run.seed}: of several {role}s",
                allowed=names,
                fix=fix,
            )
    keys = f"{one.run.key[:8]} and {other.run.key[:8]}"
    return BenchError(f"'{one.run.method}' has two runs of {place}, seed {one.run.seed}: {keys}", fix="bench show KEY")


def _matching(place: Place, one: _Side, other: _Side, anyway: bool) -> list[tuple[Terms, Terms]]:
    """Return the terms to pair in a place: those both have; without any, and `anyway`, the first of each."""
    shared = sorted(one[place].keys() & other[place].keys(), key=str)
    if shared:
        return [(terms, terms) for terms in shared]
    if not anyway:
        raise BenchError(
            f"{place}: the first has {_list(one[place])}, the second {_list(other[place])}",
            allowed="runs of one protocol, task version, limit and choice of test rows",
            fix="bench run by one protocol, or --anyway, which marks it",
        )
    return [(min(one[place], key=str), min(other[place], key=str))]


def _list(terms: Iterable[Terms]) -> str:
    return " and ".join(sorted(map(str, terms)))


def _pair(
    place: Place,
    terms: Terms,
    against: Terms,
    one: Mapping[int, Record],
    other: Mapping[int, Record],
    anyway: bool,
) -> Pair | None:
    seeds = sorted(one.keys() & other.keys())
    first, second = tuple(one[seed] for seed in seeds), tuple(other[seed] for seed in seeds)
    unlike = [f"{terms} against {against}"] if terms != against else []
    for what, name in (("splits", "fingerprint"), ("test sets", "test_fingerprint")):
        odd = _odd(name, first, second)
        if odd and not anyway:
            raise BenchError(
                f"{place}: the two methods had other {what} of seed {', '.join(map(str, odd))}",
                allowed="runs on the same splits and test items",
                fix="bench run both on the same data, or --anyway, which marks it",
            )
        unlike += [f"other {what}"] if odd else []
    return Pair(place, terms, first, second, tuple(unlike)) if seeds else None


def _odd(name: str, first: Sequence[Record], second: Sequence[Record]) -> list[int]:
    return [a.run.seed for a, b in zip(first, second, strict=True) if getattr(a.run, name) != getattr(b.run, name)]
