"""`bench data`: what data there is, fetching it once, checking it, and importing a folder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import DATA, DataOption, ForceOption, JsonOption, one_task
from fewbench.cli.out import note, print_json, print_list, say
from fewbench.errors import BenchError, NeedsNetwork, how_many

if TYPE_CHECKING:
    from fewbench.data.data_folder import SplitPlace
    from fewbench.types import Json, Task


TasksArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TASK]...",
        help="names, task@source, suites, or .toml files of your own; default all",
    ),
]
CHEAP = 2**26
"""Bytes of a file whose rows are still counted for a list."""


def ls(tasks: TasksArgument = None, data: DataOption = None, json: JsonOption = False) -> None:
    """List the files of each source: where they are, which are missing, and how to get those."""
    rows = [_row(place) for place in _places(_every_source(tasks), data)]
    if json:
        print_json(rows)
        return
    lines: list[tuple[str, ...]] = []
    for task, group in groupby(rows, key=lambda row: str(row["task"])):
        files = list(group)
        lines += [(_head(task, files[0]), *[""] * 4), *map(_cells, files)]
    print_list(("task and files", "state", "rows", "size", "sum"), lines, right=(2, 3))


def _head(task: str, row: Json) -> str:
    return f"{task}, hub {row['revision'][:8]}" if row["hub"] else task


def _cells(row: Json) -> tuple[str, ...]:
    counted = "" if row["rows"] is None else str(row["rows"])
    return (
        f"  {row['file']}",
        row["state"],
        counted,
        _size(row["bytes"]),
        "known" if row["sha256"] else "",
    )


def _size(count: int | None) -> str:
    if count is None:
        return ""
    return f"{count / 2**20:.1f}M" if count >= 2**20 else f"{max(1, round(count / 2**10))}K"


def _row(place: SplitPlace) -> Json:
    source, entry = place.task.source, place.entry
    return {
        "task": place.task.full_name,
        "split": place.split,
        "file": place.shown,
        "state": _state(place),
        "rows": _count(place) if place.files else None,
        "bytes": place.files[0].stat().st_size if place.files else None,
        "sha256": entry.sha256 if entry else None,
        "origin": entry.origin if entry else None,
        "hub": source.path if _fetchable(place) else None,
        "revision": source.revision,
    }


def _fetchable(place: SplitPlace) -> bool:
    return place.task.source.hub and place.task.source.root is None


def _state(place: SplitPlace) -> str:
    """Say in a word if a file is here, or how it could be had."""
    if place.files:
        return "here" if len(place.files) == 1 else "twice"
    if place.entry:
        return "missing"
    return "hub" if _fetchable(place) else "by hand"


def _count(place: SplitPlace) -> int | None:
    """Return the rows that a file has, or None where that takes more than counting its lines."""
    if place.entry is not None:
        return place.entry.rows
    file = place.files[0]
    if file.suffix not in (".jsonl", ".json", ".tsv") or file.stat().st_size > CHEAP:
        return None
    raw = file.read_bytes()
    lines = raw.count(b"\n") + (raw[-1:] not in (b"", b"\n"))
    return lines - (file.suffix == ".tsv" and not place.task.source.columns)


def fetch(
    tasks: Annotated[
        list[str],
        typer.Argument(
            metavar="TASK...", help="names, task@source, suites, .toml files of your own, or all"
        ),
    ],
    data: DataOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Fetch data from the hub, once, at the pinned revision.

    Files that are there are not fetched again.
    """
    from fewbench.data import data_folder
    from fewbench.registry.settings import split_list
    from fewbench.registry.tasks import choose_tasks

    folder = _needed(data)
    asked: dict[tuple[str, str], SplitPlace] = {}
    for place in _places(choose_tasks(split_list(",".join(tasks), "TASKS")), folder):
        asked.setdefault(place.key, place)
    reports: list[Json] = []
    for place in asked.values():
        try:
            done: str = data_folder.fetch(place, folder, force=force, notify=note)
            reports.append({"file": place.shown, "ok": True, "found": done})
        except NeedsNetwork:
            raise  # the others would wait for the hub as long, and in vain
        except BenchError as error:
            reports.append({"file": place.shown, "ok": False, "error": str(error)})
        if not json:
            _show(reports[-1])
    _finish(reports, json)


