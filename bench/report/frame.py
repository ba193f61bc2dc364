"""Stored runs as pandas frames: one row per run, and tables of means over split seeds."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fewbench.errors import BenchError, how_many
from fewbench.measure.loyalty import own_teacher
from fewbench.registry.protocols import ddofs
from fewbench.report.tables.blocks import TEACHER, CostsOf, no_costs
from fewbench.report.tables.costs import COSTS
from fewbench.report.tables.metrics import ALL, check_metrics
from fewbench.store.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from fewbench.report.today import Today

QUESTION = (
    "source",
    "template",
    "k",
    "protocol",
    "limit",
    "drop_leaks",
    "arithmetic",
    "metric",
    "positive",
)
"""Columns that a question is asked by, beside its task."""

ENTRANT = ("method", "student", "teacher", "corpus")

HASHES = (
    "definition",
    "train_set",
    "test_set",
    "constants",
    "trials",
    "settings_hash",
    "unlabeled",
)
"""Columns that say what a run was made from, beside the names it goes by."""

OUTCOME = ("seed", "status", "score", "dev", "seconds", "earlier", "code", "key")
MORE = ("scores", "teacher_run", *COSTS)
COLUMNS = ("task", *QUESTION, *ENTRANT, *OUTCOME, *HASHES, *MORE)
ALIKE = ("task", *QUESTION, *ENTRANT, *HASHES)
"""Columns that the runs of one cell share."""


def to_frame(records: Iterable[Record], today: Today, costs: CostsOf = no_costs) -> pd.DataFrame:
    """Return one row per run, with the columns of `COLUMNS`.

    Scores are in hundredths, and missing where a run failed; `scores` has those by every metric.
    `earlier` says what of a run is not of today, and `code` is the hash of its method's code.
    `teacher_run` is the key of the run that taught it, where that is among the records.

    Args:
        records: of any runs.
        today: what they are compared with.
        costs: gives the costs of a run.
    """
    import pandas as pd

    records = list(records)
    known = {record.run.key: record for record in records}
    rows = []
    for record in records:
        teacher = own_teacher(record, known)
        more = {
            "earlier": ", ".join(today.changed(record)),
            "teacher_run": "" if teacher is None else teacher.run.key,
        }
        rows.append(_row(record) | more | dict(costs(record)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(record: Record) -> dict[str, Any]:
    cell = record.cell
    question, task = cell.question, cell.question.task
    score = record.score
    dev = record.scores.get("dev", {}).get(task.metric)
    return {
        "task": task.task,
        "source": task.source,
        "template": task.template,
        "k": question.k,
        "protocol": question.protocol,
        **cell.entrant._asdict(),
        "seed": record.run.seed,
        "status": record.status,
        "limit": question.limit,
        "drop_leaks": question.drop_leaks,
        "arithmetic": question.arithmetic,
        "metric": task.metric,
        "positive": task.positive,
        "score": None if score is None else 100 * score,
        "dev": None if dev is None else 100 * dev,
        "seconds": record.timing.total_seconds,
        "code": record.method_code,
        "key": record.run.key,
        "definition": task.definition,
        "train_set": task.train_set,
        "test_set": task.test_set,
        "constants": question.constants,
        "trials": cell.variant.trials,
        "settings_hash": cell.variant.settings,
        "unlabeled": cell.variant.unlabeled,
        "scores": {name: 100 * value for name, value in record.scores.get("test", {}).items()},
    }


def mean_table(
    frame: pd.DataFrame,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    metrics: Sequence[str] = (),
    cost: bool = False,
    teachers: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return means over split seeds, in a frame whose columns end in `mean`, `std` and `n`.

    Args:
        frame: of `to_frame`, or some of its rows.
        rows: names of columns of the frame that make rows.
        columns: likewise, of the table's columns.
        metrics: names of metrics, or `all`; none for each task's own. Several are columns.
        cost: add the mean costs of each cell, missing where they are not known.
        teachers: a frame with the runs that taught these, which are added and marked.

    Raises:
        BenchError: no such column or metric, or a cell that would hold several questions or a seed
            twice.
    """
    import pandas as pd

    _check_axes(frame, [*rows, *columns])
    if teachers is not None:
        frame = _with_teachers(frame, teachers)
    done = frame[frame["status"] == "ok"]
    if metrics:
        done = _by_metrics(done, metrics)
        if done["metric"].nunique() > 1 and "metric" not in (*rows, *columns):
            columns = [*columns, "metric"]
    _tell_of_earlier(done)
    axes = [*rows, *columns]
    of_protocol = ddofs()
    found: dict[tuple[Any, ...], dict[str, float | int]] = {}
    for place, runs in done.groupby(axes, sort=True, dropna=False):
        assert isinstance(place, tuple)
        _check_cell(dict(zip(axes, place, strict=True)), runs)
        ddof = of_protocol.get(str(runs["protocol"].iloc[0]), 0)
        found[place] = _mean(runs["score"], ddof) | (_mean_costs(runs) if cost else {})
    long = pd.DataFrame.from_dict(found, orient="index")
    if long.empty:
        return long
    long.index = pd.MultiIndex.from_tuples(list(found), names=axes)
    return _wide(long, columns) if columns else long


