"""`bench ls runs` lists stored runs; `bench table` keeps the order that was asked for."""

from __future__ import annotations

import csv
import io
import json
import os

import pytest
from stored import a_record

from fewbench.errors import BenchError
from fewbench.report.tables.order import in_order, read_axes
from fewbench.store.store import Store
from fewbench.types import ModelRef

SMALL = ModelRef("small", "", "a" * 16)


@pytest.fixture
def filled(store: Store) -> Store:
    """Three methods of two seeds each."""
    for method in ("ft", "prompt-ft", "prompt-distiller-with-a-long-name"):
        for seed in (21, 13):
            record = a_record(method=method, seed=seed, teacher=None, settings={}, student=SMALL)
            store.save(record, None)
    return store


def test_runs_are_listed_in_order(bench, filled):
    done = bench("ls", "runs", "--results", filled.root, "--format", "json")
    rows = json.loads(done.stdout)
    assert [(row["method"], row["seed"]) for row in rows] == [
        ("ft", 13),
        ("ft", 21),
        ("prompt-distiller-with-a-long-name", 13),
        ("prompt-distiller-with-a-long-name", 21),
        ("prompt-ft", 13),
        ("prompt-ft", 21),
    ]
    assert {row["key"] for row in rows} == {record.run.key for record in filled.records()}
    done = bench(
        "ls", "runs", "--results", filled.root, "--methods", "ft", "--seeds", 13, "--format", "csv"
    )
    assert [row["method"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["ft"]


@pytest.mark.parametrize("width", [80, 50])
def test_no_key_is_broken(bench, filled, width):
    environment = {**os.environ, "COLUMNS": str(width)}
    shown = bench("ls", "runs", "--results", filled.root, env=environment).stdout
    lines = [line for line in shown.splitlines() if line[:1].isalnum() and line[:3] != "key"]
    assert len(lines) >= 6
    keys = [record.run.key for record in filled.records()]
    for line in lines:
        assert any(key.startswith(line.split()[0]) for key in keys), line


def test_a_method_that_is_not_stored(bench, filled):
    done = bench("ls", "runs", "--results", filled.root, "--methods", "promt-ft")
    assert done.returncode == 2 and "prompt-ft" in done.stderr


def test_rows_and_columns_stand_as_asked(bench, filled):
    for names in (("prompt-ft", "ft"), ("ft", "prompt-ft")):
        done = bench(
            "table", "--results", filled.root, "--rows", ",".join(names), "--format", "markdown"
        )
        assert done.returncode == 0, done.stderr
        heads = [line.split("|")[1].strip() for line in done.stdout.splitlines() if "|" in line]
        assert [head for head in heads if head in names] == list(names)


def test_values_and_axes_do_not_mix(filled):
    records = list(filled.records())
    axes, order = read_axes("--rows", ["prompt-ft", "ft"], records)
    assert axes == ["method"] and order == {"method": ["prompt-ft", "ft"]}
    assert {record.run.method for record in in_order(records, order)} == {"prompt-ft", "ft"}
    assert read_axes("--rows", ["method", "student"], records) == (["method", "student"], {})
    with pytest.raises(BenchError, match="'ft' is a method"):
        read_axes("--rows", ["ft", "student"], records)
    with pytest.raises(BenchError, match="--rows is 'metod'") as caught:
        read_axes("--rows", ["metod"], records)
    assert "method" in caught.value.nearest
