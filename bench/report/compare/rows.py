"""One method against another: per row and over tasks, paired by split seed and test item (decision
014).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from fewbench.report.compare.clusters import by_task, same_rows
from fewbench.report.compare.items import Items
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
from fewbench.report.statistics.resample import bootstrap, permuted

FEWEST_SEEDS = 5
"""With fewer independent pairs of runs nothing is told: how far seeds lie apart is hardly known."""

FEWEST_EACH = 3
"""The overall row has many pairs, but of two seeds a task the spread is hardly known: it needs
three on each.
"""


class PairFound(NamedTuple):
    """A pair, its items or why there are none, and whether neither method's answers vary over
    seeds.
    """

    pair: Pair
    items: Items | str
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row of the comparison; scores are 0 to 1, or correlations.

    `low` and `high` bound the difference at 95 %, over seeds and items (over seeds alone where
    `items` is 0). `p` is the larger of two: that of `test`, over items, and that of both seeds and
    items, to which the interval belongs. `holm` is p adjusted for the rows shown together, and
    decides. All four are nan where nothing can be known. `effect` is Hedges' g over seeds, in an
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
        """`better`, `worse`, `not told apart`, or `too few seeds` to tell: by Holm's p alone."""
        if math.isnan(self.p):
            return "too few seeds"
        if not self.holm < LEVEL:
            return "not told apart"
        return "better" if self.difference > 0 else "worse"


class Versus(NamedTuple):
    """A method against another: rows, and where there are several the row of their mean over tasks.

    `kept` says which test rows were used, where not all were; `notes` what else is to be known.
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
    name: Callable[[Pair], str],
    resamples: int,
    kept: str = "",
    notes: Sequence[str] = (),
) -> Versus:
    """Return the comparison of two methods; its p-values are not yet adjusted.

    Args:
        names: what the two are called.
        found: pairs, all on whole test sets or all on a part.
        name: what a pair is called.
        resamples: of the bootstrap and of the permutation test. The same each time: what is drawn
            is drawn from a seed that hangs on the test set.
        kept: which test rows were used, where not all were.
        notes: what is to be said of the two.
    """
    drawn = [_paired(each, resamples) for each in found]
    rows = [_row(each, own, name(each.pair)) for each, own in zip(found, drawn, strict=True)]
    questions = [each.pair.question for each in found]
    overall = _overall(rows, drawn, by_task(questions)) if len(rows) > 1 else None
    one = [
        f"{twins} are tested on the same rows: they count as one task"
        for twins in same_rows(questions)
    ]
    return Versus(*names, rows, overall, kept, (*notes, *one))


def adjust(tables: Sequence[Versus]) -> list[Versus]:
    """Return tables whose p-values are adjusted over all rows of all of them; the overall rows
    among themselves.

    Rows of too few seeds, whatever they show, are never told, so they do not count.
    """
    rows = iter(_adjusted([row for table in tables for row in table.rows]))
    overall = iter(_adjusted([table.overall for table in tables if table.overall]))
    return [
        table._replace(
            rows=[next(rows) for _ in table.rows], overall=next(overall) if table.overall else None
        )
        for table in tables
    ]


def _adjusted(rows: Sequence[Comparison]) -> list[Comparison]:
    adjusted = iter(holm([row.p for row in rows if not math.isnan(row.p)]))
    return [row if math.isnan(row.p) else replace(row, holm=next(adjusted)) for row in rows]


def _paired(found: PairFound, resamples: int) -> Paired:
    """Return a pair's scores, and how they would be on other items: the same ones for all that
    share a test set.
    """
    pair, given, fixed = found
    first, second = map(np.asarray, pair.scores)
    if isinstance(given, str):
        return Paired(pair.seeds, first - second, fixed=fixed)
    resampled, null = (
        draw(given.first, given.second, given.value, resamples, _generator(draw.__name__, pair))
        for draw in (bootstrap, permuted)
    )
    return Paired(pair.seeds, first - second, resampled, null, fixed)


def _generator(draws: str, pair: Pair) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(f"{draws} {pair.question.task.test_set}".encode()))


def _row(found: PairFound, drawn: Paired, name: str) -> Comparison:
    pair, given, fixed = found
    first, second = (float(np.mean(scores)) for scores in pair.scores)
    exact = _mcnemar(found)
    low, high, p = _told([[drawn]], exact)
    differences = drawn.differences[:1] if fixed else drawn.differences
    return Comparison(
        name=name,
        metric=pair.metric,
        seeds=pair.seeds,
        items=0 if isinstance(given, str) else given.first.shape[1],
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
        why_no_items=given if isinstance(given, str) else "",
    )


def _mcnemar(found: PairFound) -> float | None:
    """Return the exact p over items where there is one pair of answers to each: McNemar's, of
    accuracy.
    """
    pair, given, fixed = found
    if isinstance(given, str) or pair.metric != "accuracy" or not fixed or pair.question.drop_leaks:
        return None
    return mcnemar(given.first[0, :, 0] > 0, given.second[0, :, 0] > 0)


def _overall(
    rows: Sequence[Comparison], drawn: Sequence[Paired], tasks: Sequence[Sequence[int]]
) -> Comparison:
    """Return the row of the mean over tasks: these tasks, other splits and items of each."""
    clusters = [[drawn[place] for place in places] for places in tasks]
    sides = [
        [[getattr(rows[place], side) for place in places] for places in tasks]
        for side in ("first", "second")
    ]
    first, second = ([float(np.mean(scores)) for scores in side] for side in sides)
    means = [one - other for one, other in zip(first, second, strict=True)]
    low, high, p = _told(clusters)
    return Comparison(
        name=_name(len(tasks), len(rows)),
        metric="",
        seeds=(),
        items=sum(max(rows[place].items for place in places) for places in tasks),
        first=float(np.mean(first)),
        second=float(np.mean(second)),
        low=low,
        high=high,
        test=_test(drawn),
        p=p,
        effect=hedges(means),
        tally=tally(means),
        pairs=pairs_of_runs(clusters),
        fixed=all(row.fixed for row in rows),
        unlike=tuple(dict.fromkeys(text for row in rows for text in row.unlike)),
        why_no_items="; ".join(dict.fromkeys(row.why_no_items for row in rows if row.why_no_items)),
    )


def _name(tasks: int, rows: int) -> str:
    return f"mean of {tasks} task{'s' if tasks > 1 else ''}" + (
        f" ({rows} rows)" if rows > tasks else ""
    )


def _test(rows: Cluster) -> str:
    """Return which p over items there is."""
    return "permutation" if all(row.null is not None for row in rows) else "none"


def _told(clusters: Sequence[Cluster], exact: float | None = None) -> tuple[float, float, float]:
    """Return the bounds and p, nan where there are too few seeds to tell."""
    found = estimate(clusters, exact)
    rows = [row for cluster in clusters for row in cluster]
    if all(row.fixed for row in rows):
        enough = all(row.resampled is not None for row in rows)
    else:
        enough = pairs_of_runs(clusters) >= FEWEST_SEEDS and least_seeds(clusters) >= FEWEST_EACH
    return found.low, found.high, found.p if enough else math.nan


def to_object(row: Comparison) -> dict[str, Any]:
    """Return a row as plain values; scores are in hundredths."""
    hundredths = ("first", "second", "difference", "low", "high")
    bounds = {name: _known(100 * getattr(row, name)) for name in hundredths}
    return {
        "name": row.name,
        "metric": row.metric or None,
        "seeds": list(row.seeds),
        "pairs_of_runs": row.pairs,
        "items": row.items,
        **{name: value if value is None else round(value, 4) for name, value in bounds.items()},
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


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
