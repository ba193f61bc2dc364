"""Tables, comparisons and plans name a method by the preset whose settings it has."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fewbench.report.compare.text import named
from fewbench.report.preset_names import with_preset
from fewbench.report.statistics.ranks import rank

Q8BERT = "ptq:per_channel=False,static=True"


@pytest.mark.parametrize(
    ("method", "shown"),
    [
        (Q8BERT, "ptq:q8bert"),
        ("ptq", "ptq"),
        ("ptq:static=True", "ptq:static=True"),
        ("ptq:bits=4,per_channel=False,static=True", "ptq:bits=4,per_channel=False,static=True"),
        ("theirs:lr=1e-05", "theirs:lr=1e-05"),
    ],
)
def test_a_preset_is_named_where_the_settings_are_its_own(method, shown):
    assert with_preset(method) == shown


def test_a_ranking_is_shown_with_presets():
    ranking = rank(["ft", Q8BERT], np.array([[0.5, 0.6]] * 6))
    assert sorted(named(ranking).methods) == ["ft", "ptq:q8bert"]
    assert sorted(ranking.methods) == ["ft", Q8BERT]


def test_a_table_shows_the_preset_and_plain_values_keep_the_settings(bench, tmp_path):
    run = ("--methods", "zero-shot:calibrated", "--tasks", "demo-sentiment", "--seeds", 13)
    where = ("--results", tmp_path)
    assert bench("run", *run, "--offline", *where).returncode == 0
    (row,) = json.loads(bench("table", "--json", *where).stdout)
    assert row["method"].startswith("zero-shot:") and row["method"] != "zero-shot:calibrated"
    for command in (("table",), ("table", "--format", "markdown"), ("table", "--with", "loyalty")):
        shown = bench(*command, *where).stdout
        assert "zero-shot:calibrated" in shown and row["method"] not in shown
    asked = bench("table", "--methods", "zero-shot:calibrated", "--json", *where).stdout
    assert json.loads(asked) == [row]
