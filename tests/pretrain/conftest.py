"""A small corpus made here, and requests to pretrain on it."""

from __future__ import annotations

import json
import random

import pytest

SUBJECTS = ("the cat", "a dog", "the king", "a queen", "the old film", "this plot", "my sister", "the small band")
VERBS = ("sat on", "looked at", "ran from", "sang about", "was near", "wrote of")
OBJECTS = ("the mat", "a river", "the city", "a guitar", "great acting", "a terrible war", "the green hill")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A folder with 150 documents of 8 sentences."""
    rng = random.Random(3)
    folder = tmp_path_factory.mktemp("corpus")
    lines = []
    for number in range(150):
        sentences = [f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS)}." for _ in range(8)]
        lines.append(json.dumps({"title": str(number), "sentences": sentences}))
    (folder / "a.jsonl").write_text("\n".join(lines), "utf-8")
    return folder
