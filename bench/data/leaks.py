"""Test rows that also occur in train or dev, and the fingerprint of a list of examples."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

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
        for part in (*map(_normalised, _texts(example)), label_text, *map(str, example.answers)):
            digest.update(part.encode() + b"\x1f")
        digest.update(b"\x1e")
    return digest.hexdigest()[:16]


class Texts(NamedTuple):
    """Hashes of each row's texts and options, as they are and in their bare form."""

    exact: Sequence[str]
    bare: Sequence[str]


def texts_of(examples: Iterable[Example]) -> Texts:
    """Return the hashes of the texts and options of some rows, in order."""
    texts = [*map(_texts, examples)]
    return Texts([*map(_hash, texts)], [_hash(tuple(map(bare, said))) for said in texts])


class TextCounts(NamedTuple):
    """The number of rows with each text, by its hash, and of those with each bare form."""

    exact: Mapping[str, int]
    bare: Mapping[str, int]


def counted(texts: Texts) -> TextCounts:
    """Count the rows with each text."""
    return TextCounts(Counter(texts.exact), Counter(texts.bare))


def count_leaks(seen: Sequence[Example], test: TextCounts) -> dict[str, int]:
    """Count test rows whose texts also occur in train or dev, exactly and in their bare form.

    Test rows that repeat an earlier test row are counted too.
    """
    trained = texts_of(seen)
    return {
        "exact": sum(test.exact.get(text, 0) for text in set(trained.exact)),
        "normalised": sum(test.bare.get(text, 0) for text in set(trained.bare)),
        "within_test": sum(test.exact.values()) - len(test.exact),
    }


def without_leaks(
    task: Task, seen: Sequence[Example], test: Sequence[Example], texts: Texts
) -> tuple[Example, ...]:
    """Drop the test rows that `count_leaks` counts as exact or normalised.

    Raises:
        BenchError: no row is left.
    """
    seen_bare = set(texts_of(seen).bare)
    clean = tuple(
        example for example, said in zip(test, texts.bare, strict=True) if said not in seen_bare
    )
    if not clean:
        problem = f"{task.full_name}: every test row also occurs in train or dev"
        raise BenchError(problem, fix="leave out --drop-leaks")
    return clean


def _texts(example: Example) -> tuple[str, ...]:
    return example.texts + example.options


def _hash(texts: tuple[str, ...]) -> str:
    return hashlib.sha256(repr(texts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _normalised(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
