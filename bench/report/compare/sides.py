"""Who is compared with whom: the new method, the others, their records and stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fewbench.errors import BenchError
from fewbench.report.compare.clusters import by_task
from fewbench.report.compare.items import Labels, NoItems, items, vary
from fewbench.report.compare.pairing import Pair, in_common, left_out, pairs
from fewbench.report.compare.rows import PairFound, Versus, adjust, compare
from fewbench.report.query import Wanted, by_label, find_label, models_apart
from fewbench.report.statistics.ranks import Ranking, fewest_tasks, rank
from fewbench.store.cell import Question
from fewbench.store.record import Record
from fewbench.store.store import Store


@dataclass(frozen=True, slots=True)
class Side:
    """A method's records, and the store that has their predictions."""

    name: str
    records: Sequence[Record]
    store: Store


def sides_of(
    new: str,
    against: Sequence[str],
    results: Path,
    wanted: Wanted,
    notify: Callable[[str], None] = lambda text: None,
) -> tuple[Side, list[Side]]:
    """Return who is compared.

    Args:
        new: a method as it is stored, or a folder of results with one method.
        against: methods as they are stored, or `all` others.
        results: the folder of their records.
        wanted: which records count.
        notify: hears of damaged files.

    Raises:
        BenchError: a method of which nothing is stored, or a folder with several.
    """
    here = _read(results, notify)
    there = _read(Path(new), notify) if Path(new).is_dir() else []
    named = models_apart([*here, *there])
    stored = by_label(record for record in named[: len(here)] if record in wanted)
    if Path(new).is_dir():
        found = by_label(record for record in named[len(here) :] if record in wanted)
        mine = _only(found, Path(new))
    else:
        name = find_label(new, stored, str(results))
        mine = Side(name, stored[name], Store(results))
    names = [find_label(other, stored, str(results)) for other in against if other != "all"]
    if "all" in against:
        names = [other for other in stored if other != mine.name]
    if not names:
        fix = "bench run --methods all"
        raise BenchError("there is no other method to compare with", where=str(results), fix=fix)
    return mine, [Side(other, stored[other], Store(results)) for other in names]


def _only(found: Mapping[str, Sequence[Record]], folder: Path) -> Side:
    """Return the one method of a folder."""
    if len(found) != 1:
        raise BenchError(
            f"this folder holds runs of {len(found)} methods of that kind",
            where=str(folder),
            allowed=found or "a folder with runs/ in it, of one method",
            fix=f"bench compare METHOD --results {folder}",
        )
    ((name, records),) = found.items()
    return Side(f"{name} in {folder.name}", records, Store(folder))


def _read(folder: Path, notify: Callable[[str], None]) -> list[Record]:
    store = Store(folder)
    records = list(store.summaries())
    for damage in store.damaged:
        notify(f"damaged: {damage}")
    return records


def versus_all(
    new: Side,
    others: Sequence[Side],
    labels: Labels,
    resamples: int,
    *,
    anyway: bool = False,
    notify: Callable[[str], None] = lambda text: None,
) -> list[Versus]:
    """Return the comparison of a method with each of others, p-values adjusted over all of them.

    Runs on a part of the test rows are a table of their own.

    Of several others, those that cannot be compared are left out, and `notify` hears why.

    Raises:
        BenchError: none can be compared.
    """
    tables: list[Versus] = []
    for other in others:
        try:
            found = pairs(new.records, other.records, anyway=anyway)
        except BenchError as error:
            if other is others[-1] and not tables:
                raise
            notify(f"left out: {other.name}: {error.problem}")
            continue
        names, stores = (new.name, other.name), (new.store, other.store)
        told = left_out(new.records, other.records)
        for kept, some in _by_rows(found).items():
            given = [_found(pair, stores, labels) for pair in some]
            tables.append(compare(names, given, _namer(some), resamples, kept, told))
            told = []
    return adjust(tables)


class Ranked(NamedTuple):
    """Average ranks over tasks, or why there are none; `ks` are the K that each task's score is a
    mean over.
    """

    ranking: Ranking | None
    ks: tuple[int, ...] = ()
    why_none: str = ""


