"""A comparison as a table with its notes."""

from __future__ import annotations

from collections.abc import Sequence

from fewbench.comparison.rows import FEWEST_SEEDS, LEVEL, Comparison, Versus
from fewbench.statistics.ranks import Ranking
from fewbench.tables.grid import Grid, Text

MARKS = {"better": "▲", "worse": "▼", "not told apart": "=", "too few seeds": "?"}
HEADER = ["task", "new", "other", "diff.", "95 %", "p", "Holm", "g", "w/t/l"]


def to_grid(versus: Versus, caption: str, notes: Sequence[str] = ()) -> Grid:
    """Return the table of two methods. `caption` says what all rows share, `notes` what its signs mean."""
    caption = f"{versus.first} (new) against {versus.second} (other)" + (f" · {caption}" if caption else "")
    return Grid(caption, HEADER, [_row(row) for row in _rows([versus])], list(notes))


def _rows(tables: Sequence[Versus]) -> list[Comparison]:
    return [row for table in tables for row in [*table.rows, *filter(None, [table.overall])]]


def _row(row: Comparison) -> list[Text]:
    best = {1: (1, 0), -1: (0, 1), 0: (0, 0)}[(row.difference > 0) - (row.difference < 0)]
    return [
        Text(row.name + ("≠" if row.unlike else "") + ("§" if row.why_no_items else "")),
        Text(f"{100 * row.first:.1f}", best[0]),
        Text(f"{100 * row.second:.1f}", best[1]),
        Text(f"{MARKS[row.verdict]} {100 * row.difference:+.1f}"),
        Text(f"{100 * row.low:+.1f} {100 * row.high:+.1f}"),
        Text(_p(row.p)),
        Text(_p(row.holm)),
        Text("–" if row.effect is None else f"{row.effect:+.1f}"),
        Text(str(row.tally)),
    ]


def _p(p: float) -> str:
    return "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 0.9995 else "1"


def legend(tables: Sequence[Versus], resamples: int) -> list[str]:
    """Return what the signs and columns of tables mean, and what is to be known of them."""
    rows = _rows(tables)
    shown = {row.verdict for row in rows}
    marks = [f"{mark} {verdict}" for verdict, mark in MARKS.items() if verdict in shown]
    items = any(row.items for row in rows)
    over = "split seeds and test items" if items else "split seeds"
    notes = [
        f"{', '.join(marks)} (told: Holm's p below {LEVEL} and an interval without 0, from {FEWEST_SEEDS} pairs of runs"
        f" on; from 6 on, p over seeds below {LEVEL} too)",
        f"95 %: interval of the difference by {resamples} paired bootstrap resamples over {over}",
        _test(rows) + "; Holm: p adjusted for all tasks shown",
        "g: Hedges' g, the mean difference in standard deviations over seeds (the last row: over tasks); – where there"
        " are fewer than three or none varies",
        "w/t/l: seeds won, tied and lost (the last row: tasks)",
    ]
    return [*notes, *_few(rows), *_unlike(rows)]


def _test(rows: Sequence[Comparison]) -> str:
    said = {
        "permutation": "permutation of the two methods' answers, item by item",
        "McNemar": "McNemar's exact test",
        "sign flips": "flipping the signs of the seeds' differences (§)",
    }
    tests = [said[test] for test in dict.fromkeys(row.test for row in rows)]
    return f"p: {' or '.join(tests)}; it takes the trained models as they are, other splits are in the interval"


def _few(rows: Sequence[Comparison]) -> list[str]:
    few = sorted({row.least for row in rows if row.verdict == "too few seeds"})
    return [
        f"{n} seed{'s are' if n > 1 else ' is'} too few to tell one method from another on a task: "
        + (f"all on one side is chance one time in {2 ** (n - 1)}" if n > 1 else "it says nothing of other splits")
        for n in few
    ]


def _unlike(rows: Sequence[Comparison]) -> list[str]:
    unlike = dict.fromkeys(text for row in rows for text in row.unlike)
    why = dict.fromkeys(row.why_no_items for row in rows if row.why_no_items)
    notes = [f"≠ NOT COMPARABLE, shown because of --anyway: {text}" for text in unlike]
    return [*notes, *(f"§ paired by seed alone: {text}" for text in why)]


def ranks_grid(ranking: Ranking) -> Grid:
    """Return the table of average ranks."""
    rows = [
        [Text(name), Text(f"{rank:.2f}", place)]
        for name, rank, place in zip(ranking.methods, ranking.ranks, _places(ranking), strict=True)
    ]
    apart = [f"not told apart: {', '.join(ranking.methods[first : last + 1])}" for first, last in ranking.groups] or [
        "all are told apart"
    ]
    friedman = f"all rank alike: p {_p(ranking.friedman)} (Friedman's test, F of Iman and Davenport)"
    critical = f"critical difference at {LEVEL}: {ranking.critical:.2f} (Nemenyi; Demšar, 2006)"
    caption = f"average rank over {ranking.tasks} task{'s' if ranking.tasks > 1 else ''}, 1 the best"
    return Grid(caption, ["method", "rank"], rows, [friedman, critical, *apart])


def _places(ranking: Ranking) -> list[int]:
    values = sorted(set(ranking.ranks))[:2]
    return [values.index(rank) + 1 if rank in values else 0 for rank in ranking.ranks]
