"""One method against another, per row and over tasks (decision 014)."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import NamedTuple, cast

import numpy as np

from fewbench.errors import how_many
from fewbench.report.compare.clusters import by_task, same_rows
from fewbench.report.compare.pairing import Pair
from fewbench.report.statistics.crossed import (
    LEVEL,
    Cluster,
    Paired,
    estimate,
    least_seeds,
    pairs_of_runs,
)
from fewbench.report.statistics.paired import Tally, hedges, holm, mcnemar, tally
from fewbench.report.statistics.resample import Items, bootstrap, permuted
from fewbench.report.statistics.sums import Floats
from fewbench.types import Json

FEWEST_SEEDS = 5
"""With fewer independent pairs of runs there is no p: the spread over seeds is hardly known."""

FEWEST_EACH = 3
"""The fewest seeds per task: however many tasks there are, two seeds hardly show the spread."""


class PairFound(NamedTuple):
    """A pair, and its items or the reason why there are none.

    `fixed` is True if neither method's answers vary over seeds.
    """

    pair: Pair
    items: Items | str
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row of the comparison; scores are 0 to 1, or correlations.

    `low` and `high` bound the difference at 95 %, over seeds and items (over seeds alone where
    `items` is 0). `p` is the larger of two: that of `test`, over items, and that of both seeds and
    items, to which the interval belongs. `holm`, which decides, is p adjusted for the rows shown
    together. All four are nan where nothing can be known. `effect` is Hedges' g over seeds, in an
    overall row over tasks; `tally` counts the same. `pairs` counts independent pairs of runs: seeds
    by task, and one where neither method varies (`fixed`).
    """

    name: str
    metric: str
    seeds: tuple[int, ...]
    items: int
    first: float
    second: float
    low: float
    high: float
    test: str
    p: float
    effect: float | None
    tally: Tally
    pairs: int
    fixed: bool = False
    unlike: tuple[str, ...] = ()
    why_no_items: str = ""
    holm: float = math.nan

    @property
    def difference(self) -> float:
        """The first's mean less the second's."""
        return self.first - self.second

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `not significant` or `too few seeds`, by Holm's p alone."""
        if math.isnan(self.p):
            return "too few seeds"
        if not self.holm < LEVEL:
            return "not significant"
        return "better" if self.difference > 0 else "worse"


class Versus(NamedTuple):
    """One method against another: rows, and if there are several the row of their mean over tasks.

    `kept` says which test rows were used, where not all were; `notes` are shown below the table.
    """

    first: str
    second: str
    rows: list[Comparison]
    overall: Comparison | None
    kept: str = ""
    notes: tuple[str, ...] = ()


def compare(
    names: tuple[str, str],
    found: Sequence[PairFound],
    drawn: Sequence[Paired],
    name: Callable[[Pair], str],
    kept: str = "",
    notes: Sequence[str] = (),
) -> Versus:
    """Compare two methods; the p-values are not yet adjusted.

    Args:
        names: of the two methods.
        found: pairs, all on complete test sets or all on a part.
        drawn: their differences (`draw`).
        name: returns the name of a pair.
        kept: the test rows used, where not all were.
        notes: to show below the table.
    """
    rows = [_row(item, paired, name(item.pair)) for item, paired in zip(found, drawn, strict=True)]
    questions = [item.pair.question for item in found]
    overall = _overall(rows, drawn, by_task(questions)) if len(rows) > 1 else None
    shared_rows = [
        f"{tasks} are tested on the same rows: they count as one task"
        for tasks in same_rows(questions)
    ]
    return Versus(*names, rows, overall, kept, (*notes, *shared_rows))


def adjust(tables: Sequence[Versus]) -> list[Versus]:
    """Adjust p-values over the rows of all tables, and over their overall rows among themselves.

    Rows with too few seeds have no p, so they do not count.
    """
    rows = iter(_adjusted([row for table in tables for row in table.rows]))
    overall_rows = iter(_adjusted([table.overall for table in tables if table.overall]))
    adjusted = []
    for table in tables:
        overall = next(overall_rows) if table.overall else None
        adjusted.append(table._replace(rows=list(islice(rows, len(table.rows))), overall=overall))
    return adjusted


def _adjusted(rows: Sequence[Comparison]) -> list[Comparison]:
    adjusted = iter(holm([row.p for row in rows if not math.isnan(row.p)]))
    return [row if math.isnan(row.p) else replace(row, holm=next(adjusted)) for row in rows]


def draw(found: Sequence[PairFound], resamples: int) -> list[Paired]:
    """Return the differences of pairs by seed, resampled and permuted.

    The same items are drawn for all pairs on a test set, and the same each time: the random seed
    depends on the test set alone.

    Args:
        found: pairs of any methods.
        resamples: of the bootstrap and of the permutation test.
    """
    together: dict[tuple[str, int], list[int]] = {}
    for place, one in enumerate(found):
        if not isinstance(one.items, str):
            of = one.pair.question.task.test_set, one.items.first.shape[1]
            together.setdefault(of, []).append(place)
    resampled: dict[int, Floats] = {}
    null: dict[int, Floats] = {}
    for (test_set, _), places in together.items():
        items = [cast("Items", found[place].items) for place in places]
        for by, drawn in ((bootstrap, resampled), (permuted, null)):
            rng = np.random.default_rng(zlib.crc32(f"{by.__name__} {test_set}".encode()))
            drawn.update(zip(places, by(items, resamples, rng), strict=True))
    return [
        Paired(
            one.pair.seeds,
            np.subtract(*map(np.asarray, one.pair.scores)),
            resampled.get(place),
            null.get(place),
            one.fixed,
        )
        for place, one in enumerate(found)
    ]


