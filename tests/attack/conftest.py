"""Small resources of an attack: a tagger by a word list, neighbours and stop words."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from fewbench.attack.resources import Resources, read_resources

TAGS = {
    **dict.fromkeys(("film", "movie", "cat", "run", "plot", "picture"), "NN"),
    **dict.fromkeys(("watch", "love", "see", "viewing"), "VB"),
    **dict.fromkeys(("good", "great", "fine", "bad", "dull", "nice", "boring"), "JJ"),
    **dict.fromkeys(("well", "badly"), "RB"),
}
NEAR = {
    "good": ["great", "well", "nice", "fine"],
    "film": ["movie", "viewing", "picture"],
    "bad": ["dull", "boring", "badly"],
    "watch": ["see", "love"],
}


@pytest.fixture(scope="session")
def nltk_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as NLTK's data has it."""
    folder = tmp_path_factory.mktemp("nltk_data")
    name = "averaged_perceptron_tagger_eng"
    (folder / "taggers" / name).mkdir(parents=True)
    (folder / "corpora").mkdir()
    files = {"weights": {"bias": {"NN": 0.5}}, "tagdict": TAGS, "classes": ["NN", "VB", "JJ", "RB"]}
    for what, content in files.items():
        (folder / "taggers" / name / f"{name}.{what}.json").write_text(json.dumps(content), "utf-8")
    with zipfile.ZipFile(folder / "taggers" / "universal_tagset.zip", "w") as archive:
        archive.writestr("universal_tagset/en-ptb.map", "NN\tNOUN\nVB\tVERB\nJJ\tADJ\nRB\tADV\n")
    with zipfile.ZipFile(folder / "corpora" / "stopwords.zip", "w") as archive:
        archive.writestr("stopwords/english", "the\na\nis\nit\nthis\n")
    return folder


@pytest.fixture(scope="session")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of neighbours."""
    file = tmp_path_factory.mktemp("attack") / "near.json"
    file.write_text(json.dumps(NEAR), "utf-8")
    return file


@pytest.fixture(scope="session")
def resources(neighbours: Path, nltk_data: Path) -> Resources:
    """All of them, read from their files."""
    return read_resources(neighbours, nltk_data, None)
