"""Encoder-decoders (T5, mT5): the mask is the first sentinel, and the decoder predicts its content.

smash, appendix A: a prompt is an example of T5's span corruption, "x1? <extra_id_0>, x2 </s>"; the
decoder's first token is always <extra_id_0>, so label words are scored as its second. A sequence
that marks no sentinel (fine-tuning's) is read at the decoder's first token. No further position of
the decoder is computed.

Axes: S sequences, T positions, N tokens, d width, W words, V vocabulary.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fewbench.data.template import Piece, piece_text
from fewbench.data.tokenizer_check import BOUNDARY
from fewbench.errors import ModelError
from fewbench.nn.backbone import Backbone, FocusedEmbedding
from fewbench.nn.batch import Batch, Encoded, Tokens
from fewbench.nn.prompt import PromptModel
from fewbench.types import Example

SENTINEL = "<extra_id_0>"
SPELT = (SENTINEL, BOUNDARY + SENTINEL)
"""The sentinel as T5's vocabulary has it, and as mT5's: a piece that begins with a boundary."""
ANY_SENTINEL = re.compile(r"<(?=extra_id_\d+>)")


class Seq2SeqBackbone(Backbone):
    """T5 seen as a masked model: the decoder scores the word for the sentinel that is read.

    The model's own forward pass runs, padded on the right; the sentinel becomes the tokenizer's
    mask token.

    Raises:
        ModelError: a tokenizer that is not fast or has no sentinel.
    """

    def _adapt(self) -> None:
        where = self.ref.path
        vocabulary = self.tokenizer.get_vocab()
        sentinels = [spelt for spelt in SPELT if spelt in vocabulary]
        if not self.tokenizer.is_fast or not sentinels:
            raise ModelError(f"the tokenizer is not fast, or has no token {SENTINEL}", where=where)
        self.tokenizer.mask_token = sentinels[0]

    @property
    def places(self) -> int:
        """The number of tokens read of one sequence; T5's relative positions have no end."""
        return sys.maxsize

    def read(self, batch: Batch) -> Tensor:
        """Return the decoder's last hidden state before the token in question, [S, d].

        That is the one after <extra_id_0> where the batch marks a sentinel, and else the first.
        """
        model: Any = self.model
        states = self._encoder_states(batch, every=False)[-1]
        read = batch.ids[batch.read]
        begin = torch.full_like(read, self.config.decoder_start_token_id)
        prompted = bool((read == self.tokenizer.mask_token_id).all())
        said = model.get_decoder()(
            input_ids=torch.stack([begin, read] if prompted else [begin], 1),
            encoder_hidden_states=states,
            encoder_attention_mask=batch.real.long(),
            use_cache=False,
        )
        last: Tensor = said.last_hidden_state[:, -1]
        return last

    def hidden_states(self, batch: Batch) -> list[Tensor]:
        """Return all tokens' hidden states in the encoder, the embeddings first, [N, d] each."""
        return [
            layer.flatten(0, 1)[batch.place] for layer in self._encoder_states(batch, every=True)
        ]

    def _encoder_states(self, batch: Batch, every: bool) -> tuple[Tensor, ...]:
        encoder: Any = self.model.get_encoder()  # type: ignore[operator]
        given = dict(input_ids=batch.ids[batch.grid], attention_mask=batch.real.long())
        done = encoder(**given, output_hidden_states=every)
        return done.hidden_states if every else (done.last_hidden_state,)

    def _before_vocabulary(self, batch: Batch) -> Tensor:
        """Return the input of the vocabulary projection, [S, d]; T5 scales it if it is tied.

        mT5 has a projection of its own, whatever transformers 5 says of its configuration.
        """
        scaled = self.config.model_type != "mt5" and getattr(
            self.config, "scale_decoder_outputs", self.config.tie_word_embeddings
        )  # transformers 5, 4
        return self.read(batch) * (self.config.d_model**-0.5 if scaled else 1.0)

    def word_scores(self, batch: Batch, words: Tensor) -> Tensor:
        """Score words `words` [W] (token ids) by the decoder: logits, [S, W]."""
        decoder = self.model.get_output_embeddings()  # type: ignore[operator]
        embedding = self.model.get_input_embeddings()  # type: ignore[operator]
        tied = isinstance(embedding, FocusedEmbedding) and embedding.full.weight is decoder.weight
        rows = embedding(words) if tied else decoder.weight[words]
        return F.linear(self._before_vocabulary(batch), rows)

    def vocabulary_scores(self, batch: Batch) -> Tensor:
        """Score the whole vocabulary by the decoder: logits, [S, V]."""
        decoder = self.model.get_output_embeddings()  # type: ignore[operator]
        scores: Tensor = decoder(self._before_vocabulary(batch))
        return scores

    @contextmanager
    def focused(self, tokens: Iterable[int]) -> Iterator[None]:
        """Train only the embedding rows of `tokens` and of the decoder's first token."""
        with super().focused({*tokens, self.config.decoder_start_token_id}):
            yield


