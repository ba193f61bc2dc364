"""`bench ls`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbench.cli.options import (
    FormatOption,
    JsonOption,
    KOption,
    MethodsOption,
    ProtocolOption,
    ResultsOption,
    SeedsOption,
    StudentOption,
    TasksOption,
    TeacherOption,
    wanted_runs,
)
from fewbench.cli.out import (
    chosen_format,
    console,
    fail_if_damaged,
    note,
    print_csv,
    print_json,
    print_list,
)
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.report.wanted import Wanted
    from fewbench.types import Json

RUNS = "runs"
COLUMNS: Mapping[str, Sequence[str]] = {
    RUNS: (),
    "tasks": ("name", "format", "classes", "headline", "sources", "suites"),
    "methods": ("name", "summary", "settings", "needs"),
    "groups": ("name", "title", "methods"),
    "suites": ("name", "title", "tasks"),
    "models": ("name", "type", "layers", "width", "vocabulary", "mib"),
    "protocols": ("name", "k", "seeds", "trials", "updates", "title"),
    "figures": ("name", "summary"),
}
"""What can be listed, and the columns of its table; those of runs depend on the runs."""

NUMBERS = {"k", "seed", "score", "mib", "layers", "width", "vocabulary", "trials"}

IF_VARIED = (
    "task",
    "k",
    "seed",
    "student",
    "teacher",
    "corpus",
    "protocol",
    "limit",
    "drop_leaks",
    "arithmetic",
)
"""Columns of runs that are shown if they vary, and are named once above the table otherwise."""


def ls(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="runs, tasks, methods, groups, suites, models, protocols or figures",
        ),
    ],
    tasks: TasksOption = None,
    methods: MethodsOption = None,
    k: KOption = None,
    seeds: SeedsOption = None,
    protocol: ProtocolOption = None,
    student: StudentOption = None,
    teacher: TeacherOption = None,
    results: ResultsOption = Path("results"),
    form: FormatOption = "terminal",
    json: JsonOption = False,
) -> None:
    """List stored runs, tasks, methods, groups of them, suites, models, protocols or figures.

    Runs are listed with their keys, which other commands take. Options that say which runs, and
    models, are for runs alone.
    """
    from fewbench.report import catalogue

    if kind not in COLUMNS:
        raise BenchError(
            f"there is no list of '{kind}'", allowed=COLUMNS, given=kind, fix="bench ls tasks"
        )
    form = chosen_format(form, json=json)
    if kind == RUNS:
        wanted = wanted_runs(tasks, k, seeds, protocol, student, teacher)
        _list_runs(results, wanted, methods, form)
        return
    filters = {
        "--tasks": tasks,
        "--methods": methods,
        "--k": k,
        "--seeds": seeds,
        "--protocol": protocol,
        "--student": student,
        "--teacher": teacher,
    }
    for option, value in filters.items():
        if value is not None:
            raise BenchError(f"{option} does not select {kind}", fix=f"bench ls runs {option} ...")
    lists: Mapping[str, Callable[[], list[Json]]] = {
        "tasks": catalogue.tasks,
        "methods": catalogue.methods,
        "groups": catalogue.groups,
        "suites": catalogue.suites,
        "models": catalogue.models,
        "protocols": catalogue.protocols,
        "figures": catalogue.figures,
    }
    _print(lists[kind](), COLUMNS[kind], form, kind)


def _list_runs(results: Path, wanted: Wanted, methods: list[str] | None, form: str) -> None:
    from fewbench.registry.settings import split_list
    from fewbench.report import catalogue
    from fewbench.store.store import Store

    names = split_list(",".join(methods), "--methods") if methods else ()
    store = Store(results)
    rows = catalogue.runs(store, wanted, names)
    if form in ("json", "csv"):
        _print(rows, (), form)
    elif not rows:
        note(f"no stored run is of that kind, in {results}")
    else:
        _print_runs(rows, form, results)
    fail_if_damaged(store.damaged)


def _print_runs(rows: Sequence[Json], form: str, results: Path) -> None:
    """Print runs as a table; in a narrow terminal, what says which run it is is one column."""
    from fewbench.report import render

    varied = [name for name in IF_VARIED if _varies(rows, name)]
    status = ["status"] if any(row["status"] != "ok" for row in rows) else []
    columns = ["key", "method", *varied, "score", *status]
    caption = _caption(rows, varied, results)
    shown = _for_reading(rows)
    cells = [_texts(row, columns) for row in shown]
    if form == "terminal":
        note(caption)
        if not render.fits(columns, cells, console().width):
            columns = ["key", "run", "score", *status]
            shown = [{**row, "run": _selector(row, varied)} for row in shown]
    _print(shown, columns, form, caption)


def _varies(rows: Sequence[Json], name: str) -> bool:
    return len({row[name] for row in rows}) > 1


def _caption(rows: Sequence[Json], varied: Collection[str], results: Path) -> str:
    """Return the number of runs, and what all of them share."""
    first = rows[0]
    shared = [f"{name} {first[name]}" for name in IF_VARIED if name not in varied and first[name]]
    count = f"{len(rows)} stored runs" if len(rows) > 1 else "1 stored run"
    return " · ".join([f"{count} in {results}", *shared])


def _for_reading(rows: Sequence[Json]) -> list[Json]:
    """Return rows with short keys and scores of one decimal."""
    from fewbench.store.selector import shortened_keys

    short = shortened_keys(row["key"] for row in rows)
    return [{**row, "key": short[row["key"]], "score": _score(row["score"])} for row in rows]


def _selector(row: Json, varied: Collection[str]) -> str:
    """Write a run's selector, with all parts in which these runs differ."""
    parts = [row["method"], row["task"], f"k{row['k']}", f"s{row['seed']}"]
    for name in ("student", "teacher", "corpus", "protocol", "limit"):
        if name in varied and row[name]:
            parts.append(f"{name}={str(row[name]).rpartition('/')[2]}")
    return "/".join(parts)


def _score(score: float | None) -> str:
    return "–" if score is None else f"{score:.1f}"


def _print(rows: Sequence[Json], columns: Sequence[str], form: str, caption: str = "") -> None:
    if form == "json":
        print_json(rows)
    elif form == "csv":
        print_csv([_plain_row(row) for row in rows])
    else:
        right = [number for number, name in enumerate(columns) if name in NUMBERS]
        cells = [_texts(row, columns) for row in rows]
        print_list(columns, cells, right=right, form=form, caption=caption)


def _plain_row(row: Json) -> Json:
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    return _text(value) if isinstance(value, (dict, list, tuple)) else value


def _texts(row: Json, columns: Sequence[str]) -> list[str]:
    return [_text(row[name]) for name in columns]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={setting}" for name, setting in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return "" if value is None else str(value)
