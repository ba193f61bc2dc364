"""Intermediate tasks made of documents small enough to work by hand; smash, section 3.2."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from fewbench.errors import BenchError, DataError
from fewbench.methods.smash.data import (
    TASKS,
    check_corpus,
    check_words,
    examples,
    learner,
    passages,
    sentence_pairs,
    sure_sentences,
)
from fewbench.nn.fit_context import Models, PrepareContext
from fewbench.nn.kinds import open_backbone
from fewbench.registry.pretrained import find_model
from fewbench.testing import toy_protocol
from fewbench.types import CorpusRef

TWO = [[f"a{n}." for n in range(4)], [f"b{n}." for n in range(4)]]
SHORT = ["short 0.", "short 1.", "short 2."]
OPINIONS = ("terrible", "bad", "okay", "good", "great")


@pytest.fixture
def backbone(tiny_model):
    return open_backbone(find_model(str(tiny_model), offline=True)).eval()


@pytest.fixture
def world(tmp_path):
    def make(text: str) -> PrepareContext:
        (tmp_path / "c.txt").write_text(text)
        corpus = CorpusRef("c", str(tmp_path / "c.txt"), "0")
        return PrepareContext(Models(torch.device("cpu")), toy_protocol(), 0, corpus=corpus)

    return make


def relation(pair):
    """Return the label of two sentences such as a0. and b3. by their names."""
    (one, first), (other, second) = ((text[0], int(text[1])) for text in pair)
    return 0 if one != other else 2 if abs(first - second) == 1 else 1


def test_pairs_of_two_documents_are_all_that_the_labels_allow():
    made = sentence_pairs([*TWO, SHORT], 3000, 0)
    assert [example.label for example in made] == [0, 1, 2] * 1000
    assert all(relation(example.texts) == example.label for example in made)
    seen = {label: {e.texts for e in made if e.label == label} for label in (0, 1, 2)}
    assert len(seen[0]) == 4 * 4 * 2  # any sentence of one, any of the other, either first
    near = [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)]
    apart = [(0, 2), (0, 3), (1, 3), (2, 0), (3, 0), (3, 1)]
    assert seen[2] == {(f"{d}{i}.", f"{d}{j}.") for d in "ab" for i, j in near}
    assert seen[1] == {(f"{d}{i}.", f"{d}{j}.") for d in "ab" for i, j in apart}


def test_every_sentence_is_as_likely_to_come_first():
    made = sentence_pairs([TWO[0], [f"b{n}." for n in range(12)]], 6000, 0)
    first = Counter(example.texts[0] for example in made)
    assert (
        len(first) == 16
        and max(first.values()) < 6000 / 16 * 1.25
        and min(first.values()) > 6000 / 16 * 0.75
    )


def test_pairs_follow_the_seed():
    assert sentence_pairs(TWO, 30, 1) == sentence_pairs(TWO, 30, 1) != sentence_pairs(TWO, 30, 2)


@pytest.mark.parametrize("documents", [[], [TWO[0]], [TWO[0], SHORT]])
def test_too_few_documents_for_pairs(documents):
    with pytest.raises(
        DataError,
        match=f"need two documents of 4 .* has {len([d for d in documents if len(d) > 3])}",
    ):
        sentence_pairs(documents, 3, 0)


def test_sure_sentences_are_those_of_the_largest_probability(backbone, tiny_model):
    """Against the model's own forward pass on the prompt as a text."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    documents = [
        ["the film was good.", "a cat sat.", "acting was terrible, a waste.", "the film was good."]
    ]
    documents += [["it was dull, boring.", "the dog, the cat and the plot.", "lovely."]]
    sentences = list(dict.fromkeys(sentence for document in documents for sentence in document))
    model, tokenizer = (
        AutoModelForMaskedLM.from_pretrained(tiny_model),
        AutoTokenizer.from_pretrained(tiny_model),
    )
    words = tokenizer.convert_tokens_to_ids(list(OPINIONS))
    said = []
    for sentence in sentences:
        read = tokenizer(f"{sentence} It was [MASK].", return_tensors="pt")
        mask = (read.input_ids[0] == tokenizer.mask_token_id).nonzero().item()
        with torch.no_grad():
            said.append(model(**read).logits[0, mask, words].softmax(-1))
    sure = sorted(range(6), key=lambda n: -float(said[n].max()))[:3]
    made = sure_sentences(documents, 3, 0, backbone, 0.5)
    assert [example.texts[0] for example in made] == [sentences[n] for n in sorted(sure)]
    assert [example.label for example in made] == [int(said[n].argmax()) for n in sorted(sure)]
    assert len(sure_sentences(documents, 100, 0, backbone, 1.0)) == 6
    assert len(sure_sentences(documents, 1, 0, backbone, 0.5)) == 1  # the surer of two drawn


