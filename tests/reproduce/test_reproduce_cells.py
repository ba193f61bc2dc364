"""Every printed number is planned as runs, or says why it cannot be had."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
from conftest import PROJECT

from fewbench.errors import BenchError
from fewbench.registry.settings import choose_methods, split_list
from fewbench.report import render
from fewbench.report.published import k_option, read_published
from fewbench.report.render.fold import text_width
from fewbench.report.reproduce import show
from fewbench.report.reproduce.cells import NO_PARTS, NOT_ASKED, StandIns
from fewbench.report.reproduce.commands import commands
from fewbench.report.reproduce.figures import ComparedCell, ComparedRow, Ours
from fewbench.report.reproduce.mapping import (
    HIDDEN,
    IS_TEACHER,
    NO_METHOD,
    NO_STUDENT,
    NO_TEACHER,
    Known,
    plan_cells,
    teacher_of,
)
from fewbench.report.reproduce.part import TablePart
from fewbench.report.reproduce.tables import TITLES, find_table, of_paper, printed_tables
from fewbench.store.cell import label

TABLES = printed_tables(read_published(PROJECT / "results" / "published"))
NAMED = StandIns("small", "large")


@pytest.fixture(scope="module")
def known():
    return Known()


def planned(name, known, models=NAMED):
    return plan_cells(find_table(TABLES, *name.split()), models, known)


def row_of(plan, label):
    (row,) = (row for row in plan.rows if row.label == label)
    return row


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_planned_and_not_planned_are_all_cells_of_the_table(table, known):
    plan = plan_cells(table, NAMED, known)
    assert Counter(cell.number for cell in plan.cells) == Counter(table.numbers)
    assert plan.counts.total() == plan.of == len(table.numbers)
    assert sum(reason.cells for reason in show.reasons(plan)) == plan.counts["none"]
    for cell in plan.cells:
        assert (cell.how == "none") == bool(cell.reason)
        if cell.how not in ("none", "average"):
            method = known.choice(cell.runs.method).method
            assert {"student", "teacher"} & set(method.needs) or not any(cell.runs[-2:])
            assert cell.runs.task.partition("@")[0] in known.declared.tasks
        if cell.number.task not in ("", *known.declared.tasks):
            assert cell.how == "none"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_commands_make_the_runs_of_a_table_and_no_others(table, known):
    plan = plan_cells(table, NAMED, known)
    made = set()
    for command in commands(dict.fromkeys(plan.runs, (13, 21))):
        words = shlex.split(command.line)
        assert shlex.split(command.line) == ["bench", "run", *words[2:]]
        options = dict(zip(words[2::2], words[3::2], strict=True))
        methods = split_list(options["--methods"])
        choose_methods(methods)
        with_settings = [
            label(choice.method.name, choice.settings) for choice in map(known.choice, methods)
        ]
        for method, task in product(with_settings, options["--tasks"].split(",")):
            prompt = options.get("--template", "")
            made.add((method, task, prompt, options.get("--k", ""), options.get("--student", "")))
    wanted = {
        (run.method, run.task.partition("+")[0], run.template, run.k, run.student)
        for run in plan.runs
    }
    assert made == wanted


def test_commands_name_methods_by_their_presets(known):
    plan = planned("thesis 4.1", known)
    assert "ptq:per_channel=False,static=True" in {run.method for run in plan.runs}
    methods = [
        name for command in commands(dict.fromkeys(plan.runs, ())) for name in command.methods
    ]
    assert "ptq:q8bert" in methods and not any("=" in name for name in methods)


def test_a_folded_command_says_the_same_in_80_columns(known):
    runs = planned("prompt-distiller 1", known).runs
    for command in commands(dict.fromkeys(runs, (13, 21))):
        folded = command.folded(80)
        assert max(map(len, folded.splitlines())) <= 80
        words = shlex.split(folded.replace("\\\n", ""))
        options: dict[str, list[str]] = {}
        for name, value in zip(words[2::2], words[3::2], strict=True):
            options.setdefault(name, []).append(value)
        assert split_list(",".join(options["--tasks"])) == list(command.tasks)
        assert split_list(",".join(options["--methods"])) == list(command.methods)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_plans_and_comparisons_fit_80_columns(table, known):
    plan = plan_cells(table, NAMED, known)
    text = render.listing(
        ("row", "backbone", "method", "here"), show.plan_rows(plan), 80, right=(3,)
    )
    ours = Ours(85.5, 5, 10.1, 72.9, 98.0)
    rows = [
        ComparedRow(row, tuple(ComparedCell(cell, ours) for cell in row.cells)) for row in plan.rows
    ]
    assert text.count("backbone") == 1, "split for lack of width"
    beside = render.terminal(show.beside_grid(rows, table.name), 80)
    assert beside.count("theirs  ") == 1, "split for lack of width"
    assert "\\n" not in beside
    lines = [*text.splitlines(), *beside.splitlines()]
    assert max(map(text_width, lines)) <= 80


def test_every_table_has_a_title():
    assert {(table.paper, table.table) for table in TABLES} == set(TITLES)
    assert all(table.title for table in TABLES)


@pytest.mark.parametrize("paper", ["thesis", "efficient-nlp-thesis"])
def test_the_thesis_has_two_names(paper):
    assert find_table(TABLES, paper, "4.1").name == "thesis Table 4.1"


def test_unknown_papers_and_tables_name_the_nearest():
    with pytest.raises(BenchError, match="no tables of a paper 'smahs'") as error:
        of_paper(TABLES, "smahs")
    assert error.value.nearest == ["smash"] and "prompt-distiller" in error.value.allowed
    with pytest.raises(BenchError, match=r"no table '4\.11' of thesis") as error:
        find_table(TABLES, "thesis", "4.11")
    assert "4.1" in error.value.nearest and "left out" in error.value.fix


@pytest.mark.parametrize(
    ("name", "teacher"),
    [
        ("smash 1", "roberta-large"),
        ("smash 3", "t5-large"),
        ("prompt-distiller 3", "roberta-large"),
        ("thesis 4.1", "bert-base"),
        ("thesis 5.6", "bert-large"),
        ("ppt 4", ""),
        ("thesis 3.1", ""),
        ("thesis 3.2", "bert-base"),
    ],
)
def test_the_teacher_is_that_of_the_notes_or_the_rows(name, teacher):
    assert teacher_of(find_table(TABLES, *name.split())) == teacher


def test_the_teachers_own_rows_are_runs_of_the_teacher(known):
    plan = planned("prompt-distiller 1", known)
    models = {row.label: row.runs[0][-2:] for row in plan.rows if row.runs}
    assert models["FT: Teacher FT (Upper Bound)"] == ("large", "")
    assert models["FT: Student FT (Lower Bound)"] == ("small", "")
    assert models["PT: Prompt-Distiller (Ours)"] == ("small", "large")


def test_rows_that_differ_in_their_backbone_alone_are_one_run(known):
    plan = planned("smash 1", known)
    assert [[row.label for row in rows] for rows in plan.alike()] == [
        ["dR-b PT", "R-b PT"],
        ["dR-b FT", "R-b FT"],
    ]
    assert len(plan.runs) == 16  # two methods, two models, four tasks: of 24 numbers
    said = show.models_differ(plan)
    assert said == [
        "other models than the paper's: small for distilroberta-base, roberta-base; "
        "large for roberta-large",
        "the same runs here: dR-b PT (distilroberta-base); R-b PT (roberta-base)",
        "the same runs here: dR-b FT (distilroberta-base); R-b FT (roberta-base)",
    ]


def test_a_tables_only_model_has_one_stand_in(known):
    """ALBERT alone in thesis 3.1, heads pruned or not; BERT and DistilBERT in 3.2."""
    runs = planned("thesis 3.1", known).runs
    assert {(run.student, run.teacher) for run in runs} == {("small", ""), ("", "small")}
    models = {row.label: row.runs[0][-2:] for row in planned("thesis 3.2", known).rows}
    assert models["BERT-base"] == ("large", "") and models["DistilBERT"] == ("small", "")
    assert models["BERT-of-Theseus"] == models["BERT-PKD"] == ("", "large")


def test_models_that_are_not_named_are_a_reason(known):
    plan = planned("prompt-distiller 1", known, StandIns("small", ""))
    reasons = {row.label: {cell.reason for cell in row.cells} for row in plan.rows}
    assert (
        NO_TEACHER in reasons["PT: Prompt-KD"]
        and NO_TEACHER in reasons["PT: Teacher PT (Upper Bound)"]
    )
    assert reasons["PT: Student PT (Lower Bound)"] == {""}
    plan = planned("prompt-distiller 1", known, StandIns("", "large"))
    assert NO_STUDENT in {cell.reason for cell in row_of(plan, "PT: Prompt-KD").cells}


def test_a_mean_needs_all_numbers_that_it_is_over(known):
    table = find_table(TABLES, "ppt", "4")
    unknown = replace(table, numbers=tuple(replace(each, method="") for each in table.numbers))
    adapted = plan_cells(unknown, NAMED, known).rows[0]
    assert {cell.reason for cell in adapted.cells} == {NO_METHOD}
    plan = planned("prompt-distiller 1", known)
    row = row_of(plan, "PT: Prompt-KD")
    assert row.cells[-1].how == "average" and len(row.parts()) == 8
    run = row.cells[0].runs
    (refused,) = (r for r in plan.refusing({run: "no such data"}).rows if r.label == row.label)
    assert [cell.reason for cell in refused.cells] == ["no such data", *[""] * 7, NO_PARTS]
    some = plan_cells(
        plan.table,
        NAMED,
        known,
        numbers=TablePart(columns=["Avg", "MR"]).of(plan.table.numbers),
    )
    (row,) = (r for r in some.rows if r.label == row.label)
    assert [cell.reason for cell in row.cells] == ["", NOT_ASKED]
    assert (len(some.cells), some.of) == (18, 81)


def test_what_is_measured_of_runs_is_named_by_its_command(known):
    plan = planned("thesis 4.1", known)
    row = row_of(plan, "Truncate & Finetune")
    hows = ["cost", "score", "score", "loyalty", "loyalty", "attack", "attack"]
    assert [cell.how for cell in row.cells] == hows
    assert row.cells[0].runs == row.cells[1].runs and row.cells[1].remark == HIDDEN
    teacher = row_of(plan, "Teacher [Devlin et al., 2019]")
    assert [cell.reason for cell in teacher.cells if cell.how == "none"] == [IS_TEACHER] * 2
    text = "\n".join(show.how_had(plan))
    assert "measured by bench cost" in text and "measured by bench attack" in text


def test_a_part_of_a_table_by_printed_names_or_by_ours():
    numbers = find_table(TABLES, "smash", "2").numbers

    def part(**names):
        return TablePart(**names).of(numbers)

    assert {n.row for n in part(rows=["smash"])} == {"SMASH", "SMASH zero-shot"}
    assert {n.column for n in part(columns=["sst", "MNLI"])} == {
        "SST-2",
        "SST-5",
        "MNLI-m",
        "MNLI-mm",
    }
    assert {n.method for n in part(methods=["smash"])} == {"smash", "smash:tune=False"}
    assert {n.method for n in part(methods=["smash:tune=False"])} == {"smash:tune=False"}
    assert {n.task for n in part(tasks=["sst-2@lm-bff", "mr"])} == {"sst-2", "mr"}
    assert part() == list(numbers)
    with pytest.raises(BenchError, match="--row is 'SMESH'") as error:
        part(rows=["SMESH"])
    assert "SMASH" in error.value.nearest


def test_full_data_in_a_table_of_few_shots_has_its_protocol_and_seeds(known):
    plan = planned("thesis 6.2", known)
    assert (plan.protocol, plan.other_protocols) == ("thesis-6-v1", ["full"])
    row = row_of(plan, "Baselines: Full Fine-tuning")
    assert {(run.k, run.protocol) for run in row.runs} == {("full", "full")}
    seeds = {run: (13, 21) if run.protocol == "full" else (13,) for run in plan.runs}
    lines = [command.line for command in commands(seeds)]
    assert [" --k full --seeds 13,21 --protocol full " in line for line in lines].count(True) == 1
    assert sum("--seeds 13 " in line for line in lines) == len(lines) - 1
    own = plan_cells(plan.table, NAMED, known, protocol="quick")
    assert "K is full" in row_of(own, "Baselines: Full Fine-tuning").cells[0].reason


@pytest.mark.parametrize(
    ("text", "k"), [("", ""), ("16", "16"), ("full", "full"), ("32 total", "total-32")]
)
def test_a_printed_k_as_the_option_takes_it(text, k):
    assert k_option(text) == k


def test_a_pretrained_student_is_loyal_to_the_run_of_the_teachers_row(known):
    plan = planned("thesis 4.1", known)
    row = row_of(plan, "DistilBERT [Sanh et al., 2019]")
    assert [cell.how for cell in row.cells].count("loyalty") == 2
    loyal = [cell for cell in row.cells if cell.how == "loyalty"]
    assert {cell.runs.student for cell in loyal} == {"small"}
    (teacher,) = {cell.teacher for cell in loyal}
    assert (teacher.method, teacher.student, teacher.task) == ("ft", "large", "mnli@glue")
    assert teacher in plan.runs
    refused = plan.refusing({teacher: "no such model"})
    assert {
        c.reason for c in row_of(refused, row.label).cells if c.number.metric.endswith("loyalty")
    } == {"no such model"}
