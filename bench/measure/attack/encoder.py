"""A sentence encoder made of a masked language model: the calibrated mean of its last states.

TextFooler uses the Universal Sentence Encoder, which is not available offline. The hidden states of
a masked language model all point in nearly the same direction, so that any two sentences seem alike
and a threshold excludes nothing. Hence the calibration: every dimension is centred and scaled by
its mean and deviation over sentences of the data (the inputs that are attacked). Unrelated
sentences then have cosines around 0, as with the Universal Sentence Encoder.

Axes: n texts, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from fewbench.measure.attack.constraints import angular
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Encoded, Tokens, by_length, collate
from fewbench.types import Json

if TYPE_CHECKING:
    from fewbench.measure.attack.asking import Array

LONGEST = 64
"""Tokens read of a text; windows have 15 words."""
TOKENS_A_BATCH = 8192


class MeanPooled:
    """The mean of a backbone's last hidden states, centred and scaled.

    Args:
        backbone: a masked language model.
        sample: sentences to calibrate by.
    """

    def __init__(self, backbone: Backbone, sample: Sequence[str]) -> None:
        self.backbone = backbone.eval()
        self.places = min(LONGEST, backbone.places)
        raw = self._mean_states(sample)
        self.mean, self.deviation = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-6)
        self.calibration = {
            "sentences": len(sample),
            "unrelated_before": _unrelated(raw),
            "unrelated_after": _unrelated((raw - self.mean) / self.deviation),
        }

    def __call__(self, texts: Sequence[str]) -> Array:
        """Encode texts as vectors, [n, d]."""
        vectors: Array = (self._mean_states(texts) - self.mean) / self.deviation
        return vectors

    def describe(self) -> Json:
        """Return the encoder's description for the measurement.

        `unrelated` is the mean angular similarity of neighbours in the sample.
        """
        ref = self.backbone.ref
        return {
            "name": f"{ref.name}, mean-pooled and calibrated",
            "revision": ref.revision,
            "stands_for": "the Universal Sentence Encoder, which cannot be had offline",
            **self.calibration,
        }

    @torch.no_grad()
    def _mean_states(self, texts: Sequence[str]) -> Array:
        tokenizer = self.backbone.tokenizer
        rows_of_ids = tokenizer(list(texts), truncation=True, max_length=self.places)["input_ids"]
        encoded = [Encoded((Tokens(tuple(ids), (0,) * len(ids)),), None) for ids in rows_of_ids]
        rows = np.empty((len(encoded), self.backbone.width), np.float32)
        for indices in by_length(encoded, TOKENS_A_BATCH):
            batch = collate([encoded[index] for index in indices], self.backbone.device)
            states = self.backbone.hidden_states(batch)[-1]
            spread = states[batch.grid] * batch.real[..., None]  # [S, T, d]
            means = spread.sum(1) / batch.real.sum(1, keepdim=True)
            rows[indices] = means.float().cpu().numpy()
        return rows


def _unrelated(vectors: Array) -> float:
    """Return the mean angular similarity of each vector and the next."""
    if len(vectors) < 2:
        return 1.0
    return round(float(angular(vectors[:-1], vectors[1:]).mean()), 4)
