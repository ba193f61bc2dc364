"""The renderers' output: escapes, widths, marks; LaTeX and Markdown read back."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fewbench.errors import visible
from fewbench.report.render import latex, markdown, terminal, to_csv
from fewbench.report.render.fold import fold, text_width
from fewbench.report.render.latex import ESCAPES, escape
from fewbench.report.render.markdown import escape as escape_markdown
from fewbench.report.tables.grid import Grid, GridCell

GRID = Grid(
    "a caption",
    ["method", "sst-2\n@glue", "average"],
    [
        [GridCell("ft_1&co"), GridCell("60.0 ±1.0", 2), GridCell("–")],
        [GridCell("kd|x"), GridCell("70.0 ±1.0†", 1), GridCell("70.0")],
    ],
    ["† stale: see_this"],
)


def test_latex_by_booktabs_best_bold_second_underlined():
    assert latex(GRID).splitlines() == [
        "% a caption",
        "% † stale: see_this",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"method & \shortstack{sst-2\\@glue} & average \\",
        r"\midrule",
        r"ft\_1\&co & \underline{60.0 $\pm$1.0} & -- \\",
        r"kd\textbar{}x & \textbf{70.0 $\pm$1.0$\dagger$} & 70.0 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@given(st.text("\\{}$&%#_~^<>ab", max_size=12))
def test_latex_escapes_can_be_undone(text):
    back = {written: chr(plain) for plain, written in ESCAPES.items() if 32 < plain < 128}
    found = re.sub(
        "|".join(sorted(map(re.escape, back), key=len, reverse=True)),
        lambda m: back[m[0]],
        escape(text),
    )
    assert found == text


def test_a_caption_of_several_lines_stays_a_comment():
    assert (
        latex(GRID._replace(caption="one\n\\input{secret}")).splitlines()[1] == "% \\input{secret}"
    )


def test_names_that_a_terminal_or_a_table_would_obey():
    hostile = GRID._replace(
        rows=[[GridCell("\x1b]0;x\x07\x1b[2J"), GridCell("1\n\n2"), GridCell("\u202e3")]]
    )
    text = terminal(hostile, 80, styled=True)
    assert (
        "\x1b" not in text
        and "\u202e" not in text
        and r"\x1b]0;x\x07\x1b[2J" in text
        and r"\u202e3" in text
    )
    assert "| 1  2 |" in markdown(hostile) and "& 1  2 &" in latex(hostile)


def test_markdown():
    assert markdown(GRID).splitlines()[2:6] == [
        "| method | sst-2 @glue | average |",
        "| --- | ---: | ---: |",
        "| ft_1&amp;co | *60.0 ±1.0* | – |",
        r"| kd\|x | **70.0 ±1.0†** | 70.0 |",
    ]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_the_terminal_is_never_wider_than_asked(width):
    wide = Grid("c " * 50, ["method", *(f"task-{n}" for n in range(9))], [], ["n " * 60])
    wide = wide._replace(
        rows=[
            [GridCell("a method with a long name " * 2), *(GridCell(f"{n}0.0") for n in range(9))]
        ]
    )
    text = terminal(wide, width)
    assert max(map(len, text.splitlines())) <= width
    assert all(f"task-{n}" in text and f"{n}0.0" in text for n in range(9))


def test_styles_do_not_shift_columns():
    plain, styled = terminal(GRID, 80), terminal(GRID, 80, styled=True)
    assert "\x1b[1m70.0 ±1.0†\x1b[0m" in styled and "\x1b[4m60.0 ±1.0\x1b[0m" in styled
    assert re.sub(r"\x1b\[\d+m", "", styled) == plain


def test_chinese_counts_as_two_columns():
    grid = Grid(
        "",
        ["method", "任务"],
        [[GridCell("ft"), GridCell("70.0")], [GridCell("方法"), GridCell("60.0")]],
        [],
    )
    lines = terminal(grid, 40).splitlines()
    assert lines[2:6] == ["method  任务", "────────────", "ft      70.0", "方法    60.0"]


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\r\0", codec="utf-8"), max_size=5),
        min_size=2,
        max_size=2,
    )
)
@example(["", "'@"])
def test_csv_reads_back(values):
    text = to_csv([{"a": values[0], "b": values[1]}]) + "\n"
    (row,) = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    for read, value in zip(row.values(), values, strict=True):
        assert read in (visible(value, lines=True), "'" + visible(value, lines=True))


COMPUTED = (
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "\n=1",
    "'=1",
    '"=1',
    "＝1",
    "-",
    "--1",
)


@pytest.mark.parametrize("text", COMPUTED)
def test_no_cell_of_csv_is_computed(text):
    header, row = csv.reader(io.StringIO(to_csv([{text: text, "b": [text, "x"]}]), newline=""))
    assert header[0][0] == row[0][0] == row[1][0] == "'"


@pytest.mark.parametrize(
    "value", [-0.5, "-0.5", "+3", "-1e-05", -7, "ft:lr=1e-05", "a=b", "x-y", None, True]
)
def test_csv_leaves_numbers_and_names_alone(value):
    assert to_csv([{"a": value, "b": 1}]).splitlines()[1] == f"{'' if value is None else value},1"


@pytest.mark.parametrize(
    "text",
    ["[x](javascript:alert(1))", "<img onerror=x>", "&lt;b&gt;", "`code`", "https://x.y", "a|b"],
)
def test_markdown_makes_nothing_of_a_text(text):
    for shown in (escape_markdown(text), markdown(GRID._replace(caption=text, header=[text] * 3))):
        assert "<" not in shown and "](" not in shown and "https://" not in shown
        assert not re.search(r"(?<!\\)`|&(?!amp;|lt;|gt;|#93;)", shown)


@pytest.mark.parametrize(
    "text", ["# a", "- a", "+ a", "=== a", "1. a", "12) a", "--- a", "  # a", "> a"]
)
def test_a_caption_begins_neither_a_heading_nor_a_list(text):
    assert re.match(r"\d*\\|&gt;", markdown(GRID._replace(caption=text)))


@pytest.mark.parametrize("text", ["[5cm]", "*", " [x"])
def test_latex_takes_no_cell_for_what_ends_a_row(text):
    assert rf"{{}}{text}" in latex(
        GRID._replace(rows=[[GridCell(text), GridCell("1"), GridCell("2")]])
    )
    assert rf"{{}}{text}" in latex(GRID._replace(header=["a", f"b\n{text}", "c"]))


def test_chinese_is_folded_between_characters_and_keeps_punctuation_behind_them():
    text = "物流很快，早上下单，下午就到了。 包装也很高档 1580元买这耳机亏大了（不推荐）。"
    for width in (12, 21, 40):
        lines = fold(text, width).split("\n")
        assert max(map(text_width, lines)) <= width + 2  # a comma may stand past the edge
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert not any(line.lstrip()[0] in "，。）" for line in lines)
    assert fold("中立", 2) == "中立"  # a label is a word
