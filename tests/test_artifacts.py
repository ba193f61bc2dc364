"""What runs build for others: stored whole, found again, and refused when damaged."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from stored import files

from fewbench.errors import StoreDamaged, StoreFull, StoreUnwritable
from fewbench.io.checked_json import joint_hash
from fewbench.store.artifacts import Artifacts
from fewbench.store.store import Store

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2, 3], dtype=torch.int8)}


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(tmp_path / "deep" / "artifacts")


def test_what_is_saved_is_read(artifacts):
    assert not artifacts.has("k")
    artifacts.save("k", {"of": ["mice", 1]}, save(TENSORS))
    assert artifacts.has("k")
    manifest, content = artifacts.read("k")
    assert manifest == {"of": ["mice", 1]}
    read = load(content)
    assert all(torch.equal(read[name], tensor) for name, tensor in TENSORS.items())


def test_saving_again_takes_the_place(artifacts):
    artifacts.save("k", {}, save({"a": torch.zeros(2)}))
    artifacts.save("k", {}, save({"a": torch.ones(2)}))
    assert load(artifacts.read("k")[1])["a"].tolist() == [1, 1]
    assert [file.name for file in artifacts.root.iterdir()] == ["k.safetensors"]


def test_what_a_kill_left_half_written_is_removed_too(artifacts):
    artifacts.save("ab-0-1", {}, save(TENSORS))
    artifacts.save("cd-0-1", {}, save(TENSORS))
    (artifacts.root / ".ab-0-2.safetensors.77-1f.tmp").write_bytes(b"half")
    artifacts.remove("ab")
    assert [file.name for file in artifacts.root.iterdir()] == ["cd-0-1.safetensors"]


def test_a_flipped_bit_is_noticed_wherever_it_is(artifacts):
    """Header, its padding, manifest, key, checksum and tensors: there is no byte that could be
    another.
    """
    artifacts.save("k", {"of": "mice"}, save(TENSORS))
    content = artifacts.file("k").read_bytes()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        artifacts.file("k").write_bytes(flipped)
        with pytest.raises(StoreDamaged, match="damaged artifact") as caught:
            artifacts.has("k")
    assert str(artifacts.file("k")) in str(caught.value)


def test_one_in_the_place_of_another_is_noticed(artifacts):
    artifacts.save("k", {"of": "mice"}, save(TENSORS))
    artifacts.file("k").rename(artifacts.file("other"))
    with pytest.raises(StoreDamaged, match="it is the artifact k in the place of other"):
        artifacts.read("other")
    assert not artifacts.has("k")


def test_what_was_added_at_the_end_is_noticed(artifacts):
    artifacts.save("k", {"of": "mice"}, save(TENSORS))
    with artifacts.file("k").open("ab") as stream:
        stream.write(b"\0" * 8)
    with pytest.raises(StoreDamaged, match="its header says"):
        artifacts.read("k")


def older(tensors: bytes) -> bytes:
    """Return an artifact as it was written before it held its key: the hash is of the tensors
    alone.
    """
    size = int.from_bytes(tensors[:8], "little")
    data = tensors[8 + size :]
    told = {"manifest": "{}", "sha256": hashlib.sha256(data).hexdigest()}
    head = json.dumps({**json.loads(tensors[8 : 8 + size]), "__metadata__": told}).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + data


def test_what_an_older_version_wrote_counts_as_none_and_is_told(tmp_path):
    """It cannot be told from another's, so it is built anew where it is needed; fsck leaves it
    where it is.
    """
    store, key = Store(tmp_path), joint_hash("x")
    store.artifacts.root.mkdir()
    store.artifacts.file(key).write_bytes(older(save(TENSORS)))
    assert not store.artifacts.has(key)
    (told,) = store.fsck(repair=True)
    assert told.severity == "unknown" and "an older version wrote it" in told.reason
    store.artifacts.save(key, {}, save(TENSORS))
    assert store.artifacts.has(key) and store.fsck() == []


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, StoreFull), (errno.EIO, StoreUnwritable)]
)
@pytest.mark.parametrize(("where", "call"), [(os, "fsync"), (Path, "replace")])
def test_a_disk_that_takes_no_more_is_no_fault_of_the_artifact(
    artifacts, monkeypatch, code, kind, where, call
):
    artifacts.save("k", {"of": "mice"}, save(TENSORS))

    def full(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(where, call, full)
    with pytest.raises(kind, match="nothing was written") as caught:
        artifacts.save("k", {"of": "men"}, save(TENSORS))
    assert caught.value.exit_code == 1 and type(caught.value) is kind
    assert artifacts.read("k")[0] == {"of": "mice"}
    assert [file.name for file in artifacts.root.iterdir()] == ["k.safetensors"]


def test_fsck_tells_and_mends(tmp_path):
    store, key, other = Store(tmp_path), joint_hash("x"), joint_hash("y")
    store.artifacts.save(key, {}, save(TENSORS))
    store.artifacts.save(other, {}, save(TENSORS))
    store.artifacts.file(other).replace(store.artifacts.file(key))
    left = store.artifacts.root / f".{key}.safetensors.7-abcdef00.tmp"
    left.write_bytes(b"cut")
    os.utime(left, (0, 0))
    stranger = store.artifacts.root / "mine.safetensors"
    stranger.write_bytes(b"")
    found = {damage.path: damage.severity for damage in store.fsck()}
    assert found == {store.artifacts.file(key): "damage", left: "leftover", stranger: "unknown"}
    store.fsck(repair=True)
    assert [damage.path for damage in store.fsck()] == [stranger] and not store.artifacts.has(key)
    assert len(files(store)) == 2 and list(
        (tmp_path / "damaged" / "artifacts").iterdir()
    )  # never deleted


@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_a_file_cut_short_is_noticed(artifacts, size):
    artifacts.save("k", {"of": "mice"}, save(TENSORS))
    artifacts.file("k").write_bytes(artifacts.file("k").read_bytes()[:size])
    with pytest.raises(StoreDamaged, match="damaged artifact"):
        artifacts.read("k")


def test_a_key_tells_its_determinants_apart():
    keys = {
        joint_hash("model", "a", {"x": 1}),
        joint_hash("model", "a", {"x": 2}),
        joint_hash("model", "a"),
    }
    assert len(keys) == 3
    assert joint_hash({"a": 1, "b": 2}) == joint_hash({"b": 2, "a": 1})
