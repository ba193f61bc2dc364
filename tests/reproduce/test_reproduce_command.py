"""`bench reproduce` on a small table of our own: the plan, the runs, and ours beside theirs."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

import numpy as np
import pytest

from fewbench.report.published import COLUMNS, published_folder
from fewbench.report.reproduce.figures import summary
from fewbench.store.store import Store

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # typer imports what newer versions of click deprecate
    from fewbench import cli

TABLE = """
FT,Teacher FT,ft,Sent,demo-sentiment@demo,big,4,accuracy,70.0,1.0,5,
FT,Teacher FT,ft,Inf,demo-inference@demo,big,4,accuracy,60.0,,5,
FT,Teacher FT,ft,Avg,,big,4,average,65.0,,5,
FT,Teacher FT,ft,#Param,,big,4,parameters_m,110,,,
,KD,vanilla-kd,Sent,demo-sentiment@demo,small,4,accuracy,66.0,,5,GLUE test server
,KD,vanilla-kd,L-L,demo-sentiment@demo,small,4,label_loyalty,90.0,0.2,5,
,KD,vanilla-kd,Attack,demo-sentiment@demo,small,4,after_attack_accuracy,9.0,0.2,5,
,Small FT,ft,L-L,demo-sentiment@demo,small,4,label_loyalty,80.0,,5,
,Zero,zero-shot,Sent,demo-sentiment@demo,small,,accuracy,50.0,,,
,Zero tiny,zero-shot,Sent,demo-sentiment@demo,tiny,,accuracy,49.0,,,
,Other,,Sent,demo-sentiment@demo,small,4,accuracy,50.0,,,
,Zero,zero-shot,Else,mars,small,,accuracy,50.0,,,
"""
ASKED = ("toy", "1", "--protocol", "demo", "--seeds", "1,2,3", "--limit", "40", "--workers", "2")


def publish(results, rows, paper="toy"):
    folder = results / "published"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{paper},1,{line}" for line in rows.strip().splitlines()]
    text = "\n".join([",".join(COLUMNS), *lines]) + "\n"
    (folder / f"{paper}-1.csv").write_text(text, "utf-8")


def files(folder):
    return {file.relative_to(folder): file.stat().st_mtime_ns for file in folder.rglob("*")}


class Done(NamedTuple):
    """The outcome of a command, as of a process."""

    returncode: int
    stdout: str
    stderr: str


def bench(*words):
    """Run the command line in this process: a new one takes longer to start than most of these."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["bench", *map(str, words)])
        patch.setenv("COLUMNS", "80")
        code = cli._guarded()
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The results folder after one `bench reproduce`, and what it said."""
    results = tmp_path_factory.mktemp("results")
    publish(results, TABLE)
    return results, bench("reproduce", *ASKED, "--json", "--results", results)


def test_the_plan_counts_every_cell_and_writes_nothing(tmp_path):
    publish(tmp_path, TABLE)
    before = files(tmp_path)
    done = bench("reproduce", *ASKED, "--dry-run", "--results", tmp_path)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path) == before
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "12 cells:" in lines
    counts = lines[lines.index("12 cells:") + 1 :][:6]
    assert [int(line.split()[0]) for line in counts] == [5, 1, 2, 1, 1, 2]
    assert "the same runs here: Zero (small); Zero tiny (tiny)" in done.stdout
    assert any(
        line.startswith("bench run --methods ft --tasks demo-sentiment@demo") for line in lines
    )
    commands = " ".join(done.stdout.replace("\\\n", " ").split())
    assert "--student fewbench-micro --teacher fewbench-mini" in commands
    assert "15 runs to do" in done.stderr


def test_the_plan_as_json_lists_every_cell(tmp_path):
    publish(tmp_path, TABLE)
    done = bench("reproduce", *ASKED, "--dry-run", "--json", "--results", tmp_path)
    plan = json.loads(done.stdout)
    assert (plan["protocol"], plan["protocol_of_paper"], plan["seeds"]) == ("demo", None, [1, 2, 3])
    assert (plan["runs"], plan["todo"], plan["cells_of_table"]) == (15, 15, 12)
    assert len(plan["cells"]) == 12 and len(plan["commands"]) == 4
    assert [cell["reason"] for cell in plan["cells"] if cell["how"] == "none"] == [
        "the task 'mars' is not here",
        "no method here does this",
    ]


def answers_by_seed(store, records):
    """Map student and split seed of the ft runs on demo-sentiment to their answers."""
    wanted = [r for r in records if (r.run.method, r.run.task) == ("ft", "demo-sentiment")]
    return {(r.run.student.name, r.run.seed): store.predictions(r).array.argmax(1) for r in wanted}


def test_ours_stands_beside_theirs(made):
    results, done = made
    assert done.returncode == 0, done.stderr
    cells = {(cell["row"], cell["column"]): cell for cell in json.loads(done.stdout)}
    assert len(cells) == 12
    records = [record for record in Store(results).records() if record.run.limit == 40]

    def scores(method, task):
        found = [
            r
            for r in records
            if (r.run.method, r.run.task) == (method, task)
            and (r.run.teacher or r.run.student.name == "fewbench-mini")
        ]
        return [100 * r.scores["test"]["accuracy"] for r in sorted(found, key=lambda r: r.run.seed)]

    teacher = [r for r in records if r.run.student and r.run.student.name == "fewbench-mini"]
    answers = answers_by_seed(Store(results), records)
    same = [np.mean(answers["fewbench-mini", n] == answers["fewbench-micro", n]) for n in (1, 2, 3)]
    assert cells["Small FT", "L-L"]["ours"] == pytest.approx(100 * np.mean(same), abs=1e-3)
    assert {r.run.method for r in teacher} == {"ft"}
    for row, column, method, task in (
        ("Teacher FT", "Sent", "ft", "demo-sentiment"),
        ("Teacher FT", "Inf", "ft", "demo-inference"),
        ("KD", "Sent", "vanilla-kd", "demo-sentiment"),
    ):
        cell, wanted = cells[row, column], scores(method, task)
        mean = sum(wanted) / 3
        half = 4.302653 * math.sqrt(
            sum((x - mean) ** 2 for x in wanted) / 2 / 3
        )  # t of 2 at 97.5 %
        assert cell["n"] == 3 and cell["ours"] == pytest.approx(mean, abs=1e-3)
        assert cell["low"] == pytest.approx(mean - half, abs=1e-3)
        assert cell["high"] == pytest.approx(mean + half, abs=1e-3)
        assert cell["difference"] == pytest.approx(mean - cell["published"], abs=1e-3)
    both = [cells["Teacher FT", column]["ours"] for column in ("Sent", "Inf")]
    assert cells["Teacher FT", "Avg"]["ours"] == pytest.approx(sum(both) / 2, abs=1e-3)
    assert "hidden test set" in cells["KD", "Sent"]["remark"]
    assert 0 <= cells["KD", "L-L"]["ours"] <= 100
    assert "bench attack" in cells["KD", "Attack"]["missing"]
    assert "bench cost" in cells["Teacher FT", "#Param"]["missing"]
    zero = cells["Zero", "Sent"]
    assert zero["ours"] == cells["Zero tiny", "Sent"]["ours"] and zero["low"] is None
    assert cells["Other", "Sent"]["ours"] is None and cells["Other", "Sent"]["n"] == 0


def test_a_second_call_runs_nothing_and_show_does_not_need_to(made):
    results, _ = made
    again = bench("reproduce", *ASKED, "--results", results)
    assert again.returncode == 0 and "nothing to do: 15 runs already stored" in again.stderr
    shown = bench("reproduce", *ASKED, "--show", "--results", results)
    assert shown.stdout == again.stdout
    assert "NOT COMPARABLE" in shown.stdout and "‡" in shown.stdout
    flat = bench("reproduce", *ASKED, "--show", "--format", "csv", "--results", results)
    rows = list(csv.DictReader(io.StringIO(flat.stdout)))
    assert len(rows) == 12 and rows[0]["ours"] and rows[0]["published"] == "70.0"
    for form, sign in (("markdown", "|"), ("latex", "\\begin{tab")):
        done = bench("reproduce", *ASKED, "--show", "--format", form, "--results", results)
        assert sign in done.stdout and "Teacher FT" in done.stdout


def test_a_part_of_it(made):
    results, _ = made
    done = bench("reproduce", *ASKED, "--row", "teacher", "--dry-run", "--results", results)
    assert "4 cells of 12, those asked for:" in done.stdout and "Zero" not in done.stdout
    done = bench("reproduce", *ASKED, "--tasks", "sst-2", "--dry-run", "--results", results)
    assert done.returncode == 2 and "no number of this table" in done.stderr


def test_a_model_without_room_is_a_reason_and_no_error(tmp_path, tiny_t5):
    publish(
        tmp_path,
        """
