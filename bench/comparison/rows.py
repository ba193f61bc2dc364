"""One method against another: per task and over tasks, paired by split seed and test item (decision 014)."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from fewbench.comparison.items import Items
from fewbench.comparison.pairing import Pair
from fewbench.statistics.paired import Tally, hedges, holm, mcnemar, tally
from fewbench.statistics.resample import bootstrap, interval, p_value, permuted, resample_seeds, sign_flips
from fewbench.statistics.sums import Floats

FEWEST_SEEDS = 5
"""With fewer pairs of runs, all on one side happens by chance more often than once in ten, 2^(1-n): nothing is told."""

FEWEST_EACH = 3
"""The overall row has many pairs, but of two seeds a task the spread is hardly known: it needs three on each."""

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row of the comparison; scores are 0 to 1, or correlations.

    `low` and `high` bound the difference at 95 %, over seeds and items (over seeds alone where `items` is 0). `p` is
    that of `test`; `holm` is p adjusted for the rows of one table; `p_seeds` that of flipping the signs of the seeds'
    differences, at least 2^(1-n). `effect` is Hedges' g over seeds; `tally` counts seeds, or tasks in an overall row.
    `pairs` counts pairs of runs, and `least` those of the task with the fewest.
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
    p_seeds: float
    effect: float | None
    tally: Tally
    pairs: int
    least: int
    unlike: tuple[str, ...] = ()
    why_no_items: str = ""
    holm: float = math.nan

    @property
    def difference(self) -> float:
        """The first's mean less the second's."""
        return self.first - self.second

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `not told apart`, or `too few seeds` to tell."""
        if self.pairs < FEWEST_SEEDS or self.least < FEWEST_EACH:
            return "too few seeds"
        by_seeds = self.p_seeds < LEVEL or 2.0 ** (1 - self.pairs) >= LEVEL  # or they could not tell at all
        if self.holm >= LEVEL or self.low <= 0 <= self.high or not by_seeds:
            return "not told apart"
        return "better" if self.difference > 0 else "worse"


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A row, and what the overall row is made of: differences by seed [S], bootstrapped and permuted ones [B]."""

    row: Comparison
    differences: Floats
    resampled: Floats
    null: Floats | None


class Versus(NamedTuple):
    """A method against another: one row a place and, of two or more, the row of their mean."""

    first: str
    second: str
    rows: list[Comparison]
    overall: Comparison | None


def compare(
    names: tuple[str, str], found: Sequence[tuple[Pair, Items | str]], name: Callable[[Pair], str], resamples: int
) -> Versus:
    """Return the comparison of two methods; its p-values are not yet adjusted.

    Args:
        names: what the two are called.
        found: pairs, each with its items or why there are none.
        name: what a pair is called.
        resamples: of the bootstrap and of the permutation test. The same each time: what is drawn is drawn from a seed
            that hangs on the names.
    """
    drawn = [_one(pair, given, name(pair), resamples) for pair, given in found]
    return Versus(*names, [one.row for one in drawn], _overall(drawn) if len(drawn) > 1 else None)


def adjust(tables: Sequence[Versus]) -> list[Versus]:
    """Return tables whose p-values are adjusted over all rows of all of them; the overall rows among themselves."""
    adjusted = iter(holm([row.p for table in tables for row in table.rows]))
    overall = iter(holm([table.overall.p for table in tables if table.overall]))
    return [
        table._replace(
            rows=[replace(row, holm=next(adjusted)) for row in table.rows],
            overall=table.overall and replace(table.overall, holm=next(overall)),
        )
        for table in tables
    ]


def _one(pair: Pair, given: Items | str, name: str, resamples: int) -> _Drawn:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    first, second = (np.asarray(scores) for scores in pair.scores)
    differences = first - second
    if isinstance(given, str):
        resampled, null = resample_seeds(np.tile(differences, (resamples, 1)), rng), None
        test, p = "sign flips", sign_flips(list(differences), rng)
    else:
        resampled = bootstrap(given.first, given.second, given.value, resamples, rng)
        null = permuted(given.first, given.second, given.value, resamples, rng)
        test, p = _items_test(pair, given, null, float(differences.mean()))
    low, high = interval(resampled)
    row = Comparison(
        name=name,
        metric=pair.metric,
        seeds=pair.seeds,
        items=0 if isinstance(given, str) else given.first.shape[1],
        first=float(first.mean()),
        second=float(second.mean()),
        low=low,
        high=high,
        test=test,
        p=p,
        p_seeds=sign_flips(list(differences), rng),
        effect=hedges(list(differences)),
        tally=tally(list(differences)),
        pairs=len(differences),
        least=len(differences),
        unlike=pair.unlike,
        why_no_items=given if isinstance(given, str) else "",
    )
    return _Drawn(row, differences, resampled, null)


def _items_test(pair: Pair, given: Items, null: Floats, observed: float) -> tuple[str, float]:
    """McNemar's test is the permutation test of one seed's accuracy without chance; else the permutation test."""
    if pair.metric == "accuracy" and len(pair.first) == 1:
        return "McNemar", mcnemar(given.first[0, :, 0] > 0, given.second[0, :, 0] > 0)
    return "permutation", p_value(null, observed)


def _overall(drawn: Sequence[_Drawn]) -> Comparison:
    """Return the row of the mean over tasks: these tasks, other splits and items of each."""
    rows = [one.row for one in drawn]
    means = [row.difference for row in rows]
    low, high = interval(np.mean([one.resampled for one in drawn], 0))
    rng = np.random.default_rng(zlib.crc32(b"overall"))
    # each seed's difference with the weight it has in the mean over tasks
    weighted = [d * len(means) ** -1 / len(one.differences) for one in drawn for d in one.differences]
    seeds = sign_flips([d * len(weighted) for d in weighted], rng)
    nulls = [one.null for one in drawn if one.null is not None]
    whole = len(nulls) == len(drawn)
    return Comparison(
        name=f"mean of {len(rows)}",
        metric="",
        seeds=(),
        items=sum(row.items for row in rows),
        first=float(np.mean([row.first for row in rows])),
        second=float(np.mean([row.second for row in rows])),
        low=low,
        high=high,
        test="permutation" if whole else "sign flips",
        p=p_value(np.mean(nulls, 0), float(np.mean(means))) if whole else seeds,
        p_seeds=seeds,
        effect=hedges(means),
        tally=tally(means),
        pairs=len(weighted),
        least=min(row.least for row in rows),
        unlike=tuple(dict.fromkeys(text for row in rows for text in row.unlike)),
        why_no_items="; ".join(dict.fromkeys(row.why_no_items for row in rows if row.why_no_items)),
    )


def to_object(row: Comparison) -> dict[str, Any]:
    """Return a row as plain values; scores are in hundredths."""
    hundredths = ("first", "second", "difference", "low", "high")
    return {
        "name": row.name,
        "metric": row.metric or None,
        "seeds": list(row.seeds),
        "pairs_of_runs": row.pairs,
        "items": row.items,
        **{name: round(100 * getattr(row, name), 4) for name in hundredths},
        "test": row.test,
        "p": row.p,
        "p_holm": row.holm,
        "p_seeds": row.p_seeds,
        "hedges_g": row.effect,
        "win": row.tally.win,
        "tie": row.tally.tie,
        "loss": row.tally.loss,
        "verdict": row.verdict,
        "unlike": list(row.unlike),
        "why_no_items": row.why_no_items or None,
    }
