"""The JSON Schema of a record is that of its declaration; all records fit it, as written and as read today."""

from __future__ import annotations

import json

import pytest
from conftest import PROJECT
from stored import a_record

from fewbench.store import paths
from fewbench.store.parts import Environment, RunTiming
from fewbench.store.record import MIGRATIONS, SCHEMA, from_json, to_json
from fewbench.store.record_schema import ADDED, record_schema

jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture(scope="module")
def checker():
    return jsonschema.Draft202012Validator(record_schema())


def test_the_document_is_what_the_command_prints(bench):
    written = (PROJECT / "docs" / "record.schema.json").read_text("utf-8")
    done = bench("export", "schema")
    assert done.returncode == 0, done.stderr
    assert done.stdout == written, "bench export schema > docs/record.schema.json"
    jsonschema.Draft202012Validator.check_schema(json.loads(written))


def test_committed_records_fit(checker):
    files = paths.record_files(PROJECT / "results" / "runs", print)
    for file in files[::7]:
        text = file.read_text("utf-8")
        for payload in (json.loads(text), json.loads(to_json(from_json(text, str(file))))):
            assert [error.message for error in checker.iter_errors(payload)] == [], file
    assert len(files) > 1000 or not (PROJECT / "results" / "runs").is_dir()


def test_a_field_is_needed_from_its_schema_on(checker):
    """A record before that schema has no such field, and is read with what it meant."""
    assert max(ADDED.values()) == SCHEMA and {*ADDED.values()} == {n + 1 for n in MIGRATIONS}
    for (*parts, name), first in ADDED.items():
        payload = json.loads(to_json(a_record()))
        inner = payload
        for part in parts:
            inner = inner[part]
        del inner[name]
        assert checker.is_valid(payload | {"schema": first - 1})
        assert not checker.is_valid(payload | {"schema": first})


def test_date_and_submitter_fit_and_a_wrong_type_does_not(checker):
    record = a_record()
    dated = {"timing": RunTiming(finished="2026-11-28T15:04:13Z")}
    payload = json.loads(to_json(type(record)(**{**_fields(record), **dated})))
    assert payload["timing"] == {"finished": "2026-11-28T15:04:13Z"}
    assert checker.is_valid(payload)
    named = Environment(submitter="Ada").to_json()
    assert named == {"submitter": "Ada"} and checker.is_valid(payload | {"environment": named})
    for part, value in (
        ("environment", {"submitter": 1}),
        ("timing", {"finished": 3}),
        ("status", "fine"),
        ("predictions", "abc"),
        ("unknown", 1),
    ):
        assert not checker.is_valid(payload | {part: value}), part


def _fields(record):
    return {name: getattr(record, name) for name in type(record).__dataclass_fields__}