def _check_axes(frame: pd.DataFrame, names: Iterable[str]) -> None:
    for name in names:
        if name not in frame.columns:
            allowed = list(frame.columns)
            raise BenchError(f"the frame has no column '{name}'", allowed=allowed, given=name)


def _mean_costs(runs: pd.DataFrame) -> dict[str, float | int]:
    return {name: float(runs[name].astype(float).mean()) for name in COSTS}


def _mean(scores: pd.Series[float], ddof: int) -> dict[str, float | int]:
    std = float(scores.std(ddof=ddof)) if len(scores) > 1 else float("nan")
    return {"mean": float(scores.mean()), "std": std, "n": len(scores)}


def _with_teachers(frame: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with the runs that taught its own; their methods are marked as teachers."""
    import pandas as pd

    keys = {*frame["teacher_run"]} - {""}
    absent = known[known["key"].isin(keys - {*frame["key"]})]
    both = pd.concat([frame, absent], ignore_index=True)
    entrants = pd.MultiIndex.from_frame(both[[*ENTRANT]])
    taught = entrants.isin(entrants[both["key"].isin(keys)])
    marked = both["method"] + f" ({TEACHER})"
    return both.assign(method=both["method"].mask(taught, marked))


def _by_metrics(runs: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return each run once by each metric asked for; those that have none are left out."""
    import pandas as pd

    held = sorted(set().union(*runs["scores"]))
    if held:
        check_metrics(metrics, held)
    parts = [_by(runs, name) for name in (held if ALL in metrics else metrics)]
    return pd.concat(parts, ignore_index=True) if parts else runs


def _by(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the runs that have a score by a metric, by that metric."""
    some = runs[[metric in scores for scores in runs["scores"]]]
    own = some["metric"] == metric
    return some.assign(
        metric=metric,
        score=[scores[metric] for scores in some["scores"]],
        positive=some["positive"].where(own, ""),
        dev=some["dev"].where(own),
    )


def _wide(long: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return a frame with some of its index's levels as columns, above mean, std and n."""
    import pandas as pd

    wide = long.unstack(list(columns))
    assert isinstance(wide, pd.DataFrame)
    places = dict.fromkeys(name[1:] for name in wide.columns)
    wide = wide[[(what, *place) for place in places for what in long.columns]]
    return wide.reorder_levels([*range(1, wide.columns.nlevels), 0], axis=1)


def _check_cell(place: dict[str, Any], runs: pd.DataFrame) -> None:
    """Refuse the mean of runs that answer several questions, or of one seed twice."""
    for name in ALIKE:
        values = sorted(map(str, runs[name].unique()))
        if name not in place and len(values) > 1:
            raise BenchError(
                f"the cell {place} holds runs of several {name}: {', '.join(values[:4])}",
                allowed="one question a cell",
                fix=f"choose one of them by the frame's column '{name}', or add it to rows",
            )
    again = runs["seed"].duplicated()
    if again.any():
        seed = runs["seed"][again].iloc[0]
        raise BenchError(f"the cell {place} holds seed {seed} twice", allowed="one run a seed")
    if runs["code"].nunique() > 1:
        _warn(f"the runs of the cell {place} were made by several versions of their method's code")


def _tell_of_earlier(runs: pd.DataFrame) -> None:
    for what, count in runs["earlier"].value_counts().items():
        if what:
            _warn(f"{what} not of today: {count} of {how_many(len(runs), 'run')}")


def _warn(text: str) -> None:
    """Tell the caller of `fewbench.table`."""
    warnings.warn(text, stacklevel=5)
