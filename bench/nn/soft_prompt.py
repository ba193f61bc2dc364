"""Soft prompts: vectors before the input embeddings of a frozen model; ppt, section 2-3.

They are those of Lester et al., 2021.

A soft prompt is a value, a tensor [P, E]: `initial_prompt` makes one, and any other (a pretrained
one, say) will do.

Axes: P soft tokens, E width of the word embeddings, B batch, C classes, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone, SoftEmbedding
from fewbench.nn.batch import Batch, Encoded, Tokens
from fewbench.nn.long_words import word_tokens, words_model
from fewbench.nn.task_model import TaskModel
from fewbench.types import Example, Json, Task

if TYPE_CHECKING:
    from typing_extensions import Self

Over = Literal["words", "vocabulary"]
"""What the probabilities of a loss are over: the label words, or the vocabulary (ppt, eq. 1-2)."""

Start = Literal["normal", "mask", "label", "vocabulary", "task"]
"""ppt, Table 2: random, label words, words of the vocabulary or the task's texts; and the mask, as
its code does.
"""


class SoftPromptModel(TaskModel):
    """Scores label words at the mask of [P; f(x)], and trains P alone: ppt, equation 2.

    Where the model's positions end before P and the task's longest input do, the input is cut to
    what P leaves.

    Args:
        backbone: masked or encoder-decoder; it is frozen, and from now on reads soft tokens too.
        task: its template f may be a hard prompt (hybrid) or hold the texts and the mask alone.
        prompt: the soft prompt's values at the start, [P, E]; copied.
        over: what the probabilities of the loss are over. A regression's are over its two words.

    Raises:
        BenchError: a prompt of another width, or one too long for the model's positions.
    """

    def __init__(
        self, backbone: Backbone, task: Task, prompt: Tensor, over: Over = "words"
    ) -> None:
        words = backbone.model.get_input_embeddings()  # type: ignore[operator]
        if prompt.ndim != 2 or prompt.shape[1] != words.embedding_dim:
            shape = f"[tokens, {words.embedding_dim}]"
            raise BenchError(
                f"a soft prompt of shape {list(prompt.shape)}",
                where=backbone.ref.path,
                allowed=shape,
            )
        task = behind(backbone, task, len(prompt))
        super().__init__(backbone, task)
        self.hard = words_model(backbone, task)
        self.over = over
        backbone.requires_grad_(False)
        self.soft = nn.Parameter(prompt.detach().clone().to(backbone.device))
        embedding = SoftEmbedding(words, self.soft)
        backbone.model.set_input_embeddings(embedding)  # type: ignore[operator]

    def blueprint(self) -> Json:
        """Return the number of soft tokens, and the hard prompt, which may not be the task's."""
        return {"tokens": len(self.soft), "template": self.task.template, "words": self.task.words}

    @classmethod
    def rebuild(  # type: ignore[override]
        cls,
        backbone: Backbone,
        task: Task,
        *,
        tokens: int,
        template: str,
        words: Sequence[Sequence[str]],
    ) -> Self:
        """Return a model with soft tokens of value 0."""
        width = backbone.model.get_input_embeddings().embedding_dim  # type: ignore[operator]
        read = replace(task, template=template, words=tuple(map(tuple, words)))
        return cls(backbone, read, torch.zeros(tokens, width))

    def encode(self, examples: Sequence[Example]) -> list[Encoded]:
        """Return prompts as token ids behind those of the soft tokens, -P to -1."""
        prompts = []
        for encoded in self.hard.encode(examples):
            sequences = tuple(map(self._with_soft_tokens, encoded.sequences))
            prompts.append(encoded._replace(sequences=sequences))
        return prompts

    def _with_soft_tokens(self, hard: Tokens) -> Tokens:
        count = len(self.soft)
        ids = (*range(-count, 0), *hard.ids)
        return Tokens(ids, (0,) * count + hard.segments, count + hard.read)

    def _encode_new(self, examples: Sequence[Example]) -> list[Encoded]:
        return self.hard._encode_new(examples)

    def forget(self) -> None:
        """Forget what the hard prompt encoded."""
        self.hard.forget()

    def forward(self, batch: Batch) -> Tensor:
        """Return class scores (logits), [B, C]."""
        scores: Tensor = self.hard(batch)
        return scores

    def answer(self, scores: Tensor) -> Tensor:
        """Return probabilities [B, C], or values [B] for regression."""
        return self.hard.answer(scores)

    def loss(self, batch: Batch) -> Tensor:
        """Return the hard prompt's loss, or that of equation 2 over the vocabulary."""
        return self.scores_and_loss(batch)[1]

    def scores_and_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return class scores [B, C], and the loss of the batch.

        Over the vocabulary it is the mean of -log p(<X> = v(y)), averaged over a class's words.
        """
        if self.over == "words" or self.task.is_regression:
            scores = self(batch)
            return scores, self.hard.loss_of(scores, batch.labels)
        scores, total = self.hard.scores_and_total(batch)
        right = scores.gather(1, batch.labels[:, None])[:, 0]
        return scores, (total - right).mean()

    def describe(self) -> Json:
        """Describe the hard prompt, and count soft tokens and trained parameters."""
        soft = {"tokens": len(self.soft), "trained_parameters": self.soft.numel()}
        return self.hard.describe() | {"soft_prompt": soft}


def behind(backbone: Backbone, task: Task, tokens: int) -> Task:
    """Shorten a task's inputs to the positions that a number of soft tokens leaves.

    Raises:
        BenchError: no soft tokens; or so many that an input is left neither its own length nor half
            of the positions.
    """
    if tokens < 1:
        raise BenchError(f"a soft prompt of {tokens} tokens", allowed="1 or more")
    room = backbone.places - tokens
    least = min(task.max_length, backbone.places // 2)
    if room < least:
        raise BenchError(
            f"{tokens} soft tokens before up to {task.max_length} of {task.full_name} leave "
            f"{max(room, 0)} of the {backbone.places} positions of this model",
            where=backbone.ref.path,
            allowed=f"at most {backbone.places - least} soft tokens, "
            f"so that {least} positions are left",
        )
    return replace(task, max_length=min(task.max_length, room))


def initial_prompt(
    backbone: Backbone,
    task: Task,
    examples: Sequence[Example],
    tokens: int,
    start: Start,
    seed: int,
) -> Tensor:
    """Return values for a soft prompt to start from, [P, E].

    `normal` draws numbers of the word embeddings' own mean and deviation, as the paper gives none;
    `mask` repeats the mask's embedding (the paper's code for vanilla PT); `label` repeats those of
    the label words; `vocabulary` and `task` draw words, with replacement.

    Args:
        backbone: gives the word embeddings.
        task: gives the label words.
        examples: give the texts that `task` draws from.
        tokens: P, 1 or more.
        start: how.
        seed: of what is drawn.

    Raises:
        BenchError: there is no word to start from.
    """
    words: Tensor = backbone.model.get_input_embeddings().weight.detach()  # type: ignore[operator]
    draw = torch.Generator().manual_seed(seed)
    if start == "normal":
        return words.mean().cpu() + words.std().cpu() * torch.randn(
            tokens, words.shape[1], generator=draw
        )
    known = _start_tokens(task, backbone.tokenizer, examples, start)
    if start in ("vocabulary", "task"):
        return sampled_prompt(backbone, task, known, tokens, start, seed)
    return words[torch.tensor(known)[torch.arange(tokens) % len(known)].to(words.device)].cpu()


def sampled_prompt(
    backbone: Backbone, task: Task, known: Sequence[int], tokens: int, start: str, seed: int
) -> Tensor:
    """Return the embeddings of tokens drawn from some, with replacement, [P, E].

    Raises:
        BenchError: there is none to draw from.
    """
    if not known:
        raise BenchError(
            f"no word to start a soft prompt from: start={start}",
            where=task.full_name,
            fix="start=normal",
        )
    words: Tensor = backbone.model.get_input_embeddings().weight.detach()  # type: ignore[operator]
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(known), (tokens,), generator=draw)
    return words[torch.tensor(known)[rows].to(words.device)].cpu()


def _start_tokens(
    task: Task, tokenizer: Any, examples: Sequence[Example], start: Start
) -> list[int]:
    """List the tokens whose embeddings a soft prompt starts from."""
    if start == "mask":
        return [tokenizer.mask_token_id]
    if start == "label":
        words = chain.from_iterable(word_tokens(task, tokenizer))
        return list(chain.from_iterable(words))
    if start == "vocabulary":
        return sorted(set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids))
    texts = list(chain.from_iterable((*e.texts, *e.options) for e in examples))
    return list(chain.from_iterable(tokenizer(texts, add_special_tokens=False)["input_ids"]))
