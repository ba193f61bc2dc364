"""Make the examples of the intermediate tasks from unlabelled documents: smash, section 3.2.

Pairs of sentences stand far, near or side by side in a corpus; of single sentences, those are taken
whose opinion a pretrained teacher is sure of. Raw passages serve the comparison with plain masked
language modelling (section 4.3).

The paper says that 200,000 updates of 128 read its 1.3M pairs twice and its 2.56M sentences once;
by arithmetic they are 20 and 10 passes. Here the counts are upper bounds, and nothing more is drawn
than the updates read. The corpus is held in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from fewbench.data.documents import Document
from fewbench.errors import DataError
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Encoded, Tokens
from fewbench.nn.kinds import prompt_model
from fewbench.nn.prompt import PromptModel
from fewbench.types import Example, Format, Source, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fewbench.nn.fit_context import PrepareContext

SIZES = {"pair": 1_300_000, "single": 2_560_000}
"""The largest number of examples: smash, section 4.1."""
PASSAGE = 512
"""Tokens of a raw passage: smash, appendix A.1."""
SENTENCES = 4
"""Fewest sentences of a document for pairs: of three, the middle one has no sentence apart."""


def _task(
    form: Format, labels: tuple[str, ...], template: str, words: tuple[str, ...], max_length: int
) -> Task:
    return Task(
        name=f"intermediate-{form}",
        title="An intermediate task",
        format=form,
        labels=labels,
        metric="accuracy",
        template=template,
        words=tuple((word,) for word in words),
        sources=(Source("corpus", "", "", "", "", (), "", hub=False),),
        paper="smash, section 3.2",
        licence="the corpus's",
        max_length=max_length,
        file="methods/smash/data.py",
    )


_RELATIONS = ("other document", "same document", "adjacent")
_OPINIONS = ("terrible", "bad", "okay", "good", "great")
TASKS = {
    "pair": _task("pair", _RELATIONS, "{0|cut}? {mask}, {1|lower}", ("No", "Maybe", "Yes"), 128),
    "single": _task("single", _OPINIONS, "{0} It was {mask}.", _OPINIONS, 64),
}
"""f_dis, v_dis and the lengths of appendix A.1.

As in LM-BFF's templates, x1 loses its full stop and x2 its first capital.
"""


def learner(backbone: Backbone, kind: str) -> PromptModel:
    """Return an intermediate task's prompt model on a backbone."""
    backbone.encodings = {}  # the cache of token ids: the examples will be many
    return prompt_model(backbone, TASKS[kind])


def examples(
    kind: str, world: PrepareContext, model: PromptModel, teacher: Backbone, count: int, keep: float
) -> list[Encoded]:
    """Return an intermediate task's labelled examples as token ids.

    Args:
        kind: `pair` or `single`.
        world: gives corpus and seed.
        model: the prompt that reads them.
        teacher: judges single sentences.
        count: the largest number of examples.
        keep: the share of single sentences kept.
    """
    count = min(SIZES[kind], count)
    if kind == "pair":
        drawn = sentence_pairs(world.documents(), count, world.seed)
    else:
        drawn = sure_sentences(world.documents(), count, world.seed, teacher, keep)
    return model.encode(drawn)


def sentence_pairs(documents: Iterable[Document], count: int, seed: int) -> list[Example]:
    """Return pairs of sentences, equally many of each label.

    Label 0: of two documents; 1: apart in one document; 2: side by side. The first is any sentence
    of the corpus, the second any that the label allows, before or after it: each as likely.
    Documents of fewer than four sentences are left out, a rule that the paper does not have.

    Raises:
        DataError: fewer than two documents are left.
    """
    usable = [document for document in documents if len(document) >= SENTENCES]
    if len(usable) < 2:
        raise DataError(
            f"sentence pairs need two documents of {SENTENCES} sentences or more, and the corpus "
            f"has {len(usable)}",
            fix="--corpus with another one",
        )
    rng = np.random.default_rng(seed)
    ends = np.cumsum([len(document) for document in usable])
    return [Example(f"pair-{n}", _pair(usable, ends, n % 3, rng), n % 3) for n in range(count)]


