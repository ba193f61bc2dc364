"""The two sides of a comparison: the new method and the others, their records and stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewbench.data.train_size import k_order, k_title
from fewbench.errors import BenchError, how_many
from fewbench.report.compare.clusters import by_task
from fewbench.report.compare.items import Labels, NoItems, items, vary
from fewbench.report.compare.pairing import Pair, in_common, left_out, pairs
from fewbench.report.compare.rows import PairFound, Versus, adjust, compare, draw
from fewbench.report.query import by_label, find_label, models_apart
from fewbench.report.statistics.ranks import Ranking, fewest_tasks, rank
from fewbench.report.wanted import Wanted
from fewbench.store.cell import Question
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import K


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
    """Find the records of the methods to compare.

    Args:
        new: a method as it is stored, or a folder of results with one method.
        against: methods as they are stored, or `all` others.
        results: the folder of their records.
        wanted: the records that count.
        notify: hears of damaged files.

    Raises:
        BenchError: a method, model, protocol or K without stored runs, or a folder with several
            methods.
    """
    folder = Path(new) if Path(new).is_dir() else None
    here = _read(results, notify)
    there = [] if folder is None else _read(folder, notify)
    named = models_apart([*here, *there])
    wanted.check(named, str(results))
    stored = _methods(named[: len(here)], wanted)
    if folder is not None:
        new_side = _only_side(_methods(named[len(here) :], wanted), folder)
    else:
        name = find_label(new, stored, str(results))
        new_side = Side(name, stored[name], Store(results))
    names = _names_of_others(new_side.name, against, stored, results)
    if not names:
        fix = "bench run --methods all"
        raise BenchError("there is no other method to compare with", where=str(results), fix=fix)
    return new_side, [Side(name, stored[name], Store(results)) for name in names]


def _methods(records: Sequence[Record], wanted: Wanted) -> dict[str, list[Record]]:
    """Group the records that count by their methods."""
    return by_label(record for record in records if record in wanted)


def _names_of_others(
    new: str, against: Sequence[str], stored: Collection[str], results: Path
) -> list[str]:
    """Return the stored methods to compare a new one with; `all` are all but itself."""
    names = [find_label(other, stored, str(results)) for other in against if other != "all"]
    if "all" in against:
        return [other for other in stored if other != new]
    return names


def _only_side(methods: Mapping[str, Sequence[Record]], folder: Path) -> Side:
    """Return the only method of a folder."""
    if len(methods) != 1:
        raise BenchError(
            f"this folder holds runs of {len(methods)} methods of that kind",
            where=str(folder),
            allowed=methods or "a folder with runs/ in it, of one method",
            fix=f"bench compare METHOD --results {folder}",
        )
    ((name, records),) = methods.items()
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
    """Compare a method with each of others; p-values are adjusted over all of them.

    Runs on a part of the test rows make separate tables. Of several others, those that cannot be
    compared are left out, and `notify` hears why.

    Raises:
        BenchError: none can be compared.
    """
    asked: list[tuple[Callable[..., Versus], list[PairFound]]] = []
    for other in others:
        try:
            paired = pairs(new.records, other.records, anyway=anyway)
        except BenchError as error:
            if other is others[-1] and not asked:
                raise
            notify(f"left out: {other.name}: {error.problem}")
            continue
        names, stores = (new.name, other.name), (new.store, other.store)
        notes = left_out(new.records, other.records)
        for kept, group in _by_test_rows(paired).items():
            found = [pair_found(pair, stores, labels) for pair in group]
            table = partial(compare, names, found, name=_namer(group), kept=kept, notes=notes)
            asked.append((table, found))
            notes = []
    drawn = iter(draw([*chain.from_iterable(found for _, found in asked)], resamples))
    return adjust([table(list(islice(drawn, len(found)))) for table, found in asked])


class Ranked(NamedTuple):
    """Average ranks over tasks, or the reason why there are none.

    `ks` are the K that each task's score is a mean over.
    """

    ranking: Ranking | None
    ks: tuple[K, ...] = ()
    why_none: str = ""


def ranking(sides: Sequence[Side]) -> Ranked:
    """Average the ranks of methods over tasks.

    The scores of a task are first averaged over the K, templates and protocols that all methods
    were run with. Runs on a part of the test rows do not count.
    """
    common = in_common([side.records for side in sides])
    questions = [question for question in common if question.comparable]
    if not questions:
        part = " on its whole test set" if common else ""
        return Ranked(None, why_none=f"no ranks: no task was run alike{part} by all methods")
    tasks = _task_scores(common, questions)
    if len(sides) < 2 or len(tasks) < fewest_tasks(len(sides)):
        return Ranked(None, why_none=_too_few(len(sides), len(tasks)))
    ks = tuple(sorted({question.k for question in questions}, key=k_order))
    names = [side.name for side in sides]
    rounded = tasks.round(12)  # equal scores stay equal, whatever their last bit
    return Ranked(rank(names, rounded), ks)


def _task_scores(
    scores: Mapping[Question, Sequence[Sequence[float]]], questions: Sequence[Question]
) -> NDArray[np.float64]:
    """Return the mean score [tasks, methods] over each task's questions."""
    means = np.asarray([_means(scores[question]) for question in questions])
    return np.asarray([means[places].mean(0) for places in by_task(questions)])


