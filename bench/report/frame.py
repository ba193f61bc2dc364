"""Stored runs as pandas frames: one row a run, and tables of means over split seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fewbench.errors import BenchError
from fewbench.registry.protocol import protocols
from fewbench.store.cell import cell_of, score_of
from fewbench.store.record import Record

if TYPE_CHECKING:
    import pandas as pd

QUESTION = ("source", "template", "k", "protocol", "limit", "drop_leaks", "metric", "positive")
"""Columns that a question is asked by, beside its task."""

HASHES = ("definition", "train_set", "test_set", "constants", "trials", "settings_hash", "unlabeled")
"""Columns that say what a run was made from, beside the names it goes by."""

ENTRANT = ("method", "student", "teacher", "corpus")
COLUMNS = ("task", *QUESTION[:4], *ENTRANT, "seed", "status", *QUESTION[4:], "score", "dev", "seconds", "key", *HASHES)


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row a run, in the order of `COLUMNS`; scores are in hundredths, and missing where a run failed."""
    import pandas as pd

    return pd.DataFrame([_row(record) for record in records], columns=list(COLUMNS))


def _row(record: Record) -> dict[str, Any]:
    run, cell = record.run, cell_of(record)
    task, question, metric = cell.question.task, cell.question, str(record.selection.get("metric", ""))
    score, dev = score_of(record), record.scores.get("dev", {}).get(metric)
    return {
        "task": task.task,
        "source": task.source,
        "template": task.template,
        "k": question.k,
        "protocol": question.protocol,
        **cell.entrant._asdict(),
        "seed": run.seed,
        "status": record.status,
        "limit": question.limit,
        "drop_leaks": question.drop_leaks,
        "metric": metric,
        "positive": task.positive,
        "score": None if score is None else 100 * score,
        "dev": None if dev is None else 100 * dev,
        "seconds": record.timing.get("total_seconds"),
        "key": run.key,
        "definition": task.definition,
        "train_set": task.train_set,
        "test_set": task.test_set,
        "constants": question.constants,
        "trials": cell.variant.trials,
        "settings_hash": cell.variant.settings,
        "unlabeled": cell.variant.unlabeled,
    }


def mean_table(frame: pd.DataFrame, rows: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Return means over split seeds, in a frame whose columns end in `mean`, `std` and `n`.

    Args:
        frame: of `to_frame`, or some of its rows.
        rows: names of columns of the frame that make rows.
        columns: likewise, of the table's columns.

    Raises:
        BenchError: no such column, or a cell that would hold several questions or two runs of one seed.
    """
    import pandas as pd

    axes = [*rows, *columns]
    for name in axes:
        if name not in frame.columns:
            raise BenchError(f"the frame has no column '{name}'", allowed=list(frame.columns), given=name)
    done = frame[frame["status"] == "ok"]
    found: dict[tuple[Any, ...], dict[str, float | int]] = {}
    for place, runs in done.groupby(axes, sort=True, dropna=False):
        assert isinstance(place, tuple)
        _check_cell(dict(zip(axes, place, strict=True)), runs)
        ddof = _ddof(str(runs["protocol"].iloc[0]))
        std = float(runs["score"].std(ddof=ddof)) if len(runs) > 1 else float("nan")
        found[place] = {"mean": float(runs["score"].mean()), "std": std, "n": len(runs)}
    long = pd.DataFrame.from_dict(found, orient="index")
    if long.empty:
        return long
    long.index = pd.MultiIndex.from_tuples(list(found), names=axes)
    if not columns:
        return long
    wide = long.unstack(list(columns))
    assert isinstance(wide, pd.DataFrame)
    places = dict.fromkeys(name[1:] for name in wide.columns)
    wide = wide[[(what, *place) for place in places for what in ("mean", "std", "n")]]
    return wide.reorder_levels([*range(1, wide.columns.nlevels), 0], axis=1)


def _check_cell(place: dict[str, Any], runs: pd.DataFrame) -> None:
    """Refuse to take the mean of runs that answer several questions, or of one seed twice."""
    names = ("task", *QUESTION, *ENTRANT, *HASHES)
    for name in names:
        values = sorted(map(str, runs[name].unique()))
        if name not in place and len(values) > 1:
            raise BenchError(
                f"the cell {place} holds runs of several {name}: {', '.join(values[:4])}",
                allowed="one question a cell",
                fix=f'choose one, as in frame[frame["{name}"] == {values[0]!r}], or add it to rows',
            )
    if runs["seed"].duplicated().any():
        seed = runs["seed"][runs["seed"].duplicated()].iloc[0]
        raise BenchError(f"the cell {place} holds seed {seed} twice", allowed="one run a seed")


def _ddof(protocol: str) -> int:
    known = protocols().get(protocol)
    return known.ddof if known else 0
