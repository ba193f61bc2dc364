"""Second metrics, teachers, costs and templates in tables: each cell still holds one question."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
from test_cells import KNOWN, failed, made, shown
from test_record import a_run

from fewbench.errors import BenchError
from fewbench.report.frame import mean_table, to_frame
from fewbench.report.tables.blocks import build
from fewbench.report.tables.costs import MACHINES, UNMEASURED, RunCosts
from fewbench.report.tables.entry import entries
from fewbench.report.tables.flat import to_rows
from fewbench.report.tables.marks import SIMULATED
from fewbench.report.tables.metrics import by_metrics
from fewbench.report.tables.pivot import grids
from fewbench.report.tables.table import TAUGHT
from fewbench.report.tables.teachers import with_teachers
from fewbench.report.today import Today
from fewbench.store.measurement import measured, write
from fewbench.store.parts import Environment, RunTiming, Selection
from fewbench.store.record import run_key
from fewbench.store.store import Store
from fewbench.types import ModelRef

BIG, SMALL = ModelRef("big", "", "b" * 16), ModelRef("small", "", "c" * 16)


def two_metrics(seed=13, f1=0.8, accuracy=0.7):
    record = made(seed=seed, metric="f1", selection={"positive": "equivalent"})
    return replace(record, scores={"dev": {"f1": 0.5}, "test": {"f1": f1, "accuracy": accuracy}})


def texts(grid):
    return [[cell.text for cell in row] for row in grid.rows]


def test_a_second_metric_is_a_column_of_its_own_with_its_own_scores():
    records = [two_metrics(), two_metrics(21, 0.6, 0.5)]
    (grid,) = shown(by_metrics(records, ["all"]).records)
    assert [head.split("\n")[-1] for head in grid.header[1:]] == ["accuracy", "f1 (equivalent)"]
    assert texts(grid)[0][1:] == ["60.0 ±10.0", "70.0 ±10.0"]
    assert not any("F1 of another class" in note for note in grid.notes)
    (row,) = to_rows(build(by_metrics(records, ["accuracy"]).records, {}, {}))
    assert (row["metric"], row["positive"], row["mean"], row["seeds"]) == (
        "accuracy", None, 60.0, [13, 21]
    )  # fmt: skip


def test_runs_without_the_metric_are_counted_and_failed_ones_stay():
    records = [two_metrics(), made(seed=42, metric="mcc"), failed(seed=21)]
    chosen = by_metrics(records, ["accuracy"])
    assert chosen.left_out == 1
    (block,) = build(chosen.records, {}, {})
    assert [(cell.n, cell.failed) for cell in block.cells.values()] == [(1, 1)]
    with pytest.raises(BenchError, match="nonsense"):
        by_metrics(records, ["nonsense"])
    assert by_metrics([], ["accuracy"]).records == []


ROUNDED = "rounded in floating point: static ranges of 8 bits"


def family():
    """Return a teacher's runs on two seeds, its student's, and a stranger's."""
    teachers = [made(seed, 0.9, method="ft", student=BIG, teacher=None) for seed in (13, 21)]
    students = [
        made(teacher.run.seed, 0.6, method="kd", student=SMALL, teacher=BIG, details={
            "teacher": {"run": teacher.run.key, "code": teacher.method_code}
        })
        for teacher in teachers
    ]  # fmt: skip
    return teachers, students, made(method="ft", student=SMALL, teacher=None)


def test_the_runs_that_taught_stand_first_marked_and_without_a_rank():
    teachers, students, stranger = family()
    taught = with_teachers([*students, stranger], [*teachers, *students, stranger])
    assert taught.teachers == {record.run.key for record in teachers} and not taught.without
    blocks = build(taught.records, {}, {}, teachers=taught.teachers)
    (grid,) = grids(entries(blocks))
    assert [row[0].partition(":")[0] for row in texts(grid)] == ["ft", "ft", "kd"]
    assert "(teacher)" in grid.rows[0][0].text and grid.rows[0][-1].place == 0
    assert {row[-1].place for row in grid.rows[1:]} == {1, 2} and TAUGHT in grid.notes
    roles = {(row["student"], row["role"]) for row in to_rows(blocks)}
    assert roles == {("big", "teacher"), ("small", None)}


