"""Sentences of unlabelled documents as examples: next-sentence prediction and selection; ppt,
section 3.2.

As its code does it: documents of five sentences or more, sentences of five tokens or more; every
sentence is a query once a pass, and its neighbour may stand before or behind it. A passage here
drops short sentences, not the document that has one, and still knows which of the others were
neighbours; tokens are words and marks, a Chinese character being a word.

Documents are read in blocks, and other documents are those of the same block: nothing else is kept
in memory.
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
    """A document, and the numbers of those of its sentences that may be drawn."""

    sentences: Sequence[str]
    drawn: tuple[int, ...]

    def beside(self, number: int) -> list[int]:
        """Return the neighbours of a sentence, those before first."""
        return [other for other in self.drawn if abs(other - number) == 1]

    def apart(self, number: int) -> list[int]:
        """Return the sentences that are neither the given one nor beside it."""
        return [other for other in self.drawn if abs(other - number) > 1]


class Query(NamedTuple):
    """A sentence of a block: the passage's number, and its own in the passage."""

    passage: int
    sentence: int


Block = Sequence[Passage]
Make = Callable[[Block, Query, Random], tuple[tuple[str, ...], tuple[str, ...], int]]
"""Makes texts, options and label of a query."""


def passages(documents: Iterable[Document]) -> Iterator[Passage]:
    """Yield the documents with enough sentences that are long enough."""
    for document in documents:
        drawn = tuple(
            n
            for n, sentence in enumerate(document)
            if len(TOKEN.findall(sentence)) >= FEWEST_TOKENS
        )
        if len(drawn) >= FEWEST_SENTENCES:
            yield Passage(document, drawn)


def blocks(documents: Iterable[Document], fewest: int) -> Iterator[list[Passage]]:
    """Yield the passages of a corpus block by block; what is left over at its end and too little is
    left out.

    Raises:
        BenchError: the whole corpus has fewer than `fewest`.
    """
    block: list[Passage] = []
    found = 0
    for passage in passages(documents):
        found += 1
        block.append(passage)
        if len(block) == BLOCK:
            yield block
            block = []
    if found < fewest:
        raise BenchError(
            f"{found} documents of this corpus have {FEWEST_SENTENCES} sentences of {FEWEST_TOKENS} words or more",
            allowed=f"{fewest} such documents or more",
            fix="--corpus with more or longer documents (a sentence is a line, an empty line ends a document)",
        )
    if len(block) >= fewest:
        yield block


def next_sentences(
    block: Block, query: Query, rng: Random
) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Return two sentences and how they belong together, each label with one third (ppt, section
    3.2.1).

    Label 0: the second is of another document; 1: of the same document, but not next to the first;
    2: next to it.
    """
    own, number = block[query.passage], query.sentence
    label = rng.randrange(3)
    if label:
        second = own.sentences[rng.choice(own.beside(number) if label == 2 else own.apart(number))]
    else:
        (second,) = _of_others(block, query.passage, 1, rng)
    return (own.sentences[number], second), (), label


def selection(options: Callable[[Random], int]) -> Make:
    """Return what makes a query and options, one of which was next to it (ppt, sections 3.2.2 and
    3.3).

    One is the right answer, one, two (of more than six) or three (of more than ten) are of the same
    document, and the others are of up to four other documents, as evenly as they go.

    Args:
        options: draws how many.
    """

    def make(
        block: Block, query: Query, rng: Random
    ) -> tuple[tuple[str, ...], tuple[str, ...], int]:
        own, number = block[query.passage], query.sentence
        n = options(rng)
        same = min(n - 1, 1 + (n > 6) + (n > 10))
        shown = [rng.choice(own.beside(number)), *rng.sample(own.apart(number), same)]
        texts = [own.sentences[other] for other in shown] + _of_others(
            block, query.passage, n - 1 - same, rng
        )
        order = rng.sample(range(n), n)
        return (own.sentences[number], ""), tuple(texts[place] for place in order), order.index(0)

    return make


def examples(
    read: Callable[[], Iterable[Document]], make: Make, rng: Random, *, fewest: int, apart: int
) -> Iterator[Example]:
    """Yield examples for ever, block by block, each block's in an order of their own.

    Args:
        read: gives the documents from the start.
        make: makes an example of a query.
        rng: of all that is drawn.
        fewest: documents in a block.
        apart: how many sentences of its document that are not beside it a query must have, besides
            one that is.

    Raises:
        BenchError: a corpus too small.
    """
    ids = count()
    while True:
        made = 0
        for block in blocks(read(), fewest):
            queries = [
                Query(number, sentence)
                for number, passage in enumerate(block)
                for sentence in passage.drawn
                if passage.beside(sentence) and len(passage.apart(sentence)) >= apart
            ]
            rng.shuffle(queries)
            made += len(queries)
            for query in queries:
                texts, options, label = make(block, query, rng)
                yield Example(f"corpus-{next(ids)}", texts, label, options)
        if not made:
            raise BenchError(
                "no sentence of this corpus has a neighbour of its own length and others further off",
                allowed=f"sentences of {FEWEST_TOKENS} words or more, one after another",
                fix="--corpus with running text",
            )


def sentences(read: Callable[[], Iterable[Document]], rng: Random) -> Iterator[str]:
    """Yield the sentences of a corpus that are long enough for ever, block by block, each block's
    in another order.

    Raises:
        BenchError: there are none.
    """
    while True:
        for block in blocks(read(), 1):
            found = [passage.sentences[number] for passage in block for number in passage.drawn]
            rng.shuffle(found)
            yield from found


def _of_others(block: Block, own: int, n: int, rng: Random) -> list[str]:
    """Return n sentences of up to four passages other than one's own, as evenly as they go."""
    others = rng.sample([number for number in range(len(block)) if number != own], min(n, 4))
    found = []
    for place, number in enumerate(others):
        passage = block[number]
        share = n // 4 + (place < n % 4)
        found += [passage.sentences[sentence] for sentence in rng.sample(passage.drawn, share)]
    return found
