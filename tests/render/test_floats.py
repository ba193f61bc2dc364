"""Tables as floats of a two-column paper: marks, widths, pages, and a document that compiles."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import PurePosixPath

import pytest

from fewbench.report.paper.floats import LONGEST, PaperTable, floats
from fewbench.report.paper.study import Study, for_paper
from fewbench.report.tables.grid import Grid, GridCell


def a_grid(rows=2, columns=2):
    line = [GridCell("70.0 ±1.0▲", 1), GridCell("-3.5 ±0.0?", 2), GridCell("60.0")]
    cells = [(line * columns)[:columns] for _ in range(rows)]
    names = [f"kd_{n}|x" for n in range(rows)]
    body = [[GridCell(name), *line] for name, line in zip(names, cells, strict=True)]
    header = ["method", *(f"task-{n}\n@source\naccuracy" for n in range(columns))]
    caption = "K=4 · quick · mean ± std over n=5 split seeds"
    return Grid(caption, header, body, ["– no run stored: bench run with that method"])


def a_table(**shape):
    return PaperTable(a_grid(**shape), "Scores of 50 % & more", "tab:x", ["▲ above ft"])


def test_a_narrow_table_fills_a_column_and_says_all():
    text = floats(a_table())
    assert text.startswith("\\begin{table}[t]") and text.rstrip().endswith("\\end{table}")
    assert r"\caption{Scores of 50 \% \& more}" in text and r"\label{tab:x}" in text
    assert (
        r"kd\_0\textbar{}x & \textbf{70.0}\,{\scriptsize$\pm$1.0}\rlap{\textsuperscript{$\blacktriangle$}}"
        in text
    )
    assert r"\underline{$-$3.5}\,{\scriptsize$\pm$0.0}\rlap{\textsuperscript{?}}" in text
    assert r"$\blacktriangle$ above ft." in text


def test_what_follows_a_sign_is_not_covered_by_it():
    grid = a_grid()._replace(rows=[[GridCell("ft"), GridCell("70.0 ±1.0▼ (5)"), GridCell("–")]])
    text = floats(PaperTable(grid, "c", "tab:y"))
    assert (
        r"70.0\,{\scriptsize$\pm$1.0}\textsuperscript{$\blacktriangledown$}\,{\scriptsize (5)}"
        in text
    )


@pytest.mark.parametrize("siunitx", [False, True])
def test_a_number_with_more_decimals_is_kept_whole(siunitx):
    """Words stand beside the number; no column of siunitx has room for them."""
    cells = [
        GridCell("ft"),
        GridCell("116.57 2 failed"),
        GridCell("116.57"),
        GridCell("50.0 ±13.1"),
    ]
    grid = Grid("c", ["method", "M", "MB", "mr"], [cells], [], 1)
    text = floats(PaperTable(grid, "c", "tab:z"), siunitx=siunitx)
    assert r"ft & 116.57\,{\scriptsize 2 failed} & 116.57 & 50.0" in text
    assert not siunitx or "{@{}lrS[table-format=3.2]S[table-format=2.1(3)]@{}}" in text


def test_siunitx_columns():
    text = floats(a_table(columns=3), siunitx=True)
    assert "{@{}lS[table-format=2.1(2)]S[table-format=2.1(2)]S[table-format=2.1]@{}}" in text
    assert r"\bfseries 70.0 \pm 1.0{\rlap" in text
    assert r"{\itshape -3.5 $\pm$ 0.0\rlap" in text  # siunitx would drop an uncertainty of zero
    head = r"\\".join(rf"\vphantom{{pl}}{line}" for line in ("task-0", "@source", "accuracy"))
    assert rf"{{\shortstack{{{head}}}}}" in text


def test_a_number_of_seeds_fits_the_space_behind_a_column_of_siunitx():
    cells = [[GridCell("ft"), GridCell("58.5? (1)")], [GridCell("kd"), GridCell("60.1 ±2.0")]]
    text = floats(PaperTable(Grid("c", ["method", "a"], cells, []), "c", "tab:n"), siunitx=True)
    assert "{@{}lS[table-format=2.1(2)]@{}}" in text
    assert r"58.5{\rlap{\textsuperscript{?}\,{\scriptsize (1)}}}" in text


def test_a_narrow_table_without_deviations_fills_a_column_with_siunitx_too():
    header = ["method", "score", "label\nloyalty", "probability\nloyalty"]
    cells = [[GridCell("prompt-distiller"), *[GridCell("70.0")] * 3]]
    for siunitx in (False, True):
        text = floats(PaperTable(Grid("c", header, cells, []), "c", "tab:l"), siunitx=siunitx)
        assert text.startswith(r"\begin{table}[t]")


def test_beside_columns_of_siunitx_the_second_best_is_italic_everywhere():
    """A column of numbers with words is none of siunitx; the caption speaks of all columns."""
    cells = [GridCell("ft"), GridCell("70.0 1 failed", 2), GridCell("60.0", 2)]
    text = floats(
        PaperTable(Grid("c", ["method", "a", "b"], [cells], []), "c", "tab:i"), siunitx=True
    )
    assert (
        r"\textit{70.0}\,{\scriptsize 1 failed} & \itshape 60.0" in text and "underline" not in text
    )


def test_a_wide_table_is_cut_between_columns_and_a_long_one_between_pages():
    wide = floats(a_table(columns=12))
    assert wide.startswith("\\begin{table*}") and wide.count(r"\begin{tabular}") == 2
    heads = [line for line in wide.splitlines() if line.startswith("method")]
    assert sum(line.count("@source") for line in heads) == 12
    long = floats(a_table(rows=LONGEST + 1))
    assert long.count(r"\begin{table}") == 2 and "(continued)" in long
    assert long.count(r"kd\_") == LONGEST + 1 and r"\label{tab:x-2}" in long


def test_notes_name_no_command():
    assert for_paper("– no run stored: bench run with that method and task") == "– no run stored"
    assert for_paper("× the method takes no task of this kind (bench ls methods)").endswith("kind")


def a_study(siunitx):
    study = Study(siunitx, frozenset({"quick"}))
    for rows, columns in ((2, 2), (60, 12)):
        study.add_table(a_grid(rows, columns), title="Test scores", notes=["▲ above ft"])
    return study


def test_captions_labels_and_the_document():
    study = a_study(siunitx=False)
    assert [*study.labels] == ["tab:test-scores-k-4-quick", "tab:test-scores-k-4-quick-2"]
    text = study.files[PurePosixPath("tables/test-scores-k-4-quick.tex")].decode()
    assert "Test scores: accuracy on source, K=4, protocol quick, mean" in text
    assert "second underlined." in text and "@source" not in text and "method & task-0 &" in text
    document = study.document("50 % of _all_").decode()
    assert r"\input{tables/test-scores-k-4-quick-2}" in document
    assert r"\title{50 \% of \_all\_}" in document and "siunitx" not in document


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
@pytest.mark.parametrize("siunitx", [False, True])
def test_the_document_compiles(tmp_path, siunitx):
    study = a_study(siunitx)
    if siunitx and not shutil.which("kpsewhich"):
        pytest.skip("needs kpsewhich")
    if siunitx and subprocess.run(["kpsewhich", "siunitx.sty"], capture_output=True).returncode:
        pytest.skip("needs the package siunitx")
    for path, content in study.files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    (tmp_path / "main.tex").write_bytes(study.document("A study"))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert not re.findall(r"Overfull \\hbox.*", done.stdout)
    assert "Float too large" not in done.stdout
