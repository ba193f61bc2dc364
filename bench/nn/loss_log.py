"""The losses of a training's updates, read off the device now and then: no update waits for it."""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor

from fewbench.errors import BenchError

TOGETHER = 50
"""The losses that are read at once."""


class LossLog:
    """Keeps the loss of each update of a training.

    Args:
        fix: what to do about a loss that is not finite, in an error.
    """

    def __init__(self, fix: str = "a smaller learning rate") -> None:
        self._fix = fix
        self._read: list[float] = []
        self._unread: list[Tensor] = []

    def note(self, loss: Tensor) -> None:
        """Keep the loss of the next update, a scalar.

        Raises:
            BenchError: one of the losses so far is not finite.
        """
        self._unread.append(loss.detach())
        if len(self._unread) >= TOGETHER:
            self.values()

    def values(self) -> list[float]:
        """Return all losses so far.

        Raises:
            BenchError: one of them is not finite.
        """
        if self._unread:
            self._take(torch.stack(self._unread).tolist())
            self._unread = []
        return self._read

    def _take(self, losses: list[float]) -> None:
        """Keep losses that were read; those before them are finite."""
        for update, loss in enumerate(losses, len(self._read) + 1):
            if not isfinite(loss):
                raise BenchError(f"the loss is {loss} at update {update}", fix=self._fix)
        self._read += losses
