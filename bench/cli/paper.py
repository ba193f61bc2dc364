"""`bench paper`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import (
    OUTPUT,
    DataOption,
    KOption,
    MethodsOption,
    ProtocolOption,
    PublishedOption,
    ResultsOption,
    SeedsOption,
    StudentOption,
    TasksOption,
    TeacherOption,
    wanted_runs,
)
from fewbench.cli.out import absolute, note
from fewbench.cli.paired_options import RESAMPLES, AgainstOption, ResamplesOption
from fewbench.cli.signs import signs
from fewbench.errors import BenchError, how_many

if TYPE_CHECKING:
    from fewbench.report.figures import Material
    from fewbench.report.paper.study import Study
    from fewbench.report.published import Published
    from fewbench.report.tables.entry import Entry
    from fewbench.report.tables.order import Order
    from fewbench.report.today import Today
    from fewbench.store.record import Record
    from fewbench.store.store import Store

FIGURES = {
    "k-scaling": "Test scores against K, the training examples of each class.",
    "seeds": "Test scores of all runs, and their means.",
    "templates": "Test scores by prompt template.",
    "curves": "Dev scores by update, of students and of the runs that taught them.",
    "pareto:cost=latency": "Test scores against latency, with the Pareto front.",
    "pareto:cost=parameters": "Test scores against size, with the Pareto front.",
    "loyalty-robustness": "Robustness against loyalty to the teacher.",
    "speed-accuracy": "Test scores of early exit against speed-up.",
    "patience": "Test scores and speed-up of early exit by patience.",
    "distillation-settings": "Test scores after each step of a distillation.",
    "error-entropy": "Errors and entropy by layer of early-exit models.",
}
"""The figures of a study and their captions; those for which there are runs are drawn."""

MEASURED = {"loyalty": "loyalty", "attack": "robustness", "cost": "cost"}
"""What a title calls each kind of measurement."""

OF_EACH_RUN = ("seeds", "curves")
"""The figures that have a mark or a line for each run."""

MOST_RUNS = 400
"""The most runs that such a figure is drawn of."""


def paper(
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
    methods: MethodsOption = None,
    k: KOption = None,
    seeds: SeedsOption = None,
    protocol: ProtocolOption = None,
    student: StudentOption = None,
    teacher: TeacherOption = None,
    rows: Annotated[
        str,
        typer.Option(
            "--rows",
            metavar="NAMES",
            help="a row per method, student, teacher, task, template, k or protocol; or its values",
            rich_help_panel=OUTPUT,
        ),
    ] = "method,student",
    columns: Annotated[
        str,
        typer.Option(
            "--columns",
            metavar="NAMES",
            help="a column per each of these; the others make tables of their own",
            rich_help_panel=OUTPUT,
        ),
    ] = "task",
    against: AgainstOption = None,
    resamples: ResamplesOption = RESAMPLES,
    siunitx: Annotated[
        bool,
        typer.Option(
            "--siunitx", help="set numbers by the package siunitx", rich_help_panel=OUTPUT
        ),
    ] = False,
    title: Annotated[
        str,
        typer.Option(
            "--heading", metavar="TEXT", help="the title of the document", rich_help_panel=OUTPUT
        ),
    ] = "Tables and figures",
    published: PublishedOption = False,
    data: DataOption = None,
    results: ResultsOption = Path("results"),
) -> None:
    """Write all tables and figures of a study as LaTeX, in a folder with a document of them.

    Only runs of what is declared today count. With --against METHOD, cells that differ from it
    significantly are marked, by the tests of bench compare.
    """
    from fewbench.report.figures import Material
    from fewbench.report.foreign.rows import numbers_beside
    from fewbench.report.paper.significance import with_signs
    from fewbench.report.paper.study import Study
    from fewbench.report.query import models_apart, of_methods, own_files
    from fewbench.report.tables.order import in_order, read_axes
    from fewbench.report.tables.pivot import check_axes
    from fewbench.report.today import Today
    from fewbench.store.store import Store

    _check_free(out)
    store = Store(results)
    stored = models_apart(store.records())
    down, down_order = read_axes("--rows", rows.split(","), stored)
    across, across_order = read_axes("--columns", columns.split(","), stored)
    check_axes(down, across)
    wanted = wanted_runs(tasks, k, seeds, protocol, student, teacher)
    wanted.check(stored, str(results))
    chosen = of_methods(methods, stored, str(results)) if methods else stored
    order = {**_asked(methods, tasks, k), **down_order, **across_order}
    today = Today(own_files(tasks))
    records = _of_today([record for record in chosen if record in wanted], today, results)
    printed = numbers_beside(results) if published else []
    protocols = frozenset(record.run.protocol for record in records)
    study = Study(siunitx, protocols)
    cells, notes = _cells(in_order(records, order), today, printed)
    if against is not None:
        tests = signs(records, store, against, data, tasks, resamples)
        cells, notes = with_signs(cells, tests), [tests.note]
    _add_scores(study, cells, down, across, order, notes)
    _add_measures(study, records, stored, store, today)
    _add_figures(study, Material(_drawable(records), store, printed))
    _write(study, title, out)


def _asked(methods: list[str] | None, tasks: list[str] | None, k: str | None) -> Order:
    """Return the order of the methods, tasks and K that are named."""
    from fewbench.report.query import method_order, task_order

    order: dict[str, Sequence[str]] = {}
    if methods:
        order["method"] = method_order(methods)
    if tasks:
        order["task"] = task_order(tasks)
    if k:
        order["k"] = [number.strip() for number in k.split(",")]
    return order


def _of_today(records: Sequence[Record], today: Today, results: Path) -> list[Record]:
    """Return the runs on whole test sets that are of today; note how many are not.

    Raises:
        BenchError: there are none.
    """
    from fewbench.report.today import UNRECORDED

    whole = [record for record in records if record.comparable]
    kept = [record for record in whole if not {*today.changed(record)} - {UNRECORDED}]
    if left := len(records) - len(kept):
        note(
            f"left out: {how_many(left, 'run')}, "
            "not of what is declared today or on a part of the rows"
        )
    if not kept:
        raise BenchError("no stored run is of that kind", where=str(results), fix="bench table")
    return kept


def _cells(
    records: Sequence[Record], today: Today, printed: Sequence[Published]
) -> tuple[list[Entry], list[str]]:
    from fewbench.registry.protocols import ddofs
    from fewbench.report.query import code_of
    from fewbench.report.tables.beside import published_entries
    from fewbench.report.tables.blocks import build
    from fewbench.report.tables.entry import entries

    blocks = build(records, code_of(records, today.methods), ddofs(), today.changed)
    return [*entries(blocks), *published_entries(blocks, printed)], []


def _add_scores(
    study: Study,
    cells: Sequence[Entry],
    down: Sequence[str],
    across: Sequence[str],
    order: Order,
    notes: Sequence[str],
) -> None:
    from fewbench.report.paper.study import one_order
    from fewbench.report.query import who_takes_what
    from fewbench.report.tables.pivot import grids

    in_one = {**one_order(cells), **order}
    for grid in grids(cells, down, across, takes=who_takes_what(), order=in_one):
        study.add_table(grid, title="Test scores", notes=notes)


def _add_measures(
    study: Study, records: Sequence[Record], stored: Sequence[Record], store: Store, today: Today
) -> None:
    """Add tables of loyalty, robustness and cost, where they were measured."""
    from fewbench.report.query import code_of
    from fewbench.report.tables import beyond
    from fewbench.report.tables.measures import KINDS

    code = code_of(records, today.methods)
    rows = beyond.rows(records, stored, store, KINDS, today.changed, code)
    measured = [row for row in rows if {*row.values} - {"score"}]
    for grid in beyond.grids(measured):
        study.add_table(grid, title=_title(grid.header))


def _title(header: Sequence[str]) -> str:
    """Say what a table of measurements has beside scores."""
    from fewbench.report.tables.measures import kinds_of

    *others, last = (MEASURED[kind] for kind in kinds_of(header))
    return f"Scores, {', '.join(others)} and {last}" if others else f"Scores and {last}"


def _drawable(records: Sequence[Record]) -> list[Record]:
    from fewbench.report.tables.blocks import without_doubled

    return without_doubled([record for record in records if record.status == "ok"])


def _add_figures(study: Study, material: Material) -> None:
    """Add the figures for which there are runs."""
    from fewbench.report import figures

    count = len(material.records)
    crowded = OF_EACH_RUN if count > MOST_RUNS else ()
    if crowded:
        note(
            f"without {' and '.join(crowded)}: {count} runs are too many to be seen in one figure "
            f"(at most {MOST_RUNS}): --tasks, --methods and --student choose fewer"
        )
    missing = []
    for request, caption in FIGURES.items():
        if request in crowded:
            continue
        name = request.replace(":cost=", "-")
        try:
            figure = figures.draw(request, material)
        except BenchError:
            missing.append(name)
            continue
        stream = io.BytesIO()
        figures.write_to(figure, stream, ".pdf")
        study.add_figure(name, figure, stream.getvalue(), caption)
    if missing:
        note(f"no runs for: {', '.join(missing)} (bench plot NAME says what they need)")


def _check_free(out: Path) -> None:
    """Refuse a folder that holds something: its files might be taken for the study's."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise BenchError(
            "something is there already, and is not overwritten",
            where=str(out),
            allowed="a new folder, or an empty one",
            fix="--out another folder",
        )


def _write(study: Study, title: str, out: Path) -> None:
    from fewbench.io.atomic import new_folder

    files: Mapping[Path, bytes] = {
        **{Path(path): content for path, content in study.files.items()},
        Path("main.tex"): study.document(title),
    }
    try:
        with new_folder(out) as folder:
            for path, content in files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
    except OSError as error:
        raise BenchError(f"this cannot be written: {error.strerror}", where=str(out)) from error
    floats = len(study.labels)
    note(f"wrote {floats} floats to {out}; in it: pdflatex main.tex")
