"""Distillation on text: equations by hand, the models' own forward passes, and what is refused."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from fewbench.errors import BenchError
from fewbench.methods.smash.distill import (
    check_models,
    distilbert_loss,
    imitation,
    learn,
    lesson,
    load_weights,
    weights,
)
from fewbench.nn.batch import Encoded, Tokens, collate
from fewbench.nn.fit_context import Models, PrepareContext
from fewbench.nn.kinds import open_backbone
from fewbench.nn.losses import attention_mse, hidden_mse, masked_distillation
from fewbench.nn.masking import mask_words
from fewbench.nn.prompt import PromptModel
from fewbench.nn.prune import truncate
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_protocol, toy_rows, toy_task
from fewbench.types import Example

CPU = torch.device("cpu")
FINE = dict(objective="ce", hidden=0.0, attention=0.0, keep=0.5, pretrain_steps=1, pretrain_batch=1)


@pytest.fixture
def opened(tiny):
    return lambda family="bert": open_backbone(find_model(str(tiny(family)), offline=True)).eval()


def batch_of(backbone, n=4):
    return (model := PromptModel(backbone, toy_task("single"))).collate(
        model.encode(toy_rows(model.task).train[:n])
    )


def own(backbone, batch):
    """Return the model's own outputs on the padded batch."""
    model = backbone.model
    model.set_attn_implementation("eager")
    given = dict(input_ids=batch.ids[batch.grid], attention_mask=batch.real.long())
    with torch.no_grad():
        return model(**given, output_hidden_states=True, output_attentions=True)


def test_hidden_mse():
    """Eq. 3 with one layer of the student and two of the teacher: g(0) = 0, g(1) = 2."""
    states = [torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])]
    wanted = [torch.tensor([[1.0, 0.0]]), torch.tensor([[9.0, 9.0]]), torch.tensor([[1.0, 1.0]])]
    assert float(hidden_mse(states, wanted)) == pytest.approx((0 + 4) / 2 + (1 + 9) / 2)


def test_attention_mse():
    """Eq. 4 with g(1) = 2, two heads, a sequence of two tokens and one of one: five real pairs."""
    real = torch.tensor([[True, True], [True, False]])
    mine = torch.zeros(2, 2, 2, 2)
    wanted = torch.zeros(2, 2, 2, 2)
    wanted[0, 0] = torch.tensor([[0.5, 0.5], [1.0, 0.0]])  # head 0: 0.25 + 0.25 + 1
    wanted[1, 0, 0, 0] = 1.0  # and 1
    wanted[0, 1, 1, 1] = 2.0  # head 1: 4
    wanted[1, :, 1] = wanted[1, :, :, 1] = 7.0  # padding
    found = attention_mse([mine], [torch.full_like(mine, 3.0), wanted], real)
    assert float(found) == pytest.approx(2.5 / 5 + 4 / 5)


def test_distilbert():
    """5 T^2 KL at T = 2, 2 cross-entropy, 1 - cosine; 60 degrees and none."""
    scores, targets = torch.tensor([[0.0, 2 * math.log(3)], [0.0, 0.0]]), torch.zeros(2, 2)
    states, wanted = (
        torch.tensor([[1.0, 0.0], [0.0, 2.0]]),
        torch.tensor([[0.5, math.sqrt(0.75)], [0.0, 1.0]]),
    )
    kl = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(
        0.5 / 0.75
    )  # at T = 2 the first row is (1/4, 3/4)
    hard = -math.log(9 / 10) - math.log(1 / 2)
    expected = 5 * 4 * kl / 2 + 2 * hard / 2 + (0.5 + 0) / 2
    assert float(
        masked_distillation(scores, targets, torch.tensor([1, 0]), states, wanted)
    ) == pytest.approx(expected)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert", "electra"])
def test_a_trace_is_what_the_model_itself_computes(opened, family):
    backbone = opened(family)
    batch = batch_of(backbone)
    with torch.no_grad():
        trace = backbone.trace(batch)
        scores = backbone.vocabulary_scores_of(trace.states[-1][batch.read])
    said = own(backbone, batch)
    pairs = (batch.real[:, :, None] & batch.real[:, None, :])[:, None]
    assert len(trace.maps) == len(said.attentions) == 2 and len(trace.states) == 3
    for mine, theirs in zip(trace.maps, said.attentions, strict=True):
        torch.testing.assert_close(mine * pairs, theirs * pairs, atol=1e-6, rtol=1e-5)
    for mine, theirs in zip(trace.states[-2:], said.hidden_states[-2:], strict=True):
        torch.testing.assert_close(mine, theirs.flatten(0, 1)[batch.place], atol=1e-5, rtol=1e-5)
    logits = said.logits.flatten(0, 1)[batch.place][batch.read]
    torch.testing.assert_close(scores, logits, atol=1e-5, rtol=1e-5)


