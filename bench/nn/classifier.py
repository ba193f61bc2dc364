"""Fine-tuning's model: a linear head on the first token's hidden state; smash, section 3.1.

Axes: B batch, C classes, S sequences, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from torch import Tensor, nn

from fewbench.nn import losses
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded, Tokens
from fewbench.nn.task_model import TaskModel
from fewbench.types import Example, Task


class HeadModel(TaskModel):
    """Classifies by softmax(W h): h is the first token's hidden state, W new and normal.

    Pairs are encoded as two segments. A choice scores each option as a sequence of its own, passage
    before question and option. Regression has one output, trained on values scaled to 0..1.
    """

    def __init__(self, backbone: Backbone, task: Task) -> None:
        super().__init__(backbone, task)
        config = backbone.config
        self.dropout = nn.Dropout(
            getattr(config, "hidden_dropout_prob", getattr(config, "dropout", 0.1))
        )
        outputs = 1 if task.is_regression or task.format == "choice" else len(task.labels)
        self.output = nn.Linear(backbone.width, outputs).to(backbone.device)
        nn.init.normal_(self.output.weight, std=getattr(config, "initializer_range", 0.02))
        nn.init.zeros_(self.output.bias)

    def forward(self, batch: Batch) -> Tensor:
        """Return scores [B, C], or [B, 1] for regression."""
        scores: Tensor = self.output(self.dropout(self.backbone.read(batch)))
        return scores.view(-1, len(self.task.labels)) if self.task.format == "choice" else scores

    def answer(self, scores: Tensor) -> Tensor:
        """Return probabilities [B, C], or values [B] for regression."""
        if self.task.bounds is None:
            return scores.softmax(-1)
        lower, upper = self.task.bounds
        return lower + (upper - lower) * scores[:, 0]

    def loss(self, batch: Batch) -> Tensor:
        """Return cross-entropy, or the squared error for regression."""
        scores = self(batch)
        if self.task.bounds is None:
            return losses.cross_entropy(scores, batch.labels)
        return losses.bounded_mse(scores[:, 0], batch.labels, self.task.bounds)

    def _encode_new(self, examples: Sequence[Example]) -> list[Encoded]:
        pairs = list(chain.from_iterable(map(_segments, examples)))
        if not pairs:
            return []
        sequences, cuts = self._tokenise(pairs)
        each = len(pairs) // len(examples)
        encoded = []
        for start in range(0, len(sequences), each):
            end = start + each
            encoded.append(Encoded(tuple(sequences[start:end]), None, sum(cuts[start:end])))
        return encoded

    def _tokenise(self, pairs: Sequence[tuple[str, str | None]]) -> tuple[list[Tokens], list[int]]:
        """Return the tokens of texts or pairs of texts, and the number cut from each to fit.

        One separator stands between the texts of a pair, as LM-BFF and smash (section 3.1) have it;
        RoBERTa's tokenizer puts two there.
        """
        first = [text for text, _ in pairs]
        between = self.backbone.between
        second = [between + text for _, text in pairs if text is not None] or None
        tokenizer = self.backbone.tokenizer
        spare = 0
        if second is not None:
            spare = max(0, tokenizer.num_special_tokens_to_add(pair=True) - PAIR_SPECIALS)
        options = {"return_token_type_ids": True, "add_special_tokens": True}
        limit = self.task.max_length + spare
        full = tokenizer(first, second, **options)["input_ids"]
        fitted = tokenizer(first, second, truncation=True, max_length=limit, **options)
        sequences, cuts = [], []
        rows = zip(full, fitted["input_ids"], fitted["token_type_ids"], strict=True)
        for all_ids, ids, segments in rows:
            cuts.append(len(all_ids) - len(ids))
            start = _end_of_first(ids, tokenizer.sep_token_id) if spare else 0
            kept = [*range(start), *range(start + spare, len(ids))]
            sequences.append(Tokens(tuple(ids[n] for n in kept), tuple(segments[n] for n in kept)))
        return sequences, cuts


PAIR_SPECIALS = 3
"""Special tokens of a pair: one before it, one between its texts, one after it."""


def _end_of_first(ids: Sequence[int], separator: int) -> int:
    """Return the place of the first separator: texts hold none (`fewbench.nn.load`)."""
    return list(ids).index(separator)


def _segments(example: Example) -> list[tuple[str, str | None]]:
    if example.options:
        passage, question = example.texts
        return [(passage, f"{question} {option}") for option in example.options]
    return [(example.texts[0], example.texts[1] if len(example.texts) > 1 else None)]
