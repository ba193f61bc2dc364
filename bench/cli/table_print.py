"""Print tables of stored runs in any format, for `bench table` and what ends with a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fewbench.cli.out import note, print_csv, print_grids, print_json

if TYPE_CHECKING:
    from fewbench.report.paper.significance import SignedTests
    from fewbench.report.published import Published
    from fewbench.report.tables import beyond
    from fewbench.report.tables.grid import Grid
    from fewbench.report.tables.order import Order
    from fewbench.report.tables.table import Explain
    from fewbench.report.today import Today
    from fewbench.store.record import Record
    from fewbench.store.seed_runs import SeedRuns
    from fewbench.store.store import Store
    from fewbench.types import Json

FLAT = ("json", "csv")
"""The formats that list cells, whichever rows and columns are asked for."""


class Shown(NamedTuple):
    """Settings of tables: today's declarations, published numbers, the median, roles and costs.

    `teachers` are the keys of runs whose rows are marked. With `costs` those of the runs are shown.
    `signs` are those of tests behind the cells. With `in_float`, a LaTeX table is a float.
    """

    today: Today
    takes: Explain
    published: Sequence[Published] = ()
    median: bool = False
    teachers: frozenset[str] = frozenset()
    costs: bool = False
    signs: SignedTests | None = None
    in_float: bool = False


def print_tables(
    groups: Sequence[SeedRuns],
    form: str,
    rows: Sequence[str] = ("method", "student"),
    columns: Sequence[str] = ("task",),
    *,
    shown: Shown | None = None,
    order: Order | None = None,
) -> None:
    """Print the tables of some runs on stdout, published numbers beside them."""
    from fewbench.registry.protocols import ddofs
    from fewbench.report.query import code_of, who_takes_what
    from fewbench.report.tables.beside import published_entries, published_rows
    from fewbench.report.tables.blocks import arrange
    from fewbench.report.tables.costs import COSTS
    from fewbench.report.tables.entry import entries
    from fewbench.report.tables.flat import to_rows
    from fewbench.report.tables.pivot import grids
    from fewbench.report.today import Today

    shown = shown or Shown(Today(), who_takes_what())
    code = code_of(groups, shown.today.methods)
    blocks = arrange(groups, code, ddofs(), shown.today.changed, teachers=shown.teachers)
    if form in FLAT:
        costs = COSTS if shown.costs else ()
        flat = to_rows(blocks, costs)
        if shown.published:
            flat = published_rows(blocks, shown.published, costs)
        print_json(flat) if form == "json" else print_csv(flat)
    elif blocks:
        cells = [*entries(blocks), *published_entries(blocks, shown.published)]
        if shown.signs:
            from fewbench.report.paper.significance import with_signs

            cells = with_signs(cells, shown.signs)
        tables = grids(
            cells,
            rows,
            columns,
            median=shown.median,
            costs=shown.costs,
            takes=shown.takes,
            order=order or {},
        )
        _print_grids(tables, form, groups, shown)


def _print_grids(
    tables: Sequence[Grid], form: str, groups: Iterable[SeedRuns], shown: Shown
) -> None:
    """Print tables with the note on their signs, as floats of a paper if they are wanted so."""
    from fewbench.report.paper.study import Study

    notes = [shown.signs.note] if shown.signs else []
    if not shown.in_float:
        print_grids([grid._replace(notes=[*grid.notes, *notes]) for grid in tables], form)
        return
    study = Study(protocols=frozenset(group.run.protocol for group in groups))
    for grid in tables:
        study.add_table(grid, title="Test scores", notes=notes)
    print("\n".join(data.decode() for data in study.files.values()), end="")


def print_measures(
    records: Sequence[Record],
    stored: Iterable[Record],
    store: Store,
    measures: str,
    form: str,
    today: Today | None = None,
) -> None:
    """Print a row per method on a task: its score, and the measures that `--with` names.

    Args:
        records: those to show.
        stored: all records of the store, teachers among them.
        store: of the records and their measurements.
        measures: loyalty, attack, cost; with commas.
        form: a format.
        today: what records are compared with, to say what has changed since.
    """
    from fewbench.report.query import code_of
    from fewbench.report.tables import beyond
    from fewbench.report.tables.blocks import nothing_changed
    from fewbench.report.tables.measures import chosen

    kinds = chosen(measures)
    changed = today.changed if today else nothing_changed
    code = code_of(records, today.methods if today else None)
    rows = beyond.rows(records, stored, store, kinds, changed, code)
    if form == "json":
        print_json([_with_values(row) for row in rows])
    elif form == "csv":
        print_csv(beyond.flat(rows))
    else:
        print_grids(beyond.grids(rows), form)
    note(
        "scores and loyalty in hundredths, natural logarithms; ms at batch 1; "
        "(n) where fewer runs have a figure"
    )


def _with_values(row: beyond.MeasuredRow) -> Json:
    values = {name: value._asdict() for name, value in row.values.items()}
    return {**row.facts(), "values": values}
