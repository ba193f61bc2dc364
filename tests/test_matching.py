"""Tables say where a method takes no such task, and where a run is only missing."""

from __future__ import annotations

from fewbench.matching import untaken
from fewbench.render import markdown, to_grid
from fewbench.table import Block, Cell, Column, Row


def test_by_what_methods_and_tasks_say_of_themselves():
    pairs = {("amulap", "sts-b"), ("ft", "sts-b"), ("amulap", "sst-2"), ("gone", "sts-b"), ("amulap", "gone")}
    assert untaken(pairs) == {("amulap", "sts-b")}
    assert untaken([]) == frozenset()


def test_a_table_tells_both_apart():
    rows = [Row("amulap:k=1", ""), Row("ft", ""), Row("zero-shot", "")]
    columns = [Column(task, "glue", 1, "f", "accuracy") for task in ("sst-2", "sts-b")]
    cells = {(row, column): Cell({13: 0.5}) for row in rows for column in columns}
    del cells[rows[0], columns[1]], cells[rows[1], columns[1]]
    block = Block(16, "quick", None, 0, rows, columns, cells)
    assert block.missing == [("amulap", "sts-b"), ("ft", "sts-b")]
    block.untaken = untaken(block.missing)
    text = markdown(to_grid(block))
    assert "| amulap:k=1 | *50.0* | n/a |" in text.replace("**50.0**", "*50.0*")
    assert "| ft | *50.0* | – |" in text.replace("**50.0**", "*50.0*")
    assert "n/a: the method takes no such task" in text and "– no run stored" in text
    whole = Block(16, "quick", None, 0, rows[:1], columns, {(rows[0], columns[0]): Cell({13: 0.5})})
    whole.untaken = untaken(whole.missing)
    assert "no run stored" not in markdown(to_grid(whole))
