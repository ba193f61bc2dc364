"""One view of every masked language model: hidden states, and scores at the mask alone.

The vocabulary head is never applied to all positions, and where only some words are asked for, only
their rows of the projection are multiplied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewbench.errors import ModelError
from fewbench.nn.batch import Batch, Encoded
from fewbench.nn.encoder import (
    embed,
    encode,
    encode_all,
    encode_from,
    encode_maps,
    encode_reads,
)
from fewbench.nn.families import Embedder, Layer, family_of
from fewbench.nn.rounding import FakeQuantizedEmbedding
from fewbench.types import Json, ModelRef

Encodings = dict[str, dict[tuple[object, ...], Encoded]]


class Trace(NamedTuple):
    """One forward pass: hidden, layers + 1 of [N, d]; attention, layers of [S, h, T, T].

    `maps` are attention probabilities, `scores` what they are the softmax of.
    """

    states: list[Tensor]
    maps: list[Tensor]
    scores: list[Tensor]


class Backbone(nn.Module):
    """A masked language model and its tokenizer.

    `encodings` holds token ids by view (template, task) and example (id, texts, options); copies of
    one backbone share it. `changes` lists what was done to the model's structure, as
    `fewbench.nn.prune` can redo it. Without `has_head` its checkpoint had no language head. With a
    `prompt`, a masked model looks the ids -P to -1 up in what it returns, [P, E].

    A pair's second text follows what stands `between` where no token divides them.

    Axes: S sequences, N tokens, d width, W words, V vocabulary.
    """

    between = ""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        ref: ModelRef,
        encodings: Encodings | None = None,
        has_head: bool = True,
    ) -> None:
        super().__init__()
        self.has_head = has_head
        self.encodings: Encodings = {} if encodings is None else encodings
        self.model = model
        self.tokenizer = tokenizer
        self.ref = ref
        self.changes: list[Json] = []
        self.prompt: nn.Module | None = None
        self._adapt()

    def _adapt(self) -> None:
        """Find the layers, or refuse a model that this view does not know."""
        self._family = family_of(self.model)

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self.model.config

    @property
    def width(self) -> int:
        """The width d of what is read, which OPT-350m narrows after its last layer."""
        return int(getattr(self.config, "word_embed_proj_dim", self.config.hidden_size))

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    @property
    def places(self) -> int:
        """The number of positions that the model has for the tokens of one sequence."""
        embedder = self._family.embedder(self.model)
        return cast(nn.Embedding, embedder.positions).num_embeddings - embedder.first_position

    def check_head(self) -> None:
        """Refuse a model that cannot say a word.

        Raises:
            ModelError: its checkpoint has no language head.
        """
        if not self.has_head:
            raise ModelError(
                f"the checkpoint of {self.ref.name} has no masked language head, "
                "which a prompt is read by",
                where=self.ref.path,
                allowed="methods with a head of their own: ft, vanilla-kd, pkd",
                fix="a checkpoint that was saved with its language-model head",
            )

    def read(self, batch: Batch) -> Tensor:
        """Return the last hidden state of each sequence's read token (mask or first), [S, d]."""
        return encode(self._embedder(), self._family.layers(self.model), batch, self.training)

    def read_from(self, states: Tensor, layer: int, batch: Batch) -> Tensor:
        """Return `read`'s states, [S, d], by all layers but the first `layer`, from [N, d]."""
        return encode_from(self.layers[layer:], states, batch, self.training)

    def parts(self, layer: int) -> list[nn.Module]:
        """List the modules of all layers but the first `layer`."""
        modules = chain.from_iterable(self.layers[layer:])
        return [module for module in modules if isinstance(module, nn.Module)]

    def hidden_states(self, batch: Batch) -> list[Tensor]:
        """Return the embeddings' and every layer's hidden states of all tokens, [N, d] each."""
        return encode_all(self._embedder(), self._family.layers(self.model), batch, self.training)

    def reads(self, batch: Batch) -> list[Tensor]:
        """Return every layer's hidden state of each sequence's read token, [S, d] each."""
        return encode_reads(self._embedder(), self.layers, batch, self.training)

    def embed(self, batch: Batch) -> Tensor:
        """Embed the tokens: the input of the first layer, [N, d]."""
        return embed(self._embedder(), batch, self.training)

    @property
    def layers(self) -> list[Layer]:
        """The model's layers, the first one first."""
        return self._family.layers(self.model)

    @property
    def depth(self) -> int:
        """The number of layers."""
        return len(self.layers)

    def check_layers(self) -> None:
        """Refuse a model whose layers cannot be taken apart; all families of this view can."""

    def embedded(self) -> list[nn.Module]:
        """List the modules that embed words, positions and segments, as far as there are any."""
        embedder = self._embedder()
        parts = (embedder.words, embedder.positions, embedder.segments)
        return [part for part in parts if part is not None]

    def linears(self) -> dict[str, nn.Linear]:
        """Return the six linear layers of every Transformer layer by their names in the model."""
        names = {id(module): name for name, module in self.model.named_modules()}
        return {
            names[id(linear)]: linear
            for layer in self.layers
            for linear in (layer.query, layer.key, layer.value, layer.output, layer.up, layer.down)
        }

    def _embedder(self) -> Embedder:
        words = self.model.get_input_embeddings()  # type: ignore[operator]
        if self.prompt is not None:
            words = SoftEmbedding(words, self.prompt())
        return self._family.embedder(self.model)._replace(words=words)

    def _before_vocabulary(self, batch: Batch) -> Tensor:
        return self._family.transform(self.model, self.read(batch))

    def word_scores(self, batch: Batch, words: Tensor) -> Tensor:
        """Score words `words` [W] (token ids) at the mask: logits, [S, W]."""
        decoder = self._family.decoder(self.model)
        embedding = self.model.get_input_embeddings()  # type: ignore[operator]
        focused = (
            isinstance(embedding, FocusedEmbedding) and embedding.full.weight is decoder.weight
        )
        rows = embedding(words) if focused else decoder.weight[words]
        return F.linear(self._before_vocabulary(batch), rows, decoder.bias[words])

    def vocabulary_scores(self, batch: Batch) -> Tensor:
        """Score the whole vocabulary at the mask: logits, [S, V]."""
        scores: Tensor = self._family.decoder(self.model)(self._before_vocabulary(batch))
        return scores

    def trace(self, batch: Batch) -> Trace:
        """Return all tokens' hidden states, embeddings first, and its attention."""
        return Trace(*encode_maps(self._embedder(), self.layers, batch, self.training))

    def vocabulary_scores_of(self, states: Tensor) -> Tensor:
        """Score the whole vocabulary for last hidden states [M, d]: logits, [M, V]."""
        scores: Tensor = self._family.decoder(self.model)(self.projected(states))
        return scores

    def projected(self, states: Tensor) -> Tensor:
        """Apply the language head to hidden states [..., d], without the last projection."""
        return self._family.transform(self.model, states)

    def word_rows(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows and biases of words `words` [W] in the projection to the vocabulary.

        While only some embeddings are trained (`focused`), these are among them, as in
        `word_scores`.
        """
        decoder = self._family.decoder(self.model)
        embedding = self.model.get_input_embeddings()  # type: ignore[operator]
        focused = (
            isinstance(embedding, FocusedEmbedding) and embedding.full.weight is decoder.weight
        )
        return embedding(words) if focused else decoder.weight[words], decoder.bias[words]

    @contextmanager
    def focused(self, tokens: Iterable[int]) -> Iterator[None]:
        """Train only the embedding rows of `tokens` inside the block; the others cost nothing.

        A row that no batch contains has gradient zero, and Adam without weight decay leaves it
        where it is: the result is the same, and the optimizer no longer walks the whole vocabulary
        (nine tenths of a tiny model) at each step. Tokens outside `tokens` must not occur inside
        the block. Embeddings that are rounded are trained whole: all rows share one scale.
        """
        full = self.model.get_input_embeddings()  # type: ignore[operator]
        if isinstance(full, FakeQuantizedEmbedding):
            yield
            return
        rows = sorted({*tokens} | ({full.padding_idx} if full.padding_idx is not None else set()))
        embedding = FocusedEmbedding(full, torch.tensor(rows, device=full.weight.device))
        self.model.set_input_embeddings(embedding)  # type: ignore[operator]
        full.weight.requires_grad_(False)
        try:
            yield
        finally:
            with torch.no_grad():
                full.weight[embedding.tokens] = embedding.weight
            full.weight.requires_grad_(True)
            self.model.set_input_embeddings(full)  # type: ignore[operator]


class FocusedEmbedding(nn.Module):
    """Rows `tokens` of an embedding as a trainable matrix of their own, with the same ids."""

    def __init__(self, full: nn.Embedding, tokens: Tensor) -> None:
        super().__init__()
        object.__setattr__(self, "full", full)  # not a submodule: its weight is not trained here
        self.full: nn.Embedding
        self.tokens = tokens
        self.weight = nn.Parameter(full.weight.detach()[tokens].clone())
        self.row_of = torch.full((full.num_embeddings,), -1, device=tokens.device)
        self.row_of[tokens] = torch.arange(len(tokens), device=tokens.device)
        pad = full.padding_idx
        self.padding_idx = None if pad is None else int(self.row_of[pad])

    def forward(self, ids: Tensor) -> Tensor:
        """Return the embeddings [..., d] of token ids [...].

        Raises:
            IndexError: a token that was not named when the focus began.
        """
        return F.embedding(self.row_of[ids], self.weight, self.padding_idx)


class SoftEmbedding(nn.Module):
    """Word embeddings that look up the ids -P to -1 in a soft prompt [P, E]."""

    def __init__(self, words: nn.Embedding, soft: Tensor) -> None:
        super().__init__()
        self.words = words
        self.soft = soft

    def forward(self, ids: Tensor) -> Tensor:
        """Return the embeddings [..., E] of ids [...]."""
        soft = self.soft[ids.clamp(max=-1)]  # Python counts from the end too
        return torch.where(ids[..., None] < 0, soft, self.words(ids.clamp(min=0)))
