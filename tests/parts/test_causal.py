"""Causal models: next-token scores against the model's own, and prompts that end at their mask."""

from __future__ import annotations

import pytest
import torch

from fewbench.errors import BenchError
from fewbench.nn.batch import Encoded, Tokens, collate
from fewbench.nn.causal import CausalBackbone, CausalPromptModel, opening
from fewbench.nn.fit_context import Models
from fewbench.nn.kinds import open_backbone, prompt_model
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_rows, toy_task

CPU = torch.device("cpu")


@pytest.fixture
def backbone(tiny):
    return lambda family="gpt2": open_backbone(find_model(str(tiny(family)))).eval()


def batch_of(model, lengths=(9, 5, 13)):
    generator = torch.Generator().manual_seed(1)
    rows = [
        torch.randint(5, len(model.tokenizer), (n,), generator=generator).tolist() for n in lengths
    ]
    encoded = [Encoded((Tokens(tuple(row), (0,) * len(row), len(row) - 1),), None) for row in rows]
    return rows, collate(encoded, CPU)


@torch.no_grad()
@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "opt"])
def test_scores_are_the_models_own_for_the_next_token(backbone, family):
    model = backbone(family)
    assert isinstance(model, CausalBackbone) and model.places == 160
    rows, batch = batch_of(model)
    scores = model.vocabulary_scores(batch)
    for row, found in zip(rows, scores, strict=True):  # one by one, so without any padding
        torch.testing.assert_close(
            found, model.model(input_ids=torch.tensor([row])).logits[0, -1], atol=2e-5, rtol=1e-4
        )
    words = torch.tensor([7, 5, 11])
    torch.testing.assert_close(model.word_scores(batch, words), scores[:, words])
    states = model.hidden_states(batch)
    assert len(states) == 3 and {tuple(layer.shape) for layer in states} == {(27, 16)}


@pytest.mark.parametrize("kind", ["single", "choice", "regression"])
def test_a_prompt_ends_before_its_mask(backbone, kind):
    model = prompt_model(backbone(), toy_task(kind))
    assert isinstance(model, CausalPromptModel)
    for encoded, example in zip(
        model.encode(toy_rows(model.task).train[:3]), toy_rows(model.task).train, strict=False
    ):
        (tokens,) = encoded.sequences
        shown = " ".join(model.backbone.tokenizer.convert_ids_to_tokens(tokens.ids))
        assert tokens.read == len(tokens.ids) - 1
        assert shown.startswith(example.texts[0].split()[0]) and shown.endswith(
            "answer :" if kind == "choice" else "was"
        )


def test_what_stands_behind_the_mask_cannot_be_read(backbone):
    with pytest.raises(BenchError, match="cannot read what follows the mask"):
        prompt_model(backbone(), toy_task("pair"))


def test_a_text_begins_as_the_tokenizer_has_it(backbone):
    model = backbone()
    assert opening(model) == ()
    model.tokenizer.bos_token = "[CLS]"  # the token that this tokenizer puts first
    try:
        assert opening(model) == (2,)
    finally:
        model.tokenizer.bos_token = None


def test_copies_keep_their_kind_and_share_encodings(tiny):
    models, ref = Models(CPU), find_model(str(tiny("gpt2")))
    first, second = models.fresh(ref), models.fresh(ref)
    assert type(first) is type(second) is CausalBackbone
    assert first.encodings is second.encodings and first.model is not second.model
