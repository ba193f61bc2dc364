"""Encoder-decoders that fill in masks (BART): the decoder reads the input again, up to the mask.

Lewis et al., 2020: both sides read the corrupted text; the decoder's input is shifted by one place,
so that its state at the mask's place scores the word there. A head reads the place of the last
token, as in the paper's classification. Axes: S sequences, T positions, d width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from fewbench.errors import ModelError
from fewbench.nn.batch import Batch
from fewbench.nn.general import GeneralBackbone, Given, last_places


class InfillingBackbone(GeneralBackbone):
    """An encoder-decoder seen as a masked model: its decoder scores the word at the mask.

    Raises:
        ModelError: a model whose decoder has no token to begin with.
    """

    def _adapt(self) -> None:
        super()._adapt()
        if self.config.decoder_start_token_id is None:
            raise ModelError(
                f"encoder-decoders of type '{self.config.model_type}' are not known here",
                where=self.ref.path,
                allowed="a configuration with decoder_start_token_id",
            )

    def _given(self, batch: Batch) -> Given:
        ids = batch.ids[batch.grid]
        start = torch.full_like(ids[:, :1], self.config.decoder_start_token_id)
        given = super()._given(batch)
        return given | self._input(torch.cat([start, ids[:, :-1]], 1), "decoder_")

    def _states(self, batch: Batch) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = self._run(
            batch, output_hidden_states=True
        ).decoder_hidden_states
        return found

    def _read_places(self, batch: Batch) -> Tensor:
        masked = batch.ids[batch.read] == self.tokenizer.mask_token_id
        return torch.where(masked, batch.place[batch.read], last_places(batch))

    @contextmanager
    def focused(self, tokens: Iterable[int]) -> Iterator[None]:
        """Train only the embedding rows of `tokens` and of the decoder's first token."""
        with super().focused({*tokens, self.config.decoder_start_token_id}):
            yield
