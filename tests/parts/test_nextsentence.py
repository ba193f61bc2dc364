"""Examples drawn from documents whose sentences tell where they stand, read back without the code
under test.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

import pytest

from fewbench.errors import BenchError
from fewbench.methods.ppt import next_sentence
from fewbench.methods.ppt.next_sentence import (
    Passage,
    blocks,
    examples,
    next_sentences,
    passages,
    selection,
    sentences,
)

SENTENCES = 8


def corpus(documents=6, each=SENTENCES):
    return [
        [f"This is sentence {s} of document {d}." for s in range(each)] for d in range(documents)
    ]


def place(text: str) -> tuple[int, int]:
    """Return the document and the number of a sentence."""
    words = text.rstrip(".").split()
    return int(words[6]), int(words[3])


def relation(first: str, second: str) -> int:
    (d, s), (e, t) = place(first), place(second)
    return 0 if d != e else 2 if abs(s - t) == 1 else 1 if s != t else -1


def drawn(make, n, read=corpus, fewest=5, apart=1, seed=1):
    return list(islice(examples(read, make, Random(seed), fewest=fewest, apart=apart), n))


def test_pairs_have_the_relation_that_their_label_says():
    """ppt, section 3.2.1: 2 next to each other, 1 of one document, 0 of two."""
    made = drawn(next_sentences, 3000, fewest=2)
    assert all(
        relation(*example.texts) == example.label and not example.options for example in made
    )
    shares = Counter(example.label for example in made)
    assert all(abs(shares[label] / 3000 - 1 / 3) < 0.04 for label in range(3))
    ways = Counter(place(b)[1] - place(a)[1] for a, b in (e.texts for e in made if e.label == 2))
    assert ways[1] > 300 < ways[-1]


def test_every_sentence_is_a_query_once_a_pass_in_another_order():
    n = 6 * SENTENCES
    made = drawn(next_sentences, 2 * n, fewest=2)
    first, second = ([place(example.texts[0]) for example in part] for part in (made[:n], made[n:]))
    assert sorted(first) == sorted(second) == [(d, s) for d in range(6) for s in range(SENTENCES)]
    assert first != second
    assert len({example.id for example in made}) == 2 * n


# By hand, as in the paper's code: options, and how many of them are of the query's own document
# (besides the right one) and of each other document.
BY_HAND = {
    2: (1, []),
    3: (1, [1]),
    6: (1, [1] * 4),
    7: (2, [1] * 4),
    8: (2, [1, 1, 1, 2]),
    10: (2, [1, 2, 2, 2]),
} | {
    11: (3, [1, 2, 2, 2]),
    16: (3, [3] * 4),
}


@pytest.mark.parametrize("n", BY_HAND)
def test_one_option_stands_next_to_the_query(n):
    """ppt, section 3.2.2: the others are not adjacent, or of up to four other documents; none
    stands twice.
    """
    made = drawn(selection(lambda rng: n), 100, apart=3)
    for example in made:
        assert len(example.options) == len(set(example.options)) == n
        relations = [relation(example.texts[0], option) for option in example.options]
        assert [place for place, kind in enumerate(relations) if kind == 2] == [example.label]
        others = Counter(
            place(o)[0] for o, kind in zip(example.options, relations, strict=True) if kind == 0
        )
        assert (relations.count(1), sorted(others.values())) == BY_HAND[n]
        assert example.texts[1] == ""
    assert len({example.label for example in made}) == n


def test_the_number_of_options_varies():
    made = drawn(selection(lambda rng: rng.randint(2, 16)), 400, apart=3)
    assert {len(example.options) for example in made} == set(range(2, 17))


def test_short_sentences_are_never_drawn_and_still_stand_between():
    document = ["It is one long sentence."] * 3 + ["Short."] + ["It is one long sentence."] * 2
    (passage,) = passages([document, ["Too few long sentences here."] * 4, ["Short."] * 9])
    assert passage == Passage(document, (0, 1, 2, 4, 5))
    assert passage.beside(2) == [1] and passage.beside(1) == [0, 2] and passage.beside(4) == [5]
    assert passage.apart(2) == [0, 4, 5]
    (chinese,) = passages([["我喜欢猫。"] * 5])  # a character is a word
    assert chinese.drawn == (0, 1, 2, 3, 4)


def test_other_documents_are_those_of_the_same_block(monkeypatch):
    monkeypatch.setattr(next_sentence, "BLOCK", 3)
    assert [len(block) for block in blocks(corpus(8), 2)] == [3, 3, 2]
    assert [len(block) for block in blocks(corpus(7), 2)] == [
        3,
        3,
    ]  # the one left over has no other
    made = drawn(next_sentences, 3 * SENTENCES, fewest=2)
    assert {place(text)[0] for example in made for text in example.texts} == {0, 1, 2}


def test_the_seed_decides():
    make = selection(lambda rng: 6)
    assert drawn(make, 50) == drawn(make, 50) != drawn(make, 50, seed=2)


def test_sentences_come_in_passes():
    found = list(islice(sentences(corpus, Random(1)), 2 * 48))
    assert (
        sorted(found[:48])
        == sorted(found[48:])
        == sorted(text for document in corpus() for text in document)
    )
    assert found[:48] != found[48:]


@pytest.mark.parametrize(("documents", "fewest"), [(0, 1), (1, 2), (4, 5)])
def test_a_corpus_too_small_is_refused(documents, fewest):
    with pytest.raises(
        BenchError, match=f"{documents} documents of this corpus have 5 sentences"
    ) as caught:
        drawn(next_sentences, 1, lambda: corpus(documents), fewest=fewest)
    assert caught.value.allowed == f"{fewest} such documents or more"
    assert "--corpus" in caught.value.fix


def test_sentences_without_a_neighbour_are_refused():
    def read():
        return [["This one is long enough.", "No."] * 6] * 6

    with pytest.raises(BenchError, match="no sentence of this corpus has a long enough neighbour"):
        drawn(next_sentences, 1, read, fewest=2)
