"""Parts of speech by NLTK's averaged perceptron, read from its files without NLTK: greedy, from
left to right.

A word's tag hangs on the two tags before it and on two words to either side. So all that a tag at
one place takes is known, and what was tagged before is looked up: most of a candidate's window is
the window of the last one.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from fewbench.errors import BenchError

PERCEPTRON = "taggers/averaged_perceptron_tagger_eng"
TAGSET = "taggers/universal_tagset.zip"
_EDGE = ("-START-", "-START2-"), ("-END-", "-END2-")


@dataclass(frozen=True, eq=False)
class Tagger:
    """An averaged perceptron.

    Args:
        weights: by feature, each tag's weight.
        known: words whose tag is always the same.
        classes: all tags.
        universal: by tag, the coarse one of twelve (NOUN, VERB, ADJ, ...).
    """

    weights: Mapping[str, Mapping[str, float]]
    known: Mapping[str, str]
    classes: frozenset[str]
    universal: Mapping[str, str]

    def tag(self, words: Sequence[str], index: int) -> str:
        """Return the universal part of speech of the word at a place among its neighbours."""
        fine = ""
        for place in range(index + 1):  # the short ones first, so that looking up never goes deep
            fine = self._fine(tuple(words[: place + 3]), place)
        return self.universal.get(fine, "X")

    @cached_property
    def _fine(self) -> Any:
        @lru_cache(maxsize=1 << 17)
        def fine(words: tuple[str, ...], index: int) -> str:
            """The tag at a place, from the words up to two places on."""
            word = words[index]
            if always := self.known.get(word):
                return always
            before = fine(words[: index + 2], index - 1) if index else _EDGE[0][0]
            earlier = fine(words[: index + 1], index - 2) if index > 1 else _EDGE[0][1 - index]
            scores = dict.fromkeys(self.classes, 0.0)
            for feature in _features(words, index, before, earlier):
                for tag, weight in self.weights.get(feature, {}).items():
                    scores[tag] += weight
            return max(zip(scores.values(), scores, strict=True))[
                1
            ]  # of equal ones the last of the alphabet

        return fine


def _features(words: tuple[str, ...], index: int, before: str, earlier: str) -> Iterator[str]:
    """Yield the features of a word as the perceptron's file names them."""
    around = (*_EDGE[0], *map(_normal, words), *_EDGE[1])
    left2, left, here, right, right2 = around[index : index + 5]
    yield "bias"
    yield f"i suffix {words[index][-3:]}"
    yield f"i pref1 {words[index][:1]}"
    yield f"i-1 tag {before}"
    yield f"i-2 tag {earlier}"
    yield f"i tag+i-2 tag {before} {earlier}"
    yield f"i word {here}"
    yield f"i-1 tag+i word {before} {here}"
    yield f"i-1 word {left}"
    yield f"i-1 suffix {left[-3:]}"
    yield f"i-2 word {left2}"
    yield f"i+1 word {right}"
    yield f"i+1 suffix {right[-3:]}"
    yield f"i+2 word {right2}"


def _normal(word: str) -> str:
    if "-" in word and word[0] != "-":
        return "!HYPHEN"
    if word.isdigit() and len(word) == 4:
        return "!YEAR"
    return "!DIGITS" if word[:1].isdigit() else word.lower()


def read_tagger(folder: Path) -> Tagger:
    """Return the tagger whose files an NLTK data folder holds.

    Raises:
        BenchError: one is missing, or not of its format.
    """
    name = PERCEPTRON.rpartition("/")[2]
    try:
        parts = [
            json.loads((folder / PERCEPTRON / f"{name}.{what}.json").read_bytes())
            for what in _FILES
        ]
        with zipfile.ZipFile(folder / TAGSET) as archive:
            lines = archive.read("universal_tagset/en-ptb.map").decode().splitlines()
        universal = dict(line.split("\t") for line in lines if line.strip())
        return Tagger(parts[0], parts[1], frozenset(parts[2]), universal)
    except FileNotFoundError as error:
        raise BenchError(
            f"the tagger is not there: {error.filename}",
            where=str(folder),
            allowed=f"an NLTK data folder with {PERCEPTRON} and {TAGSET}",
            fix="--nltk-data FOLDER, or python -m nltk.downloader averaged_perceptron_tagger_eng universal_tagset",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise BenchError(
            f"the tagger cannot be read: {error}", where=str(folder / PERCEPTRON)
        ) from error


_FILES = ("weights", "tagdict", "classes")
