"""AMuLaP: equations 6.2 and 6.3 against the model's logits, what each setting reads, one pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.fit_context import FitContext, Models
from fewbench.nn.many_words import SHOWN, ManyWordsModel
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.registry.settings import bind
from fewbench.runner.run import carry_out
from fewbench.testing import toy_job, toy_task


@pytest.fixture
def model(tiny_model):
    return ManyWordsModel(
        Models(torch.device("cpu")).fresh(find_model(str(tiny_model))), toy_task("single")
    ).eval()


@pytest.fixture
def fit(tiny_model):
    """Fit on a toy job, and return the predictor, the job and the notes."""

    def run(change=lambda split: split, **settings):
        job = toy_job(methods()["amulap"], tiny_model, k=3)
        split = change(job.split)
        kit = FitContext(
            job.task, split, job.protocol, 13, Models(torch.device("cpu")), job.run.student, None
        )
        torch.manual_seed(13)
        return job.method.module().fit(job.task, split, kit, **settings), job, kit.notes

    return run


def test_probabilities_and_loss_are_equations_2_and_3(model):
    words = ((5, 6, 9), (7,), (8, 9))  # token 9 serves two classes, as without dedup
    model.use(words)
    job_examples = [replace(e, label=n % 3) for n, e in enumerate(toy_examples(model.task))]
    logits = [own_logits(model, example) for example in model.encode(job_examples)]
    p = torch.stack([row.softmax(-1) for row in logits])
    sums = torch.stack([p[:, list(ids)].sum(-1) for ids in words], -1)
    predicted = model.predict(job_examples).probabilities
    np.testing.assert_allclose(predicted, sums / sums.sum(-1, keepdim=True), atol=1e-5)
    loss = model.loss(model.collate(model.encode(job_examples)))
    gold = torch.tensor([e.label for e in job_examples])
    torch.testing.assert_close(
        loss.detach(), -sums[range(len(gold)), gold].log().mean(), atol=1e-5, rtol=1e-4
    )
    np.testing.assert_allclose(
        model.distributions(job_examples), p[:, : len(model.backbone.tokenizer)], atol=1e-6
    )


def toy_examples(task):
    from fewbench.testing import toy_rows

    return toy_rows(task).train[:6]


@torch.no_grad()
def own_logits(model, encoded):
    (tokens,) = encoded.sequences
    return model.backbone.model(input_ids=torch.tensor([tokens.ids])).logits[0, tokens.read]


def test_setting_1_never_reads_dev(fit):
    _, _, notes = fit(setting=1)
    _, _, without = fit(lambda split: replace(split, dev=()), setting=1)
    assert notes == without and notes["k"] in [2**power for power in range(11)]


def test_setting_2_tunes_k_on_dev_and_ranks_by_train(fit):
    def turned(split):
        return replace(split, dev=tuple(replace(e, label=(e.label + 1) % 3) for e in split.dev))

    (first, _, notes), (second, _, other) = fit(), fit(turned)
    assert notes["k_scores"] != other["k_scores"]
    k = min(notes["k"], other["k"])
    assert [ids[:k] for ids in first.words] == [ids[:k] for ids in second.words]
    best = max(score for _, score in notes["k_scores"])
    assert notes["k"] == max(k for k, score in notes["k_scores"] if score == best)


@pytest.mark.parametrize(("setting", "passes"), [(1, 1), (2, 2)])
def test_each_example_goes_through_the_model_once_for_all_k(fit, monkeypatch, setting, passes):
    seen = []
    own = Backbone.vocabulary_scores
    monkeypatch.setattr(
        Backbone, "vocabulary_scores", lambda self, b: seen.append(len(b.read)) or own(self, b)
    )
    _, job, _ = fit(setting=setting)
    assert sum(seen) == passes * len(job.split.train)


def test_dev_scores_by_k_are_those_of_the_predictor(fit):
    _, job, notes = fit()
    for k, found in notes["k_scores"]:
        answers = fit(k=k)[0].predict(job.split.dev).answers
        assert found == pytest.approx(
            (answers == [e.label for e in job.split.dev]).mean(), abs=1e-6
        )


def test_words_of_no_two_classes_but_without_dedup(fit):
    words = fit(k=8)[0].words
    assert len({token for ids in words for token in ids}) == sum(map(len, words))
    words = fit(k=64, dedup=False)[0].words
    assert set(words[0]) & set(words[1])


def test_random_words_follow_the_seed_and_no_example(fit):
    first, _, _ = fit(random=True, k=4)
    second, _, _ = fit(lambda split: replace(split, train=split.train[::-1]), random=True, k=4)
    assert first.words == second.words != fit(k=4)[0].words


def test_setting_3_trains_and_searches_k_of_equal_ones_the_largest(tiny_model):
    method = methods()["amulap"]
    job = toy_job(method, tiny_model, settings=bind(method, ["setting-3"]))
    assert [trial["k"] for trial in job.trials] == [16, 8]
    assert (
        toy_job(method, tiny_model).trials
        == toy_job(method, tiny_model, settings={"setting": 1}).trials
        == ({},)
    )
    record, _ = carry_out(job, Models(torch.device("cpu")), 1)
    tried = [(trial.dev["accuracy"], trial.settings["k"]) for trial in record.selection.trials]
    assert record.selection.settings["k"] == max(tried)[1] == record.details["k"]
    assert record.details["best_step"] > 0


def test_the_record_holds_the_words_of_each_class(fit):
    predictor, job, _ = fit(k=2)
    told = predictor.describe()
    names = predictor.backbone.tokenizer.convert_ids_to_tokens
    assert told["label_words"] == {
        label: names(list(ids)) for label, ids in zip(job.task.labels, predictor.words, strict=True)
    }
    assert told["words_a_class"] == [2, 2, 2]
    assert max(map(len, fit(k=1024)[0].describe()["label_words"].values())) <= SHOWN


def test_the_tasks_own_label_words_are_not_asked_for(tiny_model):
    task = toy_task("single", words=(("unpronounceable",), ("okay",), ("great",)))
    record, _ = carry_out(
        toy_job(methods()["amulap"], tiny_model, task), Models(torch.device("cpu")), 1
    )
    assert record.status == "ok", record.error


def test_a_setting_that_there_is_not():
    with pytest.raises(BenchError, match="'4' does not fit amulap:setting") as caught:
        bind(methods()["amulap"], ["setting=4"])
    assert caught.value.allowed == "1, 2, 3"
    assert bind(methods()["amulap"], ["setting=3"]) == {"setting": 3}
