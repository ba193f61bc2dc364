"""`bench export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import (
    OUTPUT,
    BackboneOption,
    JsonOption,
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
from fewbench.cli.out import absolute, note, print_json, say
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.report.tables.entry import Entry
    from fewbench.report.wanted import Wanted
    from fewbench.store.record import Record


def card(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="a stored method")],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="TEXT",
            help="the model's name; default the student's",
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
    json: JsonOption = False,
) -> None:
    """Print a method's results as the metadata of a model card (the hub's model-index)."""
    from fewbench.registry.protocols import ddofs
    from fewbench.report.query import by_label, find_label, own_files
    from fewbench.report.share.card import front_matter, model_index
    from fewbench.report.tables.blocks import build
    from fewbench.report.tables.entry import entries
    from fewbench.report.today import Today

    wanted = wanted_runs(tasks, k, seeds, protocol, student, teacher)
    stored = by_label(record for record in wanted_records(results, wanted) if record.comparable)
    records = stored[find_label(method, stored, str(results))]
    student_name = only_student(records)
    today = Today(own_files(tasks))
    cells = of_today(entries(build(records, {}, ddofs(), today.changed)))
    metadata = model_index(name or student_name or method, cells, today.tasks)
    if json:
        print_json(metadata)
    else:
        say(front_matter(metadata))


def only_student(records: Sequence[Record]) -> str | None:
    """Return the model that all runs trained; None for methods without any.

    Raises:
        BenchError: several models.
    """
    from fewbench.store.cell import entrant_of

    students = sorted({name for record in records if (name := entrant_of(record.run).student)})
    if len(students) > 1:
        raise BenchError(
            "these are results of several models", allowed=students, fix=f"--student {students[0]}"
        )
    return students[0] if students else None


def of_today(cells: Sequence[Entry]) -> list[Entry]:
    """Leave out results without a mean, and with a note those of earlier declarations."""
    from fewbench.report.today import UNRECORDED

    whole = [cell for cell in cells if cell.mean is not None]
    kept = [cell for cell in whole if not {*cell.changed} - {UNRECORDED}]
    if left_out := len(whole) - len(kept):
        note(f"{left_out} results were not made from what is declared today, and are left out")
    return kept


def model(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="a stored run: a key's first digits, or method/task/kN/sN (bench ls runs)",
        ),
    ],
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="DIR",
            help="the folder to write: new, or empty",
            callback=absolute,
            rich_help_panel=OUTPUT,
        ),
    ],
    onnx: Annotated[
        bool,
        typer.Option("--onnx", help="write ONNX (extra onnx)", rich_help_panel=OUTPUT),
    ] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="write ONNX in int8, rounded as ptq does", rich_help_panel=OUTPUT
        ),
    ] = False,
    backbones: BackboneOption = None,
    tasks: TasksOption = None,
    methods: MethodsOption = None,
    offline: OfflineOption = False,
    results: ResultsOption = Path("results"),
) -> None:
    """Write the kept model of a run for use without this project.

    The folder is what transformers loads, with labels, tokenizer, prompt, and a card whose program
    gives the run's answers. Models in int8 are written as ONNX.
    """
    from fewbench.export.write import export_model
    from fewbench.store.selector import find_run, title_of
    from fewbench.store.store import Store

    store = Store(results)
    record = find_run(store, run)
    places = locations(store, None, backbones, tasks, methods, offline=offline)
    form = export_model(record, places, to, onnx=onnx, int8=int8)
    note(f"wrote {title_of(record.run)} to {to}: {form.title}")
    if form.rounded_here:
        note("the run was measured in fp32: rounded to int8, it is another model (method ptq)")


def csv(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="PATH",
            help="the file or folder to write",
            callback=absolute,
            rich_help_panel=OUTPUT,
        ),
    ],
    tasks: TasksOption = None,
    k: KOption = None,
    seeds: SeedsOption = None,
    protocol: ProtocolOption = None,
    student: StudentOption = None,
    teacher: TeacherOption = None,
    results: ResultsOption = Path("results"),
) -> None:
    """Write stored runs as CSV: runs.csv, trials.csv, and cells.csv with means over seeds."""
    from fewbench.io.atomic import write_whole
    from fewbench.registry.protocols import ddofs
    from fewbench.report.query import code_of, own_files
    from fewbench.report.share.bundle import bundle
    from fewbench.report.tables.blocks import build
    from fewbench.report.tables.flat import to_rows
    from fewbench.report.today import Today

    wanted = wanted_runs(tasks, k, seeds, protocol, student, teacher)
    records = wanted_records(results, wanted)
    if not records:
        raise BenchError("no stored run is of that kind", where=str(results), fix="bench table")
    today = Today(own_files(tasks))
    blocks = build(records, code_of(records, today.methods), ddofs(), today.changed)
    for name, data in bundle(records, to_rows(blocks)).items():
        try:
            write_whole(out / name, data)
        except OSError as error:
            raise BenchError(
                f"this cannot be written: {error.strerror}", where=str(out / name)
            ) from error
        note(f"wrote {out / name}")


def wanted_records(results: Path, wanted: Wanted) -> list[Record]:
    """Return the intact records of a folder that are wanted; notes name damaged files.

    Models of one name are apart (`models_apart`).

    Raises:
        BenchError: a model, protocol or K that no stored run has.
    """
    from fewbench.report.query import models_apart
    from fewbench.store.store import Store

    store = Store(results)
    records = models_apart(store.records())
    for damage in store.damaged:
        note(f"damaged: {damage}")
    wanted.check(records, str(results))
    return [record for record in records if record in wanted]