def _pair(
    documents: Sequence[Document], ends: NDArray[np.int64], label: int, rng: np.random.Generator
) -> tuple[str, str]:
    document, first = _place(ends, rng)
    if label == 0:
        other, second = _place(ends, rng)
        while other == document:
            other, second = _place(ends, rng)
        return documents[document][first], documents[other][second]
    sentences = documents[document]
    distances = [abs(n - first) for n in range(len(sentences))]
    if label == 2:
        allowed = [n for n, distance in enumerate(distances) if distance == 1]
    else:
        allowed = [n for n, distance in enumerate(distances) if distance > 1]
    return sentences[first], sentences[allowed[rng.integers(len(allowed))]]


def _place(ends: NDArray[np.int64], rng: np.random.Generator) -> tuple[int, int]:
    """Draw a sentence: its document, and its number there.

    `ends` counts the sentences up to each document's end.
    """
    number = rng.integers(ends[-1])
    document = int(np.searchsorted(ends, number, side="right"))
    return document, int(number - (ends[document - 1] if document else 0))


def sure_sentences(
    documents: Iterable[Document], count: int, seed: int, teacher: Backbone, keep: float
) -> list[Example]:
    """Return sentences whose opinion the teacher is sure of, labelled with its likeliest word.

    The paper leaves out sentences "with low classification probability" and gives no bound. Small
    teachers are sure of little, so a share is kept: of the sentences drawn, those with the largest
    probability among the five words.

    Args:
        documents: where sentences stand; a repeated one counts once.
        count: the largest number kept.
        seed: of the draws.
        teacher: the judge.
        keep: the share kept, above 0 and up to 1.
    """
    sentences = list(dict.fromkeys(sentence for document in documents for sentence in document))
    drawn = np.random.default_rng(seed).permutation(len(sentences))[: math.ceil(count / keep)]
    examples = [Example(f"single-{n}", (sentences[n],)) for n in sorted(drawn.tolist())]
    probabilities = learner(teacher, "single").eval().predict(examples).array
    order = np.argsort(-probabilities.max(1), kind="stable")
    surest = sorted(order[: math.ceil(len(examples) * keep)].tolist())
    labels = probabilities.argmax(1).tolist()
    return [replace(examples[n], label=labels[n]) for n in surest]


def passages(world: PrepareContext, backbone: Backbone, count: int) -> list[Encoded]:
    """Return at most `count` pieces of raw text, of 512 tokens or the model's length."""
    tokenizer = backbone.tokenizer
    room = min(PASSAGE, backbone.places) - 2
    texts = (
        tokenizer(" ".join(document), add_special_tokens=False)["input_ids"]
        for document in world.documents()
    )
    pieces = (ids[start : start + room] for ids in texts for start in range(0, len(ids), room))
    encoded = []
    for piece in islice(pieces, count):
        ids = (tokenizer.cls_token_id, *piece, tokenizer.sep_token_id)
        encoded.append(Encoded((Tokens(ids, (0,) * len(ids)),), None))
    return encoded


def check_words(kind: str, *backbones: Backbone) -> None:
    """Refuse a model whose tokenizer lacks the intermediate task's label words.

    Raises:
        BenchError: a word has several pieces, or is missing.
    """
    for backbone in backbones:
        prompt_model(backbone, TASKS[kind])


def check_corpus(kind: str, world: PrepareContext) -> None:
    """Refuse a corpus without text, or one too small for pairs."""
    if kind == "pair":
        usable = (document for document in world.documents() if len(document) >= SENTENCES)
        sentence_pairs(islice(usable, 2), 1, world.seed)
    else:
        next(world.documents())
