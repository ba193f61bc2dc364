"""Prompts: a template rendered to token ids with one mask, scored at the mask by label words.

Axes: B batch, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise

from torch import Tensor

from fewbench.data.template import Piece, parse_template, piece_text
from fewbench.errors import BenchError
from fewbench.nn import losses
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded, Tokens
from fewbench.nn.prompt_pieces import tokenise
from fewbench.nn.task_model import TaskModel
from fewbench.nn.verbalizer import Verbalizer, word_ids
from fewbench.types import Example, Json, Task


class PromptModel(TaskModel):
    """Classifies by label words at the mask of a prompt (smash, 3.1; prompt-distiller, eq. 1).

    Regression answers l p(lower word) + u p(upper word).
    """

    def __init__(self, backbone: Backbone, task: Task) -> None:
        super().__init__(backbone, task)
        self.verbalizer = Verbalizer(word_ids(task, backbone.tokenizer)).to(backbone.device)
        self.pieces = parse_template(task.template)

    def extra_tokens(self) -> tuple[int, ...]:
        """Return the label words' token ids."""
        return tuple(self.verbalizer.words.tolist())

    def describe(self) -> Json:
        """Return inputs cut, the template, and the label words as tokens."""
        tokens = self.backbone.tokenizer.convert_ids_to_tokens(self.verbalizer.words.tolist())
        return super().describe() | {"template": self.task.template, "label_words": tokens}

    def forward(self, batch: Batch) -> Tensor:
        """Return class scores (logits), [B, C]."""
        scores: Tensor = self.verbalizer(self.backbone.word_scores(batch, self.verbalizer.words))
        return scores

    def answer(self, scores: Tensor) -> Tensor:
        """Return probabilities [B, C], or values [B] for regression."""
        probabilities = scores.softmax(-1)
        if self.task.bounds is None:
            return probabilities
        lower, upper = self.task.bounds
        return lower * probabilities[:, 0] + upper * probabilities[:, 1]

    def loss(self, batch: Batch) -> Tensor:
        """Return cross-entropy, or the interpolation KL for regression (smash, section 3.1)."""
        return self.loss_of(self(batch), batch.labels)

    def loss_of(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of scores [B, C] and labels [B], a scalar."""
        if self.task.bounds is None:
            return losses.cross_entropy(scores, labels)
        return losses.interpolation_kl(scores, labels, self.task.bounds)

    def scores_and_total(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return class scores [B, C], and the log of the whole vocabulary's summed exp, [B]."""
        vocabulary = self.backbone.vocabulary_scores(batch)
        scores: Tensor = self.verbalizer(vocabulary[:, self.verbalizer.words])
        return scores, vocabulary.logsumexp(-1)

    def _encode_new(self, examples: Sequence[Example]) -> list[Encoded]:
        if not examples:
            return []
        tokenizer = self.backbone.tokenizer
        columns = []
        for before, piece in pairwise((Piece("mask", ""), *self.pieces)):
            texts = [piece_text(piece, before, example) for example in examples]
            if piece.kind == "mask":
                columns.append([[tokenizer.mask_token_id]] * len(examples))
            else:
                columns.append(tokenise(tokenizer, texts, goes_on=before.kind != "mask"))
        return [self._join(list(parts)) for parts in zip(*columns, strict=True)]

    def _join(self, parts: list[list[int]]) -> Encoded:
        """Join the pieces of one prompt; texts are cut to fit at their ends, the longest first."""
        cut = self._cut_to_fit(parts)
        tokenizer = self.backbone.tokenizer
        ids = (tokenizer.cls_token_id, *chain.from_iterable(parts), tokenizer.sep_token_id)
        place = [piece.kind for piece in self.pieces].index("mask")
        mask = 1 + sum(map(len, parts[:place]))
        return Encoded((Tokens(ids, (0,) * len(ids), mask),), None, cut)

    def _cut_to_fit(self, parts: list[list[int]]) -> int:
        """Shorten the texts among the pieces of a prompt, and return the number of tokens cut."""
        task = self.task
        room = task.max_length - 2 - sum(map(len, parts))
        cut = max(0, -room)
        texts = [index for index, piece in enumerate(self.pieces) if piece.kind == "text"]
        lengths = [len(parts[index]) for index in texts]
        if cut > sum(lengths):
            raise BenchError(
                f"{task.full_name}: the template and options alone exceed {task.max_length} tokens",
                where=f"{task.file} [{task.name}] max_length",
            )
        for index, length in zip(texts, shortened(lengths, cut), strict=True):
            parts[index] = parts[index][:length]
        return cut


def shortened(lengths: Sequence[int], cut: int) -> list[int]:
    """Take `cut` from lengths, one by one from the longest (the first among equals)."""
    left = sum(lengths) - cut
    found = list(lengths)
    longer = sorted(range(len(lengths)), key=lambda index: lengths[index])
    while longer and lengths[longer[0]] <= left // len(longer):
        left -= lengths[longer.pop(0)]
    if longer:
        share, more = divmod(left, len(longer))
        for place, index in enumerate(sorted(longer)):
            found[index] = share + (place >= len(longer) - more)
    return found
