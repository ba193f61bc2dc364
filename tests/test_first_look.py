"""The bare `bench run`: what it asks for, where its records go, and what it prints."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import replace

import pytest
from stored import a_record

from fewbench.store.parts import Selection

SCORES = {"majority": (0.5, 0.5, 0.5), "ft": (0.5, 0.6, 0.7), "prompt-kd": (0.7, 0.8, 0.9)}


@pytest.fixture
def first_look():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of click, in typer
        from fewbench.cli import first_look
    return first_look


def test_it_asks_for_few_runs_and_writes_nothing_where_it_is_run(bench, first_look, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("FEWBENCH_RESULTS", None)
    done = bench("run", "--dry-run", "--json", cwd=here, env=environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {row["method"] for row in told["plan"]} >= {*first_look.METHODS}
    assert told["runs"] <= 30
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("home", ["XDG_CACHE_HOME", "LOCALAPPDATA"])
def test_the_cache_is_the_users(first_look, monkeypatch, tmp_path, home):
    monkeypatch.setattr("sys.platform", "win32" if home == "LOCALAPPDATA" else "linux")
    monkeypatch.setenv(home, str(tmp_path))
    assert first_look.cache() == tmp_path / "fewbench" / "first-look"


@pytest.fixture
def shown(first_look, capsys, monkeypatch, tmp_path):
    """Print the first look of some scores on two tasks and three seeds; return its lines."""
    monkeypatch.setenv("COLUMNS", "80")
    records = []
    for method, scores in SCORES.items():
        for seed, score in zip((13, 21, 42), scores, strict=True):
            for task, more in (("demo-sentiment", 0.0), ("demo-inference", 0.1)):
                record = a_record(method=method, task=task, seed=seed, settings={})
                scored = {"test": {"accuracy": score + more}}
                chosen = Selection(metric="accuracy")
                records.append(replace(record, status="ok", scores=scored, selection=chosen))
    first_look.show(records, tmp_path)
    return capsys.readouterr().out.splitlines()


def test_methods_stand_best_first_with_intervals_in_eighty_columns(shown):
    """By hand: 55, 65, 75 have s = 10, and 4.3027 · 10 / √3 = 24.8."""
    rows = [" ".join(line.split()) for line in shown]
    at = [rows.index(row) for row in rows if row.startswith(("prompt-kd 8", "ft 6", "majority 5"))]
    assert [rows[place] for place in at] == [
        "prompt-kd 85.0 60.2 to 109.8 80.0 90.0",
        "ft 65.0 40.2 to 89.8 60.0 70.0",
        "majority 55.0 does not vary 50.0 60.0",
    ]
    assert max(map(len, shown)) <= 80 or [line for line in shown if len(line) > 80] == [
        line for line in shown if line.startswith("Records: ")
    ]


def test_it_says_where_records_are_and_how_to_run_every_method(shown, tmp_path):
    assert f"Records: {tmp_path}" in shown
    assert any("bench run --methods all --tasks demo" in line for line in shown)
