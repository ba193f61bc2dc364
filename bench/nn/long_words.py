"""Prompts whose label words are of several tokens: as many masks as the longest word has tokens.

Equation 1 of ppt asks for p(<X> = v(y) | f(x)), where v(y) is a sequence of tokens t_1 … t_k. Its
logarithm is a word's score, the sum over i of log p(t_i), each over the whole vocabulary:

- masked models read all masks at once, p(t_i) = p(mask i = t_i | f(x)), as PET does in training
  (Schick and Schütze, 2021, "It's not just size that matters", section 3.1); a shorter word takes
  the first masks and leaves the others;
- T5 says a word from left to right, p(t_i) = p(t_i | t_1 … t_(i-1), f(x)), as the models of ppt do.

A class's score is the mean of its words' scores, and the answer the softmax over classes: for words
of one token each the same as `PromptModel`'s, whose scores lack what the softmax cancels. Departs
from PET: it fills masks in one by one where it answers, and trains by a hinge loss.

Axes: B batch, C classes, W label words, K tokens of the longest, N tokens, V vocabulary, d width.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import chain, islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from fewbench.data.template import parse_template
from fewbench.errors import BenchError, ModelError
from fewbench.nn.backbone import Backbone, FocusedEmbedding
from fewbench.nn.batch import Batch, Encoded
from fewbench.nn.kinds import prompt_model, view_of
from fewbench.nn.prompt import PromptModel
from fewbench.nn.prompt_pieces import word_pieces
from fewbench.nn.seq2seq import Seq2SeqPromptModel
from fewbench.nn.task_model import TaskModel
from fewbench.nn.verbalizer import Verbalizer
from fewbench.types import Json, Task

WordTokens = tuple[tuple[tuple[int, ...], ...], ...]
"""The token ids of each label word, class by class."""


class LongWordsModel(PromptModel):
    """Classifies by label words of any number of tokens: the base of both readings.

    `tokens` [W, K] holds the words' token ids, 0 after a word's last, and `real` [W, K] where a
    token stands.
    """

    tokens: Tensor
    real: Tensor

    def __init__(self, backbone: Backbone, task: Task) -> None:
        TaskModel.__init__(self, backbone, task)  # PromptModel's own takes words of one token
        self.pieces = parse_template(task.template)
        self.words = word_tokens(task, backbone.tokenizer)
        flat = list(chain.from_iterable(self.words))
        self.longest = max(map(len, flat))
        tokens = [[*ids, *(0,) * (self.longest - len(ids))] for ids in flat]
        lengths = torch.tensor([len(ids) for ids in flat])
        self.register_buffer("tokens", torch.tensor(tokens), persistent=False)
        self.register_buffer(
            "real", torch.arange(self.longest) < lengths[:, None], persistent=False
        )
        numbers = iter(range(len(flat)))
        by_class = (tuple(islice(numbers, len(several))) for several in self.words)
        self.by_class = Verbalizer(tuple(by_class))
        self.to(backbone.device)
        view = f"{type(self).__name__} {task.full_name} {task.template} {task.max_length}"
        self._encoded = backbone.encodings.setdefault(f"{view} {self.longest} tokens", {})

    def extra_tokens(self) -> tuple[int, ...]:
        """Return the whole vocabulary: probabilities are over all of it."""
        return tuple(range(self.backbone.config.vocab_size))

    def describe(self) -> Json:
        """Return inputs cut, the template, the label words as tokens, and the longest's number."""
        tokenizer = self.backbone.tokenizer
        words = [
            " ".join(tokenizer.convert_ids_to_tokens(list(ids)))
            for ids in chain.from_iterable(self.words)
        ]
        said = {"template": self.task.template, "label_words": words}
        return TaskModel.describe(self) | said | {"tokens_of_longest_word": self.longest}

    def forward(self, batch: Batch) -> Tensor:
        """Return class scores, [B, C]: log-probabilities, which need not add up to 1."""
        scores: Tensor = self.by_class(self.word_scores(batch))
        return scores

    def scores_and_total(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return class scores [B, C], and 0 [B]: they are log-probabilities already."""
        scores = self(batch)
        return scores, scores.new_zeros(len(scores))

    @abstractmethod
    def word_scores(self, batch: Batch) -> Tensor:
        """Return log p(word) of each label word, [B, W]."""

    def _sum(self, found: Tensor) -> Tensor:
        """Return sums over the words' own tokens, [B, W], of log-probabilities [B, W, K]."""
        return found.masked_fill(~self.real, 0.0).sum(-1)


class MaskedWordsModel(LongWordsModel):
    """A masked model that reads K masks in a row, all at once."""

    def word_scores(self, batch: Batch) -> Tensor:
        """Return log p(word) of each label word, [B, W]."""
        places = batch.read[:, None] + torch.arange(self.longest, device=batch.read.device)
        states = self.backbone.hidden_states(batch)[-1][places]
        scores = _vocabulary_scores(self.backbone, states.flatten(0, 1)).float().log_softmax(-1)
        by_mask = scores.view(*places.shape, -1).transpose(0, 1)  # [K, B, V]
        said = [each[:, ids] for each, ids in zip(by_mask, self.tokens.T, strict=True)]
        return self._sum(torch.stack(said, -1))

    def _join(self, parts: list[list[int]]) -> Encoded:
        mask = next(number for number, piece in enumerate(self.pieces) if piece.kind == "mask")
        parts[mask] = parts[mask] * self.longest
        return super()._join(parts)


class SpokenWordsModel(LongWordsModel, Seq2SeqPromptModel):
    """T5, whose decoder says each word after <extra_id_0>, from left to right."""

    def word_scores(self, batch: Batch) -> Tensor:
        """Return log p(word) of each label word, [B, W]."""
        model: Any = self.backbone.model
        words, sentinel = len(self.tokens), batch.ids[batch.read]
        attention = batch.real.long()
        encoded = model.get_encoder()(input_ids=batch.ids[batch.grid], attention_mask=attention)
        begin = torch.full_like(sentinel, self.backbone.config.decoder_start_token_id)
        opening = torch.stack([begin, sentinel], 1).repeat_interleave(words, 0)
        given = dict(
            encoder_outputs=(encoded.last_hidden_state.repeat_interleave(words, 0),),
            attention_mask=attention.repeat_interleave(words, 0),
            decoder_input_ids=torch.cat([opening, self.tokens[:, :-1].repeat(len(sentinel), 1)], 1),
            use_cache=False,
        )
        said = functional_call(model, _trained_projection(self.backbone), kwargs=given).logits
        scores = said[:, 1:].float().log_softmax(-1)  # [B W, K, V]
        asked = self.tokens.repeat(len(sentinel), 1)[..., None]
        return self._sum(scores.gather(-1, asked).view(-1, words, self.longest))


def words_model(backbone: Backbone, task: Task) -> PromptModel:
    """Return a task's prompt as the backbone's kind reads it, with words of any number of tokens.

    Raises:
        BenchError: label words or a template that the model cannot read, or no language head.
    """
    words = word_tokens(task, backbone.tokenizer)
    if all(len(ids) == 1 for ids in chain.from_iterable(words)):
        return prompt_model(backbone, task)
    backbone.check_head()
    reader = view_of(backbone.ref).prompt
    if reader is PromptModel:
        return MaskedWordsModel(backbone, task)
    if reader is Seq2SeqPromptModel:
        return SpokenWordsModel(backbone, task)
    raise ModelError(
        f"{task.full_name} has label words of several tokens, of which this model reads none",
        where=backbone.ref.path,
        allowed="masked language models, and T5",
        fix="--template with words of one token, or another model",
    )


def word_tokens(task: Task, tokenizer: Any) -> WordTokens:
    """Return the token ids of every label word, class by class.

    Raises:
        BenchError: a word with a piece that the tokenizer lacks, or one word for two classes.
    """
    words = _pieces(task, tokenizer)
    where = f"{task.file} [{task.name}] words"
    owner: dict[tuple[int, ...], int] = {}
    for label, several in enumerate(words):
        for word, ids in zip(task.words[label], several, strict=True):
            if not ids or tokenizer.unk_token_id in ids:
                raise BenchError(
                    f"this tokenizer lacks a piece of the label word '{word}'",
                    where=where,
                    fix="another word, or a model whose vocabulary has its pieces",
                )
            if owner.setdefault(ids, label) != label:
                pieces = " ".join(tokenizer.convert_ids_to_tokens(list(ids)))
                raise BenchError(
                    f"the labels '{task.labels[owner[ids]]}' and '{task.labels[label]}' share the "
                    f"tokens '{pieces}' with this tokenizer",
                    where=where,
                    fix="choose words that differ in more than case",
                )
    return words


def _pieces(task: Task, tokenizer: Any) -> WordTokens:
    return tuple(_pieces_of(words, tokenizer) for words in task.words)


def _pieces_of(words: Sequence[str], tokenizer: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(word_pieces(tokenizer, word)) for word in words)


def _vocabulary_scores(backbone: Backbone, states: Tensor) -> Tensor:
    """Score the vocabulary for states [M, d], [M, V], by the rows that are being trained."""
    embedding = backbone.model.get_input_embeddings()  # type: ignore[operator]
    if not isinstance(embedding, FocusedEmbedding):
        return backbone.vocabulary_scores_of(states)
    rows, bias = backbone.word_rows(torch.arange(len(embedding.row_of), device=states.device))
    return F.linear(backbone.projected(states), rows, bias)


def _trained_projection(backbone: Backbone) -> dict[str, Tensor]:
    """Return by name what a tied projection is while the embeddings are trained elsewhere."""
    decoder = backbone.model.get_output_embeddings()  # type: ignore[operator]
    embedding = backbone.model.get_input_embeddings()  # type: ignore[operator]
    if not isinstance(embedding, FocusedEmbedding) or embedding.full.weight is not decoder.weight:
        return {}
    name = next(name for name, module in backbone.model.named_modules() if module is decoder)
    return {f"{name}.weight": embedding.weight[embedding.row_of]}


def check_short(task: Task, tokenizer: Any, method: str) -> None:
    """Refuse label words of several tokens, for a method that reads one at the mask.

    Raises:
        BenchError: there is one, of pieces that the tokenizer has.
    """
    for word, ids in zip(chain(*task.words), chain(*_pieces(task, tokenizer)), strict=True):
        if len(ids) > 1 and tokenizer.unk_token_id not in ids:
            pieces = " ".join(tokenizer.convert_ids_to_tokens(list(ids)))
            raise BenchError(
                f"the label word '{word}' is {len(ids)} tokens with this tokenizer ({pieces}), and "
                f"{method} reads one at the mask",
                where=f"{task.file} [{task.name}] words",
                allowed="words of one token",
                fix="another word or --template, a model whose vocabulary has this word, or a "
                "method that needs long-words (bench ls methods): prompt-ft, zero-shot",
            )