def test_a_trace_learns_through_the_same_dropout(opened):
    """In training, with attention weights alone dropped, the forward pass that keeps maps is as
    random as the other.
    """
    backbone = opened()
    backbone.model.config.attention_probs_dropout_prob = 0.5
    batch = batch_of(backbone)
    plain = backbone.trace(batch).states[-1]
    torch.manual_seed(0)
    dropped = [backbone.train().trace(batch).states[-1] for _ in range(2)]
    assert not torch.allclose(*dropped) and not torch.allclose(dropped[0], plain)


@pytest.mark.parametrize(
    ("hidden", "attention"), [(0.0, 0.0), (0.01, 0.0), (0.0, 0.01), (0.5, 2.0)]
)
def test_imitation_is_eq_2_with_3_and_4(opened, hidden, attention):
    """Term by term from the models' own outputs; student and teacher are two families with one
    vocabulary.
    """
    student, teacher = opened("bert"), opened("distilbert")
    batch = batch_of(student)
    found = imitation(student, teacher, batch, hidden, attention)
    ours, theirs = own(student, batch), own(teacher, batch)
    words = len(student.tokenizer)
    read = [
        said.logits.flatten(0, 1)[batch.place][batch.read][:, :words] for said in (ours, theirs)
    ]
    expected = -(read[1].softmax(-1) * read[0].log_softmax(-1)).sum(-1).mean()
    flat = [
        [layer.flatten(0, 1)[batch.place] for layer in said.hidden_states]
        for said in (ours, theirs)
    ]
    pairs = (batch.real[:, :, None] & batch.real[:, None, :])[:, None].expand_as(ours.attentions[0])
    for mine, wanted in zip(*flat, strict=True):
        expected = expected + hidden * (mine - wanted).square().mean()
    for mine, wanted in zip(ours.attentions, theirs.attentions, strict=True):
        for head in range(2):
            real = pairs[:, head]
            expected = (
                expected + attention * (mine[:, head] - wanted[:, head])[real].square().mean()
            )
    assert float(found.detach()) == pytest.approx(float(expected), rel=1e-4)
    found.backward()
    assert all(p.grad is None for p in teacher.parameters()) and any(
        p.grad is not None for p in student.parameters()
    )


def test_masks_are_bert_s(opened):
    """Of 2,000 words 300 are hidden: some 240 masks, 30 other tokens, 30 as they were; special
    tokens never.
    """
    tokenizer = opened().tokenizer
    cat = tokenizer.convert_tokens_to_ids("cat")
    ids = (tokenizer.cls_token_id, *[cat] * 100, tokenizer.sep_token_id)
    batch = collate([Encoded((Tokens(ids, (0,) * len(ids)),), None)] * 20, CPU)
    torch.manual_seed(0)
    masked, places, answers = mask_words(batch, tokenizer)
    assert len(places) == 300 and places.tolist() == sorted(set(places.tolist()))
    assert answers.tolist() == [cat] * 300
    untouched = torch.ones(len(batch.ids), dtype=torch.bool).index_fill(0, places, False)
    assert torch.equal(masked.ids[untouched], batch.ids[untouched])
    shown = masked.ids[places]
    masks, same = int((shown == tokenizer.mask_token_id).sum()), int((shown == cat).sum())
    assert 215 <= masks <= 265 and 15 <= same <= 50 and 15 <= 300 - masks - same <= 50
    assert (
        len(mask_words(collate([Encoded((Tokens(ids[:2], (0, 0)),), None)], CPU), tokenizer).places)
        == 1
    )


def test_distilbert_is_what_pretraining_has(opened):
    """The loss of `bench pretrain --objective distil`, which was written apart from this one."""
    from fewbench.pretrain.objective import Masked, distillation
    from fewbench.pretrain.recipe import Recipe

    student, teacher = opened("bert"), opened("distilbert")
    ids = tuple(
        student.tokenizer("the film was good, a cat sat on the mat. it was bad")["input_ids"]
    )
    batch = collate([Encoded((Tokens(ids, (0,) * len(ids)),), None)] * 3, CPU)
    torch.manual_seed(3)
    found = distilbert_loss(student, teacher, batch)
    torch.manual_seed(3)
    masked, places, answers = mask_words(batch, student.tokenizer)
    rows = Masked(masked.ids.view(3, -1), places, answers)
    expected, _ = distillation(teacher.model, Recipe())(student.model, rows)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_learning_goes_on_to_the_last_update_and_ends_near_the_teacher(opened):
    student, teacher = opened("bert"), opened("distilbert")
    world = PrepareContext(Models(CPU), replace(toy_protocol(), schedule="constant"), 0)
    model = PromptModel(student, toy_task("single"))
    read = model.encode(toy_rows(model.task).train)
    batch = model.collate(read)
    with torch.no_grad():
        wanted = teacher.vocabulary_scores(batch)[:, : len(student.tokenizer)].softmax(-1)
    entropy = float(-(wanted * wanted.log()).sum(-1).mean())
    before = float(imitation(student, teacher, batch, 0, 0).detach()) - entropy
    torch.manual_seed(0)
    learn(
        model, read, world, loss=lesson("ce", model, teacher, 0, 0), steps=25, lr=3e-3, batch_size=8
    )
    after = float(imitation(student, teacher, batch, 0, 0).detach()) - entropy
    assert 0 < after < 0.5 * before
    assert (
        world.notes["examples"] == 24
        and world.notes["steps"] == 25
        and len(world.notes["losses"]) == 9
    )
    assert not model.training


