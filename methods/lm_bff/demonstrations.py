"""A prompt with demonstrations after it, drawn among those near to the input.

Axes: B batch, S sequences (B, or B x draws), C classes, n inputs, m demonstrations, d width.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded, by_length
from fewbench.nn.prompt import PromptModel
from fewbench.nn.task_model import TOKENS_A_BATCH, TaskModel
from fewbench.nn.verbalizer import word_ids
from fewbench.registry.named_inputs import NamedInput
from fewbench.types import Example, Json, Task

from .sentences import encode_sentences, open_encoder

SHARE = 2
"""One of so many demonstrations of a class is near enough to be drawn: the paper's 50 %."""

DIGITS = 4
"""Decimals of a cosine: sentences that are equally near stay so in a batch of another size."""

Nearer = list[list[int]]
"""The numbers of the demonstrations that an input may draw, class by class, the nearest first."""


class LabelledPrompt(NamedTuple):
    """A training example as a demonstration: its row in train, its class, and its token ids."""

    row: int
    label: int
    ids: tuple[int, ...]


class DemonstratedModel(TaskModel):
    """A prompt that reads a demonstration of each class after its input.

    Args:
        backbone: a masked model, as pretrained: a copy of it measures how near sentences are.
        task: gives template and label words.
        demonstrations: all there are to draw from (`demonstrate`).
        draws: sets of demonstrations that a prediction is the mean over.
        seed: of the places, among those near to an input, that these draws take.
        encoder: name, revision and place of the model that measures how near texts are; None for
            the copy, which reads them in the template.
    """

    sentences: Tensor
    encoder: Backbone

    def __init__(
        self,
        backbone: Backbone,
        task: Task,
        demonstrations: Sequence[tuple[int, int, Sequence[int]]],
        *,
        draws: int,
        seed: int,
        encoder: Sequence[str] | None = None,
    ) -> None:
        super().__init__(backbone, task)
        self.prompt = PromptModel(backbone, replace(task, max_length=input_length(backbone, task)))
        self.demonstrations = [
            LabelledPrompt(row, label, tuple(ids)) for row, label, ids in demonstrations
        ]
        self.draws, self.seed = draws, seed
        shape = (draws, len(task.words))
        self.places = np.random.default_rng(seed).random(shape)
        self.named = None if encoder is None else NamedInput(*encoder)
        reader = _copy_of(backbone) if self.named is None else open_encoder(self.named)
        # No submodule: it is neither trained nor kept.
        object.__setattr__(self, "encoder", reader.to(backbone.device))
        shape = (len(demonstrations), reader.width)
        self.register_buffer("sentences", torch.zeros(shape).to(backbone.device))

    def remember(self, train: Sequence[Example]) -> None:
        """Note the sentences of the demonstrations, to which those of inputs are compared."""
        examples = [train[row].without_label() for row, _, _ in self.demonstrations]
        self.sentences.copy_(self.sentence_states(self.sentences_of(examples)))

    def blueprint(self) -> Json:
        """Return the demonstrations, how they are drawn, and the named sentence encoder."""
        facts = {"demonstrations": self.demonstrations, "draws": self.draws, "seed": self.seed}
        return facts if self.named is None else facts | {"encoder": self.named.parts}

    def sentences_of(self, examples: Sequence[Example]) -> list[Encoded]:
        """Return examples as the sentence encoder reads them."""
        if self.named is None:
            return self.prompt.encode(examples)
        return encode_sentences(self.encoder, examples)

    def encode(self, examples: Sequence[Example]) -> list[Encoded]:
        """Return inputs as token ids, a sequence for each draw of demonstrations."""
        inputs = self.prompt.encode(examples)
        return [
            self._with_all_draws(encoded, nearer)
            for encoded, nearer in zip(
                inputs, self.nearer(self.sentences_of(examples)), strict=True
            )
        ]

    @torch.no_grad()
    def sentence_states(self, inputs: Sequence[Encoded]) -> Tensor:
        """Return the mean last hidden state of each input by the sentence encoder, [n, d].

        It has length 1.
        """
        states = torch.zeros(len(inputs), self.sentences.shape[1], device=self.backbone.device)
        for indices in by_length(inputs, TOKENS_A_BATCH):
            batch = self.collate([inputs[index] for index in indices])
            tokens = self.encoder.hidden_states(batch)[-1][batch.grid] * batch.real[..., None]
            states[indices] = F.normalize(tokens.sum(1).float(), dim=-1)
        return states

    def nearer(self, inputs: Sequence[Encoded], rows: Iterable[int] | None = None) -> list[Nearer]:
        """List the demonstrations that each input may draw: the nearer half of each class.

        Args:
            inputs: examples as `sentences_of` returns them.
            rows: their rows in train, where they are of train: none draws itself.
        """
        cosines = self.sentence_states(inputs) @ self.sentences.T
        near = (-cosines).cpu().numpy().astype(np.float64).round(DIGITS)
        orders = near.argsort(1, kind="stable").tolist()
        numbers = [-1] * len(orders) if rows is None else rows
        return [self._halved(order, row) for order, row in zip(orders, numbers, strict=True)]

    def _halved(self, order: Sequence[int], row: int) -> Nearer:
        by_class: Nearer = [[] for _ in self.task.words]
        for number in order:
            demonstration = self.demonstrations[number]
            if demonstration.row != row:
                by_class[demonstration.label].append(number)
        return [numbers[: max(1, len(numbers) // SHARE)] for numbers in by_class]

    def with_one_draw(self, encoded: Encoded, nearer: Nearer) -> Encoded:
        """Return an input with a demonstration of each class, drawn by torch's generator.

        A class whose only example is the input itself has none.
        """
        drawn = [numbers[int(torch.randint(len(numbers), ()))] for numbers in nearer if numbers]
        return self._behind(encoded, [drawn])

    def _with_all_draws(self, encoded: Encoded, nearer: Nearer) -> Encoded:
        sets = []
        for places in self.places:
            pairs = zip(nearer, places, strict=True)
            sets.append([numbers[int(place * len(numbers))] for numbers, place in pairs if numbers])
        return self._behind(encoded, sets)

    def _behind(self, encoded: Encoded, sets: Sequence[Sequence[int]]) -> Encoded:
        """Return an input with each of some sets of demonstrations behind it."""
        (tokens,) = encoded.sequences
        sequences = []
        for numbers in sets:
            after = chain.from_iterable(self.demonstrations[number].ids for number in numbers)
            ids = (*tokens.ids, *after)
            sequences.append(tokens._replace(ids=ids, segments=(0,) * len(ids)))
        return encoded._replace(sequences=tuple(sequences))

    def forward(self, batch: Batch) -> Tensor:
        """Return class scores (logits), [B, C]: the mean over an example's sequences."""
        scores: Tensor = self.prompt(batch)
        return scores.view(len(batch.rows), -1, scores.shape[-1]).mean(1)

    def answer(self, scores: Tensor) -> Tensor:
        """Return probabilities [B, C], or values [B] for regression."""
        return self.prompt.answer(scores)

    def loss(self, batch: Batch) -> Tensor:
        """Return the prompt's loss."""
        return self.prompt.loss_of(self(batch), batch.labels)

    def extra_tokens(self) -> tuple[int, ...]:
        """Return the label words' token ids."""
        return self.prompt.extra_tokens()

    def describe(self) -> Json:
        """Return the prompt's description, and what it draws from."""
        facts = {"of": len(self.demonstrations), "draws": self.draws}
        return self.prompt.describe() | {"demonstrations": facts}

    def _encode_new(self, examples: Sequence[Example]) -> list[Encoded]:
        return self.prompt._encode_new(examples)


def _copy_of(backbone: Backbone) -> Backbone:
    """Return a model as it is now, which training does not change."""
    model = copy.deepcopy(backbone.model)
    made = type(backbone)(model, backbone.tokenizer, backbone.ref, backbone.encodings)
    return made.requires_grad_(False).eval()


def input_length(backbone: Backbone, task: Task) -> int:
    """Return the largest number of tokens of an input: half of what is read at most."""
    return min(task.max_length, backbone.places // 2)


def demonstration_length(backbone: Backbone, task: Task) -> int:
    """Return the largest number of tokens of a demonstration with its separator."""
    whole = min(2 * task.max_length, backbone.places)
    return (whole - input_length(backbone, task)) // len(task.words)


def demonstrate(backbone: Backbone, task: Task, train: Sequence[Example]) -> list[LabelledPrompt]:
    """Return the training examples as demonstrations, without those that do not fit.

    Raises:
        BenchError: a class has none that fits.
    """
    words = [ids[0] for ids in word_ids(task, backbone.tokenizer)]
    prompt = _short_prompt(backbone, task)
    found = []
    for row, example in enumerate(train):
        label = class_of(task, example)
        try:
            (encoded,) = prompt.encode([example.without_label()])
        except BenchError:  # its template and options alone are too long
            continue
        (tokens,) = encoded.sequences
        ids = (*tokens.ids[1 : tokens.read], words[label], *tokens.ids[tokens.read + 1 :])
        found.append(LabelledPrompt(row, label, ids))
    if len({demonstration.label for demonstration in found}) < len(words):
        raise _no_room(backbone, task)
    return found


def check_room(backbone: Backbone, task: Task) -> None:
    """Refuse a task whose template alone is longer than a demonstration may be.

    Raises:
        BenchError: it is.
    """
    try:
        _short_prompt(backbone, task).encode([Example("", ("", ""))])
    except BenchError as error:
        raise _no_room(backbone, task) from error


def class_of(task: Task, example: Example) -> int:
    """Return the class that an example demonstrates: of a regression, its lower or upper word."""
    assert example.label is not None
    if task.bounds:
        return int(example.label > sum(task.bounds) / 2)
    return int(example.label)


def _short_prompt(backbone: Backbone, task: Task) -> PromptModel:
    """Return a prompt whose inputs are cut to a demonstration's length, and a first token."""
    length = demonstration_length(backbone, task) + 1
    return PromptModel(backbone, replace(task, max_length=length))


def _no_room(backbone: Backbone, task: Task) -> BenchError:
    return BenchError(
        f"{task.full_name}: a demonstration of each of {len(task.words)} classes does not fit "
        f"beside an input in the tokens that the task and {backbone.ref.name} have for them",
        fix="a model that reads more, a larger max_length of the task, or --methods prompt-ft",
    )
