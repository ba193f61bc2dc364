"""Named templates: what a table becomes, what a plan makes of `--template`, and where such runs
stand.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fewbench.data.task_file import declared
from fewbench.data.task_prompts import with_prompt
from fewbench.errors import BenchError
from fewbench.registry.methods import methods
from fewbench.report.render import markdown
from fewbench.report.tables.blocks import build
from fewbench.report.tables.entry import entries
from fewbench.report.tables.flat import to_rows
from fewbench.report.tables.pivot import grids
from fewbench.runner.plan import Request, make_plan
from fewbench.store.paths import belongs, folder
from fewbench.store.record import run_key
from fewbench.store.store import Store
from fewbench.testing import toy_job, toy_task
from fewbench.types import Prompt

TASK = """
[mood]
title = "Mood"
paper = "none"
licence = "Apache-2.0"
version = 1
format = "single"
labels = ["bad", "good"]
metric = "accuracy"
template = "{0} It was {mask}."
words = { good = "great", bad = "terrible" }
max_length = 64

[[mood.source]]
name = "files"
folder = "."
path = "mood"
train = "train"
test = "test"
texts = ["text"]
label = "label"

[mood.templates.just]
template = "Just {mask}! {0}"

[mood.templates.plain]
words = { good = "good", bad = ["bad", "poor"] }
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "mood").mkdir()
    for split in ("train", "test"):
        rows = "".join(
            json.dumps({"text": f"{split} {n}", "label": n % 2}) + "\n" for n in range(8)
        )
        (tmp_path / "mood" / f"{split}.jsonl").write_text(rows)
    (tmp_path / "moods.toml").write_text(TASK)
    return tmp_path / "moods.toml"


def task_of(file):
    return declared([file]).tasks["mood"]


def test_a_named_prompt_has_a_template_or_words_of_its_own(file):
    task = task_of(file)
    assert task.prompts[:-1] == (
        Prompt("just", "Just {mask}! {0}", (("terrible",), ("great",))),
        Prompt("plain", "{0} It was {mask}.", (("bad", "poor"), ("good",))),
    )
    other = with_prompt(task, "plain")
    assert (other.full_name, other.words, other.template) == (
        "mood@files+plain",
        task.prompts[1].words,
        task.template,
    )
    assert with_prompt(task, "own") == task and task.full_name == "mood@files"


def test_an_unknown_name_is_refused(file):
    with pytest.raises(BenchError) as caught:
        with_prompt(task_of(file), "jutst")
    assert "nearest: just" in str(caught.value) and "allowed: just, own, plain, unified" in str(
        caught.value
    )


