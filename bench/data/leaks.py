"""Test rows that also occur in train or dev, and the fingerprint of a list of examples."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence

from fewbench.data.bare_text import bare
from fewbench.errors import BenchError
from fewbench.types import Example, Label, Task


def fingerprint(examples: Iterable[Example]) -> str:
    """Hash normalised texts, options and labels, in order: 16 hexadecimal digits.

    Two sources of a data set, such as TSV and JSON, that give the same examples have the same
    fingerprint.
    """
    digest = hashlib.sha256()
    for example in examples:
        label: Label | None = example.label
        label_text = f"{label:.6g}" if isinstance(label, float) else str(label)
        for part in (*map(_normalised, _texts(example)), label_text):
            digest.update(part.encode() + b"\x1f")
        digest.update(b"\x1e")
    return digest.hexdigest()[:16]


def count_leaks(seen: Sequence[Example], test: Sequence[Example]) -> dict[str, int]:
    """Count test rows whose texts also occur in train or dev, exactly and in their bare form.

    Test rows that repeat an earlier test row are counted too.
    """
    seen_texts = set(map(_texts, seen))
    seen_bare = set(map(_bare, seen))
    return {
        "exact": sum(_texts(example) in seen_texts for example in test),
        "normalised": sum(_bare(example) in seen_bare for example in test),
        "within_test": len(test) - len(set(map(_texts, test))),
    }


def without_leaks(
    task: Task, seen: Sequence[Example], test: Sequence[Example]
) -> tuple[Example, ...]:
    """Drop the test rows that `count_leaks` counts as exact or normalised.

    Raises:
        BenchError: no row is left.
    """
    seen_bare = set(map(_bare, seen))
    clean = tuple(example for example in test if _bare(example) not in seen_bare)
    if not clean:
        problem = f"{task.full_name}: every test row also occurs in train or dev"
        raise BenchError(problem, fix="leave out --drop-leaks")
    return clean


def _texts(example: Example) -> tuple[str, ...]:
    return example.texts + example.options


def _bare(example: Example) -> tuple[str, ...]:
    return tuple(map(bare, _texts(example)))


def _normalised(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
