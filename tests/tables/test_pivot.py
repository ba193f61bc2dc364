"""Tables by choice of rows and columns, and what a cell says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbench.errors import BenchError
from fewbench.report.render import latex, markdown, terminal
from fewbench.report.tables.blocks import Block, Scores, TableRow
from fewbench.report.tables.entry import Entry, entries
from fewbench.report.tables.grid import places
from fewbench.report.tables.pivot import check_axes, grids
from fewbench.store.cell import Entrant, TaskCell, Terms
from fewbench.store.parts import Selection

SST, MR = (
    TaskCell(name, "glue", "", 1, "def", f"{name}-train", f"{name}-test", "accuracy")
    for name in ("sst-2", "mr")
)


def cell(method, column, mean, k=16, **changes):
    given = {"std": 1.0, "median": mean, "n": 5, **changes}
    terms = Terms(k, "quick", "", given.pop("limit", None), given.pop("drop_leaks", False))
    return Entry(
        TableRow(Entrant(method, given.pop("student", "tiny"))), column, terms, mean=mean, **given
    )


def texts(grid):
    return [[cell.text for cell in row] for row in grid.rows]


def marked(grid):
    return {(row[0].text, cell.text): cell.place for row in grid.rows for cell in row if cell.place}


TWO_BY_TWO = [
    cell("ft", SST, 60.0),
    cell("ft", MR, 55.0),
    cell("kd", SST, 70.0),
    cell("kd", MR, 54.0),
]


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(["k"], ["task"]), (["method", "k"], ["task"]), (["method"], ["k"]), (["task"], ["k"])],
)
def test_numbers_per_label_totals_and_full_data_stand_in_this_order(rows, columns):
    cells = [cell("ft", SST, 60.0, k) for k in ("full", "total-64", 16, 4)]
    cells += [cell("kd", SST, 60.0, k) for k in (4, "full", 16, "total-64")]
    found = grids(cells, rows, columns)
    titles = ["K=4", "K=16", "64 examples in all", "full data, not few-shot"]
    for grid in found:
        heads = [line[grid.labels - 1].text for line in grid.rows] if "k" in rows else grid.header
        assert [head for head in dict.fromkeys(heads) if head in titles] == titles


def test_methods_are_rows_and_tasks_columns_unless_told():
    (grid,) = grids(TWO_BY_TWO)
    assert grid.header == ["method", "mr\n@glue\naccuracy", "sst-2\n@glue\naccuracy", "average"]
    assert texts(grid) == [
        ["ft", "55.0 ±1.0", "60.0 ±1.0", "57.5"],
        ["kd", "54.0 ±1.0", "70.0 ±1.0", "62.0"],
    ]
    assert grid.caption == "K=16 · quick · student tiny · mean ± std over n=5 split seeds, ddof=0"
    assert marked(grid) == {
        ("ft", "55.0 ±1.0"): 1, ("kd", "54.0 ±1.0"): 2, ("kd", "70.0 ±1.0"): 1, ("ft", "60.0 ±1.0"): 2
    }  # fmt: skip


def test_what_papers_print_stands_below_our_row_of_the_same_method_numbered_downwards():
    papers = [
        cell("kd", MR, 99.0, source="Table 2", mark="larger"),
        cell("ft", MR, 98.0, source="Table 1", mark="K=8"),
    ]
    (grid,) = grids([*TWO_BY_TWO, *papers])
    assert [row[0] for row in texts(grid)] == ["ft", "ft ‡1", "kd", "kd ‡2"]
    assert grid.notes == [
        "– no run stored: bench run with that method and task",
        "‡1 Table 1: K=8",
        "‡2 Table 2: larger",
    ]


def test_a_lacking_average_is_no_lacking_run():
    (grid,) = grids(TWO_BY_TWO[:3], takes=lambda method, column: False)
    assert texts(grid)[-1] == ["kd", "×", "70.0 ±1.0", "–"]
    assert grid.notes == ["× the method takes no task of this kind (bench ls methods)"]


def test_turned_around_the_best_method_is_still_best():
    (grid,) = grids(TWO_BY_TWO, ["task"], ["method"])
    assert grid.header == ["task", "ft", "kd"]
    assert texts(grid) == [
        ["mr @glue accuracy", "55.0 ±1.0", "54.0 ±1.0"],
        ["sst-2 @glue accuracy", "60.0 ±1.0", "70.0 ±1.0"],
    ]
    assert [[c.place for c in row] for row in grid.rows] == [[0, 1, 2], [0, 2, 1]]


def test_what_is_neither_row_nor_column_makes_tables_of_its_own():
    cells = [cell("ft", SST, 60.0 + k, k=k) for k in (16, 4)] + [cell("kd", SST, 50.0, k=4)]
    four, sixteen = grids(cells)
    assert four.caption.startswith("K=4 · ") and sixteen.caption.startswith("K=16 · ")
    (grid,) = grids(cells, ["method"], ["k"])
    assert grid.header == ["method", "K=4", "K=16"] and texts(grid)[0] == ["kd", "50.0 ±1.0", "–"]
    assert "sst-2 @glue accuracy" in grid.caption
    (grid,) = grids(cells, ["k"], ["method"])
    assert [row[0].text for row in grid.rows] == ["K=4", "K=16"]


def test_a_limit_and_left_out_leaks_never_share_a_table():
    cells = [
        cell("ft", SST, 60.0),
        cell("kd", SST, 61.0, limit=8),
        cell("kd", SST, 62.0, drop_leaks=True),
    ]
    found = grids(cells, ["method"], ["task"])
    assert len(found) == 3 and sum("NOT COMPARABLE" in grid.caption for grid in found) == 2


def test_students_are_told_apart_where_there_are_several():
    (grid,) = grids([cell("ft", SST, 60.0), cell("ft", SST, 61.0, student="large")])
    assert grid.header == ["student", "sst-2\n@glue\naccuracy"]
    assert {row[0].text for row in grid.rows} == {"tiny", "large"}


def test_missing_failed_and_stale_cells_are_shown_as_such_and_explained():
    cells = [
        cell("ft", SST, 60.0, stale=5),
        cell("kd", MR, None, n=0, failed=2),
        cell("kd", SST, 50.0, n=3, failed=1),
    ]
    (grid,) = grids(cells, takes=lambda method, column: method != "ft")
    assert texts(grid) == [
        ["kd", "2 failed", "50.0 ±1.0 (3) 1 failed"],
        ["ft", "×", "60.0 ±1.0†"],
    ]
    assert "over n=5 split seeds or (n)" in grid.caption  # the greater of two numbers as usual
    notes = "\n".join(grid.notes)
    assert (
        "× the method takes no task" in notes
        and "† made by an older version" in notes
        and "--retry-failed" in notes
    )


def test_a_table_without_a_run_of_ours_that_worked_names_no_number_of_seeds():
    (grid,) = grids([cell("ft", SST, None, n=0, failed=2)])
    assert grid.caption.endswith("mean ± std (n split seeds), ddof=0")


def test_the_median_on_request():
    (grid,) = grids([cell("ft", SST, 60.0, median=61.2)], median=True)
    assert texts(grid)[0][1] == "60.0 ±1.0 [61.2]" and "mean ± std [median]" in grid.caption


def test_published_cells_stand_in_rows_of_their_own_marked_and_never_best():
    published = cell(
        "ft", SST, 93.0, source="smash Table 2", mark="another protocol", n=None, student="big"
    )
    (grid,) = grids([cell("ft", SST, 60.0), cell("kd", SST, 50.0), published])
    assert grid.header[:2] == ["method", "student"] and "student" not in grid.caption
    assert texts(grid)[-1] == ["ft ‡1", "big", "93.0 ±1.0"]
    assert grid.rows[-1][2].place == 0 and marked(grid)[("ft", "60.0 ±1.0")] == 1
    assert "‡1 smash Table 2: another protocol" in " ".join(grid.notes)


def test_a_published_student_is_no_students_of_rows_of_ours():
    published = cell("ft", SST, 93.0, source="smash Table 2", mark="alike", n=None, student="big")
    (grid,) = grids([cell("majority", SST, 50.0, student=""), published])
    assert "student" not in grid.caption
    assert texts(grid) == [["majority", "no student", "50.0 ±1.0"], ["ft ‡1", "big", "93.0 ±1.0"]]
    (grid,) = grids([cell("majority", SST, 50.0, student=""), cell("ft", SST, 60.0)])
    assert "student tiny" in grid.caption and grid.header[0] == "method"


def test_entries_are_the_cells_of_blocks_in_hundredths():
    row = TableRow(Entrant("ft", "tiny"))
    scores = Scores({13: 0.5, 21: 0.75, 42: 1.0}, failed=1, stale=2)
    block = Block(Terms(16, "quick"), 1, [row], [SST], {(row, SST): scores})
    (entry,) = entries([block])
    assert (entry.mean, entry.median, entry.n, entry.failed, entry.stale) == (75.0, 75.0, 3, 1, 2)
    assert entry.std == pytest.approx(25.0)  # ddof 1: the root of (2 * .25^2) / 2


@pytest.mark.parametrize(
    ("rows", "columns"), [(["methods"], ["task"]), (["task"], [""]), (["task"], ["task"])]
)
def test_axes_that_there_are_not(rows, columns):
    with pytest.raises(BenchError):
        check_axes(rows, columns)


@given(st.lists(st.none() | st.floats(-100, 100), max_size=6))
def test_places_by_sorting(means):
    shown = sorted({round(mean, 1) for mean in means if mean is not None}, reverse=True)
    lone = sum(mean is not None for mean in means) < 2
    for mean, place in zip(means, places(means), strict=True):
        wanted = 0 if lone or mean is None else {0: 1, 1: 2}.get(shown.index(round(mean, 1)), 0)
        assert place == wanted


def test_every_renderer_draws_every_table():
    for grid in grids([*TWO_BY_TWO, cell("a" * 90, SST, None, n=0, failed=1)]):
        for draw in (markdown, latex, lambda grid: terminal(grid, 60)):
            assert all(text in draw(grid) for text in ("70.0", "failed", "average"))


def test_runs_of_one_method_by_several_teachers_stand_in_rows_of_their_own():
    from test_record import a_record, a_run

    from fewbench.report.tables.blocks import build
    from fewbench.types import ModelRef

    records = [
        a_record(
            a_run(seed=seed, teacher=ModelRef(name, "", name * 16)),
            selection=Selection(metric="accuracy"),
        )
        for seed in (13, 21)
        for name in "ab"
    ]
    (block,) = build(records, {}, {})
    assert [(row.entrant.teacher, block.cells[row, block.columns[0]].n) for row in block.rows] == [
        ("a", 2),
        ("b", 2),
    ]
    (one,) = build(records[::2], {}, {})
    (grid,) = grids(entries([one]))
    assert " < " not in grid.caption and " < " not in grid.rows[0][0].text
    (grid,) = grids(entries([block]))
    assert [row[0].text[-4:] for row in grid.rows] == [" < a", " < b"]
