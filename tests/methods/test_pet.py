"""PET: each loss by hand, the ensemble's weights, what iPET's models are given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lessons import CatchingKit

from fewbench.methods.pet.ensemble import (
    Opinion,
    combined,
    masked_loss,
    next_train,
    patterns,
    train_one,
)
from fewbench.nn.batch import collate
from fewbench.nn.distil import BatchStream, logits
from fewbench.nn.fit_context import Models
from fewbench.nn.kinds import prompt_model
from fewbench.nn.masking import mask_words
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_job, toy_rows, toy_task
from fewbench.types import Prompt

CPU = torch.device("cpu")
PET = methods()["pet"]


@pytest.fixture
def catch(tiny_model):
    """Return a job of two patterns and a kit that trains nothing."""
    task = toy_task("single")
    prompts = (
        Prompt("same", task.template, (("bad",), ("okay",), ("good",))),
        Prompt("just", "Just {mask}! {0}", (("bad",), ("okay",), ("good",))),
    )
    job = toy_job(PET, tiny_model, replace(task, prompts=(*prompts, *task.prompts)))
    kit = CatchingKit(job.task, job.split, job.protocol, 13, Models(CPU), job.run.student)
    kit.lessons = []
    return job, kit


def test_patterns_are_the_prompts_of_different_templates(catch):
    job, _ = catch
    assert [(each.prompt, each.words[0]) for each in patterns(job.task)] == [
        ("", ("terrible",)),
        ("just", ("bad",)),
    ]


def test_the_loss_of_a_pattern_and_its_weight(catch):
    """(1 - alpha) CE over label words + alpha CE over the vocabulary at masked words."""
    job, kit = catch
    pool = job.split.unlabeled
    opinion = train_one(job.task, job.split, pool, kit, alpha=0.3, lr=1e-3, batch_size=4)
    (lesson,) = kit.lessons
    model = lesson.model
    torch.manual_seed(5)
    found = lesson.loss().item()
    stream = BatchStream(model, pool, 4, kit.seed)
    torch.manual_seed(5)
    masked, places, answers = mask_words(next(stream), model.backbone.tokenizer)
    special = torch.tensor(model.backbone.tokenizer.all_special_ids)
    assert not torch.isin(answers, special).any()  # the prompt's own mask is not asked
    by_hand, start, at = [], 0, 0
    for length in masked.real.sum(1).tolist():
        ids = masked.ids[start : start + length]
        out = model.backbone.model(input_ids=ids[None]).logits[0].log_softmax(-1)
        for place in places[(places >= start) & (places < start + length)].tolist():
            by_hand.append(-out[place - start, answers[at]])
            at += 1
        start += length
    assert at == len(answers) and len(masked.read) == 4
    labelled = F.cross_entropy(model(lesson.batch()), lesson.batch().labels)
    wanted = 0.7 * labelled + 0.3 * torch.stack(by_hand).mean()
    assert found == pytest.approx(wanted.item(), rel=1e-4)
    right = model.predict(job.split.train).answers == [e.label for e in job.split.train]
    assert opinion.weight == pytest.approx(right.mean())
    torch.testing.assert_close(opinion.scores, logits(model, pool))


def test_the_classifier_learns_the_weighted_logits_softened(catch):
    job, kit = catch
    PET.module().fit(job.task, job.split, kit, repetitions=2, temperature=2.0, pool=5)
    *_, last = kit.lessons
    assert len(kit.lessons) == 2 * 2 + 1 and len(last.given["examples"]) == 5
    weights = kit.notes["weights"]
    scores = []
    for lesson in kit.lessons[:-1]:
        own = prompt_model(kit.backbone("student"), lesson.model.task).eval()
        scores.append(logits(own, last.given["examples"]))
    total = sum(weights) or 1
    mean = sum(w * s / total for w, s in zip(weights, scores, strict=True))
    if not sum(weights):
        mean = sum(scores) / len(scores)
    with torch.no_grad():  # as untrained as its teachers it would agree with them but for rounding
        for parameter in last.model.parameters():
            parameter.add_(torch.randn_like(parameter))
    given, wanted = (last.model(last.batch()) / 2).log_softmax(-1), (mean / 2).softmax(-1)
    by_hand = 4 * (wanted * (wanted.log() - given)).sum(-1).mean()
    assert by_hand > 0.01
    assert last.loss().item() == pytest.approx(by_hand.item(), rel=1e-4)


def test_weights_of_nothing_count_alike():
    scores = [torch.tensor([[1.0, 3.0]]), torch.tensor([[5.0, 1.0]])]
    pairs = [Opinion(s, w) for s, w in zip(scores, (0.25, 0.75), strict=True)]
    torch.testing.assert_close(combined(pairs), torch.tensor([[4.0, 1.5]]))
    pairs = [Opinion(s, 0.0) for s in scores]
    torch.testing.assert_close(combined(pairs), torch.tensor([[3.0, 2.0]]))


def test_the_next_train_set_is_balanced_and_labelled_by_the_others():
    rows = toy_rows(toy_task("single"), train=60).train
    train, pool = rows[:6], [row.without_label() for row in rows[6:]]
    guess = np.arange(54) % 3
    sure = Opinion(torch.eye(3)[guess] * 4, 0.5)
    new = next_train(train, pool, [sure] * 4, 30, 0.25, np.random.default_rng(1))
    assert new[:6] == list(train)
    labels = [example.label for example in new[6:]]
    assert len(labels) == 24 and [labels.count(label) for label in range(3)] == [8, 8, 8]
    by_id = {example.id: int(label) for example, label in zip(pool, guess, strict=True)}
    assert all(by_id[example.id] == example.label for example in new[6:])
    assert len({example.id for example in new}) == 30
    few = next_train(train, pool, [sure], 600, 0.25, np.random.default_rng(1))
    assert len(few) == 60  # all that there are
    one = Opinion(torch.tensor([[9.0, 0.0, 0.0]]).expand(54, -1), 1.0)
    assert {
        e.label for e in next_train(train, pool, [one], 30, 1.0, np.random.default_rng(1))[6:]
    } == {0}


def test_generations_train_anew_on_larger_sets(catch):
    job, kit = catch
    PET.module().fit(job.task, job.split, kit, repetitions=1, generations=2, growth=2, pool=12)
    sizes = [len(lesson.given["examples"]) for lesson in kit.lessons]
    assert sizes[:2] == [6, 6] and all(6 <= size <= 12 for size in sizes[2:4]) and sizes[4] == 12
    assert max(sizes[2:4]) > 6


def test_masked_words_of_a_batch(tiny_model):
    backbone = Models(CPU).fresh(find_model(str(tiny_model)))
    model = prompt_model(backbone, toy_task("single")).eval()
    batch = collate(model.encode(toy_rows(model.task).train[:3]), CPU)
    assert masked_loss(model, batch).item() > 0
