"""K: how many labelled examples a run learns from, as a number or as a word.

- `16`: 16 per label, and as many for dev.
- `total-32`: 32 in all, spread evenly over the labels, and as many for dev. A label of few rows
  gives half of them to each, and the others make up for it. Tasks of more than five labels get 8
  per label instead, a quarter of 32 (ppt, section 3.1 and appendix A).
- `full`: all training rows but a dev cut. This is not few-shot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fewbench.errors import BenchError
from fewbench.types import K

FULL = "full"
ALLOWED = "examples per label from 1 (16), examples in all (total-32), or full"

_TOTAL = re.compile(r"total-([1-9]\d{0,8})")
_MOST_BALANCED = 5
"""The most labels over which a total is spread; above, PPT draws a quarter of it per label."""


def parse_k(text: str) -> K:
    """Parse one K as a user types it.

    Raises:
        BenchError: it is none.
    """
    text = text.strip()
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if text == FULL or _TOTAL.fullmatch(text):
        return text
    raise BenchError(
        f"K is '{text}'", allowed=ALLOWED, given=text, fix="--k 4,16, --k total-32 or --k full"
    )


def is_k(value: object) -> bool:
    """True if a stored value is a K."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (
        isinstance(value, str) and (value == FULL or _TOTAL.fullmatch(value) is not None)
    )


def is_full(k: K | None) -> bool:
    """True if K stands for full data: the run is not few-shot."""
    return k == FULL


def k_order(k: K) -> tuple[int, int]:
    """Return a sort key: numbers per label first, then totals, then full data."""
    if isinstance(k, int):
        return 0, k
    total = _TOTAL.fullmatch(k)
    return (1, int(total[1])) if total else (2, 0)


def k_title(k: K) -> str:
    """Name a K for people: `K=16`, `32 examples in all`, `full data`."""
    if isinstance(k, int):
        return f"K={k}"
    total = _TOTAL.fullmatch(k)
    return f"{total[1]} examples in all" if total else "full data, not few-shot"


def per_label(k: K, rows: Sequence[int]) -> tuple[int, ...]:
    """Return the number of examples of each label, in the order in which labels are drawn.

    With too few rows in all, a total is spread as if there were enough.

    Args:
        k: a number or a total, not full data.
        rows: how many there are of each label, for train and dev together.

    Raises:
        BenchError: the total is too small for one example of each label.
    """
    if isinstance(k, int):
        return (k,) * len(rows)
    total = _TOTAL.fullmatch(k)
    assert total is not None, k
    count = int(total[1])
    many = len(rows) > _MOST_BALANCED
    each = count // 4 if many else count // len(rows)
    if each == 0:
        raise BenchError(
            f"K is {k}, and there are {len(rows)} labels", fix=f"--k total-{4 * len(rows)} or --k 1"
        )
    if many:
        return (each,) * len(rows)
    most = [max(1, of_label // 2) for of_label in rows]
    return _spread(count, most if sum(most) >= count else [count] * len(rows))


def _spread(count: int, most: Sequence[int]) -> tuple[int, ...]:
    """Spread a count over labels in turn, to none more than its most; together these are enough."""
    given = [0] * len(most)
    while count:
        unfilled = [label for label in range(len(most)) if given[label] < most[label]]
        turn = unfilled[:count]
        for label in turn:
            given[label] += 1
        count -= len(turn)
    return tuple(given)
