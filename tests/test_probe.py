"""The factual probe, compared with a plain loop over the model and with figures by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known import FACTS, KNOWN, OF, WAS

from fewbench.data.fact_files import read_facts
from fewbench.data.facts import Fact, FactSet, Relation
from fewbench.errors import BenchError, ModelError
from fewbench.measure.fact_probe import NO_TOKEN, ask, prepare, probe, ranks_of
from fewbench.measure.fact_scores import LEFT_OUT, recalls
from fewbench.nn.load import load
from fewbench.registry.pretrained import find_model
from fewbench.registry.tasks import choose_facts

FAMILIES = ["bert", "roberta", "distilbert", "albert", "electra"]

TOLD = [True, True, True, True, False, True, False, False, True, True]


def by_hand(model, tokenizer, fact, relation):
    """Return a fact's rank: one text, the model's own forward pass, a sort."""
    masked = tokenizer(relation.fill(fact.subject, tokenizer.mask_token), return_tensors="pt")
    place = int((masked["input_ids"][0] == tokenizer.mask_token_id).nonzero())
    with torch.no_grad():
        scores = model(
            input_ids=masked["input_ids"], attention_mask=masked["attention_mask"]
        ).logits[0, place]
    order = sorted(range(len(tokenizer)), key=lambda token: (-scores[token].item(), token))
    return 1 + order.index(tokenizer.convert_tokens_to_ids(fact.object.lower()))


@pytest.mark.parametrize("family", FAMILIES)
def test_ranks_are_those_of_the_models_own_forward_pass(tiny, family):
    model, tokenizer = load(find_model(str(tiny(family))))
    result = probe(model, tokenizer, KNOWN)
    relations = {relation.id: relation for relation in KNOWN.relations}
    expected = [
        by_hand(model, tokenizer, fact, relations[fact.relation]) if told else LEFT_OUT
        for fact, told in zip(FACTS, TOLD, strict=True)
    ]
    assert result.ranks.tolist() == expected
    told = [1 / rank for rank in expected if rank]
    assert result.recalls.micro.mrr == pytest.approx(sum(told) / len(told))
    assert result.ranks.tolist() == probe(model, tokenizer, KNOWN, batch=1).ranks.tolist()


def test_left_out_facts_are_counted(tiny_model):
    result = probe(*load(find_model(str(tiny_model))), KNOWN)
    first, second = result.recalls.relations.values()
    assert (first.n, first.left_out, second.n, second.left_out) == (4, 1, 3, 2)
    assert (result.recalls.micro.n, result.recalls.micro.left_out) == (7, 3)
    assert (result.recalls.macro.n, result.recalls.macro.left_out, result.recalls.averaged) == (
        7,
        3,
        2,
    )
    assert result.recalls.macro.mrr == pytest.approx((first.mrr + second.mrr) / 2)


def test_each_text_is_encoded_and_asked_once(tiny_model):
    model, tokenizer = load(find_model(str(tiny_model)))
    questions = prepare(tokenizer, KNOWN)
    assert len(questions.texts) == 7 and questions.text_of[0] == questions.text_of[1]
    assert [token != NO_TOKEN for token in questions.tokens] == TOLD
    tokens = []
    first = model.bert.embeddings.word_embeddings
    hook = first.register_forward_hook(lambda module, given, found: tokens.append(given[0].numel()))
    heads = []
    last = model.cls.predictions.decoder.register_forward_hook(
        lambda m, given, found: heads.append(len(found))
    )
    ask(model, questions)
    hook.remove()
    last.remove()
    asked = {int(number) for number, told in zip(questions.text_of, TOLD, strict=True) if told}
    assert sum(tokens) == sum(
        questions.texts[number].length for number in asked
    )  # no padding either
    assert sum(heads) == len(asked)  # the head sees masks alone


def test_ties_go_to_the_lower_token():
    scores = torch.tensor(
        [[1.0, 3.0, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0, 0.0], [5.0, 4.0, 3.0, 2.0, 1.0]]
    )
    for objects, expected in (
        ([1, 0, 0], [1, 1, 1]),
        ([2, 3, 4], [2, 4, 5]),
        ([4, 4, 2], [3, 5, 3]),
    ):
        assert ranks_of(scores, torch.tensor(objects)).tolist() == expected
    assert ranks_of(scores[:, :1], torch.tensor([0, 0, 0])).tolist() == [1, 1, 1]


def test_a_model_without_a_preference_ranks_by_token(tiny):
    model, tokenizer = load(find_model(str(tiny("bert"))))
    decoder = model.cls.predictions.decoder
    decoder.weight = torch.nn.Parameter(torch.zeros_like(decoder.weight))
    decoder.bias = torch.nn.Parameter(torch.zeros_like(decoder.bias))
    result = probe(model, tokenizer, KNOWN)
    assert result.ranks[0] == 1 + tokenizer.convert_tokens_to_ids("great")
    decoder.bias.data[3] = float("nan")
    with pytest.raises(ModelError, match="not finite"):
        probe(model, tokenizer, KNOWN)


def test_a_head_with_rows_beyond_the_tokenizer_ranks_tokens_alone(tiny):
    model, tokenizer = load(find_model(str(tiny("bert"))))
    before = probe(model, tokenizer, KNOWN).ranks
    model.resize_token_embeddings(len(tokenizer) + 30, mean_resizing=False)
    model.cls.predictions.decoder.bias.data[len(tokenizer) :] = 100.0
    assert probe(model, tokenizer, KNOWN).ranks.tolist() == before.tolist()


def test_the_model_is_left_as_it_was(tiny):
    model, tokenizer = load(find_model(str(tiny("bert"))))
    evaluated = probe(model, tokenizer, KNOWN).ranks
    model.train()
    model.bert.encoder.layer[0].eval()
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    assert (
        probe(model, tokenizer, KNOWN).ranks.tolist() == evaluated.tolist()
    )  # no dropout, whatever its mode
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(state, torch.get_rng_state())
    assert all(
        parameter.grad is None and parameter.requires_grad for parameter in model.parameters()
    )


def test_a_space_before_the_object_where_the_family_needs_one():
    """In a byte-level tokenizer like RoBERTa's, " great" and "great" are two tokens."""
    tokenizer = byte_level("g r, gr e, gre a, grea t, Ġ great, y e, ye s, Ġ n, Ġn o")
    facts = FactSet(
        "spaces",
        1,
        (WAS, OF),
        (
            Fact("P1", "it", "great"),
            Fact("P1", "it", "yes"),
            Fact("P2", "it", "yes"),
            Fact("P2", "it", "no"),
        ),
    )
    tokens = prepare(tokenizer, facts).tokens
    pieces = [
        None if token == NO_TOKEN else tokenizer.convert_ids_to_tokens(int(token))
        for token in tokens
    ]
    assert pieces == ["Ġgreat", None, "yes", None]


