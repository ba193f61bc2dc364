"""Measurements beside records: written whole, read back checked, never taken for records."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from stored import a_record, files, some_predictions

from fewbench.errors import BenchError, StoreDamaged
from fewbench.io import checked_json
from fewbench.store.measurement import (
    Measurement,
    attachment,
    file_of,
    measured,
    measurements,
    read,
    write,
)
from fewbench.store.parts import Environment
from fewbench.store.record import Record
from fewbench.store.store import Store

PAIRS = b'{"original": "good", "perturbed": "fine"}\n'


@pytest.fixture
def record(store: Store) -> Record:
    store.save(a_record(), some_predictions())
    stored = store.get(a_record().run)
    assert stored is not None
    return stored


def an_attack(record: Record, name: str = "textfooler-paper") -> Measurement:
    return measured(
        record,
        "attack",
        name,
        settings={"cosine": 0.5},
        scores={"queries": 97.5},
        environment=Environment(load=1),
    )


def test_written_and_read_back(store: Store, record: Record):
    file = write(store, record, an_attack(record), {".jsonl": PAIRS})
    assert file.name == f"{file_of(store, record).stem}.attack-textfooler-paper.json"
    (found,) = measurements(store, record)
    assert replace(found, files={}) == replace(an_attack(record), created=found.created)
    assert attachment(store, record, found, ".jsonl").read_bytes() == PAIRS
    assert found.fits(record)
    assert store.fsck() == []
    assert json.loads(file.read_text())["schema"] == 1


def test_no_measurement_is_taken_for_a_record(store: Store, record: Record):
    write(store, record, an_attack(record), {".jsonl": PAIRS})
    write(
        store, record, measured(record, "cost", settings={}, scores={}, environment=Environment())
    )
    assert list(store.records()) == [record]
    assert store.find(record.run.key[:8]) == record
    assert store.damaged == []


def test_only_of_the_kind_asked_for(store: Store, record: Record):
    write(store, record, an_attack(record))
    write(
        store, record, measured(record, "cost", settings={}, scores={}, environment=Environment())
    )
    assert [found.what for found in measurements(store, record)] == [
        "attack-textfooler-paper",
        "cost",
    ]
    assert [found.what for found in measurements(store, record, "cost")] == ["cost"]


def test_a_second_takes_the_place_of_the_first_and_of_what_was_attached(
    store: Store, record: Record
):
    write(store, record, an_attack(record), {".jsonl": PAIRS})
    before = files(store)
    write(store, record, replace(an_attack(record), scores={"queries": 3.0}), {".jsonl": PAIRS * 2})
    assert len(files(store)) == len(before)
    (found,) = measurements(store, record)
    assert found.scores == {"queries": 3.0}
    assert store.fsck() == []


def test_of_an_outcome_that_was_replaced_no_longer_counts(store: Store, record: Record):
    write(store, record, an_attack(record))
    store.save(record, some_predictions(0.75))
    again = store.get(record.run)
    assert again is not None
    assert list(measurements(store, again)) == []
    assert store.fsck() == []


@pytest.mark.parametrize("text", [b"", b"{", b"\xff"])
def test_a_damaged_one_is_named_and_set_aside(store: Store, record: Record, text: bytes):
    file = write(store, record, an_attack(record), {".jsonl": PAIRS})
    file.write_bytes(text)
    with pytest.raises(StoreDamaged, match="damaged measurement"):
        read(file)
    with pytest.warns(UserWarning, match="damaged measurement"):
        assert list(measurements(store, record)) == []
    assert [damage.path for damage in store.fsck(repair=True)] == [file]
    assert store.fsck() == []
    assert list(store.records()) == [record]


def test_a_changed_number_is_damage(store: Store, record: Record):
    file = write(store, record, an_attack(record))
    file.write_text(file.read_text().replace("97.5", "98.5"))
    with pytest.raises(StoreDamaged, match="checksum"):
        read(file)


def test_what_is_attached_is_checked(store: Store, record: Record):
    file = write(store, record, an_attack(record), {".jsonl": PAIRS})
    attachment(store, record, read(file), ".jsonl").write_bytes(b"other")
    with pytest.raises(StoreDamaged, match="attached"):
        read(file)
    assert [damage.severity for damage in store.fsck()] == ["damage"]


def test_one_of_another_run_is_damage(store: Store, record: Record):
    file = write(store, record, an_attack(record))
    other = store.save(a_record(seed=87), None)
    file.rename(other.with_name(f"{other.stem}.attack-textfooler-paper.json"))
    assert [damage.reason for damage in store.fsck()] == ["a measurement of another run"]


def test_one_under_way_is_let_be(store: Store, record: Record):
    home = file_of(store, record)
    home.with_name(f"{home.stem}.attack-textfooler-cli.jsonl").write_bytes(PAIRS)
    assert store.fsck() == []
    assert list(store.records()) == [record]


def test_without_its_record_it_is_a_leftover(store: Store, record: Record):
    write(store, record, an_attack(record), {".jsonl": PAIRS})
    file_of(store, record).unlink()
    assert {damage.severity for damage in store.fsck()} == {"leftover"}


def test_a_damaged_record_takes_its_measurements_along(store: Store, record: Record):
    write(store, record, an_attack(record), {".jsonl": PAIRS})
    file_of(store, record).write_text("{")
    assert len(store.fsck(repair=True)) == 1
    assert store.fsck() == []
    assert not any(file.is_file() for file in store.runs.rglob("*"))


def test_a_newer_version_s_is_left_alone(store: Store, record: Record):
    file = write(store, record, an_attack(record))
    file.write_text(checked_json.seal(replace(an_attack(record), schema=99), "it"))
    with pytest.raises(BenchError, match="newer version") as caught:
        read(file)
    assert not isinstance(caught.value, StoreDamaged)


@pytest.mark.parametrize("name", ["Paper", "a b", "a.b", "../x"])
def test_names_that_are_no_file_names(record: Record, name: str):
    with pytest.raises(ValueError, match="is not the name of a measurement"):
        an_attack(record, name)


def test_no_measurement_without_a_record(store: Store):
    with pytest.raises(BenchError, match="no record of run"):
        write(store, a_record(), an_attack(a_record()))


def test_numbers_that_are_not_finite_are_refused(store: Store, record: Record):
    with pytest.raises(BenchError, match=r"scores.queries is nan"):
        write(store, record, replace(an_attack(record), scores={"queries": float("nan")}))
    assert store.fsck() == []
