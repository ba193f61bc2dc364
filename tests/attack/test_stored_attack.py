"""Attacks on a stored run: what is stored, what is refused, and that a kill changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from fewbench.data.reader import read_rows
from fewbench.data.split import draw
from fewbench.errors import BenchError, ModelError
from fewbench.measure.attack.progress import AttackProgress, lines_of
from fewbench.measure.attack.report import AttackOutcome, outcome_of
from fewbench.measure.attack.run import Target, probabilities
from fewbench.measure.stored import Locations, task_of
from fewbench.measure.tested_rows import check_definition, rows_of_run
from fewbench.runner.local import execute
from fewbench.runner.plan import Request, make_plan
from fewbench.store.measurement import attachment, measurements
from fewbench.store.parts import Environment
from fewbench.store.store import Store
from fewbench.testing import toy_task

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # typer imports what newer versions of click deprecate
    from fewbench.cli import attack as attacking

TASK = "demo-sentiment"


@pytest.fixture(scope="session")
def ran(tmp_path_factory):
    """A results folder with a run whose model was kept, and one whose model was not."""
    store = Store(tmp_path_factory.mktemp("results"))
    for seed, keep in ((13, True), (21, False)):
        request = Request(("zero-shot",), (TASK,), seeds=(seed,), protocol="demo", keep_models=keep)
        plan = make_plan(request, store)
        execute(
            plan.stages(plan.jobs),
            store,
            workers=1,
            device="cpu",
            threads=1,
            on_done=lambda *_: None,
        )
    return store


@pytest.fixture
def store(ran, tmp_path):
    """A copy of it, to attack."""
    return Store(shutil.copytree(ran.root, tmp_path / "results"))


@pytest.fixture(scope="session")
def busy(ran, tmp_path_factory, nltk_data):
    """Write a table with three neighbours for every word, and a tagger that calls all nouns."""
    folder = tmp_path_factory.mktemp("busy")
    plan = make_plan(Request(("zero-shot",), (TASK,), protocol="demo"), ran)
    texts = [example.texts[0].lower().split() for example in plan.jobs[0].split.test]
    known = sorted({word for words in texts for word in words if word.isalpha()})
    neighbours = {
        word: [*known, *known][number + 1 : number + 4] for number, word in enumerate(known)
    }
    (folder / "near.json").write_text(json.dumps(neighbours), "utf-8")
    shutil.copytree(nltk_data, folder / "nltk_data")
    next((folder / "nltk_data").rglob("*tagdict.json")).write_text("{}", "utf-8")
    return folder


def keys(store):
    """Return the keys of the run whose model was kept, and of the other one."""
    by_seed = {record.run.seed: record.run.key for record in store.records()}
    return by_seed[13], by_seed[21]


def run_attack(store, busy, *runs, **options):
    usual = dict(
        recipe="textattack-jin2019",
        limit=12,
        neighbours=busy / "near.json",
        nltk_data=busy / "nltk_data",
        encoder=None,
        model=None,
        tasks=None,
        data=None,
        results=store.root,
        device="cpu",
        threads=1,
        force=False,
        offline=True,
        json=True,
    )
    attacking.attack(list(runs), **(usual | options))


@pytest.mark.parametrize("recipe", ["textattack-jin2019", "textfooler-paper"])
def test_an_attack_is_stored_beside_its_run_and_not_done_twice(store, busy, capsys, recipe):
    key, _ = keys(store)
    run_attack(store, busy, key[:8], recipe=recipe)
    (printed,) = json.loads(capsys.readouterr().out)
    record = store.find(key)
    (measurement,) = measurements(store, record, "attack")
    assert measurement.name == recipe and printed["scores"] == measurement.scores
    scores = measurement.scores
    assert scores["items"] == 12 == scores["succeeded"] + scores["failed"] + scores["skipped"]
    assert scores["original_accuracy"] >= scores["after_attack_accuracy"] == scores["failed"] / 12
    resources = measurement.settings["resources"]
    assert resources["neighbours"]["cosine"].startswith("not checked")
    assert resources["encoder"]["name"] == "fewbench-mini, mean-pooled and calibrated"
    rows = [
        json.loads(line)
        for line in attachment(store, record, measurement, ".jsonl").read_bytes().splitlines()
    ]
    assert len(rows) == 12 and {row["status"] for row in rows} >= {"failed", "skipped"}
    for row in rows:
        assert (row["texts"] == row["adversarial"]) == (row["changed"] == 0)
        assert (np.argmax(row["after"]) == row["label"]) == (row["status"] == "failed")
    assert store.fsck() == [] and [*store.records()] != []
    run_attack(store, busy, key[:8], recipe=recipe)
    assert "items attacked" not in capsys.readouterr().err
    run_attack(store, busy, key[:8], recipe=recipe, limit=3)
    (other,) = measurements(store, record, "attack")
    assert other.scores["items"] == 3


def test_rows_are_drawn_as_a_limit_draws_them_and_counted_by_class(store, busy):
    key, _ = keys(store)
    run_attack(store, busy, key[:8])
    record = store.find(key)
    (measurement,) = measurements(store, record, "attack")
    world = Locations(store, offline=True)
    tested = rows_of_run(
        record, task := task_of(record, world), read_rows(task, None, offline=True)
    )
    drawn = draw(tested, 12)
    rows = [
        json.loads(line)
        for line in attachment(store, record, measurement, ".jsonl").read_bytes().splitlines()
    ]
    assert (
        [row["id"] for row in rows]
        == [item.id for item in drawn]
        != [item.id for item in tested[:12]]
    )
    assert measurement.settings["drawn"]["of"] == len(tested)
    counted = Counter(item.label for item in drawn)
    assert (
        list(measurement.scores["classes"].values()) == [counted[0], counted[1]]
        and min(counted.values()) > 0
    )
    answers = dict(zip((own := store.predictions(record)).ids, own.answers, strict=True))
    assert measurement.scores["clean_accuracy"] == np.mean(
        [answers[item.id] == item.label for item in drawn]
    )
    with pytest.raises(BenchError, match="all of class") as error:
        run_attack(store, busy, key[:8], limit=1)
    assert "--limit" in str(error.value)


def test_a_model_or_a_definition_that_is_not_the_records_is_refused(store, busy):
    key, _ = keys(store)
    record = store.find(key)
    world = Locations(store, offline=True)
    task = task_of(record, world)
    with pytest.raises(BenchError, match="another definition"):
        check_definition(record, replace(task, words=task.words[::-1]))
    predictions = store.predictions(record)
    store.save(
        record, replace(predictions, probabilities=predictions.probabilities[:, ::-1].copy())
    )
    with pytest.raises(BenchError, match="is not that of the record"):
        run_attack(store, busy, key[:8], force=True)


def test_a_run_without_its_model_says_how_to_keep_it_and_the_others_go_on(store, busy, capsys):
    kept, lost = keys(store)
    with pytest.raises(BenchError, match="was not kept") as error:
        run_attack(store, busy, lost)
    assert "--keep-models" in str(error.value)
    with pytest.raises(attacking.typer.Exit) as end:
        run_attack(store, busy, lost, kept)
    said = capsys.readouterr()
    assert end.value.exit_code == 1 and "was not kept" in said.err
    assert [row["run"] for row in json.loads(said.out)] == [kept]


def test_what_cannot_be_had_is_refused_before_any_run(store, busy, tmp_path):
    key, _ = keys(store)
    (tmp_path / "n.json").write_text("[]", "utf-8")
    with pytest.raises(BenchError, match="not a table of neighbours"):
        run_attack(store, busy, key, neighbours=tmp_path / "n.json")
    with pytest.raises(BenchError, match="stop words cannot be read"):
        run_attack(store, busy, key, nltk_data=tmp_path)
    with pytest.raises(BenchError, match="unknown recipe"):
        run_attack(store, busy, key, recipe="textfooler")
    assert not [*store.runs.rglob("*attack*")]


@pytest.mark.parametrize("kind", ["choice", "regression"])
def test_a_task_without_classes_is_refused(kind):
    with pytest.raises(BenchError, match=f"is a {kind}"):
        Target(None, toy_task(kind), None, ())


def test_a_model_that_gives_nan_is_said():
    class Broken:
        def predict(self, examples):
            raise ValueError("predictions hold numbers that are not finite")

    with pytest.raises(ModelError, match="not finite"):
        probabilities(Broken(), [("a",)])


def outcomes(n):
    return [outcome(number) for number in range(n)]


def outcome(n):
    return AttackOutcome(
        f"test-{n}", "failed", 0, ("a é",), ("b\u2028",), (0.5, 0.5), (0.4, 0.6), n, 1, 2
    )


def test_progress_is_whole_blocks_of_the_same_attack(tmp_path):
    file = tmp_path / "a.jsonl"
    with AttackProgress(file, {"x": 1}, 2, 5) as progress:
        progress.add(outcomes(2))
        progress.add(outcomes(5)[2:4])
    whole = file.read_bytes()
    assert [
        outcome_of(json.loads(line)) for line in lines_of(outcomes(3)).splitlines()
    ] == outcomes(3)
    for tail, kept in (
        (b"", 4),
        (lines_of(outcomes(5)[4:]), 5),  # the last block is smaller, and whole
        (lines_of(outcomes(5)[4:])[:-1], 4),  # a line without its end
        (b'{"torn', 4),
        (b"\0\0\0", 4),
    ):
        file.write_bytes(whole + tail)
        with AttackProgress(file, {"x": 1}, 2, 5) as progress:
            assert progress.outcomes == outcomes(5)[:kept]
        assert len(file.read_bytes().splitlines()) == 1 + kept
    file.write_bytes(whole)
    with AttackProgress(file, {"x": 1}, 3, 9) as progress:
        assert progress.outcomes == outcomes(3)
    with AttackProgress(file, {"x": 2}, 3, 9) as progress:
        assert progress.outcomes == []


def test_two_processes_do_not_write_one_attack(tmp_path):
    with AttackProgress(tmp_path / "a.jsonl", {}, 2, 4):
        with pytest.raises(BenchError, match="another process"):
            AttackProgress(tmp_path / "a.jsonl", {}, 2, 4).__enter__()
    with AttackProgress(tmp_path / "a.jsonl", {}, 2, 4):
        pass


KILLER = """
import os, random, signal, sys, time, traceback
from pathlib import Path
from transformers import AutoModelForMaskedLM, AutoTokenizer
from fewbench.measure.attack import run
from fewbench.cli import attack as attacking