def test_prompts_are_those_of_the_tasks_that_follow(backbone, world):
    at = world(
        "It was good. \nThe cat sat.\nA dog.\nYes.\n\nNo.\nIt was bad.\nThe plot.\nThe film.\n"
    )
    model = learner(backbone, "pair")
    (first, *_), decode = examples("pair", at, model, backbone, 3, 0.5), backbone.tokenizer.decode
    (made, *_) = sentence_pairs(at.documents(), 3, 0)
    tokens = first.sequences[0]
    x1, x2 = made.texts[0][:-1].lower(), made.texts[1][:-1].lower()
    assert decode(tokens.ids).replace(" ", "") == f"[CLS]{x1}?[MASK],{x2}.[SEP]".replace(" ", "")
    assert tokens.ids[tokens.read] == backbone.tokenizer.mask_token_id and first.label == 0
    single = examples("single", at, learner(backbone, "single"), backbone, 4, 1.0)
    assert len(single) == 4 and all(
        decode(e.sequences[0].ids).replace(" ", "").endswith(".itwas[MASK].[SEP]") for e in single
    )


def test_tasks_are_the_papers():
    assert (
        TASKS["pair"].words == (("No",), ("Maybe",), ("Yes",)) and TASKS["pair"].max_length == 128
    )
    assert (
        TASKS["single"].words == tuple((word,) for word in OPINIONS)
        and TASKS["single"].max_length == 64
    )


def test_a_learner_forgets_what_was_read_before(backbone):
    backbone.encodings["old"] = {}
    assert list(learner(backbone, "pair").backbone.encodings) == ["PromptModel intermediate-pair@corpus "
                                                                 f"{TASKS['pair'].template} 128"]  # fmt: skip


def test_passages_are_cut_at_what_the_model_holds(backbone, world):
    """Of 160 places two hold [CLS] and [SEP]: 200 words give pieces of 158 and 42."""
    at = world("a cat sat.\nit was good.\n\n" + "cat " * 200 + "\n")
    tokenizer = backbone.tokenizer
    short, long, rest = (passage.sequences[0].ids for passage in passages(at, backbone, 10))
    assert tokenizer.decode(short).replace(" ", "") == "[CLS]acatsat.itwasgood.[SEP]"
    assert [len(long), len(rest)] == [160, 44]
    assert set(long[1:-1]) == set(rest[1:-1]) == {tokenizer.convert_tokens_to_ids("cat")}
    assert len(passages(at, backbone, 2)) == 2


def test_a_corpus_or_a_vocabulary_that_does_not_do(backbone, world):
    check_corpus("single", world("One.\n"))
    with pytest.raises(DataError, match="no document"):
        check_corpus("single", world("\n"))
    with pytest.raises(DataError, match="need two documents"):
        check_corpus("pair", world("One.\nTwo.\n"))
    check_words("pair", backbone)
    known = backbone.tokenizer.convert_tokens_to_ids("maybe")
    backbone.tokenizer = Lacking(backbone.tokenizer, known)
    with pytest.raises(BenchError, match="the label word 'Maybe'"):
        check_words("pair", backbone)


class Lacking:
    """A tokenizer that does not know one token."""

    def __init__(self, tokenizer, token):
        self.tokenizer, self.token = tokenizer, token

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)

    def __call__(self, *texts, **options):
        read = dict(self.tokenizer(*texts, **options))
        if self.token in read["input_ids"]:
            read["input_ids"] = [self.tokenizer.unk_token_id]
        return read
