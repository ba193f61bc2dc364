"""Models of the hub: revisions, caches, and what is said where one may not be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import errors

from fewbench.errors import BenchError, NeedsNetwork
from fewbench.registry.pretrained import find_model

FIRST, SECOND = "1" * 40, "2" * 40


def cached(cache: Path, model: Path) -> Path:
    """Lay a model out as the hub's cache does, at two commits: main is the second."""
    place = cache / "models--lab--model"
    for commit in (FIRST, SECOND):
        shutil.copytree(model, place / "snapshots" / commit)
    for name, commit in (("main", SECOND), ("v1", FIRST), ("refs/pr/3", FIRST)):
        (place / "refs" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "refs" / name).write_text(commit)
    return cache


@pytest.fixture
def hub(tiny_model, tmp_path, monkeypatch):
    """The hub's cache holds lab/model; an empty one is the second value."""
    cached(tmp_path / "full", tiny_model)
    download = huggingface_hub.snapshot_download

    def use(cache: str) -> None:
        def read(name, **asked):
            return download(name, **{"cache_dir": tmp_path / cache, **asked})

        monkeypatch.setattr(huggingface_hub, "snapshot_download", read)

    use("full")
    return use


@pytest.mark.parametrize(
    ("name", "commit"),
    [
        ("lab/model", SECOND),
        ("lab/model@main", SECOND),
        ("lab/model@v1", FIRST),
        ("lab/model@refs/pr/3", FIRST),
        (f"lab/model@{FIRST}", FIRST),
    ],
)
def test_a_revision_is_read_offline_and_recorded_as_its_commit(hub, name, commit):
    ref = find_model(name, offline=True)
    assert (ref.name, ref.revision, Path(ref.path).name) == ("lab/model", commit, commit)


def test_a_revision_that_the_cache_lacks(hub):
    with pytest.raises(NeedsNetwork, match="'lab/model@v9' is not on this machine"):
        find_model("lab/model@v9", offline=True)


def test_an_older_cache_is_read_too(hub, tmp_path, monkeypatch):
    hub("empty")
    with pytest.raises(NeedsNetwork):
        find_model("lab/model", offline=True)
    monkeypatch.setenv("TRANSFORMERS_CACHE", str(tmp_path / "full"))
    assert find_model("lab/model@v1", offline=True).revision == FIRST


@pytest.mark.parametrize(
    ("kind", "problem", "fix"),
    [
        (errors.GatedRepoError, "is gated", "accept its terms"),
        (errors.RevisionNotFoundError, "has no revision 'v9'", "commits/main"),
        (errors.RepositoryNotFoundError, "the hub has no model", "HF_TOKEN"),
    ],
)
def test_what_to_do_where_the_hub_refuses(monkeypatch, kind, problem, fix):
    def refuse(*_, **__):
        raise kind.__new__(kind, "refused")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(BenchError, match=problem) as caught:
        find_model("lab/model@v9")
    assert fix in str(caught.value)
