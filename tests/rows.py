"""Tasks of a few rows for the tests of the reader, and what writes and reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fewbench.data.reader import read_rows
from fewbench.types import Source, Task

REVISION = "0123456789abcdef0123456789abcdef01234567"
SOURCE = Source("files", "owner/mood", "", "train", "test", ("text",), "label", hub=False)
TASK = Task(
    name="mood",
    title="Mood",
    format="single",
    labels=("bad", "good"),
    metric="accuracy",
    template="{0} It was {mask}.",
    words=(("terrible",), ("great",)),
    sources=(SOURCE,),
    paper="none",
    licence="Apache-2.0",
)
GOOD = '{"text": "Fine.", "label": 1}\n'


def with_(task=TASK, **changes):
    """Return a task whose source is changed."""
    return replace(task, sources=(replace(task.source, **changes), *task.sources[1:]))


REGRESSION = replace(TASK, bounds=(0.0, 5.0), metric="pearson")
CHOICE = replace(
    with_(texts=("text", "question"), options="options"), format="choice", labels=("A", "B", "C")
)
HUB = with_(hub=True, revision=REVISION)


@pytest.fixture
def folder(tmp_path):
    """A data folder whose test split is one good row."""
    folder = tmp_path / "owner" / "mood"
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text(
        '{"text": "Fine.", "question": "?", "options": ["x", "y", "z"], "label": 1}\n'
    )
    return folder


@pytest.fixture
def read(folder, tmp_path):
    """Write the training split and read it."""

    def read(content, extension="jsonl", task=TASK):
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / f"train.{extension}").write_bytes(raw)
        return read_rows(task, tmp_path, offline=True).train

    return read


def texts(examples):
    return [example.texts[0] for example in examples]
