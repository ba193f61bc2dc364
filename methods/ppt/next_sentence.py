"""Make examples of next-sentence prediction and selection from documents: ppt, section 3.2.

As in its code: documents of five sentences or more, sentences of five tokens or more; every
sentence is a query once per pass, and its neighbour may stand before or behind it. A passage here
drops short sentences, not the document that has one, and still knows which of the others were
neighbours; tokens are words and marks, a Chinese character being a word.

Documents are read in blocks, and "other documents" are those of the same block: only one block is
held in memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from random import Random
from typing import NamedTuple

from fewbench.data.documents import Document
from fewbench.errors import BenchError
from fewbench.types import Example

BLOCK = 256
"""Documents in memory at a time."""
FEWEST_SENTENCES = 5
FEWEST_TOKENS = 5
TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+|[^\w\s]")


class Passage(NamedTuple):
    """A document and the numbers of its sentences that may be drawn."""

    sentences: Sequence[str]
    drawn: tuple[int, ...]

    def beside(self, number: int) -> list[int]:
        """Return the neighbours of a sentence, the one before it first."""
        return [other for other in self.drawn if abs(other - number) == 1]

    def apart(self, number: int) -> list[int]:
        """Return the sentences that are neither the given one nor beside it."""
        return [other for other in self.drawn if abs(other - number) > 1]


class Query(NamedTuple):
    """A sentence of a block: the number of its passage, and its number in the passage."""

    passage: int
    sentence: int


Block = Sequence[Passage]


class Item(NamedTuple):
    """Texts, options and label of an example to be."""

    texts: tuple[str, ...]
    options: tuple[str, ...]
    label: int


Make = Callable[[Block, Query, Random], Item]
"""Makes an item from a query."""


def passages(documents: Iterable[Document]) -> Iterator[Passage]:
    """Yield the documents with enough sentences that are long enough."""
    for document in documents:
        lengths = [len(TOKEN.findall(sentence)) for sentence in document]
        drawn = tuple(n for n, length in enumerate(lengths) if length >= FEWEST_TOKENS)
        if len(drawn) >= FEWEST_SENTENCES:
            yield Passage(document, drawn)


def blocks(documents: Iterable[Document], fewest: int) -> Iterator[list[Passage]]:
    """Yield the passages of a corpus block by block, without a last block that is too small.

    Raises:
        BenchError: the corpus has fewer than `fewest` passages.
    """
    block: list[Passage] = []
    total = 0
    for passage in passages(documents):
        total += 1
        block.append(passage)
        if len(block) == BLOCK:
            yield block
            block = []
    if total < fewest:
        raise BenchError(
            f"{total} documents of this corpus have {FEWEST_SENTENCES} sentences of "
            f"{FEWEST_TOKENS} words or more",
            allowed=f"{fewest} such documents or more",
            fix="--corpus with more or longer documents (a sentence is a line, an empty line "
            "ends a document)",
        )
    if len(block) >= fewest:
        yield block


def next_sentences(block: Block, query: Query, rng: Random) -> Item:
    """Return two sentences and their relation, each label with chance 1/3: ppt, section 3.2.1.

    Label 0: the second is of another document; 1: of the same document, but not next to the first;
    2: next to it.
    """
    passage, number = block[query.passage], query.sentence
    label = rng.randrange(3)
    if label:
        allowed = passage.beside(number) if label == 2 else passage.apart(number)
        second = passage.sentences[rng.choice(allowed)]
    else:
        (second,) = _of_others(block, query.passage, 1, rng)
    return Item((passage.sentences[number], second), (), label)


def selection(options: Callable[[Random], int]) -> Make:
    """Return a maker of choices, one option the next sentence: ppt, sections 3.2.2 and 3.3.

    One is the right answer, one, two (of more than six) or three (of more than ten) are of the same
    document, and the others are of up to four other documents, as evenly as they go.

    Args:
        options: draws the number of options.
    """

    def make(block: Block, query: Query, rng: Random) -> Item:
        passage, number = block[query.passage], query.sentence
        n = options(rng)
        same = min(n - 1, 1 + (n > 6) + (n > 10))
        numbers = [rng.choice(passage.beside(number)), *rng.sample(passage.apart(number), same)]
        texts = [passage.sentences[other] for other in numbers]
        texts += _of_others(block, query.passage, n - 1 - same, rng)
        order = rng.sample(range(n), n)
        shuffled = tuple(texts[place] for place in order)
        return Item((passage.sentences[number], ""), shuffled, order.index(0))

    return make


def examples(
    read: Callable[[], Iterable[Document]], make: Make, rng: Random, *, fewest: int, apart: int
) -> Iterator[Example]:
    """Yield examples for ever, block by block, shuffled within a block.

    Args:
        read: gives the documents from the start.
        make: makes an example of a query.
        rng: draws everything.
        fewest: documents in a block.
        apart: the sentences that a query's document must have besides the query and its neighbours.

    Raises:
        BenchError: the corpus is too small.
    """
    ids = count()
    while True:
        total = 0
        for block in blocks(read(), fewest):
            queries = _queries(block, apart)
            rng.shuffle(queries)
            total += len(queries)
            for query in queries:
                texts, options, label = make(block, query, rng)
                yield Example(f"corpus-{next(ids)}", texts, label, options)
        if not total:
            raise BenchError(
                "no sentence of this corpus has a long enough neighbour and others further off",
                allowed=f"sentences of {FEWEST_TOKENS} words or more, one after another",
                fix="--corpus with running text",
            )


def _queries(block: Block, apart: int) -> list[Query]:
    """Return the sentences with a neighbour and at least `apart` others in their passage."""
    queries = []
    for number, passage in enumerate(block):
        for sentence in passage.drawn:
            if passage.beside(sentence) and len(passage.apart(sentence)) >= apart:
                queries.append(Query(number, sentence))
    return queries


def sentences(read: Callable[[], Iterable[Document]], rng: Random) -> Iterator[str]:
    """Yield the long enough sentences of a corpus for ever, shuffled within a block.

    Raises:
        BenchError: there are none.
    """
    while True:
        for block in blocks(read(), 1):
            drawn = [passage.sentences[number] for passage in block for number in passage.drawn]
            rng.shuffle(drawn)
            yield from drawn


def _of_others(block: Block, passage: int, n: int, rng: Random) -> list[str]:
    """Return n sentences of up to four passages other than the given one, spread evenly."""
    others = [number for number in range(len(block)) if number != passage]
    drawn: list[str] = []
    for place, number in enumerate(rng.sample(others, min(n, 4))):
        share = n // 4 + (place < n % 4)
        sentences = block[number].sentences
        drawn += [sentences[chosen] for chosen in rng.sample(block[number].drawn, share)]
    return drawn
