"""Parts of speech by NLTK's averaged perceptron, read from its files without NLTK.

It tags greedily, from left to right. A word's tag depends on the two tags before it and on two
words on either side, so that tags can be looked up: most of a candidate's window is the window of
the last one.
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
        weights: each tag's weight, by feature.
        known: the tags of words that always have the same one.
        classes: all tags.
        universal: the coarse tag of twelve (NOUN, VERB, ADJ, ...), by tag.
    """

    weights: Mapping[str, Mapping[str, float]]
    known: Mapping[str, str]
    classes: frozenset[str]
    universal: Mapping[str, str]

    def tag(self, words: Sequence[str], index: int) -> str:
        """Return the universal part of speech of the word at `index` among its neighbours."""
        fine = ""
        for place in range(index + 1):  # short prefixes first, which keeps the recursion shallow
            fine = self._fine(tuple(words[: place + 3]), place)
        return self.universal.get(fine, "X")

    @cached_property
    def _fine(self) -> Any:
        @lru_cache(maxsize=1 << 17)
        def fine(words: tuple[str, ...], index: int) -> str:
            """Return the tag at `index`, from the words up to two places on."""
            word = words[index]
            if always := self.known.get(word):
                return always
            before = fine(words[: index + 2], index - 1) if index else _EDGE[0][0]
            earlier = fine(words[: index + 1], index - 2) if index > 1 else _EDGE[0][1 - index]
            scores = dict.fromkeys(self.classes, 0.0)
            for feature in _features(words, index, before, earlier):
                for tag, weight in self.weights.get(feature, {}).items():
                    scores[tag] += weight
            _, best = max(zip(scores.values(), scores, strict=True))  # of equals the last by name
            return best

        return fine


def _features(words: tuple[str, ...], index: int, before: str, earlier: str) -> Iterator[str]:
    """Yield the features of a word under the names of the perceptron's file."""
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
    """Read the tagger from an NLTK data folder.

    Raises:
        BenchError: a file is missing, or in another format.
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
            f"a file of the tagger is missing: {error.filename}",
            where=str(folder),
            allowed=f"an NLTK data folder with {PERCEPTRON} and {TAGSET}",
            fix="--nltk-data FOLDER, or python -m nltk.downloader averaged_perceptron_tagger_eng "
            "universal_tagset",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise BenchError(
            f"the tagger cannot be read: {error}", where=str(folder / PERCEPTRON)
        ) from error


_FILES = ("weights", "tagdict", "classes")
