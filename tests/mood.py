"""A task of its own for the tests of data: its file, a hub that stands in for the real one, and
folders compared.
"""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest

from fewbench.data import data_folder
from fewbench.data.task_file import load_file

REVISION = "0123456789abcdef0123456789abcdef01234567"
TASK = f"""
[mood]
title = "Is it a good mood?"
paper = "none: a test"
licence = "Apache-2.0"
version = 1
format = "single"
labels = ["bad", "good"]
metric = "accuracy"
template = "{{0}} It was {{mask}}."
words = {{ bad = "terrible", good = "great" }}
max_length = 32

[[mood.source]]
name = "hub"
path = "owner/mood"
config = "plain"
revision = "{REVISION}"
train = "train"
test = "test"
texts = ["text"]
label = "label"

[[mood.source]]
name = "files"
path = "lm-bff/original"
config = "mood"
train = "train"
test = "test"
columns = ["label", "text"]
texts = ["text"]
label = "label"
hub = false

[[mood.source]]
name = "lm-bff"
path = "lm-bff"
config = "mood"
train = "train"
test = "test"
texts = ["text"]
label = "label"
hub = false
"""
ROWS = {
    "train": [
        {"text": f"Fine, {n}\u2028é.", "label": n % 2, "idx": n, "note": None} for n in range(40)
    ],
    "test": [{"text": f"Well, {n}.", "label": n % 2, "idx": n, "note": [1.5]} for n in range(6)],
}


@pytest.fixture
def toml(tmp_path):
    """The file of a task with a source on the hub and two that are had by hand."""
    file = tmp_path / "mood.toml"
    file.write_text(TASK)
    return file


@pytest.fixture
def task(toml):
    return load_file(toml).tasks["mood"]


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for the hub: its rows, what was asked of it, and splits whose download dies."""

    answer = SimpleNamespace(rows=dict(ROWS), dies={}, asked=[])

    def load(source, split):
        answer.asked.append(f"{source.path}/{source.config}/{split}@{source.revision}")
        if split in answer.dies:
            raise answer.dies[split]
        return answer.rows[split]

    monkeypatch.setattr(data_folder, "load_split", load)
    return answer


@pytest.fixture
def fetched(hub, task, data):
    """The data folder after a fetch."""
    assert fetch_all(task, data) == ["fetched", "fetched"]
    hub.asked.clear()
    return data


def fetch_all(task, data, **options):
    return [data_folder.fetch(place, data, **options) for place in data_folder.places(task, data)]


def verify(task, data):
    return list(data_folder.verify(data_folder.places(task, data)))


def files_in(folder):
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def bytes_in(folder):
    return {path: (folder / path).read_bytes() for path in files_in(folder)}


def cli(*arguments):
    """Run the command line in this process, where the hub has a stand-in; errors are raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of click, in typer
        from typer.testing import CliRunner

        from fewbench.cli import app
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