,FT,ft,Sent,demo-sentiment@demo,small,4,accuracy,70.0,1.0,5,
,Prune,head-prune,Sent,demo-sentiment@demo,big,4,accuracy,70.0,1.0,5,
""",
    )
    done = bench(
        "reproduce",
        *ASKED,
        "--student",
        tiny_t5,
        "--teacher",
        tiny_t5,
        "--dry-run",
        "--results",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "reads no encoder-decoder language models" in " ".join(done.stdout.split())
    assert "3 runs to do" in done.stderr


def test_what_cannot_be_had_at_all_is_an_error(tmp_path):
    publish(tmp_path, ",Other,,Sent,demo-sentiment@demo,small,4,accuracy,50.0,,,")
    done = bench("reproduce", *ASKED, "--results", tmp_path)
    assert done.returncode == 2
    assert "no number of toy Table 1 can be had here: no method here does this" in done.stderr
    assert bench("reproduce", *ASKED, "--dry-run", "--results", tmp_path).returncode == 0
    for names, said in (
        (("toi", "1"), "nearest: toy"),
        (("toy", "2"), "allowed: 1"),
        (("toy", "1", "--student", "./nowhere"), "no model folder"),
        (("toy", "1", "--protocol", "dem"), "nearest: demo"),
    ):
        done = bench("reproduce", *names, "--results", tmp_path)
        assert done.returncode == 2 and said in done.stderr, done.stderr


def test_tables_are_listed_with_what_can_be_made_of_them(tmp_path):
    done = bench("reproduce", "--json", "--results", tmp_path)  # the project's, as it has none
    rows = json.loads(done.stdout)
    assert {"paper": "smash", "table": "1", "cells": 24, "here": 24}.items() <= rows[7].items()
    assert len(rows) == 27
    some = bench("reproduce", "smash", "--results", tmp_path)
    assert "SMASH and baselines" in some.stdout and "thesis" not in some.stdout
    assert published_folder(tmp_path) == published_folder(tmp_path / "nowhere")


def test_the_interval_by_hand():
    # mean 52, ddof 1: 6; 4.302653 * 6 / sqrt(3) = 14.9048
    ours = summary({1: 52.0, 2: 58.0, 3: 46.0}, ddof=0)
    assert (ours.mean, ours.n) == (52.0, 3)
    assert ours.std == pytest.approx(math.sqrt(24))
    assert (ours.low, ours.high) == pytest.approx((52 - 14.9048, 52 + 14.9048), abs=1e-4)
    assert summary({1: 52.0}, ddof=0)[1:] == (1, None, None, None)
    same = summary({1: 52.0, 2: 52.0}, ddof=1)
    assert (same.std, same.low, same.high) == (0.0, None, None)


def test_8_bits_in_floating_point_have_no_speed_up_like_theirs(tmp_path):
    publish(
        tmp_path,
        ",QAT,qat,Sent,demo-sentiment@demo,small,4,accuracy,66.0,,5,\n"
        ",QAT,qat,Speed,,small,4,speedup,1.8,,,",
    )
    asked = ("toy", "1", "--protocol", "demo", "--seeds", "1", "--limit", "40", "--workers", "1")
    done = bench("reproduce", *asked, "--json", "--results", tmp_path)
    score, speed = json.loads(done.stdout)
    assert score["ours"] is not None and speed["ours"] is None
    assert speed["missing"].startswith("8 bits are rounded in floating point")
