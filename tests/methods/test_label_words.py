"""PETAL and Auto-L: scores of words worked by hand, assignments searched, and what a run reads."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import log

import numpy as np
import pytest
import torch

from fewbench.errors import BenchError
from fewbench.methods.petal import best_words, word_scores
from fewbench.nn.assignments import SCORED, candidate_words
from fewbench.nn.fit_context import FitContext, Models
from fewbench.nn.label_search import best_assignments, likeliest, rank_assigned, whole_words
from fewbench.nn.many_words import MeanWordsModel
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.registry.settings import bind
from fewbench.runner.preflight import ask_method
from fewbench.runner.run import carry_out
from fewbench.testing import toy_job, toy_task

# One example of the class and two others; two words.
SEEN = np.array([[0.5, 0.25], [0.25, 0.2], [0.125, 0.5]], np.float32)
OF_CLASS = np.array([True, False, False])


@pytest.fixture
def fit(tiny_model):
    def run(name, change=lambda split: split, **settings):
        job = toy_job(methods()[name], tiny_model, k=3)
        models = Models(torch.device("cpu"))
        split = change(job.split)
        kit = FitContext(job.task, split, job.protocol, 13, models, job.run.student, None)
        torch.manual_seed(13)
        return job.method.module().fit(job.task, split, kit, **settings), job, kit

    return run


def test_cross_entropy_and_likelihood_ratio_by_hand():
    # The class's example weighs 2 / 1.
    expected = [
        2 * log(0.5) + log(0.75) + log(0.875),
        2 * log(0.25) + log(0.8) + log(0.5),
    ]
    np.testing.assert_allclose(word_scores(SEEN, OF_CLASS, "ce"), expected, rtol=1e-6)
    ratio = [
        2 * (log(0.5) - log(0.5)) + log(0.75 / 0.25) + log(0.875 / 0.125),
        2 * (log(0.25) - log(0.75)) + log(0.8 / 0.2) + log(0.5 / 0.5),
    ]
    np.testing.assert_allclose(word_scores(SEEN, OF_CLASS, "lr"), ratio, rtol=1e-6)


def test_a_certain_word_has_a_finite_score():
    certain = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    of_class = np.array([True, False])
    for score in ("ce", "lr"):
        first, second = word_scores(certain, of_class, score)
        assert np.isfinite([first, second]).all() and first > second


def test_words_are_sorted_within_each_class_and_ties_go_to_the_likelier():
    candidates = [np.array([1, 0]), np.array([0, 1])]
    ranking = best_words(SEEN, [0, 1, 1], candidates, "lr")
    assert [order.tolist() for order in ranking] == [[0, 1], [1, 0]]
    same = np.full((2, 2), 0.25, np.float32)
    assert best_words(same, [0, 1], candidates, "ce")[0].tolist() == [1, 0]


def test_the_likeliest_words_are_by_the_mean_of_logarithms():
    # Word 0: log(.9 * .01); word 2: log(.3 * .3), likelier though its mean is lower.
    seen = np.array([[0.9, 0.05, 0.3], [0.01, 0.05, 0.3], [0.2, 0.6, 0.2]], np.float32)
    words = np.array([0, 1, 2])
    found = likeliest(seen, [0, 0, 1], 2, words, 2)
    assert [order.tolist() for order in found] == [[2, 0], [1, 0]]
    assert likeliest(seen, [0, 0, 1], 2, words[1:], 2)[1].tolist() == [1, 2]


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_whole_words_are_those_that_a_text_gives_back(tiny, family):
    backbone = Models(torch.device("cpu")).fresh(find_model(str(tiny(family))))
    tokenizer = backbone.tokenizer
    words = [tokenizer.decode([token]).strip() for token in whole_words(tokenizer, letters=2)]
    assert {"great", "good"} <= set(words)
    assert all(sum(map(str.isalpha, word)) >= 2 for word in words)
    every = whole_words(tokenizer)
    assert not set(every.tolist()) & set(tokenizer.all_special_ids)
    assert len(every) > len(words)  # punctuation is a word where no letter is asked for


def test_assignments_are_those_that_answer_most_right():
    rng = np.random.default_rng(0)
    seen = rng.dirichlet(np.ones(12), 9).astype(np.float32)
    labels = [n % 3 for n in range(9)]
    candidates = [np.array([0, 1, 2, 3]), np.array([4, 5, 6]), np.array([7, 8, 9])]

    def rank(words):
        right = sum(seen[row, list(words)].argmax() == label for row, label in enumerate(labels))
        own = [np.log(seen[np.array(labels) == c, word]).mean() for c, word in enumerate(words)]
        return -right, -sum(own)

    expected = sorted(product(*[tokens.tolist() for tokens in candidates]), key=rank)
    assert best_assignments(seen, labels, candidates, 10) == expected[:10]
    assert len(best_assignments(seen, labels, candidates, 1000)) == 36


def test_assignments_in_pieces_are_the_same(monkeypatch):
    seen = np.random.default_rng(1).dirichlet(np.ones(8), 6).astype(np.float32)
    candidates = [np.arange(5), np.arange(3, 8)]
    whole = best_assignments(seen, [0, 1] * 3, candidates, 25)
    monkeypatch.setattr("fewbench.nn.label_search.AT_ONCE", 7)
    assert best_assignments(seen, [0, 1] * 3, candidates, 25) == whole


def test_no_more_than_a_million_assignments_are_scored():
    words = {classes: candidate_words(classes) for classes in (2, 3, 4, 5, 6, 77)}
    assert words == {2: 100, 3: 100, 4: 31, 5: 15, 6: 10, 77: 1}
    assert all(count**classes <= SCORED for classes, count in words.items())


def test_words_are_ranked_by_the_best_score_of_their_assignments():
    assignments, scores = [(1, 2), (1, 3), (4, 1), (5, 2)], [0.5, 0.9, 0.7, -0.1]
    # z of class 0: word 1 .9, 4 .7, 5 -.1; of class 1: 3 .9, 1 .7, 2 .5. Word 1 is class 0's.
    ranking = rank_assigned(assignments, scores, 8, dedup=True)
    assert [order.tolist() for order in ranking] == [[1, 4, 5], [3, 2]]
    ranking = rank_assigned(assignments, scores, 8, dedup=False)
    assert [order.tolist() for order in ranking] == [[1, 4, 5], [3, 1, 2]]


def test_class_scores_are_mean_logits_and_the_loss_their_cross_entropy(tiny_model):
    models = Models(torch.device("cpu"))
    model = MeanWordsModel(models.fresh(find_model(str(tiny_model))), toy_task("single")).eval()
    model.use(((5, 6, 9), (7,), (8, 9)))
    job = toy_job(methods()["petal"], tiny_model)
    batch = model.collate(model.encode(job.split.train))
    with torch.no_grad():
        logits = model.backbone.vocabulary_scores(batch)
        expected = torch.stack(
            [logits[:, [5, 6, 9]].mean(1), logits[:, 7], logits[:, [8, 9]].mean(1)], 1
        )
        torch.testing.assert_close(model(batch), expected, atol=1e-5, rtol=1e-4)
        loss = torch.nn.functional.cross_entropy(expected, batch.labels)
        torch.testing.assert_close(model.loss(batch), loss, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("settings", [{}, {"score": "ce"}])
def test_petal_reads_train_alone(fit, settings):
    found, job, _ = fit("petal", **settings)
    without, _, _ = fit("petal", lambda split: replace(split, dev=()), **settings)
    assert found.words == without.words
    assert all(len(set(words)) == 10 for words in found.words)
    turned = replace(job.split, train=tuple(replace(e, label=2 - e.label) for e in job.split.train))
    assert fit("petal", lambda split: turned, **settings)[0].words == found.words[::-1]


def test_auto_l_sorts_the_tuned_assignments_by_dev(fit):
    model, _, kit = fit("auto-l", tuned=3)
    scores = [row[-1] for row in kit.notes["assignments"]]
    assert scores == sorted(scores, reverse=True) and kit.notes["assignments_tuned"] == 3
    names = model.backbone.tokenizer.convert_ids_to_tokens
    assert kit.notes["assignments"][0][:-1] == [names(list(ids))[0] for ids in model.words]
    assert "best_step" not in kit.notes  # the model that is returned was not trained
    untrained = kit.backbone("student").state_dict()
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, untrained[name]), name


def test_trials_share_one_search_and_draw_as_if_they_searched_themselves(tiny_model, monkeypatch):
    method, calls = methods()["auto-l"], []
    original = best_assignments
    monkeypatch.setattr(
        "fewbench.nn.assignments.best_assignments", lambda *a: calls.append(1) or original(*a)
    )
    job = toy_job(method, tiny_model, settings=bind(method, ["ft"]))
    assert len(job.trials) == 2
    record, predictions = carry_out(job, Models(torch.device("cpu")), 1)
    assert record.status == "ok", record.error
    assert calls == [1] and record.details["best_step"] > 0
    chosen = record.selection.settings
    alone = toy_job(method, tiny_model, settings={**bind(method, ["ft"]), **chosen})
    again = carry_out(alone, Models(torch.device("cpu")), 1)[1]
    assert np.array_equal(predictions.array, again.array) and calls == [1, 1]


def test_a_search_is_of_its_own_run(fit):
    _, _, kit = fit("petal")
    assert kit.once("a", lambda: 1) == kit.once("a", lambda: 2) == 1
    assert kit.once("b", lambda: 3) == 3
    other = kit.with_split(replace(kit._split, fingerprint="another"))
    assert other.once("b", lambda: 4) == 4


@pytest.mark.parametrize(("updates", "assignments", "draws"), [(1000, 100, 16), (4000, 100, 16)])
def test_short_protocols_repeat_less(fit, updates, assignments, draws):
    _, _, kit = fit("petal")
    assert (kit.in_proportion(100, 8), kit.in_proportion(16, 8)) == (2, 2)  # three updates
    kit.protocol = replace(kit.protocol, max_steps=updates)
    assert (kit.in_proportion(100, 8), kit.in_proportion(16, 8)) == (assignments, draws)
    kit.protocol = replace(kit.protocol, max_steps=60)
    assert (kit.in_proportion(100, 8), kit.in_proportion(16, 8)) == (6, 2)


def test_amulap_by_auto_l_takes_words_of_tuned_assignments(fit):
    words, _, _ = fit("amulap", z="auto-l", k=8)
    _, _, kit = fit("auto-l")
    names = words.backbone.tokenizer.convert_ids_to_tokens
    for label, ids in enumerate(words.words):
        assert set(names(list(ids))) <= {row[label] for row in kit.notes["assignments"]}


@pytest.mark.parametrize("wrong", ["setting=1", "random=True"])
def test_auto_l_is_refused_where_dev_is_not_read(tiny_model, wrong):
    method = methods()["amulap"]
    settings = bind(method, ["z=auto-l", wrong])
    job = toy_job(method, tiny_model, settings=settings)
    with pytest.raises(BenchError, match="reads dev"):
        ask_method(job, Models(torch.device("cpu")))
