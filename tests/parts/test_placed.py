"""Own tokens between the pieces of a template, against transformers' own forward pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewbench.data.template import without_words
from fewbench.errors import BenchError
from fewbench.nn.fit_context import Models
from fewbench.nn.optimizer import make_optimizer
from fewbench.nn.placed_prompt import (
    PlacedPromptModel,
    Places,
    PromptVectors,
    around,
    in_place_of_words,
    literal_tokens,
)
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_protocol, toy_rows, toy_task

CPU = torch.device("cpu")


@pytest.fixture(params=["bert", "roberta", "albert"])
def backbone(request, tiny):
    return Models(CPU).fresh(find_model(str(tiny(request.param))))


def placed(backbone, task, places):
    width = backbone.model.get_input_embeddings().embedding_dim
    values = torch.randn(places.total, width, generator=torch.Generator().manual_seed(2))
    return PlacedPromptModel(backbone, task, places, PromptVectors(values)).eval(), values


def tokens_of(backbone, encoded):
    """Return the tokens of a prompt as text, own ones as their ids."""
    (tokens,) = encoded.sequences
    name = backbone.tokenizer.convert_ids_to_tokens
    return " ".join(str(token) if token < 0 else name(token) for token in tokens.ids), tokens.read


def test_own_tokens_stand_around_texts_and_mask(tiny_model):
    backbone = Models(CPU).fresh(find_model(str(tiny_model)))
    task = toy_task("pair")
    row = replace(toy_rows(task).train[0], texts=("the cat.", "A dog"))
    read = replace(task, template=without_words(task.template))
    model, _ = placed(backbone, read, around(read.template, 2, words=False))
    text, mask = tokens_of(backbone, model.encode([row])[0])
    assert text == "[CLS] -8 -7 the cat . -6 -5 [MASK] -4 -3 a dog -2 -1 [SEP]" and mask == 8
    model, _ = placed(backbone, task, around(task.template, 1, words=True))
    text, mask = tokens_of(backbone, model.encode([row])[0])
    assert text == "[CLS] -4 the cat ? -3 [MASK] , -2 a dog -1 [SEP]" and mask == 6
    places, words = in_place_of_words(task.template, backbone.tokenizer)
    assert backbone.tokenizer.convert_ids_to_tokens(words) == ["?", ","]
    model, _ = placed(backbone, task, places)
    text, mask = tokens_of(backbone, model.encode([row])[0])
    assert text == "[CLS] the cat -2 [MASK] -1 a dog [SEP]" and mask == 4
    assert literal_tokens("{0} {mask}", backbone.tokenizer) == [[], [], []]


@pytest.mark.parametrize("kind", ["single", "pair", "choice", "regression"])
def test_scores_and_gradients_equal_those_of_embeddings_put_together(backbone, kind):
    task = toy_task(kind)
    model, values = placed(backbone, task, around(task.template, 2, words=True))
    examples = toy_rows(task).train[:3]
    encoded = model.encode(examples)
    scores = model(model.collate(encoded))
    words = backbone.model.get_input_embeddings().weight
    own = values.clone().requires_grad_()
    by_hand = []
    for example in encoded:
        (tokens,) = example.sequences
        rows = [own[token] if token < 0 else words[token] for token in tokens.ids]
        logits = backbone.model(inputs_embeds=torch.stack(rows)[None]).logits[0, tokens.read]
        by_hand.append(logits[model.verbalizer.words])
    by_hand = torch.stack(by_hand)
    torch.testing.assert_close(scores, by_hand, atol=1e-5, rtol=1e-4)
    scores.square().sum().backward()
    grad = backbone.prompt.values.grad.clone()
    by_hand.square().sum().backward()
    torch.testing.assert_close(grad, own.grad, atol=1e-5, rtol=1e-4)


def test_words_in_place_read_as_the_template_does(backbone):
    """PromptVectors that are the words' own embeddings give the hard prompt's scores."""
    from fewbench.nn.kinds import prompt_model

    task, examples = toy_task("single"), toy_rows(toy_task("single")).train[:4]
    hard = prompt_model(backbone, task).eval()
    wanted = hard(hard.collate(hard.encode(examples)))
    places, words = in_place_of_words(task.template, backbone.tokenizer)
    vectors = PromptVectors(backbone.model.get_input_embeddings().weight[words])
    model = PlacedPromptModel(backbone, task, places, vectors).eval()
    torch.testing.assert_close(model(model.collate(model.encode(examples))), wanted)


def test_long_inputs_are_cut_to_the_positions_left(tiny_model):
    backbone = Models(CPU).fresh(find_model(str(tiny_model)))
    task = toy_task("single", max_length=150)
    row = replace(toy_rows(task).train[0], texts=("long " * 300,))
    model, _ = placed(backbone, task, around(task.template, 8, words=True))
    (tokens,) = model.encode([row])[0].sequences
    assert len(tokens.ids) == 160 and tokens.ids[-1] == backbone.tokenizer.sep_token_id
    with pytest.raises(BenchError, match="300 soft tokens"):
        placed(backbone, task, around(task.template, 100, words=True))


def test_two_placements_of_one_task_share_no_encodings(tiny_model):
    backbone = Models(CPU).fresh(find_model(str(tiny_model)))
    task = toy_task("single")
    rows = toy_rows(task).train[:1]
    one, _ = placed(backbone, task, around(task.template, 1, words=True))
    length = one.encode(rows)[0].length
    two, _ = placed(backbone, task, around(task.template, 2, words=True))
    assert two.encode(rows)[0].length == length + 3


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_module_with_a_rate_of_its_own(decay):
    """Adam's first step is the rate, whatever the gradient; weights decay by rate and decay."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"slow": nn.Linear(3, 3), "fast": nn.Linear(3, 3)})
    before = {name: value.clone() for name, value in model.named_parameters()}
    protocol = toy_protocol(weight_decay=decay, schedule="constant", max_grad_norm=1e9)
    optimizer = make_optimizer(model, 1e-3, protocol, [(model["fast"], 10.0)])
    model["fast"](model["slow"](torch.ones(2, 3))).sum().backward()
    optimizer.step()
    for name, value in model.named_parameters():
        rate = 1e-2 if name.startswith("fast") else 1e-3
        kept = before[name] * (1 - rate * (decay if value.ndim > 1 else 0.0))
        torch.testing.assert_close(
            (value - kept).abs(), torch.full_like(value, rate), rtol=1e-3, atol=0
        )


def test_focus_leaves_out_own_tokens(tiny_model):
    from fewbench.nn.trainer import train

    backbone = Models(CPU).fresh(find_model(str(tiny_model)))
    task = toy_task("single")
    rows = toy_rows(task).train[:6]
    model, values = placed(backbone, task, Places((0, 2, 0, 0, 0), words=True))
    words = backbone.model.get_input_embeddings()
    last = words.weight[-2:].clone()
    train(
        model,
        model.encode(rows),
        evaluate=lambda: 0.0,
        protocol=toy_protocol(checkpoint_tie="last"),
        lr=1e-2,
        batch_size=3,
        seed=1,
    )
    assert torch.equal(words.weight[-2:], last)  # -1 and -2 are not the vocabulary's last words
    assert backbone.model.get_input_embeddings() is words
    assert (backbone.prompt.values - values).abs().min() > 1e-3
    assert F.embedding(torch.tensor([5]), words.weight).isfinite().all()