class Seq2SeqPromptModel(PromptModel):
    """A prompt for T5: no token before it, </s> after it; the decoder predicts the label word.

    The prompt is tokenised whole, as running text: alone, each of its pieces would begin with a
    word boundary of SentencePiece. One place of the maximum length stays free, that of the token
    before a masked model's prompt.
    """

    def _encode_new(self, examples: Sequence[Example]) -> list[Encoded]:
        return [self._join(self._parts(example)) for example in examples]

    def _parts(self, example: Example) -> list[list[int]]:
        """Return token ids by piece of the template; a token belongs to its last character's."""
        tokenizer = self.backbone.tokenizer
        pairs = pairwise((Piece("literal", ""), *self.pieces))
        texts: list[str] = []
        for before, piece in pairs:
            if piece.kind == "mask":
                text = piece_text(piece, before, example, SENTINEL)
                texts.append(self._after(texts, text))
            else:
                texts.append(self._plain(piece_text(piece, before, example)))
        owners = [number for number, text in enumerate(texts) for _ in text]
        given = dict(
            add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=False
        )
        read = tokenizer("".join(texts), **given)
        parts: list[list[int]] = [[] for _ in texts]
        for token, (start, end) in zip(read["input_ids"], read["offset_mapping"], strict=True):
            parts[owners[min(max(start, end - 1), len(owners) - 1)]].append(token)
        mask = next(number for number, piece in enumerate(self.pieces) if piece.kind == "mask")
        # Without the word boundary before it, if there is one.
        parts[mask] = [tokenizer.mask_token_id]
        return parts

    def _after(self, texts: Sequence[str], sentinel: str) -> str:
        """Put a space before a sentinel that is a piece only after one (mT5), if there is none."""
        is_bare = not "".join(texts)[-1:].isspace() and not sentinel[:1].isspace()
        has_boundary = self.backbone.tokenizer.mask_token.startswith(BOUNDARY)
        return f" {sentinel}" if has_boundary and is_bare else sentinel

    def _plain(self, text: str) -> str:
        """Put a space into whatever in a text is spelt like a special token or a sentinel."""
        for token in self.backbone.tokenizer.added_tokens_decoder.values():
            if token.special and token.content in text:
                text = text.replace(token.content, f"{token.content[:1]} {token.content[1:]}")
        return ANY_SENTINEL.sub("< ", text)

    def _join(self, parts: list[list[int]]) -> Encoded:
        whole = super()._join(parts)
        (tokens,) = whole.sequences  # one at each end belongs to masked models
        ids = (*tokens.ids[1:-1], self.backbone.tokenizer.eos_token_id)
        return Encoded((Tokens(ids, (0,) * len(ids), tokens.read - 1),), None, whole.truncated)
