"""Every family's outputs through our own encoder, against its own forward pass."""

from __future__ import annotations

import pytest
import torch

from fewbench.nn.backbone import Backbone, FocusedEmbedding
from fewbench.nn.batch import Encoded, Tokens, collate
from fewbench.nn.load import load
from fewbench.registry.pretrained import find_model

FAMILIES = ["bert", "roberta", "distilbert", "albert", "electra"]
CPU = torch.device("cpu")


def backbone(folder) -> Backbone:
    ref = find_model(str(folder))
    loaded = load(ref)
    return Backbone(loaded.model, loaded.tokenizer, ref).eval()


def sequences(model: Backbone, lengths=(9, 5, 13), read=(3, 1, 12)) -> list[Encoded]:
    generator = torch.Generator().manual_seed(1)
    rows = [
        torch.randint(5, len(model.tokenizer), (n,), generator=generator).tolist() for n in lengths
    ]
    return [
        Encoded((Tokens(tuple(row), (0,) * len(row), at),), None)
        for row, at in zip(rows, read, strict=True)
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_vocabulary_scores_equal_the_models_own(tiny, family):
    model = backbone(tiny(family))
    encoded = sequences(model)
    scores = model.vocabulary_scores(collate(encoded, CPU))
    for row, example in enumerate(encoded):
        tokens = example.sequences[0]
        own = model.model(input_ids=torch.tensor([tokens.ids])).logits[0, tokens.read]
        torch.testing.assert_close(scores[row], own, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_equal_the_models_own(tiny, family):
    model = backbone(tiny(family))
    encoded = sequences(model)
    states = model.hidden_states(collate(encoded, CPU))
    start = 0
    for example in encoded:
        ids = example.sequences[0].ids
        own = model.model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
        assert len(own) == len(states)
        for ours, theirs in zip(
            states[1:], own[1:], strict=True
        ):  # ALBERT and ELECTRA project what others count as 0
            torch.testing.assert_close(
                ours[start : start + len(ids)], theirs[0], atol=2e-5, rtol=1e-4
            )
        start += len(ids)


@pytest.mark.parametrize("family", ["bert", "albert", "electra"])
def test_segments_reach_the_model(tiny, family):
    model = backbone(tiny(family))
    ids, segments = (2, 8, 9, 3, 10, 3), (0, 0, 0, 0, 1, 1)
    ours = model.vocabulary_scores(collate([Encoded((Tokens(ids, segments, 2),), None)], CPU))
    own = model.model(
        input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([segments])
    ).logits[:, 2]
    torch.testing.assert_close(ours, own, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_equal_the_models_own(tiny, family):
    model = backbone(tiny(family))
    encoded = sequences(model)
    names = [name for name, _ in model.model.named_parameters()]

    def gradients(loss):
        model.zero_grad()
        loss.backward()
        return {
            n: p.grad
            for n, p in model.model.named_parameters()
            if p.grad is not None and p.grad.any()
        }

    ours = gradients(model.vocabulary_scores(collate(encoded, CPU)).square().mean(1).sum())
    own = gradients(
        sum(
            model.model(input_ids=torch.tensor([e.sequences[0].ids]))
            .logits[0, e.sequences[0].read]
            .square()
            .mean()
            for e in encoded
        )
    )
    assert own.keys() == ours.keys() and len(own) > len(names) // 2
    for name in own:
        torch.testing.assert_close(ours[name], own[name], atol=1e-5, rtol=1e-3, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_word_scores_are_rows_of_the_vocabulary_scores(tiny, family):
    model = backbone(tiny(family))
    batch = collate(sequences(model), CPU)
    words = torch.tensor([7, 5, 11])
    torch.testing.assert_close(
        model.word_scores(batch, words), model.vocabulary_scores(batch)[:, words]
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_focus_changes_nothing_but_the_cost(tiny, family):
    words = torch.tensor([5, 6])
    after = []
    for focus in (False, True):
        model = backbone(tiny(family))
        encoded = sequences(model)
        seen = {token for example in encoded for token in example.sequences[0].ids} | {5, 6}

        def steps(model=model, encoded=encoded):
            optimizer = torch.optim.AdamW(
                [p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.0
            )
            for _ in range(5):
                optimizer.zero_grad()
                model.word_scores(collate(encoded, CPU), words).logsumexp(1).sum().backward()
                optimizer.step()

        if focus:
            with model.focused(seen):
                assert isinstance(model.model.get_input_embeddings(), FocusedEmbedding)
                steps()
        else:
            steps()
        after.append({name: p.detach().clone() for name, p in model.model.named_parameters()})
    assert after[0].keys() == after[1].keys()
    for name in after[0]:
        torch.testing.assert_close(after[1][name], after[0][name], atol=1e-6, rtol=1e-5, msg=name)


def test_a_token_outside_the_focus_is_an_error(tiny):
    model = backbone(tiny())
    with model.focused({5, 6}), pytest.raises(IndexError):
        model.vocabulary_scores(collate(sequences(model), CPU))