run.BLOCK = 4
kills, key, busy = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
results, limit = sys.argv[4:6], int(sys.argv[6])

def attack(folder):
    attacking.attack(
        [key], recipe="textattack-jin2019", limit=limit, neighbours=busy / "near.json",
        nltk_data=busy / "nltk_data", encoder=None, model=None, tasks=None, data=None,
        results=Path(folder), device="cpu", threads=1, force=False, offline=True, json=True,
    )

started = time.monotonic()
attack(results[0])  # here, so that all is loaded
whole = time.monotonic() - started
rng, killed = random.Random(5), 0
while True:
    child = os.fork()
    if child == 0:
        try:
            attack(results[1])
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if killed < kills:
        time.sleep(rng.uniform(0, whole / 2))
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    was_killed = os.WIFSIGNALED(status)
    killed += was_killed
    if not was_killed and status:
        sys.exit(1)
    if killed >= kills and not was_killed:
        break
    if killed < kills and any(Path(results[1]).rglob("*attack*.json")):  # finished: once more
        for file in Path(results[1]).rglob("*attack*"):
            file.unlink()
print("killed", killed, file=sys.stderr)
"""


def killed(store, busy, tmp_path, kills, limit):
    """Attack a copy of the store under random kills; return both outcomes' bytes."""
    other = Store(shutil.copytree(store.root, tmp_path / "killed"))
    key, _ = keys(store)
    command = [
        sys.executable,
        "-c",
        KILLER,
        str(kills),
        key,
        busy,
        store.root,
        other.root,
        str(limit),
    ]
    serial = {
        **os.environ,
        "TOKENIZERS_PARALLELISM": "false",
    }  # it forks, and TextAttack, once imported, says "True"
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env=serial,
    )
    assert done.returncode == 0, done.stderr
    found = []
    for one in (store, other):
        record = one.find(key)
        (measurement,) = measurements(one, record, "attack")
        found.append(
            (
                replace(measurement, created="", environment=Environment()),
                attachment(one, record, measurement, ".jsonl"),
            )
        )
        assert one.fsck() == []
    return found, done.stderr


def test_kills_change_nothing(store, busy, tmp_path):
    ((first, pairs), (second, others)), said = killed(store, busy, tmp_path, 3, 16)
    assert "killed 3" in said
    assert first == second
    assert pairs.read_bytes() == others.read_bytes()


@pytest.mark.slow
def test_twenty_random_kills_change_nothing(store, busy, tmp_path):
    ((first, pairs), (second, others)), said = killed(store, busy, tmp_path, 20, 24)
    assert "killed 20" in said
    assert first == second
    assert pairs.read_bytes() == others.read_bytes()