def test_a_lesson_of_labels_is_the_prompts_own_loss(opened):
    model = PromptModel(opened(), toy_task("single"))
    batch = model.collate(model.encode([Example("1", ("it was good.",), 2)]))
    with torch.no_grad():
        assert float(lesson("rule", model, opened(), 1, 1)(batch)) == float(
            F.cross_entropy(model(batch), batch.labels)
        )


def test_weights_come_back_tied_as_they_were(opened):
    donor, heir = opened(), opened()
    with torch.no_grad():
        for parameter in donor.parameters():
            parameter.add_(1.0)
    kept = weights(donor)
    assert load_weights(heir, kept) is heir
    assert (
        heir.model.cls.predictions.decoder.weight
        is heir.model.bert.embeddings.word_embeddings.weight
    )
    assert all(
        torch.equal(a, b) for a, b in zip(heir.parameters(), donor.parameters(), strict=True)
    )
    assert "cls.predictions.decoder.weight" not in kept


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"keep": 0.0}, "keep=0.0"),
        ({"keep": 1.5}, "keep=1.5"),
        ({"keep": float("nan")}, "keep=nan"),
        ({"hidden": -0.1}, "hidden=-0.1"),
        ({"attention": -1.0}, "attention=-1.0"),
        ({"pretrain_steps": 0}, "pretrain_steps=0"),
        ({"pretrain_batch": 0}, "pretrain_batch=0"),
    ],
)
def test_amounts_out_of_bounds(opened, settings, problem):
    with pytest.raises(BenchError, match=problem):
        check_models(opened(), opened(), **{**FINE, **settings})


def test_two_vocabularies_are_refused_but_for_the_rule(opened, tiny_t5):
    student, teacher, t5 = (
        opened(),
        opened("roberta"),
        open_backbone(find_model(str(tiny_t5), offline=True)),
    )
    check_models(student, teacher, **FINE)
    teacher.tokenizer.add_tokens(["newword"])
    total = len(student.tokenizer)
    for objective in ("ce", "distilbert"):
        with pytest.raises(
            BenchError,
            match=f"{total} tokens, the teacher .* {total + 1}, and {total} are the same",
        ):
            check_models(student, teacher, **FINE | {"objective": objective})
        with pytest.raises(BenchError, match=r"is masked, the teacher .* encoder-decoder"):
            check_models(student, t5, **FINE | {"objective": objective})
    check_models(student, teacher, **FINE | {"objective": "rule"})
    check_models(t5, t5, **FINE)
    for settings in ({"hidden": 0.01}, {"attention": 0.01}, {"objective": "distilbert"}):
        with pytest.raises(BenchError, match="inner states need masked models"):
            check_models(t5, t5, **FINE | settings)


def test_inner_states_that_cannot_be_compared(opened, tiny_model, tmp_path):
    from transformers import AutoConfig, AutoModelForMaskedLM

    def other(**changes):
        folder = shutil.copytree(tiny_model, tmp_path / "-".join(changes))
        config = AutoConfig.from_pretrained(folder, **changes)
        AutoModelForMaskedLM.from_config(config).save_pretrained(folder, safe_serialization=True)
        return open_backbone(find_model(str(folder), offline=True))

    student, wide, few = opened(), other(hidden_size=32), other(num_attention_heads=4)
    for settings in ({"hidden": 0.01}, {"objective": "distilbert"}):
        with pytest.raises(BenchError, match=r"the width of .* is 16, that of the teacher .* 32"):
            check_models(student, wide, **FINE | settings)
        check_models(student, few, **FINE | settings)
    with pytest.raises(
        BenchError, match=r"the number of heads of .* is 2, that of the teacher .* 4"
    ):
        check_models(student, few, **FINE | {"attention": 0.01})
    check_models(student, wide, **FINE | {"attention": 0.01})
    check_models(student, wide, **FINE)
    shallow = opened()
    truncate(shallow, [0])
    with pytest.raises(BenchError, match=r"has 1 layers, the student .* 2"):
        check_models(student, shallow, **FINE | {"hidden": 0.01})
    check_models(student, shallow, **FINE)
