"""Order and name rows so that neither order nor name reveals a label.

Many files are sorted by label (mr, cr, mpqa), and a row's id is its number in the file, so ids
alone would give the labels away. Rows with withheld labels therefore reach methods in a random
order seeded by their labels and texts, and are numbered in that order. The order can be reproduced
only with the labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fewbench.types import Example

_DRAW = b"fewbench order of withheld rows"


def secret_order(examples: Sequence[Example]) -> tuple[int, ...]:
    """Draw an order of n labelled rows, seeded by their exact texts, options and labels.

    The fingerprint of the split would not do as a seed, because methods can read it.
    """
    import numpy as np  # here, so that listing commands start without it

    digest = hashlib.sha256(_DRAW)
    for example in examples:
        label = repr(example.label) + (repr(example.answers) if example.answers else "")
        text = "\x1f".join((*example.texts, *example.options, label))
        digest.update(text.encode("utf-8", "surrogatepass") + b"\x1e")
    # The legacy generator gives the same stream in every version of NumPy.
    generator = np.random.RandomState(np.frombuffer(digest.digest(), dtype="<u4"))
    return tuple(generator.permutation(len(examples)).tolist())


def hidden(examples: Sequence[Example], order: Sequence[int], name: str) -> tuple[Example, ...]:
    """Return rows in the given order without labels, named `<name>-0` and so on in that order."""
    ordered = (examples[row] for row in order)
    return tuple(
        Example(f"{name}-{number}", example.texts, None, example.options)
        for number, example in enumerate(ordered)
    )
