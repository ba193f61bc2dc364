"""Distillation on paraphrases: the loss of smash's bt10, the user's file, and the run's identity."""

from __future__ import annotations

import json
import pickle

import pytest
import torch

from fewbench.errors import BenchError
from fewbench.methods.prompt_kd_bt.paraphrases import paraphrased, read_paraphrases
from fewbench.nn.distil import word_targets
from fewbench.nn.fit_context import FitContext, Models
from fewbench.registry.methods import methods
from fewbench.registry.named_inputs import NamedInput, named_file
from fewbench.registry.settings import bind
from fewbench.runner.preflight import ask_method
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job
from fewbench.types import Example

METHOD = methods()["prompt-kd-bt"]


@pytest.fixture
def file(tmp_path):
    def write(lines) -> NamedInput:
        path = tmp_path / "bt.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return named_file(str(path))

    return write


def lines_for(job, count):
    """Two paraphrases of each training text but the first."""
    return [
        {"text": e.texts[0], "paraphrases": [f"{n} {e.texts[0]}" for n in "abc"[:count]]}
        for e in job.split.train[1:]
    ]


def test_the_loss_is_that_of_labels_and_of_all_texts_soft(tiny_model, file, tmp_path, monkeypatch):
    """L_MLM(X) + L_ce(X and X_bt), by hand: a mean over 4 rows, and over 4 rows and 6 copies."""
    job = toy_job(METHOD, tiny_model, k=2)
    job = toy_job(METHOD, tiny_model, k=2, settings={"paraphrases": file(lines_for(job, 2))})
    artifacts = Artifacts(tmp_path / "artifacts")
    run_job(job, artifacts)  # trains the teacher
    refs = (job.run.student, job.run.teacher, job.run.corpus)
    models = Models(torch.device("cpu"))
    kit = FitContext(job.task, job.split, job.protocol, 1, models, *refs, job.supplies, artifacts)
    seen = {}
    monkeypatch.setattr(
        kit, "train", lambda model, *, loss, **_: seen.update(model=model, loss=loss)
    )
    METHOD.module().fit(job.task, job.split, kit, **job.run.settings)
    model = seen["model"].eval()
    rows = [0, 2, 3, 5]
    encoded = model.encode(job.split.train)
    batch = model.collate([encoded[row]._replace(row=row) for row in rows])
    train = [job.split.train[row] for row in rows]
    copies = [Example("", (f"{n} {example.texts[0]}",)) for example in train[1:] for n in "ab"]
    labels = torch.tensor([example.label for example in train])
    with torch.no_grad():
        own = model(model.collate(model.encode([e.without_label() for e in train])))
        hard = -own.log_softmax(-1)[torch.arange(4), labels].mean()
        everything = [e.without_label() for e in train] + copies
        said = model(model.collate(model.encode(everything))).log_softmax(-1)
        q = word_targets(kit.teacher(), everything).softmax(-1)
        soft = sum(-(q[n] * said[n]).sum() for n in range(10)) / 10
        assert seen["loss"](batch).item() == pytest.approx((hard + soft).item(), abs=1e-5)
    assert kit.notes["paraphrases"] == 10 and kit.notes["without_paraphrase"] == 1


def test_a_pair_takes_the_nth_paraphrase_of_each_text():
    texts = {"a": ("a1", "a2", "a"), "b": ("b1",)}
    pair = Example("train-0", ("a", "b"), 1)
    made = paraphrased(pair, texts, 10)
    assert [example.texts for example in made] == [("a1", "b1"), ("a2", "b")]
    assert {example.label for example in made} == {None}
    assert len(paraphrased(pair, texts, 1)) == 1
    assert paraphrased(Example("train-1", ("c",), 0), texts, 10) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"text": "a"}, "keys"),
        ({"text": "a", "paraphrases": []}, "'paraphrases' is"),
        ({"text": "a", "paraphrases": "b"}, "'paraphrases' is"),
        ({"text": "a", "paraphrases": [" "]}, "is none"),
        ({"text": "good", "paraphrases": ["b"]}, "same text"),
    ],
)
def test_a_bad_line_is_named(file, line, problem):
    with pytest.raises(BenchError, match=problem) as caught:
        read_paraphrases(file([{"text": "good", "paraphrases": ["fine"]}, line]))
    assert caught.value.where.endswith("bt.jsonl, line 2")


def test_an_empty_file_a_missing_one_and_none_are_refused_before_anything_runs(tiny_model, file):
    models = Models(torch.device("cpu"))
    with pytest.raises(BenchError, match="needs a file of paraphrases") as caught:
        ask_method(toy_job(METHOD, tiny_model), models)
    assert "paraphrases=FILE" in caught.value.fix
    with pytest.raises(BenchError, match="has no paraphrases"):
        ask_method(toy_job(METHOD, tiny_model, settings={"paraphrases": file([])}), models)
    with pytest.raises(BenchError, match="no such file"):
        bind(METHOD, ["paraphrases=/nowhere/bt.jsonl"])


def test_a_file_of_other_texts_makes_a_failed_run_that_says_so(tiny_model, file, tmp_path):
    other = file([{"text": "nothing of train", "paraphrases": ["none of it"]}])
    job = toy_job(METHOD, tiny_model, settings={"paraphrases": other})
    record, _ = run_job(job, Artifacts(tmp_path / "artifacts"))
    assert record.status == "failed" and "no training text" in record.error


def test_the_content_of_the_file_is_in_the_identity_and_its_place_is_not(
    tiny_model, file, tmp_path
):
    first = bind(METHOD, [f"paraphrases={file([{'text': 'a', 'paraphrases': ['b']}]).path}"])
    job = toy_job(METHOD, tiny_model, settings=first)
    (tmp_path / "else").mkdir()
    moved = tmp_path / "else" / "bt.jsonl"
    moved.write_bytes((tmp_path / "bt.jsonl").read_bytes())
    elsewhere = bind(METHOD, [f"paraphrases={moved}"])
    assert toy_job(METHOD, tiny_model, settings=elsewhere).key == job.key
    assert str(tmp_path) not in repr(job.run.settings)
    assert pickle.loads(pickle.dumps(elsewhere["paraphrases"])).path == str(moved)
    other = bind(METHOD, [f"paraphrases={file([{'text': 'a', 'paraphrases': ['c']}]).path}"])
    assert toy_job(METHOD, tiny_model, settings=other).key != job.key
