"""The record: its key, its text, and texts that are not what was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbench.errors import BenchError, StoreDamaged
from fewbench.io import checked_json
from fewbench.store import record as module
from fewbench.store.parts import Environment, RunTiming, Selection, SplitFacts, Trial
from fewbench.store.record import SCHEMA, Record, from_json, run_key, to_json
from fewbench.types import Arithmetic, CorpusRef, Inputs, ModelRef, Run

HISTORIC = Path(__file__).parent / "historic"
STUDENT = ModelRef("tiny", "/models/tiny", "a" * 16)


def a_run(**changes: Any) -> Run:
    given: dict[str, Any] = dict(
        task="sst-2",
        task_version=1,
        source="lm-bff",
        method="kd",
        settings={"beta": 50, "layers": (1, 3), "lr": 1e-05},
        student=STUDENT,
        teacher=ModelRef("large", "/models/large", "b" * 16),
        k=16,
        seed=13,
        protocol="quick",
        fingerprint="c" * 16,
        test_fingerprint="d" * 16,
    )
    run = Run(**{**given, **changes})
    return replace(run, key=run_key(run))


def a_record(run: Run | None = None, **changes: Any) -> Record:
    given: dict[str, Any] = dict(
        run=run or a_run(),
        status="ok",
        scores={"dev": {"accuracy": 0.9375}, "test": {"accuracy": 0.8716}},
        selection=Selection(
            settings={"lr": 1e-05},
            trial=0,
            trials=(Trial(settings={"lr": 1e-05}, dev={"accuracy": 0.9375}, seed=13),),
        ),
        split=SplitFacts(n_train=32, n_dev=32, n_test=872, leaks={"train": 0, "dev": 0}),
        details={"words": {"negative": ["terrible"], "positive": ["great"]}, "cut": 3},
        method_code="e" * 16,
        environment=Environment(device="cpu", threads=1),
        timing=RunTiming(total_seconds=12.5),
        warnings=("a text was cut",),
    )
    return Record(**{**given, **changes})


texts = st.text(max_size=8)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=4)
settings = st.dictionaries(
    texts, numbers | texts | st.tuples(numbers, st.tuples(texts)), max_size=3
)
models = st.none() | st.builds(ModelRef, texts, texts, texts, st.booleans())
runs = st.builds(
    a_run,
    task=texts,
    method=texts,
    settings=settings,
    student=models,
    teacher=models,
    k=st.integers(),
)
scores = st.dictionaries(
    st.sampled_from(["dev", "test"]), st.dictionaries(texts, numbers, max_size=3)
)
extras = st.dictionaries(texts.map("new {}".format), values, max_size=4)
dev_scores = st.dictionaries(texts, numbers, max_size=3)
trials = st.builds(
    Trial, objects, dev_scores, st.integers(), st.none() | st.integers(), extra=extras
)
selections = st.builds(
    Selection,
    metric=st.none() | texts,
    settings=st.none() | objects,
    trials=st.none() | st.lists(trials, max_size=2).map(tuple),
    extra=extras,
)
records = st.builds(
    a_record,
    run=runs,
    status=st.sampled_from(["ok", "failed"]),
    scores=scores,
    selection=selections,
    split=st.builds(SplitFacts, dropped=st.none() | st.integers(), extra=extras),
    details=objects,
    environment=st.builds(Environment, load=st.none() | numbers, extra=extras),
    timing=st.builds(RunTiming, total_seconds=numbers, extra=extras),
    warnings=st.lists(texts, max_size=3).map(tuple),
    error=st.none() | texts,
)


@given(records)
def test_text_and_back(record: Record):
    text = to_json(record)
    back = from_json(text, "here")
    assert back == record
    assert back.run.key == record.run.key
    assert to_json(back) == text


def test_text_is_for_people_and_diffs():
    record = a_record(details={"word": "großartig 好"})
    text = to_json(record)
    assert text.endswith("}\n") and "großartig 好" in text
    names = list(json.loads(text))
    assert names == sorted(names)
    later = to_json(
        replace(
            record,
            timing=RunTiming(total_seconds=99.0),
            environment=Environment(device="cuda", threads=1),
        )
    )
    changed = [
        new.split()[0]
        for old, new in zip(text.splitlines(), later.splitlines(), strict=True)
        if old != new
    ]
    assert changed == ['"checksum":', '"device":', '"total_seconds":']


def test_no_record_tells_where_a_model_lies():
    text = to_json(a_record())
    assert "/models" not in text
    student = from_json(text, "here").run.student
    assert student is not None and (student.name, student.path) == ("tiny", "")


def test_numpy_numbers_sets_and_paths_are_stored():
    odd = {"a": np.float32(0.5), "b": np.int64(3), "c": np.ones(2), "d": {2, 1}, "e": Path("x")}
    back = from_json(to_json(a_record(details=odd)), "here")
    assert back.details == {"a": 0.5, "b": 3, "c": [1.0, 1.0], "d": [1, 2], "e": "x"}


def test_text_that_is_no_unicode_is_stored():
    assert from_json(to_json(a_record(error="no file \udcff")), "here").error == "no file \udcff"


@pytest.mark.parametrize(
    ("details", "place"),
    [
        ({"loss": [1.0, float("nan")]}, "details.loss.1 is nan"),
        ({"loss": np.float32("inf")}, "details.loss is inf"),
        ({"model": object()}, "details.model is a object"),
        ({"deep": {1: 0, "a": 0}}, "the key 1 of details.deep"),
    ],
)
def test_what_cannot_be_stored_is_named(details: dict[str, Any], place: str):
    with pytest.raises(BenchError, match=place):
        to_json(a_record(details=details))


def test_key_is_that_of_every_version_and_machine():
    assert a_run().key == "99c3151fe8eff4c4e71cb3845e20d8bb"


def test_key_ignores_where_models_lie_and_what_they_are_called():
    moved = a_run(student=ModelRef("other", "/elsewhere", STUDENT.revision, embedded=True))
    assert moved.key == a_run().key


def test_key_ignores_how_numbers_and_lists_are_typed():
    assert a_run(settings={"lr": 0.00001, "layers": [1, 3], "beta": 50}).key == a_run().key


CHANGES: dict[str, Any] = dict(
    task="mnli",
    task_version=2,
    source="glue",
    method="pkd",
    settings={"beta": 50, "layers": (1, 3), "lr": 2e-05},
    student=ModelRef("tiny", "/models/tiny", "f" * 16),
    teacher=None,
    k=8,
    seed=21,
    protocol="lm-bff-v1",
    fingerprint="0",
    test_fingerprint="0",
    limit=100,
    drop_leaks=True,
    template="man-2",
    corpus=CorpusRef("wikipedia", "/corpora/wikipedia", "b" * 16),
    inputs=Inputs(task="1" * 16),
    arithmetic=Arithmetic("bfloat16"),
)


@pytest.mark.parametrize("name", [field.name for field in fields(Run) if field.name != "key"])
def test_key_depends_on_every_other_field(name: str):
    assert a_run(**{name: CHANGES[name]}).key != a_run().key


@pytest.mark.parametrize("name", [field.name for field in fields(Inputs) if field.name != "task"])
def test_key_depends_on_all_that_a_run_is_made_from(name: str):
    one, other = (Inputs(**{"task": "1" * 16, name: digit * 16}) for digit in "23")
    assert a_run(inputs=one).key != a_run(inputs=other).key


def test_the_key_of_a_run_whose_trials_are_not_known_stays():
    known = Inputs(task="1" * 16, trials="9" * 16)
    assert a_run(inputs=replace(known, trials="")).key != a_run(inputs=known).key
    old = from_json((HISTORIC / "schema5.json").read_text("utf-8"), "here").run
    assert old.inputs.trials == "" and run_key(old) == old.key


def test_inputs_that_are_no_hashes_are_damage():
    payload_ = payload(run={**payload()["run"], "inputs": {"task": "../.."}})
    with pytest.raises(StoreDamaged, match=r"inputs\.task is '\.\./\.\.'"):
        from_json(checked(payload_), "here")


def test_key_of_a_setting_that_is_no_number():
    with pytest.raises(BenchError, match=r"kd on sst-2 cannot be stored: settings\.lr is inf"):
        a_run(settings={"lr": float("inf")})


def test_comparable():
    assert a_record().comparable
    assert not a_record(a_run(limit=10)).comparable
    assert not a_record(a_run(drop_leaks=True)).comparable


def checked(payload: dict[str, Any]) -> str:
    """Return a payload's text with a checksum that fits."""
    text = (
        json.dumps({**payload, "checksum": ""}, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    )
    return text.replace('"checksum": ""', f'"checksum": "{checked_json._digest(text)}"', 1)


def payload(**changes: Any) -> dict[str, Any]:
    return {**json.loads(to_json(a_record())), **changes}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "an empty file"),
        (" \n", "an empty file"),
        (to_json(a_record())[:-40], "not JSON, or cut short"),
        ("[" * 100_000, "not JSON, or cut short"),
        ("[]", "checksum"),
        ("{}", "checksum"),
        ('"text"', "checksum"),
        (to_json(a_record()).replace("0.8716", "0.9716"), "checksum"),
        (to_json(a_record()).replace("0.8716", "NaN"), "NaN is not a JSON number"),
        (to_json(a_record()) + " ", "checksum"),
        (checked(payload(status="perhaps")), "status is 'perhaps'"),
        (checked(payload(scores=[])), r"scores is \[\]"),
        (checked(payload(split=[])), r"split is \[\]"),
        (checked(payload(split={"n_test": "many"})), "n_test is 'many'"),
        (checked(payload(selection={"trials": [{"seed": 1}]})), "lacks 'dev'"),
        (checked(payload(selection={"trials": {"seed": 1}})), "damaged record"),
        (checked(payload(timing={"trial_seconds": 1})), "damaged record"),
        (
            checked(payload(scores={"test": {"accuracy": 1e999}})).replace("Infinity", "1e999"),
            "too large",
        ),
        (checked(payload(scores={"test": {"accuracy": "high"}})), "accuracy is 'high'"),
        (checked(payload(scores={"test": 1.0})), "damaged record"),
        (checked(payload(run=None)), "damaged record"),
        (checked(payload(run={**payload()["run"], "key": "../../x"})), "key is"),
        (checked(payload(run={**payload()["run"], "seed": "13"})), "seed is '13'"),
        (checked(payload(run={**payload()["run"], "student": {"name": "x"}})), "damaged record"),
        (checked(payload(predictions="../../../etc")), "predictions is"),
        (checked(payload(surplus=1)), "surplus"),
        (checked(payload(schema="1")), "never was a schema '1'"),
        (checked(payload(schema=0)), "never was a schema 0"),
    ],
)
def test_damage_is_named(text: str, problem: str):
    with pytest.raises(StoreDamaged, match=problem) as caught:
        from_json(text, "results/x.json")
    assert caught.value.where == "results/x.json"
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("name", sorted(set(payload()) - {"checksum"}))
def test_every_field_is_asked_for(name: str):
    less = payload()
    del less[name]
    with pytest.raises(StoreDamaged, match=f"lacks '{name}'"):
        from_json(checked(less), "here")