def test_a_teacher_that_was_made_again_is_not_the_one_that_taught():
    teachers, students, _ = family()
    again = [replace(record, method_code="0" * 16) for record in teachers]
    taught = with_teachers(students, [*again, *students])
    assert taught.records == students and taught.without == 2


@pytest.fixture
def priced(tmp_path):
    """Return a store of two seeds on two tasks; the model of one run was measured."""
    store = Store(tmp_path)
    for task in ("sst-2", "mr"):
        for seed in (13, 21):
            run = a_run(task=task, seed=seed, inputs=KNOWN)
            record = made(seed=seed)
            timing = RunTiming(search_seconds=float(seed), peak_memory_mib=500.0)
            store.save(replace(record, run=replace(run, key=run_key(run)), timing=timing), None)
    first = min(store.records(), key=lambda record: (record.run.task, record.run.seed))
    scores = {"parameters": {"total": 2_000_000}, "bytes": 1 << 20}
    write(store, first, measured(
        first, "cost", settings={}, scores=scores, environment=Environment()
    ))  # fmt: skip
    return store


def test_costs_are_means_over_tasks_and_unknown_where_one_lacks_them(priced):
    records = list(priced.records())
    costs = RunCosts(priced)
    (grid,) = grids(entries(build(records, {}, {}, costs=costs)), costs=True)
    assert grid.header[-4:] == ["training\ns", "training\npeak MiB", "M\nparameters", "model\nMiB"]
    assert texts(grid)[0][-4:] == ["17.0", "500", "–", "–"] and UNMEASURED in grid.notes
    one = [record for record in records if record.run.task == "mr"]
    (grid,) = grids(entries(build(one, {}, {}, costs=costs)), costs=True)
    assert texts(grid)[0][-4:] == ["17.0", "500", "2.00 (1)", "1.00 (1)"]
    (row, _) = to_rows(build(records, {}, {}, costs=costs), ["parameters", "training_seconds"])
    assert (row["parameters"], row["parameters_n"], row["training_seconds"]) == (2e6, 1, 17.0)


def test_metrics_of_one_task_count_its_costs_once(priced):
    one = [record for record in priced.records() if record.run.task == "mr"]
    both = [replace(record, scores={"test": {"accuracy": 0.5, "f1": 0.4}}) for record in one]
    records = by_metrics(both, ["all"]).records
    (grid,) = grids(entries(build(records, {}, {}, costs=RunCosts(priced))), costs=True)
    assert texts(grid)[0][-4:-1] == ["17.0", "500", "2.00 (1)"]


@pytest.mark.parametrize(
    ("device", "processor", "seconds"),
    [
        ("cpu: fast", 20.0, 20.0),
        ("cpu: fast", None, 60.0),
        ("cpu: fast", 110.0, 60.0),
        ("GPU", 20.0, 60.0),
    ],
)
def test_other_programs_do_not_make_a_training_long(device, processor, seconds):
    timing = RunTiming(search_seconds=60.0, search_processor_seconds=processor)
    record = made(timing=timing, environment=Environment(device=device))
    assert record.training_seconds == seconds


def test_times_of_two_machines_are_remarked_on():
    records = [made(), made(seed=21, environment=Environment(device="cuda", threads=1))]
    (grid,) = grids(entries(build(records, {}, {})), costs=True)
    assert any(note.startswith(MACHINES) for note in grid.notes)


@pytest.mark.parametrize(("said", "noted"), [(ROUNDED, True), ("int8 products", False)])
def test_costs_of_8_bits_in_floating_point_are_not_those_of_8_bits(said, noted):
    record = made(method="ptq", details={"int8": said})
    (grid,) = grids(entries(build([record, made(method="ft")], {}, {})), costs=True)
    assert any(note.startswith(f"{SIMULATED}ptq") for note in grid.notes) == noted
    (plain,) = grids(entries(build([record], {}, {})))
    assert not any(note.startswith(SIMULATED) for note in plain.notes)


def prompted(template, score, definition="a", seed=13):
    record = made(seed=seed, score=score, inputs=replace(KNOWN, task=definition * 16))
    run = replace(record.run, template=template)
    return replace(record, run=replace(run, key=run_key(run)))