MISTAKES = {
    "nothing of its own": ('template = "Just {mask}! {0}"', "", "[mood.templates.just]", "neither a template nor"),
    "no mask": ("Just {mask}!", "Just!", "[mood.templates.just] template", "no masks"),
    "no text": ("! {0}", "!", "[mood.templates.just] template", "does not use exactly {0}"),
    "one word for two": ('good = "good"', 'good = "bad"', "[mood.templates.plain] words", "have the same word"),
    "an unknown key": ("template = \"Just", "maxlen = 1\ntemplate = \"Just", "templates.just] maxlen", "unknown key"),
    "the name of the task's own": ("templates.just", "templates.own", "[mood.templates.own]", "not a valid template name"),
    "a name in capitals": ("templates.just", "templates.Just", "[mood.templates.Just]", "not a valid template name"),
    "a bare text": ("[mood.templates.plain]\nwords", "[mood.templates]\nplain = 1\n[a]\nwords", "plain]", "not a table"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_where_it_stands(mistake, file):
    old, new, *parts = MISTAKES[mistake]
    assert old in TASK
    file.write_text(TASK.replace(old, new, 1))
    with pytest.raises(BenchError) as caught:
        declared([file])
    assert not [part for part in parts if part not in str(caught.value)], str(caught.value)


def plan(file, *templates, methods=("zero-shot", "majority")):
    request = Request(methods, (str(file),), k=(2,), seeds=(13,), offline=True, templates=templates)
    return make_plan(request, Store(file.parent / "results"))


def test_each_template_is_a_run_and_what_reads_none_runs_once(file):
    jobs = plan(file, "own", "just", "plain").jobs
    assert [(job.run.method, job.run.template, job.task.full_name) for job in jobs] == [
        ("zero-shot", "", "mood@files"),
        ("majority", "", "mood@files"),
        ("zero-shot", "just", "mood@files+just"),
        ("zero-shot", "plain", "mood@files+plain"),
    ]
    assert len({job.run.fingerprint for job in jobs}) == 1
    assert len({job.run.key for job in jobs}) == 4
    assert jobs[2].task.template == "Just {mask}! {0}"
    with pytest.raises(BenchError, match="has no template 'none'"):
        plan(file, "none")


def test_without_a_template_nothing_changes(file):
    (job,) = plan(file, methods=("zero-shot",)).jobs
    (own,) = plan(file, "own", methods=("zero-shot",)).jobs
    assert (job.run, job.run.key, job.task) == (own.run, own.run.key, own.task)
    assert run_key(replace(job.run, template="just")) != job.run.key


def test_runs_of_templates_stand_apart_in_store_and_table(file, tmp_path):
    from fewbench.runner.local import execute

    store = Store(tmp_path / "results")
    jobs = plan(file, "own", "plain", methods=("zero-shot",)).jobs
    assert (
        execute(
            [jobs], store, workers=1, device="cpu", threads=1, on_done=lambda work, outcome: None
        )
        == 0
    )
    assert sorted(place.name for place in store.runs.iterdir()) == [
        "mood@files",
        "mood@files+plain",
    ]
    records = [store.get(job.run) for job in jobs]
    assert [record.details["label_words"] for record in records] == [
        ["terrible", "great"],
        ["bad", "poor", "good"],
    ]
    place = folder(store.runs, records[1].run)
    assert all(belongs(store.runs, file, records[1]) for file in place.glob("*.json"))
    (block,) = build(records, {}, {})
    assert [row["template"] for row in to_rows([block])] == [None, "plain"]
    assert "| mood @files +plain accuracy |" in markdown(*grids(entries([block])))


def test_from_the_command_line(bench, file):
    done = bench(
        "run",
        "--tasks",
        file,
        "--methods",
        "zero-shot",
        "--template",
        "just,own",
        "--k",
        2,
        "--dry-run",
        "--json",
    )
    assert [row["task"] for row in json.loads(done.stdout)["plan"]] == [
        "mood@files+just",
        "mood@files",
    ]
    shown = bench("validate", file, "--k", 1).stdout
    assert "+just: Just [terrible | great]! train 0" in shown
    assert "+plain: train 0 It was [bad/poor | good]." in shown
    tasks = {row["name"]: row for row in json.loads(bench("ls", "tasks", "--json").stdout)}
    assert tasks["sst-2"]["templates"]["man-2"]["template"] == "Just {mask}! {0}"


@pytest.mark.parametrize(("name", "reads"), [("pet", True), ("ppt", True), ("ft", False)])
def test_other_prompts_are_in_the_identity_of_methods_that_read_them_and_hidden_from_others(
    tiny_model, name, reads
):
    task = replace(
        toy_task("single"), prompts=(Prompt("just", "Just {mask}! {0}", (("a",), ("b",), ("c",))),)
    )
    other = replace(task, prompts=(task.prompts[0]._replace(template="{0} So {mask}."),))
    one, two = (toy_job(methods()[name], tiny_model, each) for each in (task, other))
    assert (one.key != two.key) == reads
    assert one.run.inputs.task == two.run.inputs.task, "they stand in one column"
    assert one.task.prompts == (task.prompts if reads else ())