def byte_level(text):
    """Return a byte-level tokenizer of single bytes and some merges."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    merges = [tuple(pair.split()) for pair in text.split(",")]
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    pieces += [left + right for left, right in merges]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    made = Tokenizer(models.BPE(vocabulary, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    made.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token=AddedToken("<mask>", lstrip=True),
    )


def test_what_does_not_fit_the_model_is_left_out_and_counted(tiny, tmp_path):
    model, tokenizer = load(find_model(str(tiny("bert"))))
    whole = probe(model, tokenizer, KNOWN)
    model.bert.embeddings.position_embeddings = torch.nn.Embedding.from_pretrained(
        model.bert.embeddings.position_embeddings.weight[:10].detach()
    )
    short = probe(model, tokenizer, KNOWN)
    assert (whole.too_long, short.too_long) == (0, 1)
    assert short.ranks.tolist() == [
        0 if row == 3 else rank for row, rank in enumerate(whole.ranks.tolist())
    ]


def test_facts_that_cannot_be_asked(tiny_model):
    model, tokenizer = load(find_model(str(tiny_model)))
    with pytest.raises(BenchError, match="a mask token besides"):
        probe(model, tokenizer, FactSet("f", 1, (WAS,), (Fact("P1", "a [MASK]", "great"),)))
    with pytest.raises(BenchError, match="no object is one token"):
        probe(model, tokenizer, FactSet("f", 1, (WAS,), (Fact("P1", "it", "sunny"),)))


def test_figures_by_hand():
    facts = FactSet(
        "hand",
        1,
        (WAS, OF, Relation("P3", "[X] [Y]", "none", "N-1")),
        tuple(
            Fact(relation, str(n), "o")
            for n, relation in enumerate(["P1"] * 5 + ["P2"] * 2 + ["P3"])
        ),
    )
    ranks = np.array([1, 2, 11, LEFT_OUT, 10, 4, LEFT_OUT, LEFT_OUT])
    tokens = np.array([7, 7, 9, NO_TOKEN, 8, 5, NO_TOKEN, NO_TOKEN])
    found = recalls(facts, ranks, tokens)
    first = found.relations["P1"]
    assert first.mrr == pytest.approx((1 + 1 / 2 + 1 / 11 + 1 / 10) / 4)
    assert (first.n, first.left_out, first.p1, first.p10) == (4, 1, 1 / 4, 3 / 4)
    assert first.prior == pytest.approx(
        (1 + 1 + 1 / 3 + 1 / 2) / 4
    )  # 7 is most frequent; 8 and 9 tie, 8 comes first
    second = found.relations["P2"]
    assert (second.n, second.left_out, second.mrr, second.p1, second.p10, second.prior) == (
        1,
        1,
        1 / 4,
        0,
        1,
        1,
    )
    third = found.relations["P3"]
    assert (third.n, third.left_out, third.mrr, third.prior) == (0, 1, None, None)
    assert found.averaged == 2  # of nothing there is no mean
    assert found.macro.mrr == pytest.approx((first.mrr + second.mrr) / 2)
    assert found.macro.prior == pytest.approx((first.prior + 1) / 2)
    assert found.micro.mrr == pytest.approx((1 + 1 / 2 + 1 / 11 + 1 / 10 + 1 / 4) / 5)
    assert (found.micro.n, found.micro.left_out, found.micro.p1, found.micro.p10) == (
        5,
        3,
        1 / 5,
        4 / 5,
    )


def test_lama_with_a_real_model(shared):
    facts = read_facts(choose_facts("lama"), shared / "data").sample(4)
    model, tokenizer = load(find_model(str(shared / "models" / "splade-tiny-mlm")))
    result = probe(model, tokenizer, facts)
    relations = {relation.id: relation for relation in facts.relations}
    assert result.recalls.micro.n == 112 and result.recalls.averaged == 28
    for row in range(0, 112, 9):
        fact = facts.facts[row]
        assert result.ranks[row] == by_hand(model, tokenizer, fact, relations[fact.relation])
    best, *_ = result.recalls.relations.values()
    assert best.prior > best.mrr  # a tiny model knows less than which objects there are
