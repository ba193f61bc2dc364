"""What an attack is after: any other class than the right one. Axes: n texts, C classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Untargeted:
    """Make a model prefer another class than `label`."""

    label: int

    def reached(self, rows: NDArray[np.float32]) -> NDArray[Any]:
        """Return whether the arg-max class is another, [n], for probabilities [n, C]."""
        turned: NDArray[Any] = rows.argmax(axis=1) != self.label
        return turned

    def score(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how far the right class is from certain, [n], for probabilities [n, C]."""
        score: NDArray[np.float32] = 1 - rows[:, self.label]
        return score