def verify(tasks: TasksArgument = None, data: DataOption = None, json: JsonOption = False) -> None:
    """Check the files that are there: checksums where known, and rows as the loader reads them."""
    from fewbench.data import data_folder

    reports: list[Json] = []
    for file, rows, known, error in data_folder.verify(
        _places(_every_source(tasks), _needed(data))
    ):
        facts: Json = {"file": file, "ok": error is None, "rows": rows, "known": known}
        if error is not None:
            facts["error"] = str(error)
        if rows is not None:
            sum_is = "sum as written" if known else "sum unknown"
            facts["found"] = f"{how_many(rows, 'row')}, {sum_is}"
        reports.append(facts)
        if not json:
            _show(reports[-1])
    if not reports:
        note("no file of these tasks is there: bench data ls")
    _finish(reports, json)


def import_(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="folder with the files of every split")
    ],
    task: Annotated[
        str,
        typer.Option(
            "--task",
            metavar="NAME",
            help="the task, or task@source, of the files",
            rich_help_panel=DATA,
        ),
    ],
    data: DataOption = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME",
            help="jsonl, json, csv, tsv, parquet, or lm-bff (its folder 'original')",
            rich_help_panel=DATA,
        ),
    ] = None,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Check a local folder as the loader does, and copy all its files or none.

    DIR holds every split that the source names: at its top, in a folder of the source's config, or
    as in the data folder.
    """
    from fewbench.data.import_folder import LAYOUTS, import_folder

    if layout is not None and layout not in LAYOUTS:
        raise BenchError(f"--from {layout}", allowed=LAYOUTS, given=layout)
    chosen = one_task(task, "files are imported for one")
    done = import_folder(chosen, folder, _needed(data), layout=layout, force=force)
    reports = [
        {"file": file, "ok": True, "rows": rows, "found": f"{how_many(rows, 'row')}, {what}"}
        for file, rows, what in done
    ]
    for report in [] if json else reports:
        _show(report)
    _finish(reports, json)


def _show(report: Json) -> None:
    say(
        f"{'ok   ' if report['ok'] else 'BAD  '}{report['file']}"
        + (f": {report['found']}" if report["ok"] else "")
    )
    for line in [] if report["ok"] else report["error"].splitlines():
        say(f"     {line}")


def _finish(reports: Sequence[Json], json: bool) -> None:
    if json:
        print_json(reports)
    if not all(report["ok"] for report in reports):
        raise typer.Exit(2)


def _needed(data: Path | None) -> Path:
    if data is None:
        raise BenchError("no data folder is given", fix="--data DIR (or FEWBENCH_DATA)")
    if data.exists() and not data.is_dir():
        raise BenchError(f"the data folder is a file: {data}", fix="--data DIR (or FEWBENCH_DATA)")
    return data


def _places(tasks: Sequence[Task], data: Path | None) -> list[SplitPlace]:
    from fewbench.data.data_folder import places

    return [place for task in tasks for place in places(task, data)]


def _every_source(requests: Sequence[str] | None) -> list[Task]:
    """Return tasks with each of their sources, or with the named source or suite only."""
    from fewbench.data.task_file import with_source
    from fewbench.registry.settings import split_list
    from fewbench.registry.tasks import choose_tasks

    found: dict[str, Task] = {}
    for request in split_list(",".join(requests or ["all"]), "TASKS"):
        for task in choose_tasks([request]):
            bare = request in ("all", task.name) or request.endswith(".toml")
            each_source = [with_source(task, source.name) for source in task.sources]
            for one in each_source if bare else [task]:
                found.setdefault(one.full_name, one)
    return list(found.values())