@given(st.data())
def test_no_flipped_byte_passes(data: st.DataObject):
    whole = to_json(a_record()).encode()
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[place] ^= data.draw(st.integers(1, 127))
    with pytest.raises(StoreDamaged):
        from_json(flipped.decode("utf-8", "replace"), "here")


def test_every_field_of_the_run_is_asked_for():
    less = payload()
    del less["run"]["limit"]
    with pytest.raises(StoreDamaged, match="lacks 'limit'"):
        from_json(checked(less), "here")


def test_newer_schema_is_no_damage():
    with pytest.raises(BenchError, match="newer version") as caught:
        from_json(checked(payload(schema=SCHEMA + 1, novelty=[])), "here")
    assert not isinstance(caught.value, StoreDamaged)


def test_older_schema_is_migrated(monkeypatch: pytest.MonkeyPatch):
    def following(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "schema": SCHEMA + 1, "method_code": old["method_code"].upper()}

    migrations: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
        **module.MIGRATIONS,
        SCHEMA: following,
    }
    monkeypatch.setattr(module, "SCHEMA", SCHEMA + 1)
    monkeypatch.setattr(module, "MIGRATIONS", migrations)
    record = from_json(checked(payload()), "here")
    assert record.schema == SCHEMA + 1 and record.method_code == "E" * 16


@pytest.mark.parametrize("file", sorted(HISTORIC.glob("*.json")), ids=lambda file: file.stem)
def test_records_of_every_schema_load_for_ever(file: Path):
    record = from_json(file.read_text("utf-8"), str(file))
    assert record.schema == SCHEMA
    assert record.scores["test"]["accuracy"] == 0.8716
    assert record.run.settings == {"beta": 50, "layers": (1, 3), "lr": 1e-05}
    assert record.run.student == ModelRef("tiny", "/models/tiny", "a" * 16)
    assert record.details["words"]["positive"] == ["großartig", "great"]
    assert record.warnings == ("a text was cut",)


def test_unknown_names_of_a_part_are_kept_and_a_null_is_a_missing_field():
    written = payload(split={"n_test": 9, "dropped": None, "extra": 1, "novelty": None})
    split = from_json(checked(written), "here").split
    assert split == SplitFacts(n_test=9, extra={"extra": 1, "novelty": None})
    assert split.to_json() == {"n_test": 9, "extra": 1, "novelty": None}


def test_every_schema_has_its_historic_record():
    assert {file.stem for file in HISTORIC.glob("*.json")} == {
        f"schema{number}" for number in range(1, SCHEMA + 1)
    }