def _row(found: PairFound, drawn: Paired, name: str) -> Comparison:
    pair, items, fixed = found
    first, second = (float(np.mean(scores)) for scores in pair.scores)
    exact = _mcnemar(found)
    low, high, p = _bounds_and_p([[drawn]], exact)
    differences = drawn.differences[:1] if fixed else drawn.differences
    return Comparison(
        name=name,
        metric=pair.metric,
        seeds=pair.seeds,
        items=0 if isinstance(items, str) else items.first.shape[1],
        first=first,
        second=second,
        low=low,
        high=high,
        test=_test([drawn]) if exact is None else "McNemar",
        p=p,
        effect=hedges(list(differences)),
        tally=tally(list(differences)),
        pairs=len(differences),
        fixed=fixed,
        unlike=pair.unlike,
        why_no_items=items if isinstance(items, str) else "",
    )


def _mcnemar(found: PairFound) -> float | None:
    """Return McNemar's exact p of accuracy, if neither method's answers vary over seeds."""
    pair, items, fixed = found
    if isinstance(items, str) or pair.metric != "accuracy" or not fixed or pair.question.drop_leaks:
        return None
    return mcnemar(items.first[0, :, 0] > 0, items.second[0, :, 0] > 0)


class _TaskMean(NamedTuple):
    """Both methods' mean over the rows of a task, and the most items that a row has."""

    first: float
    second: float
    items: int


def _task_mean(rows: Sequence[Comparison]) -> _TaskMean:
    return _TaskMean(
        first=float(np.mean([row.first for row in rows])),
        second=float(np.mean([row.second for row in rows])),
        items=max(row.items for row in rows),
    )


def _overall(
    rows: Sequence[Comparison], drawn: Sequence[Paired], tasks: Sequence[Sequence[int]]
) -> Comparison:
    """Return the row of the mean over tasks: these tasks, other splits and items of each."""
    clusters: list[list[Paired]] = []
    means: list[_TaskMean] = []
    for places in tasks:
        clusters.append([drawn[place] for place in places])
        means.append(_task_mean([rows[place] for place in places]))
    first, second, items = zip(*means, strict=True)
    differences = [one - other for one, other in zip(first, second, strict=True)]
    low, high, p = _bounds_and_p(clusters)
    unlike = dict.fromkeys(chain.from_iterable(row.unlike for row in rows))
    why_no_items = dict.fromkeys(row.why_no_items for row in rows if row.why_no_items)
    return Comparison(
        name=_name(len(tasks), len(rows)),
        metric="",
        seeds=(),
        items=sum(items),
        first=float(np.mean(first)),
        second=float(np.mean(second)),
        low=low,
        high=high,
        test=_test(drawn),
        p=p,
        effect=hedges(differences),
        tally=tally(differences),
        pairs=pairs_of_runs(clusters),
        fixed=all(row.fixed for row in rows),
        unlike=tuple(unlike),
        why_no_items="; ".join(why_no_items),
    )


def _name(tasks: int, rows: int) -> str:
    name = f"mean of {how_many(tasks, 'task')}"
    return f"{name} ({rows} rows)" if rows > tasks else name


def _test(rows: Cluster) -> str:
    """Name the test over items, if all rows have items."""
    return "permutation" if all(row.null is not None for row in rows) else "none"


def _bounds_and_p(
    clusters: Sequence[Cluster], exact: float | None = None
) -> tuple[float, float, float]:
    """Return the bounds and p; p is nan where there are too few seeds."""
    result = estimate(clusters, exact)
    rows = [row for cluster in clusters for row in cluster]
    if all(row.fixed for row in rows):
        enough = all(row.resampled is not None for row in rows)
    else:
        enough = pairs_of_runs(clusters) >= FEWEST_SEEDS and least_seeds(clusters) >= FEWEST_EACH
    return result.low, result.high, result.p if enough else math.nan


def to_object(row: Comparison) -> Json:
    """Return a row as an object of plain values; scores are in hundredths."""
    return {
        "name": row.name,
        "metric": row.metric or None,
        "seeds": list(row.seeds),
        "pairs_of_runs": row.pairs,
        "items": row.items,
        "first": _hundredths(row.first),
        "second": _hundredths(row.second),
        "difference": _hundredths(row.difference),
        "low": _hundredths(row.low),
        "high": _hundredths(row.high),
        "answers_vary": not row.fixed,
        "test": row.test,
        "p": _known(row.p),
        "p_holm": _known(row.holm),
        "hedges_g": row.effect,
        "win": row.tally.win,
        "tie": row.tally.tie,
        "loss": row.tally.loss,
        "verdict": row.verdict,
        "unlike": list(row.unlike),
        "why_no_items": row.why_no_items or None,
    }


def _hundredths(value: float) -> float | None:
    return None if math.isnan(value) else round(100 * value, 4)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