def test_templates_are_rows_of_one_column_each_ranked_among_its_own():
    records = [prompted("", 0.5, "a"), prompted("man-2", 0.6, "b")]
    cells = entries(build(records, {}, {}))
    (grid,) = grids(cells, ["template"], ["task"])
    assert [row[:2] for row in texts(grid)] == [["own", "50.0"], ["man-2", "60.0"]]
    assert {row[1].place for row in grid.rows} == {0}
    (grid,) = grids(cells, ["method"], ["template"])
    assert grid.header[1:] == ["own", "man-2"] and len(grid.rows) == 1
    (grid,) = grids(cells)  # elsewhere a template is part of the task's name
    assert "+man-2" in grid.header[2] and len(grid.rows) == 1


def test_two_definitions_of_one_template_share_no_cell():
    records = [prompted("", 0.5, "a"), prompted("", 0.9, "c"), prompted("man-2", 0.6, "b")]
    found = grids(entries(build(records, {}, {})), ["template"], ["task"])
    numbers = [text for grid in found for row in texts(grid) for text in row[1:]]
    assert sorted(text for text in numbers if text != "–") == ["50.0", "60.0", "90.0"]


def test_teachers_are_rows_and_names_leave_them_out():
    records = [
        made(score=0.5, student=SMALL, teacher=BIG),
        made(score=0.7, student=SMALL, teacher=ModelRef("huge", "", "d" * 16)),
    ]
    cells = entries(build(records, {}, {}))
    (grid,) = grids(cells, ["method"], ["teacher"])
    assert grid.header[1:] == ["big", "huge"] and len(grid.rows) == 1
    assert "<" not in grid.rows[0][0].text and "sst-2 @lm-bff accuracy" in grid.caption
    (grid,) = grids(cells, ["teacher"], ["task"])
    assert texts(grid) == [["big", "50.0"], ["huge", "70.0"]]
    (grid,) = grids(cells)
    assert all(" < " in row[0].text for row in grid.rows)


@pytest.mark.filterwarnings("ignore:.*not of today")
def test_a_frame_has_them_too(priced):
    teachers, students, stranger = family()
    frame = to_frame([*teachers, *students, stranger, two_metrics(), two_metrics(21)], Today())
    (kd,) = {*frame[frame["student"] == "small"]["method"]} - {stranger.cell.entrant.method}
    some = frame[frame["method"] == kd]
    some = some[some["student"] == "small"]
    table = mean_table(some, ["method"], [], teachers=frame)
    assert {name.endswith("(teacher)"): mean for (name,), mean in table["mean"].items()} == {
        True: pytest.approx(90), False: pytest.approx(60)
    }  # fmt: skip
    both = frame[frame["metric"] == "f1"]
    table = mean_table(both, ["method"], ["task"], metrics=["all"])
    assert [name[1] for name in table.columns][::3] == ["accuracy", "f1"]
    assert table.iloc[0].tolist() == [pytest.approx(70), 0, 2, pytest.approx(80), 0, 2]
    with pytest.raises(BenchError, match="nonsense"):
        mean_table(both, ["method"], ["task"], metrics=["nonsense"])
    costly = to_frame(priced.records(), Today(), RunCosts(priced))
    table = mean_table(costly, ["method"], ["task"], cost=True)
    assert table["mr"]["training_seconds"].item() == 17.0 and table["mr"]["n"].item() == 2
    assert table["mr"]["parameters"].item() == 2e6


@pytest.mark.parametrize(
    ("extras", "measures", "columns", "said"),
    [
        ((None, True, False), "cost", ["task"], "--with makes tables of its own"),
        (("all", False, False), "cost", ["task"], "no --metric"),
        ((None, True, False), None, ["k"], "columns of tasks"),
    ],
)
def test_the_command_refuses_what_does_not_go_together(extras, measures, columns, said):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # typer's, at its import
        from fewbench.cli.table import Extras
    with pytest.raises(BenchError, match=said):
        Extras(*extras).check(measures, columns)


def test_the_selection_names_another_metric():
    record = two_metrics()
    assert record.by("f1") is record
    assert record.by("accuracy").score == 0.7
    assert record.by("accuracy").selection == Selection(metric="accuracy")
