"""The page's data: the numbers of `bench table`, every run, links, published rows."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from urllib.parse import unquote

import numpy as np
import pytest
from page_records import HOSTILE, SEEDS, data_of, failed, make, publish, store_of, usual

from fewbench.registry.methods import methods
from fewbench.registry.protocols import protocols
from fewbench.report.page.commands import command
from fewbench.report.page.published import rows
from fewbench.report.page.runs import link
from fewbench.report.published import read_published
from fewbench.report.tables.blocks import build
from fewbench.report.tables.flat import to_rows
from fewbench.store.measurement import measured, write
from fewbench.store.parts import Environment
from fewbench.store.store import Store
from fewbench.types import CorpusRef, Inputs, ModelRef, Predictions


def runs_of(data):
    return [dict(zip(data["runs"]["fields"], row, strict=True)) for row in data["runs"]["rows"]]


def test_cells_are_those_of_the_table(tmp_path):
    data = data_of(usual(tmp_path))
    found = {}
    for block in data["blocks"]:
        for row, column, *numbers in block["cells"]:
            place = (
                data["rows"][row]["label"],
                data["columns"][column]["task"],
                block["k"],
                block["protocol"],
            )
            found[place] = numbers
    code = {name: info.code_hash() for name, info in methods().items()}
    ddofs = {name: protocol.ddof for name, protocol in protocols().items()}
    wanted = to_rows(build(Store(tmp_path).records(), code, ddofs))
    assert len(found) == len(wanted) == 7
    for one in wanted:
        mean, std, n, bad, stale, codes, doubled, changed, low, high, command = found[
            one["method"], one["task"], one["k"], one["protocol"]
        ]
        assert (low is None) == (high is None) == (n < 2 or std == 0)
        assert low is None or low < mean < high
        assert command.startswith(f"bench run --methods {one['method']} --tasks {one['task']}@")
        assert (mean, std) == tuple(
            None if x is None else pytest.approx(x, abs=0.005) for x in (one["mean"], one["std"])
        )
        assert (codes, doubled, changed) == (False, [], [])
        assert (n, bad, stale) == (one["n"], one["failed"], one["stale"])


def test_the_command_names_models_as_one_can_type_them():
    student, teacher = ModelRef("tiny", "", "0" * 16), ModelRef("org/big", "", "1" * 40)
    text = command([make("pkd", student=student, teacher=teacher)])
    assert text.endswith(f"--student ./tiny --teacher org/big@{teacher.revision}")
    embedded = ModelRef("fewbench-micro@0123456789", "", "0" * 16, embedded=True)
    corpus = CorpusRef("wikipedia-en", "", "0" * 16)
    assert command([make("ppt", student=embedded, corpus=corpus)]).endswith(
        "--student fewbench-micro --corpus ./wikipedia-en"
    )


def test_every_run_is_told_and_leads_to_its_record(tmp_path):
    data = data_of(usual(tmp_path), tmp_path / "pages")
    told = runs_of(data)
    assert len(told) == len(list(Store(tmp_path).records())) == 18
    for run in told:
        file = (tmp_path / "pages" / unquote(run["file"])).resolve()
        assert json.loads(file.read_text("utf-8"))["run"]["key"] == run["key"]
        assert data["rows"][run["row"]]["method"] == run["method"]
        assert data["columns"][run["column"]]["task"] == run["task"].partition("@")[0]
    bad = next(run for run in told if run["status"] == "failed")
    assert (bad["error"], bad["test"], bad["trials"]) == ("it broke", None, [])
    assert {run["task"] for run in told if run["stale"]} == {"mr@lm-bff"}


def test_trials_settings_and_environment_are_told(tmp_path):
    data = data_of(store_of(tmp_path, *(make(seed=seed, score=0.5) for seed in SEEDS)))
    run = runs_of(data)[0]
    assert [(data["values"][number], dev) for number, dev, *_ in run["trials"]] == [
        ({"lr": 0.0}, 50.0),
        ({"lr": 0.25}, 25.0),
    ]
    assert run["chosen"] == 0
    environment = data["values"][run["environment"]]
    assert environment["device"] == "cpu: Abacus" and "load" not in environment
    details = data["values"][run["details"]]
    assert details["label_words"] == ["terrible", "great"] and "curve" not in details
    assert len({run["environment"] for run in runs_of(data)}) == 1


def test_a_teacher_that_tells_rows_apart_is_found_by_every_run(tmp_path):
    from fewbench.types import ModelRef

    taught = [
        make("kd", seed=seed, teacher=ModelRef(name, "", name * 4))
        for seed in SEEDS
        for name in ("abcd", "dcba")
    ]
    data = data_of(store_of(tmp_path, *taught))
    assert all(isinstance(run["row"], int) for run in runs_of(data))


@pytest.mark.parametrize("part", ["task", "train_set", "test_set"])
def test_one_task_asked_in_two_ways_has_two_columns_of_two_names(tmp_path, part):
    known = Inputs("a" * 16, "b" * 16, "c" * 16)
    records = [make(inputs=known), make(inputs=replace(known, **{part: "d" * 16}))]
    data = data_of(store_of(tmp_path, *records))
    assert len({column["name"] for column in data["columns"]}) == len(data["columns"]) == 2
    assert {run["column"] for run in runs_of(data)} == {0, 1}


def test_a_model_made_of_a_teacher_stands_under_it(tmp_path):
    data = data_of(
        store_of(tmp_path, make("ptq", student=None, teacher=ModelRef("large", "", "1" * 16)))
    )
    assert [row["student"] for row in data["rows"]] == ["large"]


def test_a_pipeline_of_installed_steps_is_described_and_its_runs_are_stale_if_a_step_changed(
    tmp_path,
):
    data = data_of(store_of(tmp_path, make("truncate+kd", method_code="0" * 16)))
    assert "pipeline" in data["methods"]["truncate+kd"]["summary"]
    assert [run["stale"] for run in runs_of(data)] == [1]


def test_what_was_measured_of_a_run_is_told_if_it_is_of_this_outcome(tmp_path):
    store = Store(store_of(tmp_path, make()))
    (record,) = store.records()
    told = {"settings": {}, "environment": Environment()}
    write(store, record, measured(record, "cost", scores={"flops": 7}, **told))
    write(
        store,
        record,
        replace(measured(record, "attack", scores={"queries": 9}, **told), predictions="0" * 64),
    )
    data = data_of(tmp_path)
    run = runs_of(data)[0]
    assert data["values"][run["measured"]] == {"cost": {"flops": 7}}
    assert not data["damaged"]


def test_what_was_measured_beyond_the_score_stands_by_cell(tmp_path):
    """By hand: two of four labels agree; equal rows give 1, (1, 0) and (0, 1) give 1 - √ln 2."""
    store = Store(tmp_path)
    ids, here, there = (
        tuple("abcd"),
        np.array([[1, 0]] * 4, "f4"),
        np.array([[1, 0]] * 2 + [[0, 1]] * 2, "f4"),
    )
    for seed, taught in ((13, True), (21, True), (42, False)):
        teacher = make("ft", seed=seed, student=ModelRef("big", "", "1" * 16))
        details = (
            {"teacher": {"run": teacher.run.key, "code": teacher.method_code}} if taught else {}
        )
        student = make("vanilla-kd", seed=seed, score=0.7, details=details)
        store.save(teacher, Predictions(ids, here)), store.save(student, Predictions(ids, there))
    student = store.get(student.run)
    write(
        store,
        student,
        measured(
            student,
            "attack",
            "cli",
            scores={"mean_queries": 9},
            settings={"drawn": {}},
            environment=Environment(),
        ),
    )
    data = data_of(tmp_path)
    assert data["beyond"]["columns"] == [
        ["label loyalty", 1],
        ["probability loyalty", 1],
        ["queries (cli)", 1],
    ]
    ((block, row, column, values),) = data["beyond"]["cells"]
    assert (
        data["rows"][row]["method"] == "vanilla-kd"
        and data["columns"][column]["task"] == "sst-2"
        and block == 0
    )
    assert values == [
        [50.0, 2],
        [pytest.approx(100 * (1 - math.sqrt(math.log(2)) / 2), abs=1e-3), 2],
        [9.0, 1],
    ]


def test_a_damaged_measurement_is_told_and_not_shown(tmp_path):
    store = Store(store_of(tmp_path, make()))
    (record,) = store.records()
    file = write(
        store,
        record,
        measured(record, "cost", scores={"flops": 7}, settings={}, environment=Environment()),
    )
    file.write_text(file.read_text("utf-8").replace("7", "8"), "utf-8")
    data = data_of(tmp_path)
    assert runs_of(data)[0]["measured"] is None
    assert len(data["damaged"]) == 1 and "cost" in data["damaged"][0]


def test_an_empty_store_gives_a_page(tmp_path):
    data = data_of(tmp_path)
    assert (data["blocks"], data["runs"]["rows"], data["published"]) == ([], [], [])


def test_damaged_files_are_named(tmp_path):
    store_of(tmp_path, make())
    file = next(tmp_path.glob("runs/**/*.json"))
    file.write_text("{", "utf-8")
    (damage,) = data_of(tmp_path)["damaged"]
    assert damage.startswith("runs/sst-2@lm-bff/ft/tiny/")


@pytest.mark.parametrize("name", [*HOSTILE, "https://x/y", "//x/y", "a b#c?d%41"])
def test_a_link_is_relative_whatever_a_file_is_called(tmp_path, name):
    told = link(tmp_path / "runs" / name.lstrip("/"), tmp_path)
    assert told.startswith("./runs/") and not set(told) & set(' <>"#?:')
    assert link(tmp_path / "x", tmp_path / "pages") == "../x"


def test_published_numbers_become_rows_and_those_of_other_metrics_and_tasks_do_not(tmp_path):
    publish(
        tmp_path,
        "smash,2,Part,A,prompt-ft,SST-2 (acc),sst-2@lm-bff,roberta-large,16,accuracy,92.7,0.9,5,a note",
        "smash,2,Part,A,prompt-ft,MR,mr,roberta-large,16,accuracy,87.0,,,",
        "smash,2,Part,A,prompt-ft,MRPC,mrpc,roberta-large,16,accuracy,70.0,,,",
        "smash,2,Part,A,prompt-ft,Avg.,,roberta-large,16,average,80.0,,,",
        "smash,2,Part,A,prompt-ft,SST-2 (acc),sst-2,roberta-large,full,accuracy,95.0,,,",
    )
    found = rows(
        read_published(tmp_path / "published"),
        {"sst-2": "accuracy", "mr": "accuracy", "mrpc": "f1"},
    )
    smash = "SMASH (Anonymous, 2022)"
    assert [(row["label"], row["k"], row["paper"], row["table"]) for row in found] == [
        ("Part: A", "16", smash, "2"),
        ("Part: A", "full", smash, "2"),
    ]
    assert found[0]["cells"] == [
        ("sst-2", "accuracy", 92.7, 0.9, 5, "a note", "lm-bff", 1),
        ("mr", "accuracy", 87.0, None, None, "", "", 1),
        ("mrpc", "accuracy", 70.0, None, None, "", "", 0),
        ("Avg.", "average", 80.0, None, None, "", "", 0),
    ]


def test_hostile_names_come_through_unchanged(tmp_path):
    records = [make(name, f"task {name}", source=name, settings={name: name}) for name in HOSTILE]
    data = data_of(store_of(tmp_path, *records, failed("ft", "sst-2", HOSTILE[0])))
    assert {run["method"] for run in runs_of(data)} == {*HOSTILE, "ft"}
    assert {row["label"] for row in data["rows"]} == {
        f"{name}:{name}={name}" for name in HOSTILE
    } | {"ft"}
