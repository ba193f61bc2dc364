"""Results from elsewhere: what is refused, and that nothing is half copied. Exports read back."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbench import durable
from fewbench.declare import declared
from fewbench.errors import BenchError
from fewbench.measurement import from_bytes, measured, read, to_bytes, write
from fewbench.metrics import score
from fewbench.reader import read_rows
from fewbench.record import Record, run_key, to_json
from fewbench.registry import methods, task_files
from fewbench.sharing.card import front_matter, model_index
from fewbench.sharing.copy import copy_into
from fewbench.sharing.gather import gather
from fewbench.sharing.submit import Checker
from fewbench.split import make_split
from fewbench.store import Store
from fewbench.tables.blocks import build
from fewbench.tables.pivot import entries
from fewbench.types import Predictions, Run

TASK = "demo-sentiment"


@pytest.fixture(scope="module")
def demo():
    task = declared(task_files()).tasks[TASK]
    rows = read_rows(task, None)
    return SimpleNamespace(task=task, rows=rows, splits={seed: make_split(task, rows, 4, seed) for seed in (13, 21)})


@pytest.fixture
def theirs(tmp_path):
    return tmp_path / "theirs"


@pytest.fixture
def add(demo, theirs):
    """Store a run as majority would make it, in their folder or another."""

    def add(seed=13, first=0, folder=None, environment=None, **changes):
        split = demo.splits[seed]
        answers = np.eye(2, dtype="f4")[np.full(len(split.test), first)]
        predictions = Predictions(tuple(example.id for example in split.test), answers)
        run = Run(
            task=TASK,
            task_version=demo.task.version,
            source=demo.task.source.name,
            method="majority",
            settings={},
            student=None,
            teacher=None,
            k=4,
            seed=seed,
            protocol="quick",
            fingerprint=split.fingerprint,
            test_fingerprint=split.test_fingerprint,
        )
        run = replace(run, **changes)
        run = replace(run, key=run_key(run))
        labels = [example.label for example in demo.rows.test]
        scores = {"dev": {"accuracy": 0.5}, "test": score(demo.task, labels, predictions)}
        chosen = {"metric": "accuracy", "trials": [{"dev": {"accuracy": 0.5}, "seed": seed, "settings": {"lr": 0.1}}]}
        around = {"commit": "0" * 40, "dirty": False, **(environment or {})}
        record = Record(run, "ok", scores, chosen, {}, {}, methods()["majority"].code_hash(), around, {})
        return Store(folder or theirs).save(record, predictions)

    return add


def problems(folder):
    found, wrong = gather(folder)
    return wrong + Checker(None).check(found).problems


def change(file, **changes):
    """Write a record anew with changes, its checksum too: what a forger would do."""
    from fewbench.store import load

    file.write_text(to_json(replace(load(file), **changes)), "utf-8")


def tree(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_whole_records_are_copied_byte_for_byte_and_once(add, bench, theirs, tmp_path):
    add(13), add(21)
    ours = tmp_path / "ours"
    done = bench("submit", theirs, "--results", ours)
    assert done.returncode == 0 and "2 records and 0 measurements copied" in done.stderr
    assert tree(ours) == tree(theirs) and Store(ours).fsck() == []
    again = bench("submit", theirs, "--results", ours, "--json")
    assert {**json.loads(again.stdout), "notes": None} == {
        "records": 2, "problems": [], "notes": None, "written": 0, "there": 2, "measurements": 0,
        "other_code": 0,
    }  # fmt: skip


ATTACK = {"after_attack_accuracy": 0.2, "mean_queries": 31.5}


def measure(file, name="textfooler-paper", kind="attack", scores=ATTACK, environment=None, **changes):
    """Store a measurement of the record in a file, with texts attached."""
    store = Store(file.parents[4])
    record = next(record for record in store.records() if record.run.key.startswith(file.stem.rpartition("-")[2]))
    made = measured(record, kind, name, settings={}, scores=scores, environment=environment or {"dirty": False})
    return write(store, record, replace(made, **changes), {".jsonl": b"{}"})


@pytest.mark.parametrize("command", [("submit", "--results"), ("merge", "--into")])
def test_measurements_come_along_and_submitted_ones_leave_their_texts(add, bench, theirs, tmp_path, command):
    ours, file = tmp_path / "ours", add(13)
    assert bench(command[0], theirs, command[1], ours).returncode == 0
    bare = tree(ours)
    attack = measure(file)
    file.with_name(f"{file.stem}.attack-textfooler-cli.jsonl").write_text("under way")
    done = bench(command[0], theirs, command[1], ours)
    assert done.returncode == 0 and "0 records and 1 measurements copied" in done.stderr
    texts = ".jsonl" in str({*tree(ours)} - {*bare})
    assert len(tree(ours)) == len(bare) + 1 + texts and texts == (command[0] == "merge")
    assert ("1 files of attacked texts stay" in done.stderr) == (command[0] == "submit")
    there = read(ours / attack.relative_to(theirs))
    assert there.scores == ATTACK and bool(there.files) == texts and Store(ours).fsck() == []
    again = bench(command[0], theirs, command[1], ours)
    assert "0 records and 0 measurements copied" in again.stderr


def test_a_measurement_of_another_outcome_is_not_taken_and_one_that_stands_stays(add, theirs, tmp_path):
    ours = tmp_path / "ours"
    mine = measure(add(13, folder=ours), scores={**ATTACK, "mean_queries": 1.0})
    before = tree(ours)
    measure(add(13)), measure(add(13), kind="cost", name="", predictions="0" * 64)
    assert copy_into(Store(ours), gather(theirs)[0]) == (0, 1, 0, 0) and tree(ours) == before
    other = add(13, first=1, folder=tmp_path / "other")  # the run done again, with other scores
    fresh = measure(other)
    assert copy_into(Store(ours), gather(tmp_path / "other")[0], "old") == (0, 1, 0, 0) and tree(ours) == before
    assert copy_into(Store(ours), gather(tmp_path / "other")[0], "new") == (1, 0, 1, 0)
    assert mine.read_bytes() == fresh.read_bytes() and Store(ours).fsck() == []


def test_the_same_outcome_of_other_code_takes_the_place_of_the_old_if_asked(add, bench, theirs, tmp_path):
    ours = tmp_path / "ours"
    change(add(13, folder=ours), method_code="0" * 16)
    measure(next(ours.glob("runs/*/*/*/k*.json")))
    add(13)
    done = bench("merge", theirs, "--into", ours)
    assert "1 records were there already, 1 of them by other code (--keep new takes these)" in done.stderr
    assert copy_into(Store(ours), gather(theirs)[0], "new") == (1, 0, 0, 0)
    (record,) = Store(ours).records()
    assert record.method_code == methods()["majority"].code_hash() and Store(ours).fsck() == []
    assert copy_into(Store(ours), gather(theirs)[0], "new") == (0, 1, 0, 0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "taste"}, "nothing of that kind is measured here"),
        ({"scores": {"mean_queries": "<b>"}}, "attack-textfooler-paper: its queries is no number"),
        ({"scores": {"after_attack_accuracy": [1]}}, "its after-attack accuracy is no number"),
        ({"scores": {"mean_queries": 10**400}}, "its queries is no number"),
        ({"scores": {"mean_queries": "nan"}}, "its queries is no number"),
        ({"scores": {"after_attack_accuracy": 1e308}}, "its after-attack accuracy is no number"),
        ({"scores": ["<b>"]}, "damaged measurement: its scores are no table"),
        ({"environment": {"dirty": True}}, "made by a checkout with changes"),
    ],
)
def test_a_measurement_that_is_refused(add, theirs, changes, said):
    measure(add(13), **changes)
    (problem,) = problems(theirs)
    assert said in problem


def test_a_damaged_measurement_keeps_all_out(add, theirs):
    attack = measure(add(13))
    text = attack.read_text()
    attack.write_text(text.replace("31.5", "3.15"))
    (problem,) = gather(theirs)[1]
    assert f"{attack.name}: damaged measurement: its checksum" in problem
    away = replace(from_bytes(text.encode(), attack), files={"/../../up": "0" * 64})
    attack.write_bytes(to_bytes(away))
    (problem,) = gather(theirs)[1]
    assert "nothing can be attached as '/../../up'" in problem
    attack.write_text(text)
    next(attack.parent.glob("*.jsonl")).write_text("other")
    (problem,) = gather(theirs)[1]
    assert "another checksum" in problem
    next(attack.parent.glob("*.jsonl")).unlink()
    (problem,) = gather(theirs)[1]
    assert f"{attack.name}: what is attached to it is not there" in problem


def test_a_problem_with_one_keeps_all_out(add, bench, theirs, tmp_path):
    add(13)
    change(add(21), scores={"test": {"accuracy": 0.999}})
    done = bench("submit", theirs, "--results", tmp_path / "ours")
    assert done.returncode == 2 and "and it says 0.999" in done.stdout and "nothing was copied" in done.stderr
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fingerprint": "f" * 16}, "its fingerprint is not that of this task"),
        ({"test_fingerprint": "f" * 16}, "its test_fingerprint is not that"),
        ({"task_version": 99}, "is of version"),
        ({"task": "no-such-task"}, "is not declared here"),
        ({"protocol": "mine"}, "the protocol 'mine' is not known"),
        ({"method": "a/../b"}, "is no method's name"),
        ({"method": "ft\x1b[31m"}, "is no method's name"),
        ({"limit": 5}, "not comparable"),
        ({"drop_leaks": True}, "not comparable"),
    ],
)
def test_runs_that_do_not_fit_what_is_here(add, theirs, changes, said):
    add(13, **changes)
    assert said in "\n".join(problems(theirs))


def test_uncommitted_code_is_refused_and_other_code_is_noted(add, theirs):
    file = add(13, environment={"dirty": True})
    assert "not committed" in "\n".join(problems(theirs))
    change(file, environment={}, method_code="f" * 16)
    report = Checker(None).check(gather(theirs)[0])
    assert report.problems == [] and any("run by other code" in note for note in report.notes)
    (found,) = gather(theirs)[0]
    steps = replace(found, record=replace(found.record, run=replace(found.record.run, method="truncate+kd")))
    assert any("'truncate+kd' was run by other code" in note for note in Checker(None).check([steps]).notes)


@pytest.mark.parametrize("kind", ["record", "predictions", "folder"])
def test_links_are_refused_and_not_followed(add, theirs, tmp_path, kind):
    file = add(13)
    if kind == "folder":
        (theirs / "runs" / "away").symlink_to(tmp_path)
        wanted = "away: a link"
    else:
        target = file if kind == "record" else next(file.parent.glob("*.safetensors"))
        moved = target.rename(tmp_path / target.name)
        target.symlink_to(moved)
        wanted = f"{target.name}: a link"
    assert wanted in "\n".join(gather(theirs)[1])


@pytest.mark.parametrize("runs", ["a link", "a file", "nothing"])
def test_a_folder_that_is_none(theirs, tmp_path, runs):
    theirs.mkdir()
    if runs == "a link":
        (theirs / "runs").symlink_to(tmp_path)
    elif runs == "a file":
        (theirs / "runs").write_text("")
    with pytest.raises(BenchError, match="there is no folder"):
        gather(theirs)


def test_files_that_are_none_of_a_stores(add, theirs):
    file = add(13)
    (theirs / "runs" / "script.py").write_text("")
    file.with_name("k4-s13-00000000.11111111.safetensors").write_bytes(b"")
    os.mkfifo(file.with_name("pipe.json"))
    said = "\n".join(gather(theirs)[1])
    for text in ("script.py: not a file of a store", "predictions that no record names", "pipe.json: no file but"):
        assert text in said


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.write_text("{"), "damaged record"),
        (lambda file: file.write_text(file.read_text().replace("quick", "quack")), "checksum"),
        (lambda file: file.write_bytes(b"\xff\xfe"), "no text in UTF-8"),
        (lambda file: file.rename(file.with_name("k4-s99-00000000.json")), "it belongs to"),
        (lambda file: next(file.parent.glob("*.safetensors")).write_bytes(b"x"), "another checksum"),
        (lambda file: next(file.parent.glob("*.safetensors")).unlink(), "its predictions are not there"),
        (lambda file: change(file, schema=99), "newer version"),
    ],
)
def test_damaged_files(add, theirs, spoil, said):
    spoil(add(13))
    found, wrong = gather(theirs)
    assert found == [] and said in "\n".join(wrong)


@pytest.mark.parametrize("name", ["../../../../escaped", "/etc/escaped", "..", "a/../../b"])
def test_names_that_lead_elsewhere_stay_inside(add, theirs, tmp_path, name):
    add(13, method=name, source=name)
    found, wrong = gather(theirs)
    assert len(found) == 1 and wrong == []  # the store makes folders' names of any text
    copy_into(Store(tmp_path / "ours"), found)
    assert tree(tmp_path / "ours").keys() == tree(theirs).keys()
    assert not list(tmp_path.rglob("escaped*.json")) and sorted(p.name for p in tmp_path.iterdir()) == [
        "ours",
        "theirs",
    ]


def test_a_link_in_our_own_store_is_not_written_through(add, theirs, tmp_path):
    file = add(13)
    ours, away = tmp_path / "ours", tmp_path / "away"
    away.mkdir()
    place = ours / file.parent.parent.relative_to(theirs)
    place.parent.mkdir(parents=True)
    place.symlink_to(away)
    with pytest.raises(BenchError, match="outside the store"):
        copy_into(Store(ours), gather(theirs)[0])
    assert list(away.iterdir()) == []


def test_when_the_disk_is_full_in_the_middle_all_is_as_before(add, theirs, tmp_path, monkeypatch):
    from fewbench.sharing import copy

    add(13, folder=tmp_path / "ours", first=1)
    before = tree(tmp_path / "ours")
    add(13), add(21)
    written = []

    def full(file, data):
        written.append(file)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        durable.write_whole(file, data)

    monkeypatch.setattr(copy, "write_whole", full)
    with pytest.raises(BenchError, match="nothing was copied: No space left"):
        copy_into(Store(tmp_path / "ours"), gather(theirs)[0], "new")
    assert tree(tmp_path / "ours") == before


def test_merge(add, bench, theirs, tmp_path):
    other, into = tmp_path / "other", tmp_path / "into"
    add(13), add(21), add(21, folder=other), add(13, folder=other, protocol="lm-bff-v1")
    done = bench("merge", theirs, other, "--into", into)
    assert (
        done.returncode == 0
        and "3 records and 0 measurements" in done.stderr
        and "1 records were there already" in done.stderr
    )
    assert len(list(Store(into).records())) == 3 and Store(into).fsck() == []


def test_two_records_of_one_run_with_other_scores_need_a_word(add, bench, theirs, tmp_path, demo):
    other, into = tmp_path / "other", tmp_path / "into"
    add(13, first=0), add(13, first=1, folder=other)
    change(next((other / "runs").rglob("*.json")), scores={"test": {"accuracy": 0.25}})
    done = bench("merge", theirs, other, "--into", into)
    assert done.returncode == 2 and "--keep old or --keep new" in done.stderr and not into.exists()
    for keep, folder in (("old", theirs), ("new", other)):
        assert bench("merge", theirs, other, "--into", tmp_path / keep, "--keep", keep).returncode == 0
        (kept,), (wanted,) = Store(tmp_path / keep).records(), Store(folder).records()
        assert kept == wanted


def test_csv_bundle(add, bench, theirs, tmp_path):
    add(13), add(21)
    done = bench("export", "csv", "--out", tmp_path / "csv", "--results", theirs)
    assert done.returncode == 0, done.stderr
    tables = {
        name: list(csv.DictReader(io.StringIO((tmp_path / "csv" / f"{name}.csv").read_text("utf-8"))))
        for name in ("runs", "trials", "cells")
    }
    assert [row["seed"] for row in tables["runs"]] == ["13", "21"] and tables["runs"][0]["test_accuracy"]
    assert [row["setting_lr"] for row in tables["trials"]] == ["0.1", "0.1"]
    assert [(row["n"], row["seeds"]) for row in tables["cells"]] == [("2", "13 21")]


def test_a_models_card_reads_as_the_hub_reads_it(add, bench, theirs):
    import yaml
    from huggingface_hub.repocard_data import ModelCardData

    add(13), add(21)
    done = bench("export", "card", "majority", "--name", "my/model", "--results", theirs)
    assert done.returncode == 0, done.stderr
    _, block, rest = done.stdout.split("---\n")
    data = ModelCardData(model_name="my/model", **yaml.safe_load(block))
    (result,) = data.eval_results
    mean = np.mean([record.scores["test"]["accuracy"] for record in Store(theirs).records()])
    assert (result.task_type, result.metric_type, result.dataset_name) == (
        "text-classification", "accuracy", "demo-sentiment@demo"
    ) and rest == ""  # fmt: skip
    assert result.metric_value == pytest.approx(mean, abs=1e-6) and result.metric_args["shots"] == 4


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False, width=16)
        | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "c-d"]), inner, max_size=3),
        max_leaves=8,
    )
)  # fmt: skip
def test_any_metadata_is_yaml(value):
    import yaml

    text = front_matter({"model-index": value})
    assert yaml.safe_load(text.removeprefix("---\n").removesuffix("\n---")) == {"model-index": value}


def test_model_index_of_a_task_that_is_not_known(add, theirs):
    add(13)
    cells = entries(build(list(Store(theirs).records()), {}, {}))
    (result,) = model_index("m", cells, {})["model-index"][0]["results"]
    assert result["dataset"] == {"type": TASK, "name": "demo-sentiment@demo"}
