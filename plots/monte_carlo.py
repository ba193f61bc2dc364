"""Accuracy that early exit by patience needs of each classifier, simulated: thesis Figure 3.5.

Section 3.8: a binary task and twelve classifiers, each right with the same chance, independently.
Panel (a) is Figure 3.5a as lines, one per patience, where the thesis has a surface; panel (b) is
Figure 3.5b as shades. The counter is that of equation 3.2: an example leaves where the last t + 1
answers agree. So counted, a patience of 2 asks least of the classifiers, and 3 hardly more; the
thesis reads "around 3" off its figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbench.plots._style import Look, line_look, stack
from fewbench.report.figures import Material

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

LAYERS = 12
SHOWN = (1, 2, 3, 6, 11)


def draw(material: Material, *, samples: int = 10_000, seed: int = 0) -> Figure:
    """Simulate and draw; no records are needed."""
    import numpy as np

    original = np.linspace(0.5, 1, 51)
    needed = needed_accuracy(original, samples=samples, seed=seed)
    figure, (row,) = stack([()], 2, height=2.3)
    left, right = row.panels
    for number, t in enumerate(SHOWN):
        look = line_look(number) | {"markevery": (2 * number, 10)}
        left.plot(100 * original, 100 * needed[t - 1], label=f"patience {t}", **look)
    left.plot(100 * original, 100 * original, color="0.55", linewidth=0.8, label="without patience")
    left.set_xlabel("accuracy without patience (%)")
    left.set_ylabel("accuracy needed of each classifier (%)")
    left.set_title("(a)")
    left.legend()
    spared = 100 * (original - needed).T
    shades = right.contourf(np.arange(1, LAYERS), 100 * original, spared, levels=10, cmap="Greys")
    bar = figure.colorbar(shades, ax=right)
    bar.set_label("accuracy spared (points)")
    best = needed.argmin(0)[5:-5] + 1
    dots: Look = {"color": "#d55e00", "markersize": 2.5, "label": "best patience"}
    right.plot(best, 100 * original[5:-5], "o", **dots)
    right.set_xlabel("patience t")
    right.set_ylabel("accuracy without patience (%)")
    right.set_title("(b)")
    right.set_xticks(range(1, LAYERS))
    right.legend(loc="lower right", labelcolor="black", frameon=True, framealpha=0.9)
    return figure


def needed_accuracy(
    original: NDArray[np.float64], *, samples: int, seed: int
) -> NDArray[np.float64]:
    """Return the accuracy of each classifier that patience 1 to 11 needs, [11, n].

    Args:
        original: the accuracies to reach, [n], 0.5 to 1.
        samples: simulated examples; the same draws for all accuracies, so that curves are smooth.
        seed: of the draws.
    """
    import numpy as np

    chances = np.linspace(0.5, 1, 201)
    draws = np.random.default_rng(seed).random((samples, LAYERS))
    accuracies = [patience_accuracy(draws < chance) for chance in chances]
    reached = np.maximum.accumulate(accuracies)  # [201, 11]
    return np.array([np.interp(original, reached[:, t], chances) for t in range(LAYERS - 1)])


def patience_accuracy(right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the accuracy of early exit with patience 1 to 11, [11].

    Args:
        right: True where a classifier is right about an example, [n, 12]; with two classes,
            classifiers that are both right or both wrong agree.
    """
    import numpy as np

    count = np.zeros(right.shape, int)  # equation 3.2
    for layer in range(1, LAYERS):
        agrees = right[:, layer] == right[:, layer - 1]
        count[:, layer] = np.where(agrees, count[:, layer - 1] + 1, 0)
    accuracies = []
    for t in range(1, LAYERS):
        leaves = count >= t
        leaves[:, -1] = True
        accuracies.append(right[np.arange(len(right)), leaves.argmax(1)].mean())
    return np.array(accuracies)
