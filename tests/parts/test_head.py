"""Fine-tuning's head: segments, options as sequences of their own, truncation, losses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fewbench.nn.classifier import HeadModel
from fewbench.nn.fit_context import Models
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_rows, toy_task
from fewbench.types import Example


@pytest.fixture
def head(tiny_model):
    ref = find_model(str(tiny_model))

    def make(kind="single", **changes):
        torch.manual_seed(0)
        model = HeadModel(Models(torch.device("cpu")).fresh(ref), toy_task(kind, **changes)).eval()
        torch.nn.init.normal_(model.output.weight)  # large, so that differences show
        return model

    return make


def shown(model, tokens) -> str:
    return " ".join(model.backbone.tokenizer.convert_ids_to_tokens(tokens.ids))


def test_a_single_text(head):
    model = head()
    (tokens,) = model.encode([Example("x", ("The film.",))])[0].sequences
    assert shown(model, tokens) == "[CLS] the film . [SEP]"
    assert tokens.segments == (0,) * 5 and tokens.read == 0


def test_a_pair_is_two_segments(head):
    model = head("pair")
    (tokens,) = model.encode([Example("x", ("The film.", "a cat"))])[0].sequences
    assert shown(model, tokens) == "[CLS] the film . [SEP] a cat [SEP]"
    assert tokens.segments == (0, 0, 0, 0, 0, 1, 1, 1)


def test_a_choice_is_one_sequence_an_option(head):
    model = head("choice")
    example = Example("x", ("the film", "was it ?"), options=("good", "bad", "okay"))
    encoded = model.encode([example, Example("y", ("a", "b"), options=("c", "d", "a"))])
    assert [shown(model, tokens) for tokens in encoded[0].sequences] == [
        f"[CLS] the film [SEP] was it ? {option} [SEP]" for option in ("good", "bad", "okay")
    ]
    scores = model(model.collate(encoded))
    assert scores.shape == (2, 3)
    assert len(scores.unique()) == 6
    turned = model.encode([Example("z", example.texts, options=example.options[::-1])])
    torch.testing.assert_close(model(model.collate(turned))[0], scores[0].flip(0))


@torch.no_grad()
@pytest.mark.parametrize(("kind", "outputs"), [("single", 3), ("pair", 3), ("regression", 1)])
def test_scores_are_a_linear_map_of_the_first_token(head, kind, outputs):
    model = head(kind)
    rows = toy_rows(model.task).train[:4]
    encoded = model.encode(rows)
    scores = model(model.collate(encoded))
    assert scores.shape == (4, outputs)
    for row, example in zip(scores, encoded, strict=True):
        tokens = example.sequences[0]
        given = {
            "input_ids": torch.tensor([tokens.ids]),
            "token_type_ids": torch.tensor([tokens.segments]),
        }
        first = model.backbone.model(**given, output_hidden_states=True).hidden_states[-1][0, 0]
        torch.testing.assert_close(
            row, model.output.weight @ first + model.output.bias, atol=1e-5, rtol=1e-4
        )


def test_losses(head):
    for kind in ("single", "choice"):
        model = head(kind)
        batch = model.collate(model.encode(toy_rows(model.task).train[:5]))
        torch.testing.assert_close(model.loss(batch), F.cross_entropy(model(batch), batch.labels))
    model = head("regression")
    batch = model.collate(model.encode(toy_rows(model.task).train[:5]))
    torch.testing.assert_close(
        model.loss(batch), ((model(batch)[:, 0] - batch.labels / 5) ** 2).mean()
    )


def test_regression_is_answered_in_its_bounds_scale(head):
    model = head("regression", bounds=(1.0, 5.0))
    torch.testing.assert_close(
        model.answer(torch.tensor([[0.0], [0.5], [1.0]])), torch.tensor([1.0, 3.0, 5.0])
    )


@pytest.mark.parametrize("kind", ["single", "pair", "choice"])
def test_truncation_fits_the_maximum_and_is_counted(head, kind):
    model, whole = head(kind, max_length=12), head(kind, max_length=70)
    texts = ("a b c d " * 8, "cat dog")[: 1 if kind == "single" else 2]
    options = ("good", "bad", "okay") if kind == "choice" else ()
    examples = [
        Example("long", texts, options=options),
        Example("short", texts[1:] * len(texts) or ("a",), options=options),
    ]
    cut, uncut = model.encode(examples), whole.encode(examples)
    assert all(len(tokens.ids) == 12 for tokens in cut[0].sequences)
    lost = sum(
        len(a.ids) - len(b.ids) for a, b in zip(uncut[0].sequences, cut[0].sequences, strict=True)
    )
    assert cut[0].truncated == lost > 0 and cut[1].truncated == 0
    assert model.describe()["truncated"] == {"examples": 1, "tokens": lost, "of": 2}
    for tokens, option in zip(cut[0].sequences, options, strict=False):
        assert shown(model, tokens).endswith(f"cat dog {option} [SEP]")
