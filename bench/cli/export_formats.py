"""`bench export eee`, `eval-results` and `schema`: results in the formats of other projects."""

from __future__ import annotations

import json as encoder
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.export import of_today, only_student, wanted_records
from fewbench.cli.options import (
    OUTPUT,
    DataOption,
    KOption,
    MethodsOption,
    OfflineOption,
    ProtocolOption,
    ResultsOption,
    SeedsOption,
    StudentOption,
    TasksOption,
    TeacherOption,
    locations,
    wanted_runs,
)
from fewbench.cli.out import absolute, note, print_json
from fewbench.errors import BenchError, how_many

if TYPE_CHECKING:
    from fewbench.export.eee_samples import SampleWriter
    from fewbench.export.evaluated import EvaluatedModel
    from fewbench.report.today import Today
    from fewbench.store.record import Record

OutOption = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="PATH",
        help="the file or folder to write",
        callback=absolute,
        rich_help_panel=OUTPUT,
    ),
]


def schema() -> None:
    """Print the JSON Schema of a record."""
    from fewbench.store.record_schema import record_schema

    print_json(record_schema())


def eee(
    out: OutOption,
    samples: Annotated[
        bool,
        typer.Option(
            "--samples",
            help="write the answers to test rows too, with texts of the data",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    organization: Annotated[
        str | None,
        typer.Option(
            "--organization",
            metavar="NAME",
            help="who made the runs; default the submitter that they name",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    tasks: TasksOption = None,
    methods: MethodsOption = None,
    k: KOption = None,
    seeds: SeedsOption = None,
    protocol: ProtocolOption = None,
    student: StudentOption = None,
    teacher: TeacherOption = None,
    data: DataOption = None,
    offline: OfflineOption = False,
    results: ResultsOption = Path("results"),
) -> None:
    """Write stored runs as Every Eval Ever has them: a file per model, with means over seeds.

    The folder is laid out as their data store (data/fewbench/...). Versions 0.2.2 and 0.3.0 of the
    schema take the files.
    """
    from fewbench.export.eee_samples import SampleWriter
    from fewbench.export.evaluated import evaluations
    from fewbench.report.query import of_methods, own_files
    from fewbench.report.today import Today
    from fewbench.store.store import Store

    wanted = wanted_runs(tasks, k, seeds, protocol, student, teacher)
    records = wanted_records(results, wanted)
    if methods:
        records = of_methods(methods, records, str(results))
    files = own_files(tasks)
    today = Today(files)
    found = evaluations(records, today.changed)
    for why, count in found.left_out.items():
        note(f"{how_many(count, 'run')} left out: {why}")
    if not found.models:
        raise BenchError("no stored run is of that kind", where=str(results), fix="bench table")
    places = locations(Store(results), data, None, [*map(str, files)], None, offline=offline)
    writer = SampleWriter(places) if samples else None
    written = [_write_model(model, today, organization, writer, out) for model in found.models]
    for why, count in writer.left_out.items() if writer else ():
        note(f"{how_many(count, 'run')} without samples: {why}")
    note(f"wrote {how_many(sum(written), 'model')} to {out / 'data'}")


def _write_model(
    model: EvaluatedModel,
    today: Today,
    organization: str | None,
    writer: SampleWriter | None,
    out: Path,
) -> bool:
    """Write the files of a model; return False if none of its metrics is known there."""
    from fewbench.data.metrics import BOUNDS
    from fewbench.export.eee import aggregate, with_samples

    made = round(time.time(), 3)
    file = aggregate(model, today.tasks, organization or _organization(model), made)
    if not file.content["evaluation_results"]:
        note(f"left out: {model.title} has no score by {', '.join(BOUNDS)}")
        return False
    content = file.content
    if lines := list(writer.lines(file, model)) if writer else []:
        content, answers = with_samples(file, lines)
        _write(out / file.samples_path, answers)
    text = encoder.dumps(content, indent=1, ensure_ascii=False) + "\n"
    _write(out / file.path, text.encode("utf-8", "backslashreplace"))
    return True


def _organization(model: EvaluatedModel) -> str:
    """Return the submitters that a model's runs name."""
    names = {record.environment.submitter for record in model.records}
    return ", ".join(sorted(filter(None, names))) or "not named"


def eval_results(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="a stored method")],
    out: OutOption,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="where the runs can be seen, to name as source",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    tasks: TasksOption = None,
    k: KOption = None,
    seeds: SeedsOption = None,
    protocol: ProtocolOption = None,
    student: StudentOption = None,
    teacher: TeacherOption = None,
    results: ResultsOption = Path("results"),
) -> None:
    """Write a method's results as the hub's .eval_results, for a model's repository.

    Tasks whose rows are not on the hub are left out: a result there belongs to a data set.
    """
    from fewbench.registry.protocols import ddofs
    from fewbench.report.query import by_label, find_label, own_files
    from fewbench.report.share.eval_results import eval_results as to_files
    from fewbench.report.tables.blocks import build
    from fewbench.report.tables.entry import entries
    from fewbench.report.today import Today

    wanted = wanted_runs(tasks, k, seeds, protocol, student, teacher)
    stored = by_label(record for record in wanted_records(results, wanted) if record.comparable)
    records = stored[find_label(method, stored, str(results))]
    only_student(records)
    today = Today(own_files(tasks))
    cells = of_today(entries(build(records, {}, ddofs(), today.changed)))
    made = to_files(cells, today.tasks, _last(records), url)
    for name in made.without:
        note(f"left out: the rows of {name} are not on the hub")
    if not made.files:
        raise BenchError(
            "none of these results is on a data set of the hub",
            where=str(results),
            fix="--tasks of a source that is on the hub, such as glue (bench ls tasks)",
        )
    for path, text in made.files.items():
        _write(out / path, text.encode("utf-8"))
        note(f"wrote {out / path}")


def _last(records: list[Record]) -> str | None:
    """Return when the last of some runs was made, if they all say so."""
    dates = [record.timing.finished for record in records]
    return max(date for date in dates if date) if all(dates) else None


def _write(file: Path, data: bytes) -> None:
    from fewbench.io.atomic import write_whole

    try:
        write_whole(file, data)
    except OSError as error:
        raise BenchError(f"this cannot be written: {error.strerror}", where=str(file)) from error
