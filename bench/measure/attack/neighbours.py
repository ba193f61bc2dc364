"""Neighbours of words, from a table that lists them or from word vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fewbench.errors import BenchError
from fewbench.io.jsonl import read_bytes
from fewbench.types import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMATS = (
    '.json: {"word": ["nearest", "next", …], …}; .txt: a word and its vector per line, with spaces'
)
COSINE = 0.5
"""Words nearer than this are neighbours (Jin et al., section "Word Replacer"; protocols: δ = 0.5).
"""


class Neighbours(Protocol):
    """A source of words' neighbours."""

    def of(self, word: str, limit: int) -> Sequence[str]:
        """Return up to `limit` neighbours of a lower-case word, the nearest first.

        An unknown word has none.
        """
        ...

    def describe(self) -> Json:
        """Return the source's description for the measurement; `cosine` says how near they are."""
        ...


@dataclass(frozen=True, eq=False)
class NeighbourTable:
    """Neighbours listed in a table, without distances that could be checked."""

    name: str
    revision: str
    words: Mapping[str, Sequence[str]]

    def of(self, word: str, limit: int) -> Sequence[str]:
        """Return the first neighbours of a word."""
        return self.words.get(word, ())[:limit]

    def describe(self) -> Json:
        """Return the source's description for the measurement."""
        most = max(map(len, self.words.values()), default=0)
        return {
            "name": self.name,
            "revision": self.revision,
            "words": len(self.words),
            "most": most,
            "cosine": "not checked: the table has no distances, "
            f"and at most {most} neighbours a word",
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
    _near: dict[str, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {word: place for place, word in enumerate(self.words)})

    def of(self, word: str, limit: int) -> Sequence[str]:
        """Return the other words with the highest cosines to a word, of at least `COSINE`."""
        if word not in self._near:
            self._near[word] = self._look_up(word)
        return self._near[word][:limit]

    def _look_up(self, word: str) -> list[str]:
        place = self._places.get(word)
        if place is None:
            return []
        cosines = self.matrix @ self.matrix[place]
        near = [int(other) for other in (cosines >= COSINE).nonzero()[0] if other != place]
        near.sort(key=lambda other: (-cosines[other], other))
        return [self.words[other] for other in near]

    def describe(self) -> Json:
        """Return the source's description for the measurement."""
        return {
            "name": self.name,
            "revision": self.revision,
            "words": len(self.words),
            "dimensions": self.matrix.shape[1],
            "cosine": f"at least {COSINE}",
        }


def read_neighbours(file: Path) -> NeighbourTable | Vectors:
    """Read a table of neighbours (.json) or word vectors (.txt).

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
    if not table:
        raise _other_format(file, "it is empty")
    if not isinstance(table, dict):
        raise _other_format(file, f"it holds a {type(table).__name__} and no words")
    for word, near in table.items():
        if not isinstance(near, list) or not all(isinstance(other, str) for other in near):
            raise _other_format(file, f"the value of '{word}' is not a list of words")
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
        row = rows[-1]
        is_vector = len(row) > 0 and bool(np.isfinite(row).all() and row.any())
        if not is_vector or len(row) != len(rows[0]):
            raise _other_format(
                file, f"line {number} is not a vector of {len(rows[0])} numbers, as the first is"
            )
        words.append(word)
    if not words:
        raise _other_format(file, "it is empty")
    matrix = np.stack(rows)
    return words, matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def _other_format(file: Path, problem: str) -> BenchError:
    return BenchError(
        f"not a table of neighbours: {problem}",
        where=str(file),
        allowed=FORMATS,
        fix="--neighbours FILE",
    )
