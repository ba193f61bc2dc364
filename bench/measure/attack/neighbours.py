"""Near words, of a table that lists them or of vectors in which they are looked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fewbench.errors import BenchError
from fewbench.io.jsonl import read_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMATS = (
    '.json: {"word": ["nearest", "next", …], …}; .txt: a word and its vector a line, between spaces'
)
COSINE = 0.5
"""Words nearer than this are neighbours (Jin et al., section "Word Replacer"; protocols: δ = 0.5).
"""


class Neighbours(Protocol):
    """What gives a word's neighbours."""

    def of(self, word: str, limit: int) -> Sequence[str]:
        """Return up to `limit` neighbours of a lower-case word, the nearest first; none of an
        unknown word.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return what a record says of it; `cosine` is what is known of how near they are."""
        ...


@dataclass(frozen=True, eq=False)
class NeighbourTable:
    """Neighbours as someone else found them: how near they are is not in the table, and cannot be
    checked.
    """

    name: str
    revision: str
    words: Mapping[str, Sequence[str]]

    def of(self, word: str, limit: int) -> Sequence[str]:
        """Return the first neighbours of a word."""
        return self.words.get(word, ())[:limit]

    def describe(self) -> dict[str, Any]:
        """Return what a record says of it."""
        most = max(map(len, self.words.values()), default=0)
        return {
            "name": self.name,
            "revision": self.revision,
            "words": len(self.words),
            "most": most,
            "cosine": f"not checked: the table has no distances, and at most {most} neighbours a word",
        }


@dataclass(frozen=True, eq=False)
class Vectors:
    """Neighbours by the cosine of their vectors.

    Args:
        name: of the file.
        revision: the hash of its bytes.
        words: V words, lower-case.
        matrix: [V, d], rows of length one.
    """

    name: str
    revision: str
    words: Sequence[str]
    matrix: NDArray[np.float32]
    _places: dict[str, int] = field(init=False)
    _found: dict[str, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {word: place for place, word in enumerate(self.words)})

    def of(self, word: str, limit: int) -> Sequence[str]:
        """Return the words of the highest cosines to a word, of at least `COSINE`; not the word
        itself.
        """
        if word not in self._found:
            self._found[word] = self._near(word)
        return self._found[word][:limit]

    def _near(self, word: str) -> list[str]:
        place = self._places.get(word)
        if place is None:
            return []
        cosines = self.matrix @ self.matrix[place]
        near = [int(other) for other in (cosines >= COSINE).nonzero()[0] if other != place]
        return [
            self.words[other] for other in sorted(near, key=lambda other: (-cosines[other], other))
        ]

    def describe(self) -> dict[str, Any]:
        """Return what a record says of it."""
        named = {"name": self.name, "revision": self.revision, "words": len(self.words)}
        return {**named, "dimensions": self.matrix.shape[1], "cosine": f"at least {COSINE}"}


def read_neighbours(file: Path) -> NeighbourTable | Vectors:
    """Return the neighbours that a table (.json) lists or that vectors (.txt) give.

    Raises:
        DataError: the file cannot be read.
        BenchError: it is in another format.
    """
    raw = read_bytes(file)
    revision = hashlib.sha256(raw).hexdigest()[:16]
    if file.suffix == ".json":
        return NeighbourTable(file.stem, revision, _table(raw, file))
    if file.suffix == ".txt":
        words, matrix = _vectors(raw, file)
        return Vectors(file.stem, revision, words, matrix)
    raise _other_format(file, f"its name ends in '{file.suffix}'")


def _table(raw: bytes, file: Path) -> dict[str, list[str]]:
    try:
        table = json.loads(raw)
    except ValueError as error:
        raise _other_format(file, f"not JSON: {error}") from error
    if not isinstance(table, dict) or not table:
        raise _other_format(
            file, f"it holds a {type(table).__name__} and no words" if table else "it is empty"
        )
    for word, near in table.items():
        if not isinstance(near, list) or not all(isinstance(other, str) for other in near):
            raise _other_format(file, f"what stands under '{word}' is no list of words")
    return table


def _vectors(raw: bytes, file: Path) -> tuple[list[str], NDArray[np.float32]]:
    import numpy as np

    words, rows = [], []
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
        word, *values = line.rstrip().split(" ")
        try:
            rows.append(np.array(values, dtype=np.float32))
        except ValueError as error:
            raise _other_format(file, f"line {number}: {error}") from error
        if (
            not values
            or len(values) != len(rows[0])
            or not np.isfinite(rows[-1]).all()
            or not rows[-1].any()
        ):
            problem = f"line {number} is no vector, or not of {len(rows[0])} numbers as the first"
            raise _other_format(file, problem)
        words.append(word)
    if not words:
        raise _other_format(file, "it is empty")
    matrix = np.stack(rows)
    return words, matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def _other_format(file: Path, problem: str) -> BenchError:
    return BenchError(
        f"no table of neighbours: {problem}",
        where=str(file),
        allowed=FORMATS,
        fix="--neighbours FILE",
    )
