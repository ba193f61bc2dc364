"""An order and names of rows that give no label away.

Many files stand sorted by label (mr, cr, mpqa), and a row's id is its number in the file: whoever
reads only ids would know the labels. So rows whose labels are withheld reach methods in an order
drawn from their own labels and texts, under names that count in that order. Whoever has the labels
finds the same order each time, and nobody else does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fewbench.types import Example

_DRAW = b"fewbench order of withheld rows"


def secret_order(examples: Sequence[Example]) -> tuple[int, ...]:
    """Return an order of n labelled rows, drawn by their exact texts, options and labels.

    It is not drawn by a fingerprint of the split, which methods are handed.
    """
    import numpy as np  # here, so that listing commands start without it

    told = hashlib.sha256(_DRAW)
    for example in examples:
        text = "\x1f".join((*example.texts, *example.options, repr(example.label)))
        told.update(text.encode("utf-8", "surrogatepass") + b"\x1e")
    # The legacy generator's stream is frozen: the order is the same with every version of NumPy.
    draw = np.random.RandomState(np.frombuffer(told.digest(), dtype="<u4"))
    return tuple(draw.permutation(len(examples)).tolist())


def hidden(examples: Sequence[Example], order: Sequence[int], name: str) -> tuple[Example, ...]:
    """Return rows without labels in an order, named `<name>-0` and so on by their place in it."""
    ordered = enumerate(examples[row] for row in order)
    return tuple(Example(f"{name}-{place}", e.texts, None, e.options) for place, e in ordered)
