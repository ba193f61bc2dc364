"""PPT end to end: one prompt per format of task, the start of tuning, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load

from fewbench.data.corpora import corpus_ref
from fewbench.errors import BenchError
from fewbench.methods.ppt.pretraining import pretrain
from fewbench.nn.fit_context import FitContext, Models, PrepareContext
from fewbench.registry.methods import methods
from fewbench.registry.protocols import get_protocol
from fewbench.registry.settings import bind
from fewbench.runner.jobs import Job, Plan, Preparation
from fewbench.runner.local import execute
from fewbench.runner.preflight import ask_method
from fewbench.runner.run import prepare
from fewbench.runner.steps import fit
from fewbench.store.artifacts import Artifacts
from fewbench.store.store import Store
from fewbench.testing import run_job, toy_job, toy_task

PPT = methods()["ppt"]
SMALL = {"tokens": 5, "pretrain_batch": 4, "batch_size": 4}


@pytest.fixture(params=["bert", "t5"])
def folder(request, tiny):
    return request.getfixturevalue("tiny_t5") if request.param == "t5" else tiny(request.param)


def job_of(folder, kind="pair", name="toy", **settings):
    return toy_job(PPT, folder, toy_task(kind, name=name), settings=SMALL | settings)


def kit_of(job, artifacts):
    refs = (job.run.student, None, job.run.corpus)
    models = Models(torch.device("cpu"))
    return FitContext(job.task, job.split, job.protocol, 13, models, *refs, job.supplies, artifacts)


def test_two_tasks_of_a_format_share_a_prompt_that_is_found_again(folder, tmp_path, monkeypatch):
    artifacts = Artifacts(tmp_path)
    jobs = [
        job_of(folder, name="one"),
        job_of(folder, name="two"),
        job_of(folder, name="one", hybrid=True),
    ]
    preparing, runs = Plan(tuple(jobs), {}, artifacts).stages(jobs)
    assert [work.title for work in preparing] == [
        "prepare ppt pair pretrain_batch=4 pretrain_steps=3 tokens=5 on demo-corpus"
    ]
    assert runs == jobs
    records = [run_job(job, artifacts)[0] for job in jobs]
    assert [record.error for record in records] == [None] * 3
    assert len(list(tmp_path.iterdir())) == 1
    assert Plan(tuple(jobs), {}, artifacts).stages(jobs) == [jobs]  # nothing to prepare any more
    told = records[0].details["prepared"]
    assert told["title"] == preparing[0].title and told["pretraining"]["updates"] == 3
    assert told == records[1].details["prepared"] == records[2].details["prepared"]


def test_other_formats_and_the_unified_one_have_prompts_of_their_own(tiny_model, tmp_path):
    jobs = [job_of(tiny_model, kind) for kind in ("single", "pair", "choice", "regression")]
    jobs += [job_of(tiny_model, kind, unified=True) for kind in ("single", "pair", "choice")]
    preparing = Plan(tuple(jobs), {}, Artifacts(tmp_path)).stages(jobs)[0]
    assert sorted(work.kind for work in preparing) == ["choice", "pair", "single", "unified"]


def test_the_papers_updates_unless_the_protocol_or_the_user_says_otherwise(tiny_model):
    def steps(protocol, **settings):
        job = toy_job(PPT, tiny_model, settings=settings, protocol=get_protocol(protocol))
        return job.preparation.settings

    assert steps("ppt-v1") == steps("lm-bff-v1") == {}
    assert steps("demo")["pretrain_steps"] < steps("quick")["pretrain_steps"]
    assert steps("demo", pretrain_steps=7)["pretrain_steps"] == 7
    assert PPT.settings["pretrain_steps"] == 0 and (
        PPT.settings["pretrain_lr"],
        PPT.settings["tokens"],
    ) == (0.1, 100)
    assert PPT.module().UPDATES == {"pair": 8000, "choice": 8000, "single": 22000, "unified": 16000}


@pytest.mark.parametrize("settings", [{}, {"hybrid": True}, {"unified": True}])
def test_tuning_starts_at_the_prompt_in_its_form(folder, tmp_path, settings):
    artifacts = Artifacts(tmp_path)
    job = job_of(folder, "single", **settings)
    assert prepare(job.preparation, Models(torch.device("cpu")), artifacts) is None
    prompt = load(artifacts.read(job.preparation.key)[1])["prompt"]
    model = fit(
        PPT, job.task, job.split, kit_of(job, artifacts), {**job.run.settings, "prompt_lr": 0.0}
    )
    torch.testing.assert_close(model.soft.data, prompt)
    template = {(): "{0}. {mask}.", ("hybrid",): "{0}. It was {mask}."}
    unified = "{0}? A. bad B. fair C. good. Answer is {mask}."
    assert model.describe()["template"] == template.get(tuple(settings), unified)


def test_pretraining_moves_the_prompt_and_no_weight(folder, monkeypatch):
    module, job = PPT.module(), job_of(folder)
    models, seen = Models(torch.device("cpu")), []
    monkeypatch.setattr(
        module, "pretrain", lambda model, *a, **k: seen.append(model) or pretrain(model, *a, **k)
    )
    world = PrepareContext(models, job.protocol, 0, job.run.student, None, job.run.corpus)
    start = module.initial_prompt(models.pretrained(job.run.student), job.task, (), 5, "normal", 0)
    prompt = module.prepare("pair", world, tokens=5, pretrain_steps=3, pretrain_batch=4)["prompt"]
    assert (prompt - start).abs().max() > 0.01
    original = dict(models.pretrained(job.run.student).model.named_parameters())
    after = {
        name.replace(".words.", "."): p for name, p in seen[0].backbone.model.named_parameters()
    }
    assert all(torch.equal(after[name], p) for name, p in original.items())
    assert world.notes["pretraining"]["updates"] == 3


@pytest.mark.parametrize("kind", ["pair", "choice", "single"])
def test_the_same_corpus_and_settings_make_the_same_prompt(tiny_model, tmp_path, kind):
    job, made = job_of(tiny_model, kind), []
    for name in ("a", "b"):
        artifacts = Artifacts(tmp_path / name)
        assert prepare(job.preparation, Models(torch.device("cpu")), artifacts) is None
        made.append(load(artifacts.read(job.preparation.key)[1])["prompt"])
    assert torch.equal(*made)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"tokens": 0}, "a soft prompt of 0 tokens"),
        ({"tokens": 200}, "200 soft tokens before up to 48"),
        ({"unified": True, "hybrid": True}, "unified and hybrid at once"),
        ({"chinese": True}, "the label word '矛盾'"),
    ],
)
def test_refused_before_anything_runs(tiny_model, settings, problem):
    with pytest.raises(BenchError, match=problem):
        ask_method(job_of(tiny_model, **settings), Models(torch.device("cpu")))


@pytest.mark.parametrize("setting", ["pretrain_steps=-1", "pretrain_batch=0", "pretrain_lr=0"])
def test_numbers_of_nothing_are_refused_as_they_are_typed(setting):
    with pytest.raises(BenchError, match="does not fit ppt"):
        bind(PPT, [setting])


@pytest.mark.parametrize("name", ["prompt-tuning", "ppt"])
def test_an_empty_soft_prompt_stops_the_plan(name, tiny_model, tmp_path):
    job = toy_job(methods()[name], tiny_model, settings={"tokens": 0})
    check_stops([job], tmp_path, "a soft prompt of 0 tokens")


def check_stops(jobs: list[Job], folder, problem):
    """Check that a plan stops with a BenchError before any run and leaves nothing behind."""
    store = Store(folder / "results")
    stages = Plan(tuple(jobs), {}, store.artifacts).stages(jobs)
    with pytest.raises(BenchError, match=problem) as caught:
        execute(
            stages,
            store,
            workers=1,
            device="cpu",
            threads=1,
            on_done=lambda *_: pytest.fail("something ran"),
        )
    assert not list(store.root.rglob("*.json")) and not store.artifacts.root.exists()
    return caught.value


@pytest.mark.parametrize(
    ("kind", "documents", "problem"),
    [
        ("pair", 1, "1 documents of this corpus"),
        ("choice", 4, "4 documents of this corpus"),
        ("single", 0, "0 docu"),
    ],
)
def test_a_corpus_too_small_stops_the_plan(tiny_model, tmp_path, kind, documents, problem):
    corpus = tmp_path / "corpus.jsonl"
    rows = []
    for d in range(documents):
        rows.append([f"This is sentence {s} of {d}." for s in range(6)])
    rows.append(["Short."])
    corpus.write_text("".join(json.dumps({"sentences": row}) + "\n" for row in rows), "utf-8")
    job = job_of(tiny_model, kind)
    assert isinstance(job.preparation, Preparation)
    job = replace(job, preparation=replace(job.preparation, corpus=corpus_ref(str(corpus))))
    error = check_stops([job], tmp_path, problem)
    assert (
        "prepare ppt" in (error.where or "")
        and "on corpus" in (error.where or "")
        and "--corpus" in error.fix
    )


def test_by_command_line(bench, tmp_path):
    given = ["--tasks", "demo", "--protocol", "quick", "--results", tmp_path / "results"]
    arguments = ["run", "--methods", "ppt,ppt:unified", *given]
    shown = json.loads(bench(*arguments, "--dry-run", "--json").stdout)
    assert {title.split(" on ")[0]: runs for title, runs in shown["first"].items()} == {
        f"prepare ppt {kind} pretrain_batch=16 pretrain_steps=100": runs
        for kind, runs in {"single": 3, "pair": 6, "choice": 3, "unified": 12}.items()
    }
    refused = bench(*arguments, "--corpus", tmp_path / "nowhere")
    assert (
        refused.returncode == 2
        and "no corpus" in refused.stderr
        and not (tmp_path / "results").exists()
    )