def _means(scores: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean over seeds of each method."""
    return [float(np.mean(of_method)) for of_method in scores]


def _too_few(methods: int, tasks: int) -> str:
    if methods < 2:
        return "no ranks: there is one method"
    return (
        f"no ranks: all {methods} methods have {how_many(tasks, 'task')} in common, "
        f"and ranks of {methods} methods can differ significantly "
        f"from {fewest_tasks(methods)} tasks on"
    )


def _by_test_rows(paired: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Group pairs by the test rows used, in words; empty for a complete test set."""
    groups: dict[str, list[Pair]] = {}
    for pair in sorted(paired, key=lambda pair: not pair.question.comparable):
        groups.setdefault(_kept(pair.question), []).append(pair)
    return groups


def _kept(question: Question) -> str:
    parts = []
    if question.limit is not None:
        parts.append(f"{question.limit} drawn test rows")
    if question.drop_leaks:
        parts.append("without leaked test rows")
    if question.arithmetic:
        parts.append(f"computed in {question.arithmetic}")
    return " · ".join(parts)


def shared_by_all(records: Sequence[Record]) -> str:
    """Name the K, protocol and student that all records share, for a caption."""
    facts: Mapping[str, set[str]] = {
        "": {f"{k_title(record.run.k)} · {record.run.protocol}" for record in records},
        "student ": {record.run.student.name for record in records if record.run.student},
    }
    return " · ".join(
        word + next(iter(values)) for word, values in facts.items() if len(values) == 1
    )


def pair_found(pair: Pair, stores: tuple[Store, Store], labels: Labels) -> PairFound:
    """Return a pair with its items, or the reason why there are none."""
    fixed = not (vary(pair.first, stores[0]) or vary(pair.second, stores[1]))
    try:
        return PairFound(pair, items(pair, stores, labels), fixed)
    except NoItems as error:
        return PairFound(pair, str(error), fixed)


def _namer(found: Sequence[Pair]) -> Callable[[Pair], str]:
    """Make a function that names pairs: the task, and as much as makes the names distinct."""
    questions = [pair.question for pair in found]
    sources: dict[str, set[str]] = {}
    for question in questions:
        sources.setdefault(question.task.task, set()).add(question.task.source)
    several_k = len({question.k for question in questions}) > 1
    usual_protocol = Counter(question.protocol for question in questions).most_common(1)[0][0]

    def bare(question: Question) -> str:
        task = question.task
        text = task.name
        if len(sources[task.task]) == 1:
            text = text.replace(f"@{task.source}", "", 1)
        if several_k:
            text += f" k{question.k}"
        if question.protocol != usual_protocol:
            text += f" {question.protocol}"
        return text

    def name(pair: Pair) -> str:
        text = bare(pair.question)
        twins = [other for other in questions if bare(other) == text]
        if len(twins) > 1:
            text += f" #{_mark(pair.question, twins)}"
        return text

    return name


def _mark(question: Question, twins: Sequence[Question]) -> str:
    """Return the first value that differs between questions with the same names, shortened."""
    for field in ("version", "metric_name", "definition", "train_set", "test_set"):
        values = {getattr(twin.task, field) for twin in twins}
        if len(values) > 1:
            return str(getattr(question.task, field) or "earlier")[:9]
    return question.constants[:6] or "earlier"
