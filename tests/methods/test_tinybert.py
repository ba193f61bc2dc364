"""TinyBERT: both stages by hand from the models' own outputs, and the augmentation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from lessons import lessons_of, two_sized_job, wider

from fewbench.errors import BenchError
from fewbench.methods.tinybert import augment
from fewbench.nn.fit_context import Models
from fewbench.nn.kinds import open_backbone
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.runner.preflight import ask_method
from fewbench.store.artifacts import Artifacts
from fewbench.testing import run_job, toy_job

METHOD = methods()["tinybert"]
QUICK = {"layers_lr": 1e-3, "lr": 1e-3, "batch_size": 2}


@pytest.fixture
def pair(tiny_model, tmp_path):
    """The lessons for a student of two layers, width 16, by a teacher of four, width 24."""
    folder = wider(tiny_model, tmp_path / "wide", num_hidden_layers=4)
    job = two_sized_job(METHOD, tiny_model, folder, temperature=2.0, **QUICK)
    return lessons_of(job, Artifacts(tmp_path / "artifacts"))


def inside(model, ids):
    """Return a sequence's embeddings and states, and its attention scores, from plain formulas."""
    bert = model.backbone.model.bert
    states = bert(input_ids=ids[None], output_hidden_states=True).hidden_states
    scores = []
    for layer, below in zip(bert.encoder.layer, states, strict=False):
        attention = layer.attention.self
        heads, size = attention.num_attention_heads, attention.attention_head_size
        query, key = (
            linear(below[0]).view(len(ids), heads, size).transpose(0, 1)
            for linear in (attention.query, attention.key)
        )
        scores.append(query @ key.transpose(1, 2) / size**0.5)
    return [state[0] for state in states], scores


@torch.no_grad()
def test_the_first_stage_is_the_sum_over_layers(pair):
    """Eq. 7-9 and 11: layers 0, 1, 2 of the student learn from 0, 2, 4 of the teacher."""
    lessons, kit = pair
    first = lessons[0]
    maps = first.given["beside"]
    assert first.given["keep_last"]
    batch = first.batch()
    assert not batch.real.all()
    hidden, attention = [0.0] * 3, [0.0] * 3
    tokens = pairs = 0
    for ids in batch.ids.split(batch.real.sum(1).tolist()):
        (own, own_scores), (theirs, their_scores) = (
            inside(model, ids) for model in (first.model, kit.teacher())
        )
        for m, g in enumerate((0, 2, 4)):
            weight = maps["hidden" if m else "embeddings"].weight
            hidden[m] += (own[m] @ weight.T - theirs[g]).square().sum()
            if m:
                gap = own_scores[m - 1] - their_scores[g - 1]
                attention[m] += gap.square().mean(0).sum()  # 1/h of the sum over heads
        tokens, pairs = tokens + len(ids) * 24, pairs + len(ids) ** 2
    expected = sum(hidden) / tokens + sum(attention) / pairs
    torch.testing.assert_close(first.loss(), expected, atol=1e-5, rtol=1e-5)


def test_the_second_stage_is_predictions_alone(pair):
    """Eq. 10 at t = 2, whatever the labels."""
    lessons, kit = pair
    second = lessons[1]
    batch = second.batch()
    p = (kit.teacher()(batch) / 2).softmax(1)
    q = (second.model(batch) / 2).log_softmax(1)
    torch.testing.assert_close(second.loss(), -(p * q).sum(1).mean())
    blind = replace(batch, labels=batch.labels[:0])
    torch.testing.assert_close(second.given["loss"](blind), second.loss())
    assert [lesson.given["lr"] for lesson in lessons] == [1e-3, 1e-3]


def test_both_stages_train_and_maps_do_not_stay(tiny_model, tmp_path):
    job = toy_job(METHOD, tiny_model, settings=QUICK, keep=True)
    record, first = run_job(job, Artifacts(tmp_path))
    assert record.error is None
    assert record.details["layers"]["losses"] and record.details["losses"]
    other = toy_job(METHOD, tiny_model, settings=QUICK | {"layers_lr": 1e-5}, keep=True)
    assert not np.array_equal(first.array, run_job(other, Artifacts(tmp_path))[1].array)


def test_words_of_one_piece_get_the_masked_models_likeliest_words(tiny_model, monkeypatch):
    """Algorithm 1, with a masked model that is asked word by word."""
    backbone = open_backbone(find_model(str(tiny_model), offline=True)).eval()
    tokenizer, text = backbone.tokenizer, "the film was good , a zzqx film ."
    words = augment.words_of(backbone, text, 5)
    assert [text[w.start : w.end] for w in words] == ["the", "film", "was", "good", "a", "film"]
    ids = tokenizer(text)["input_ids"]
    for word in words:
        hidden = torch.tensor(
            [[*ids[: word.place], tokenizer.mask_token_id, *ids[word.place + 1 :]]]
        )
        with torch.no_grad():
            logits = backbone.model(input_ids=hidden).logits[0, word.place, : len(tokenizer)]
        likeliest = tokenizer.convert_ids_to_tokens(logits.topk(5).indices.tolist())
        special = set(tokenizer.all_special_tokens)
        kept = [piece for piece in likeliest if piece not in special and piece[:2] != "##"]
        assert list(word.candidates) == kept


def test_each_word_is_replaced_with_its_chance():
    text = "a b c d"
    words = [augment.MaskableWord(n, n + 1, n // 2 + 1, ("x", "y")) for n in range(0, 7, 2)]
    rng = np.random.default_rng(0)
    assert augment.reworded(text, words, 0.0, rng) == text
    drawn = [augment.reworded(text, words, 0.4, rng) for _ in range(2000)]
    changed = np.mean([[w in "xy" for w in new.split()] for new in drawn])
    assert changed == pytest.approx(0.4, abs=0.03)
    assert {augment.reworded("a b", words[:1], 1.0, rng) for _ in range(20)} == {"x b", "y b"}


def test_augmented_examples_are_learned_from(tiny_model, tmp_path):
    artifacts = Artifacts(tmp_path)
    job = two_sized_job(METHOD, tiny_model, tiny_model, "pair", augment=2, **QUICK)
    lessons, _ = lessons_of(job, artifacts)
    for lesson in lessons:
        examples = lesson.given["examples"]
        assert len(examples) == 3 * len(job.split.train)
        assert examples[: len(job.split.train)] == job.split.train
        assert len({example.id for example in examples}) == len(examples)
        assert all(len(example.texts) == 2 for example in examples)
    again, _ = lessons_of(job, artifacts)
    assert again[0].given["examples"] == lessons[0].given["examples"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"num_attention_heads": 4}, "2 heads a layer, the teacher .* 4"),
        ({"num_hidden_layers": 1}, "has 1 layers, the student"),
    ],
)
def test_models_that_cannot_be_compared(tiny_model, tmp_path, changes, problem):
    job = two_sized_job(METHOD, tiny_model, wider(tiny_model, tmp_path / "other", **changes))
    with pytest.raises(BenchError, match=problem):
        ask_method(job, Models(torch.device("cpu")))
