"""Language models that read from left to right: the next token takes the place of a mask.

Axes: S sequences, T positions, N tokens, d width, W words, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded, Tokens
from fewbench.nn.prompt import PromptModel
from fewbench.types import Task


class CausalBackbone(Backbone):
    """A causal language model seen as a masked one: it scores the token after the one that is read.

    It runs the model's own forward pass, padded on the right, and its head on the tokens that are
    read alone.
    """

    def _adapt(self) -> None:
        """Do nothing: the model's own forward pass runs."""

    @property
    def places(self) -> int:
        """The number of positions that the model has for the tokens of one sequence."""
        return int(self.config.max_position_embeddings)

    def read(self, batch: Batch) -> Tensor:
        """Return the last hidden state of the token that is read in each sequence, [S, d]."""
        return self.hidden_states(batch)[-1][batch.read]

    def hidden_states(self, batch: Batch) -> list[Tensor]:
        """Return the embeddings' and every layer's hidden states of all tokens, [N, d] each."""
        base: Any = self.model.base_model
        given = dict(input_ids=batch.ids[batch.grid], attention_mask=batch.real.long())
        states = base(**given, use_cache=False, output_hidden_states=True).hidden_states
        return [layer.flatten(0, 1)[batch.place] for layer in states]

    def word_scores(self, batch: Batch, words: Tensor) -> Tensor:
        """Score words `words` [W] as the next token: logits, [S, W]."""
        decoder = self.model.get_output_embeddings()  # type: ignore[operator]
        return F.linear(
            self.read(batch),
            decoder.weight[words],
            None if decoder.bias is None else decoder.bias[words],
        )

    def vocabulary_scores(self, batch: Batch) -> Tensor:
        """Return the scores (logits) of the whole vocabulary as the next token, [S, V]."""
        decoder = self.model.get_output_embeddings()  # type: ignore[operator]
        scores: Tensor = decoder(self.read(batch))
        return scores


class CausalPromptModel(PromptModel):
    """A prompt up to its mask, whose label words are scored as the next token.

    Raises:
        BenchError: the template has a text or options after the mask, which the model could not
            read.
    """

    def __init__(self, backbone: Backbone, task: Task) -> None:
        super().__init__(backbone, task)
        place = next(index for index, piece in enumerate(self.pieces) if piece.kind == "mask")
        if any(piece.kind != "literal" for piece in self.pieces[place + 1 :]):
            raise BenchError(
                f"{task.full_name}: a model that reads from left to right cannot read what follows "
                f"the mask of the template '{task.template}'",
                where=f"{task.file} [{task.name}] template",
                allowed="the mask after all texts and options",
                fix="--template with another prompt of the task, or a masked language model",
            )

    def _join(self, parts: list[list[int]]) -> Encoded:
        whole = super()._join(parts)
        (tokens,) = whole.sequences  # one at each end belongs to masked models
        ids = (*opening(self.backbone), *tokens.ids[1 : tokens.read])
        return Encoded((Tokens(ids, (0,) * len(ids), len(ids) - 1),), None, whole.truncated)


def opening(backbone: Backbone) -> tuple[int, ...]:
    """Return the tokens before every text: a beginning-of-text token, or none."""
    begin = backbone.tokenizer.bos_token_id
    return (
        (begin,) if begin is not None and backbone.tokenizer("")["input_ids"][:1] == [begin] else ()
    )
