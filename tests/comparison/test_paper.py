"""`bench paper`: signs in tables are the verdicts of `bench compare`, and rows have one order."""

from __future__ import annotations

import re
import warnings

import pytest
from versus import add, demo, versus  # noqa: F401

from fewbench.errors import BenchError
from fewbench.report import figures
from fewbench.report.compare.items import Labels
from fewbench.report.paper.significance import BETTER, SIGNS, UNKNOWN, Contender, signed_tests
from fewbench.report.paper.study import Study, one_order
from fewbench.report.tables.blocks import build
from fewbench.report.tables.entry import entries
from fewbench.store.store import Store

SEEDS = (13, 21, 42, 87, 100)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def test_the_signs_are_the_verdicts_of_bench_compare(add, store):
    for seed in SEEDS:
        add("ft", seed, 0.6), add("prompt-ft", seed, 0.9, 1)
    records = list(store.records())
    tests = signed_tests("ft", records, store, Labels(None), 400)
    (((contender, question), sign),) = tests.signs.items()
    assert contender == Contender("prompt-ft", "tiny") and question == records[0].question
    verdict = versus(store, "prompt-ft", "ft").rows[0].verdict
    assert sign == SIGNS[verdict] == BETTER
    assert "▲ significantly above ft" in tests.note and "over 1 comparisons" in tests.note


def test_too_few_seeds_have_a_sign_of_their_own(add, store):
    for seed in SEEDS[:2]:
        add("ft", seed, 0.6), add("prompt-ft", seed, 0.9, 1)
    tests = signed_tests("ft", list(store.records()), store, Labels(None), 400)
    assert set(tests.signs.values()) == {UNKNOWN} and "too few split seeds" in tests.note


def test_another_student_is_not_compared(add, store):
    from fewbench.types import ModelRef

    for seed in SEEDS:
        add("ft", seed, 0.6), add("prompt-ft", seed, 0.9, 1, student=ModelRef("big", "", "b" * 16))
    assert signed_tests("ft", list(store.records()), store, Labels(None), 400).signs == {}


def test_rows_have_one_order_for_all_k(add, store):
    for seed in SEEDS[:2]:
        add("ft", seed, 0.9, k=4), add("prompt-ft", seed, 0.8, 1, k=4)
        add("ft", seed, 0.5, k=16), add("prompt-ft", seed, 0.8, 1, k=16)
    cells = entries(build(list(store.records()), {}, {}))
    assert one_order(cells)["method"] == ["ft", "prompt-ft"]  # by hand: about 0.7 and 0.8


def test_a_table_has_the_signs_and_is_a_float(add, store, bench):
    for seed in SEEDS:
        add("ft", seed, 0.6), add("prompt-ft", seed, 0.9, 1)
    asked = ("table", "--results", store.root, "--against", "ft")
    shown = bench(*asked, "--format", "markdown")
    assert shown.returncode == 0, shown.stderr
    assert "▲" in shown.stdout and "significantly above ft" in shown.stdout
    tex = bench(*asked, "--format", "latex", "--float").stdout
    for part in (
        r"\begin{table}[t]",
        r"\caption{Test scores: accuracy on",
        r"\label{tab:test-scores-k-16",
    ):
        assert part in tex, part
    assert tex.count(r"\blacktriangle") == 2 and tex.endswith("\\end{table}\n")
    plain = bench("table", "--results", store.root, "--format", "latex").stdout
    assert "\\begin{table}" not in plain and "blacktriangle" not in plain


@pytest.mark.parametrize(
    "words, problem",
    [
        (("--float",), "--float is of LaTeX"),
        (("--against", "ft", "--json"), "json lists cells without marks"),
        (("--against", "ft", "--with", "cost"), "have no --against"),
        (("--against", "gone"), "no stored run"),
    ],
)
def test_what_a_table_cannot_show_is_refused(add, store, bench, words, problem):
    add("ft", 13, 0.6)
    done = bench("table", "--results", store.root, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr


def test_the_command_writes_a_folder(add, store, bench, tmp_path):
    for seed in SEEDS:
        for k in (4, 16):
            add("ft", seed, 0.6, k, k=k), add("prompt-ft", seed, 0.9, 100 + k, k=k)
    out = tmp_path / "study"
    done = bench("paper", "--against", "ft", "--out", out, "--results", store.root)
    assert done.returncode == 0, done.stderr
    files = {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}
    assert {
        "main.tex",
        "figures/k-scaling.pdf",
        "figures/k-scaling.tex",
        "figures/seeds.tex",
    } < files
    tables = sorted(name for name in files if name.startswith("tables/"))
    assert len(tables) == 2
    for name in tables:
        text = (out / name).read_text("utf-8")
        assert "blacktriangle" in text and r"\caption{" in text and r"\label{tab:" in text
        rows = re.findall(r"^(ft|prompt-ft) &", text, re.MULTILINE)
        assert rows == ["ft", "prompt-ft"]
    inputs = re.findall(r"\\input\{(.+)\}", (out / "main.tex").read_text("utf-8"))
    assert {f"{name}.tex" for name in inputs} <= files
    again = bench("paper", "--out", out, "--results", store.root)
    assert again.returncode == 2 and "not overwritten" in again.stderr
    wrong = bench("paper", "--against", "fft", "--out", tmp_path / "x", "--results", store.root)
    assert wrong.returncode == 2 and "fft" in wrong.stderr and not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("header", "title"),
    [
        (["method", "score", "label\nloyalty", "probability\nloyalty"], "Scores and loyalty"),
        (["method", "n", "score", "original\naccuracy\n(textfooler-paper)"], "Scores and robustness"),
        (["method", "score", "label\nloyalty", "queries\n(pwws)", "ms"], "Scores, loyalty, robustness and cost"),
    ],
)  # fmt: skip
def test_a_table_of_measurements_is_called_by_what_it_shows(header, title):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # typer imports what newer versions of click deprecate
        from fewbench.cli.paper import _title
    assert _title(header) == title


def test_of_many_runs_figures_of_means_are_drawn_and_those_of_each_run_are_not(
    monkeypatch, tmp_path
):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # typer imports what newer versions of click deprecate
        from fewbench.cli import paper

    asked, notes = [], []

    def nothing(request, material):
        asked.append(request)
        raise BenchError("no runs")

    monkeypatch.setattr(figures, "draw", nothing)
    monkeypatch.setattr(paper, "note", notes.append)
    for count in (paper.MOST_RUNS, paper.MOST_RUNS + 1):
        asked.clear()
        paper._add_figures(Study(), figures.Material([None] * count, Store(tmp_path)))
        left_out = {*paper.FIGURES} - {*asked}
        assert left_out == ({"seeds", "curves"} if count > paper.MOST_RUNS else set())
    assert [note for note in notes if "without seeds and curves: 401 runs" in note]
