"""The goal of an attack: any class but the right one. Axes: n texts, C classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Untargeted:
    """Make a model prefer another class than `label`."""

    label: int

    def reached(self, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
        """For probabilities [n, C], return True where the arg-max class is another, [n]."""
        turned: NDArray[np.bool_] = rows.argmax(axis=1) != self.label
        return turned

    def score(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return 1 - the probability of the right class, [n], for probabilities [n, C]."""
        score: NDArray[np.float32] = 1 - rows[:, self.label]
        return score
