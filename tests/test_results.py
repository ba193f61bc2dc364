"""The committed results are intact, comparable, and written again to the same bytes."""

from __future__ import annotations

import shutil

import pytest
from conftest import PROJECT

from fewbench.io.checked_json import unseal
from fewbench.registry.protocols import ddofs
from fewbench.report.query import code_of
from fewbench.report.tables.blocks import arrange, build
from fewbench.report.today import Today
from fewbench.store import index, measurement, paths
from fewbench.store.record import MIGRATIONS, SCHEMA, from_json, to_json
from fewbench.store.store import Store

RESULTS = PROJECT / "results"


pytestmark = pytest.mark.skipif(not (RESULTS / "runs").is_dir(), reason="no results are committed")


def test_committed_results_are_whole_and_comparable():
    store = Store(RESULTS)
    assert [str(damage) for damage in store.fsck()] == []
    records = list(store.records())
    assert records and all(record.comparable for record in records)
    assert not [record.run.key for record in records if record.environment.dirty]


def test_no_attacked_texts_are_committed():
    """They are rows of the data: `bench submit` leaves them out."""
    assert [*RESULTS.rglob("*.jsonl")] == []


def test_records_are_written_again_to_the_same_bytes():
    for file in paths.record_files(Store(RESULTS).runs, print)[::12]:
        text = file.read_text("utf-8")
        again = to_json(from_json(text, str(file)))
        stored, written = (unseal(one, str(file), "record") for one in (text, again))
        if stored["schema"] == SCHEMA:
            assert again == text, file
        while stored["schema"] != SCHEMA:
            stored = MIGRATIONS[stored["schema"]](stored)
        assert {**written, "checksum": ""} == {**stored, "checksum": ""}, file


def test_measurements_are_written_again_to_the_same_bytes():
    for record in Store(RESULTS).runs.rglob(f"*{paths.RECORD}"):
        for file in measurement.measurement_files(record):
            data = file.read_bytes()
            parsed = measurement.from_bytes(data, file)
            assert measurement.to_bytes(parsed) == data, file
            assert not parsed.files, file


def test_a_table_from_the_index_is_that_of_the_records(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "LEAST", 1)
    monkeypatch.setattr(index, "YOUNG_NS", 0)
    shutil.copytree(RESULTS / "runs", tmp_path / "runs")
    store, today = Store(tmp_path), Today()
    records = list(store.records())
    about = code_of(records), ddofs(), today.changed
    wanted = build(records, *about)
    store.seed_runs()
    groups = store.seed_runs()
    assert len(groups) < len(records) / 2
    assert arrange(groups, *about) == wanted
