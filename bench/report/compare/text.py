"""A comparison as a table with its notes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fewbench.report.compare.rows import FEWEST_EACH, FEWEST_SEEDS, Comparison, Versus
from fewbench.report.compare.sides import Ranked
from fewbench.report.statistics.crossed import LEVEL
from fewbench.report.statistics.ranks import Ranking
from fewbench.report.tables.grid import Grid, GridCell

MARKS = {"better": "▲", "worse": "▼", "not told apart": "=", "too few seeds": "?"}
HEADER = ["task", "new", "other", "diff.", "95 %", "p", "Holm", "g", "w/t/l"]


def to_grid(versus: Versus, caption: str, notes: Sequence[str] = ()) -> Grid:
    """Return the table of two methods. `caption` says what all rows share, `notes` what its signs
    mean.
    """
    names = f"{versus.first} (new) against {versus.second} (other)"
    mean = versus.overall.name if versus.overall else ""
    return Grid(
        " · ".join(filter(None, [names, caption, versus.kept, mean])),
        HEADER,
        [_row(row) for row in _rows([versus])],
        list(notes),
    )


def _rows(tables: Sequence[Versus]) -> list[Comparison]:
    return [row for table in tables for row in [*table.rows, *filter(None, [table.overall])]]


def _row(row: Comparison) -> list[GridCell]:
    best = {1: (1, 0), -1: (0, 1), 0: (0, 0)}[(row.difference > 0) - (row.difference < 0)]
    return [
        GridCell(
            row.name.partition(" (")[0]
            + ("≠" if row.unlike else "")
            + ("§" if row.why_no_items else "")
        ),
        GridCell(f"{100 * row.first:.1f}", best[0]),
        GridCell(f"{100 * row.second:.1f}", best[1]),
        GridCell(f"{MARKS[row.verdict]} {100 * row.difference:+.1f}"),
        GridCell("–" if math.isnan(row.low) else f"{100 * row.low:+.1f} {100 * row.high:+.1f}"),
        GridCell(_p(row.p)),
        GridCell(_p(row.holm)),
        GridCell("–" if row.effect is None else f"{row.effect:+.1f}"),
        GridCell(str(row.tally)),
    ]


def _p(p: float) -> str:
    if math.isnan(p):
        return "–"
    if p < LEVEL <= round(p, 3):
        return f"<{LEVEL}".replace("0.", ".")  # what is told must not look as if it were not
    return "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 0.9995 else "1"


def legend(tables: Sequence[Versus], resamples: int) -> list[str]:
    """Return what the signs and columns of tables mean, and what is to be known of them."""
    rows = _rows(tables)
    shown = {row.verdict for row in rows}
    marks = [f"{mark} {verdict}" for verdict, mark in MARKS.items() if verdict in shown]
    notes = [
        f"{', '.join(marks)} (told: Holm's p below {LEVEL}, from {FEWEST_SEEDS} independent pairs of runs on,"
        f" {FEWEST_EACH} a task)",
        f"95 %: interval of the difference, by Student's t, over {_over(rows)}"
        + (
            f"; items by {resamples} paired bootstrap resamples"
            if any(row.items for row in rows)
            else ""
        ),
        f"p: of the same t{_test(rows)}; Holm: p adjusted for all rows shown, the last ones among themselves",
        "g: Hedges' g, the mean difference in standard deviations over seeds (mean of tasks: over tasks); – where there"
        " are fewer than three or none varies",
        "w/t/l: seeds won, tied and lost (mean of tasks: tasks)",
    ]
    said = dict.fromkeys(note for table in tables for note in table.notes)
    return [*notes, *_clustered(tables), *_few(rows), *_fixed(rows), *_unlike(rows), *said]


def _over(rows: Sequence[Comparison]) -> str:
    return "split seeds and test items" if any(row.items for row in rows) else "split seeds"


def _test(rows: Sequence[Comparison]) -> str:
    said = {
        "permutation": "a permutation of the two methods' answers, item by item",
        "McNemar": "McNemar's exact test",
    }
    tests = [said[test] for test in dict.fromkeys(row.test for row in rows) if test in said]
    return f", or of {' or '.join(tests)}, if that is larger" if tests else ""


def _clustered(tables: Sequence[Versus]) -> list[str]:
    if not any(table.overall and "rows" in table.overall.name for table in tables):
        return []
    return [
        "mean of tasks: rows of one task (K, templates, sources, protocols) are averaged first; their seeds and items"
        " are drawn together"
    ]


def _few(rows: Sequence[Comparison]) -> list[str]:
    few = sorted({row.pairs for row in rows if row.verdict == "too few seeds"})
    return [
        f"{n} seed{'s are' if n > 1 else ' is'} too few to tell one method from another"
        + ("" if n > 1 else ": it says nothing of other splits")
        for n in few
    ]


def _fixed(rows: Sequence[Comparison]) -> list[str]:
    names = [row.name for row in rows if row.fixed]
    if not names:
        return []
    where = (
        ""
        if len(names) == len(rows)
        else f" ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
    )
    return [
        f"answers of both methods are the same for all seeds{where}: only this test set speaks, as one pair"
    ]


def _unlike(rows: Sequence[Comparison]) -> list[str]:
    unlike = dict.fromkeys(text for row in rows for text in row.unlike)
    why = dict.fromkeys(row.why_no_items for row in rows if row.why_no_items)
    notes = [f"≠ NOT COMPARABLE, shown because of --anyway: {text}" for text in unlike]
    return [*notes, *(f"§ paired by seed alone: {text}" for text in why)]


def ranks_grid(ranked: Ranked) -> Grid | None:
    """Return the table of average ranks; None where there is none."""
    ranking = ranked.ranking
    if ranking is None:
        return None
    rows = [
        [GridCell(name), GridCell(f"{rank:.2f}", place)]
        for name, rank, place in zip(ranking.methods, ranking.ranks, _places(ranking), strict=True)
    ]
    apart = [
        f"not told apart: {', '.join(ranking.methods[first : last + 1])}"
        for first, last in ranking.groups
    ] or ["all are told apart"]
    friedman = (
        f"all rank alike: p {_p(ranking.friedman)} (Friedman's test, F of Iman and Davenport)"
    )
    critical = f"critical difference at {LEVEL}: {ranking.critical:.2f} (Nemenyi; Demšar, 2006)"
    ks = ", ".join(map(str, ranked.ks))
    scores = (
        f"K={ks}"
        if len(ranked.ks) == 1
        else f"each task's mean over K={ks} as far as all have them"
    )
    caption = f"average rank over {ranking.tasks} tasks, 1 the best · {scores}"
    return Grid(caption, ["method", "rank"], rows, [friedman, critical, *apart])


def _places(ranking: Ranking) -> list[int]:
    values = sorted(set(ranking.ranks))[:2]
    return [values.index(rank) + 1 if rank in values else 0 for rank in ranking.ranks]
