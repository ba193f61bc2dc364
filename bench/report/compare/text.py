"""A comparison as a table with its notes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fewbench.report.compare.rows import FEWEST_EACH, FEWEST_SEEDS, Comparison, Versus
from fewbench.report.compare.sides import Ranked
from fewbench.report.preset_names import with_preset
from fewbench.report.statistics.crossed import LEVEL
from fewbench.report.statistics.ranks import Ranking
from fewbench.report.tables.grid import Grid, GridCell

MARKS = {"better": "▲", "worse": "▼", "not significant": "=", "too few seeds": "?"}
HEADER = ["task", "new", "other", "diff.", "95 %", "p", "Holm", "g", "w/t/l"]


def to_grid(versus: Versus, caption: str, notes: Sequence[str] = ()) -> Grid:
    """Return the table of two methods.

    `caption` says what all rows share, `notes` what its signs mean.
    """
    first, second = with_preset(versus.first), with_preset(versus.second)
    names = f"{first} (new) against {second} (other)"
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
    name = row.name.partition(" (")[0]
    if row.unlike:
        name += "≠"
    if row.why_no_items:
        name += "§"
    interval = "–"
    if not math.isnan(row.low):
        interval = f"{100 * row.low:+.1f} {100 * row.high:+.1f}"
    return [
        GridCell(name),
        GridCell(f"{100 * row.first:.1f}", int(row.difference > 0)),
        GridCell(f"{100 * row.second:.1f}", int(row.difference < 0)),
        GridCell(f"{MARKS[row.verdict]} {100 * row.difference:+.1f}"),
        GridCell(interval),
        GridCell(_p(row.p)),
        GridCell(_p(row.holm)),
        GridCell("–" if row.effect is None else f"{row.effect:+.1f}"),
        GridCell(str(row.tally)),
    ]


def _p(p: float) -> str:
    if math.isnan(p):
        return "–"
    if p < LEVEL <= round(p, 3):
        return f"<{LEVEL}".replace("0.", ".")  # rounded, it would not look significant
    if p < 0.001:
        return "<.001"
    return f"{p:.3f}".lstrip("0") if p < 0.9995 else "1"


def legend(tables: Sequence[Versus], resamples: int) -> list[str]:
    """Explain the signs and columns of tables, and add the notes on their rows."""
    rows = _rows(tables)
    verdicts = {row.verdict for row in rows}
    marks = [f"{mark} {verdict}" for verdict, mark in MARKS.items() if verdict in verdicts]
    notes = [
        f"{', '.join(marks)} (significant: Holm's p below {LEVEL}, from {FEWEST_SEEDS} "
        f"independent pairs of runs on, {FEWEST_EACH} per task)",
        f"95 %: interval of the difference, by Student's t, over {_chance(rows, resamples)}",
        f"p: of the same t{_test(rows)}; "
        "Holm: p adjusted for all rows shown, the last ones among themselves",
        "g: Hedges' g, the mean difference in standard deviations over seeds (mean of tasks: over "
        "tasks); – where there are fewer than three or none varies",
        "w/t/l: seeds won, tied and lost (mean of tasks: tasks)",
    ]
    on_methods = dict.fromkeys(note for table in tables for note in table.notes)
    return [*notes, *_clustered(tables), *_few(rows), *_fixed(rows), *_unlike(rows), *on_methods]


def _chance(rows: Sequence[Comparison], resamples: int) -> str:
    """Name what the interval is over."""
    if any(row.items for row in rows):
        return f"split seeds and test items; items by {resamples} paired bootstrap resamples"
    return "split seeds"


def _test(rows: Sequence[Comparison]) -> str:
    names = {
        "permutation": "a permutation of the two methods' answers, item by item",
        "McNemar": "McNemar's exact test",
    }
    tests = dict.fromkeys(row.test for row in rows)
    named = [names[test] for test in tests if test in names]
    return f", or of {' or '.join(named)}, if that is larger" if named else ""


def _clustered(tables: Sequence[Versus]) -> list[str]:
    if not any(table.overall and "rows" in table.overall.name for table in tables):
        return []
    return [
        "mean of tasks: rows of one task (K, templates, sources, protocols) are averaged first; "
        "their seeds and items are drawn together"
    ]


def _few(rows: Sequence[Comparison]) -> list[str]:
    counts = sorted({row.pairs for row in rows if row.verdict == "too few seeds"})
    return [
        f"{n} seeds are too few to tell one method from another"
        if n > 1
        else f"{n} seed is too few to tell one method from another: it says nothing of other splits"
        for n in counts
    ]


def _fixed(rows: Sequence[Comparison]) -> list[str]:
    names = [row.name for row in rows if row.fixed]
    if not names:
        return []
    where = ""
    if len(names) < len(rows):
        more = ", …" if len(names) > 3 else ""
        where = f" ({', '.join(names[:3])}{more})"
    return [
        f"answers of both methods are the same for all seeds{where}: all seeds count as one pair, "
        "on this test set alone"
    ]


def _unlike(rows: Sequence[Comparison]) -> list[str]:
    unlike = dict.fromkeys(text for row in rows for text in row.unlike)
    why = dict.fromkeys(row.why_no_items for row in rows if row.why_no_items)
    notes = [f"≠ NOT COMPARABLE, shown because of --anyway: {text}" for text in unlike]
    return [*notes, *(f"§ paired by seed alone: {text}" for text in why)]


def ranks_grid(ranked: Ranked) -> Grid | None:
    """Return the table of average ranks; None where there is none."""
    if ranked.ranking is None:
        return None
    ranking = named(ranked.ranking)
    rows = [
        [GridCell(name), GridCell(f"{rank:.2f}", place)]
        for name, rank, place in zip(ranking.methods, ranking.ranks, _places(ranking), strict=True)
    ]
    friedman = (
        f"all rank alike: p {_p(ranking.friedman)} (Friedman's test, F of Iman and Davenport)"
    )
    critical = f"critical difference at {LEVEL}: {ranking.critical:.2f} (Nemenyi; Demšar, 2006)"
    ks = ", ".join(map(str, ranked.ks))
    scores = f"K={ks}"
    if len(ranked.ks) > 1:
        scores = f"each task's mean over K={ks} as far as all have them"
    caption = f"average rank over {ranking.tasks} tasks, 1 the best · {scores}"
    return Grid(caption, ["method", "rank"], rows, [friedman, critical, *_told_apart(ranking)])


def named(ranking: Ranking) -> Ranking:
    """Return a ranking whose methods have the names of their presets."""
    return ranking._replace(methods=tuple(map(with_preset, ranking.methods)))


def _told_apart(ranking: Ranking) -> list[str]:
    """Say which methods Nemenyi's test tells apart, where Friedman's says that some differ."""
    if not ranking.groups:
        return ["all differ significantly"]
    if ranking.friedman < LEVEL and ranking.groups[0] == (0, len(ranking.methods) - 1):
        return ["not all rank alike, but Nemenyi's test, which has less power, tells no two apart"]
    groups = [", ".join(ranking.methods[first : last + 1]) for first, last in ranking.groups]
    return [f"no significant difference: {names}" for names in groups]


def _places(ranking: Ranking) -> list[int]:
    values = sorted(set(ranking.ranks))[:2]
    return [values.index(rank) + 1 if rank in values else 0 for rank in ranking.ranks]
