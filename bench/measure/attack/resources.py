"""TextFooler's resources besides the model: neighbours of words, stop words and a tagger."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from fewbench.errors import BenchError
from fewbench.measure.attack.neighbours import NeighbourTable, Vectors, read_neighbours
from fewbench.measure.attack.tagger import PERCEPTRON, Tagger, read_tagger
from fewbench.types import Json

NEIGHBOURS = "attack/counter_fitted_neighbours.json"
"""The place of a table of neighbours in a data folder."""
STOP_WORDS = "corpora/stopwords"


@dataclass(frozen=True, eq=False)
class Resources:
    """The resources of an attack, and their description for the measurement."""

    neighbours: NeighbourTable | Vectors
    stop_words: frozenset[str]
    tagger: Tagger
    description: Json


def read_resources(neighbours: Path | None, nltk_data: Path | None, data: Path | None) -> Resources:
    """Read all resources.

    Args:
        neighbours: a table or vectors; by default `NEIGHBOURS` in `data`.
        nltk_data: a folder of NLTK's data; by default NLTK_DATA, then ~/nltk_data.
        data: the data folder, if there is one.

    Raises:
        BenchError: a resource is missing, or in another format.
    """
    near = read_neighbours(_neighbours_file(neighbours, data))
    folder = _nltk_folder(nltk_data)
    stop_words, digest = _stop_words(folder)
    tagger = read_tagger(folder)
    description = {
        "neighbours": near.describe(),
        "stop_words": {
            "name": "NLTK english",
            "words": len(stop_words),
            "revision": digest,
            "stands_for": "Jin et al.'s own list, which is not in NLTK's data",
        },
        "tagger": {"name": PERCEPTRON.rpartition("/")[2], "revision": _digest(folder, PERCEPTRON)},
    }
    return Resources(near, stop_words, tagger, description)


def _neighbours_file(file: Path | None, data: Path | None) -> Path:
    if file is None and data is not None and (data / NEIGHBOURS).is_file():
        return data / NEIGHBOURS
    if file is not None and file.is_file():
        return file
    raise BenchError(
        f"no such file of neighbours: {file}" if file else "an attack needs neighbours of words",
        allowed=f"a table or counter-fitted vectors; a data folder may hold {NEIGHBOURS}",
        fix="--neighbours FILE",
    )


def _nltk_folder(folder: Path | None) -> Path:
    listed = [Path(place) for place in os.environ.get("NLTK_DATA", "").split(os.pathsep) if place]
    places = [folder] if folder else [*listed, Path.home() / "nltk_data"]
    for place in places:
        if place.is_dir():
            return place
    raise BenchError(
        "an attack needs a tagger and stop words, but there is no folder of NLTK's data",
        where=", ".join(map(str, places)),
        fix="--nltk-data FOLDER; python -m nltk.downloader averaged_perceptron_tagger_eng "
        "universal_tagset stopwords",
    )


def _stop_words(folder: Path) -> tuple[frozenset[str], str]:
    plain, zipped = folder / STOP_WORDS / "english", folder / f"{STOP_WORDS}.zip"
    try:
        if plain.is_file():
            raw = plain.read_bytes()
        else:
            with zipfile.ZipFile(zipped) as archive:
                raw = archive.read("stopwords/english")
        return frozenset(raw.decode().split()), hashlib.sha256(raw).hexdigest()[:16]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        fix = "--nltk-data FOLDER, or python -m nltk.downloader stopwords"
        raise BenchError(
            f"the stop words cannot be read: {error}", where=str(zipped), fix=fix
        ) from error


def _digest(folder: Path, name: str) -> str:
    digest = hashlib.sha256()
    for file in sorted((folder / name).glob("*.json")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