def ranking(sides: Sequence[Side]) -> Ranked:
    """Return the average ranks of methods over tasks: each task's scores are averaged first over
    what all were run on.

    A task is one, whichever K, templates or protocols it was asked with. Runs on a part of the test
    rows do not count.
    """
    common = in_common([side.records for side in sides])
    scores = {question: methods for question, methods in common.items() if question.comparable}
    if not scores:
        part = " on its whole test set" if common else ""
        return Ranked(None, why_none=f"no ranks: no task was run alike{part} by all methods")
    questions = list(scores)
    means = np.asarray([[np.mean(seeds) for seeds in scores[question]] for question in questions])
    tasks = np.asarray([means[places].mean(0) for places in by_task(questions)])
    if len(sides) < 2 or len(tasks) < fewest_tasks(len(sides)):
        return Ranked(None, why_none=_too_few(len(sides), len(tasks)))
    ks = tuple(sorted({question.k for question in questions}))
    names = [side.name for side in sides]
    return Ranked(
        rank(names, tasks.round(12)), ks
    )  # equal scores stay equal, whatever their last bit


def _too_few(methods: int, tasks: int) -> str:
    if methods < 2:
        return "no ranks: there is one method"
    return (
        f"no ranks: all {methods} methods have {tasks} task{'s' if tasks > 1 else ''} in common, and ranks of "
        f"{methods} methods can differ significantly from {fewest_tasks(methods)} tasks on"
    )


def _by_rows(found: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Return pairs by what is to be said of their test rows: nothing where they are all of the test
    set.
    """
    groups: dict[str, list[Pair]] = {}
    for pair in sorted(found, key=lambda pair: not pair.question.comparable):
        groups.setdefault(_kept(pair.question), []).append(pair)
    return groups


def _kept(question: Question) -> str:
    said = [f"{question.limit} drawn test rows"] if question.limit is not None else []
    return " · ".join([*said, *(["without leaked test rows"] if question.drop_leaks else [])])


def shared_by_all(records: Sequence[Record]) -> str:
    """Return what a caption says of records: K, protocol, student, where there is but one."""
    facts: Mapping[str, set[str]] = {
        "K=": {str(record.run.k) for record in records},
        "": {record.run.protocol for record in records},
        "student ": {record.run.student.name for record in records if record.run.student},
    }
    return " · ".join(
        word + next(iter(values)) for word, values in facts.items() if len(values) == 1
    )


def _found(pair: Pair, stores: tuple[Store, Store], labels: Labels) -> PairFound:
    fixed = not (vary(pair.first, stores[0]) or vary(pair.second, stores[1]))
    try:
        return PairFound(pair, items(pair, stores, labels), fixed)
    except NoItems as error:
        return PairFound(pair, str(error), fixed)


def _namer(found: Sequence[Pair]) -> Callable[[Pair], str]:
    """Return what names pairs: by the task, and as much more as tells them apart."""
    questions = [pair.question for pair in found]
    tasks = [
        name for name, _ in {(question.task.task, question.task.source) for question in questions}
    ]
    many_k = len({question.k for question in questions}) > 1
    usual = Counter(question.protocol for question in questions).most_common(1)[0][0]

    def bare(question: Question) -> str:
        task = question.task
        text = (
            task.name if tasks.count(task.task) > 1 else task.name.replace(f"@{task.source}", "", 1)
        )
        text += f" k{question.k}" if many_k else ""
        return text + (f" {question.protocol}" if question.protocol != usual else "")

    def name(pair: Pair) -> str:
        own = pair.question
        twins = [other for other in questions if bare(other) == bare(own)]
        hidden = ("version", "metric_name", "definition", "train_set", "test_set")
        apart = [
            field for field in hidden if len({getattr(twin.task, field) for twin in twins}) > 1
        ]
        marks = [str(getattr(own.task, field) or "earlier")[:9] for field in apart[:1]]
        marks += [own.constants[:6] or "earlier"] if not apart and len(twins) > 1 else []
        return " ".join([bare(own), *(f"#{mark}" for mark in marks)])

    return name
