"""Rows of the hub, for which `datasets` stands in: tests have no network."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rows import GOOD, HUB, REVISION, folder, read, texts  # noqa: F401

from fewbench.data.hub import load_split
from fewbench.data.reader import read_rows
from fewbench.errors import DataError, NeedsNetwork


class Builder:
    """What `datasets.load_dataset_builder` returns."""

    def __init__(self, revision=REVISION, rows=({"text": "NA", "label": 1},)):
        self.hash, self.rows = revision, rows

    def download_and_prepare(self):
        """Do nothing."""

    def as_dataset(self, split):
        if split not in ("train", "test"):
            raise ValueError(f"Unknown split \"{split}\". Should be one of ['train', 'test'].")
        return self.rows


@pytest.fixture
def hub(monkeypatch):
    """Answer for the hub with a builder or an error."""
    import datasets

    def answer(outcome, offline=False):
        asked = SimpleNamespace(calls=[])

        def load(path, name=None, *, revision):
            asked.calls.append((path, name, revision))
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(datasets, "load_dataset_builder", load)
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
        return asked

    return answer


def test_rows_of_the_hub(hub, tmp_path):
    asked = hub(Builder())
    rows = read_rows(HUB, tmp_path / "none", offline=False)
    assert asked.calls == [("owner/mood", None, REVISION)] * 2
    assert [(e.id, e.texts, e.label) for e in rows.train] == [("train-0", ("NA",), 1)]
    assert rows.files[0] == {"file": f"hub: owner/mood/train@{REVISION}", "rows": 1, "sha256": None}


def test_a_row_of_the_hub_is_read_as_strictly(hub):
    hub(Builder(rows=({"text": "a", "label": 1}, {"text": "b", "label": -1})))
    with pytest.raises(
        DataError, match=r"the hub hides[^\n]*\n  in: hub: owner/mood/train@[0-9a-f]{40}, row 2"
    ):
        read_rows(HUB, None, offline=False)


def test_a_file_goes_before_the_hub(hub, read):
    asked = hub(Builder())
    assert texts(read(GOOD, task=HUB)) == ["Fine."]
    assert asked.calls == []


def test_files_and_hub_are_not_mixed(hub, folder, tmp_path):
    hub(Builder())
    with pytest.raises(DataError, match="one split is a file") as caught:
        read_rows(HUB, tmp_path, offline=False)
    assert str(folder / "test.jsonl") in str(caught.value)


def test_offline_the_hub_is_not_asked(hub, tmp_path):
    asked = hub(Builder())
    for data in (None, tmp_path):
        with pytest.raises(NeedsNetwork, match="the network is off") as caught:
            read_rows(HUB, data, offline=True)
        assert "owner/mood/train.jsonl" in str(caught.value)
    assert (asked.calls, caught.value.exit_code) == ([], 4)


@pytest.mark.parametrize("revision", [None, "f" * 40])
def test_another_revision_is_refused(revision, hub):
    hub(Builder(revision))
    with pytest.raises(NeedsNetwork, match=f"at revision {revision}"):
        load_split(HUB.source, "train")


def errors():
    from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

    return {
        "unreachable": (
            ConnectionError("Couldn't reach 'owner/mood' on the Hub\nlong story"),
            NeedsNetwork,
        ),
        "slow": (TimeoutError(), NeedsNetwork),
        "of a library of its own": (type("HTTPError", (Exception,), {})("refused"), NeedsNetwork),
        "other cache": (
            ValueError("Couldn't find cache for owner/mood for config 'x'"),
            NeedsNetwork,
        ),
        "not there": (
            DatasetNotFoundError("Dataset 'owner/mood' doesn't exist on the Hub"),
            DataError,
        ),
        "no such configuration": (ValueError("BuilderConfig 'x' not found."), DataError),
        "a script": (
            RuntimeError("Dataset scripts are no longer supported, but found mood.py"),
            DataError,
        ),
        "damaged": (
            DatasetGenerationError("An error occurred while generating the dataset"),
            DataError,
        ),
    }


@pytest.mark.parametrize("name", errors())
def test_what_goes_wrong_on_the_hub_is_said(name, hub):
    error, kind = errors()[name]
    hub(error)
    with pytest.raises(kind) as caught:
        load_split(HUB.source, "train")
    assert type(caught.value) is kind
    assert "owner/mood/train" in str(caught.value)
    assert "long story" not in str(caught.value)
    hub(error, offline=True)
    with pytest.raises(NeedsNetwork, match="go online"):
        load_split(HUB.source, "train")


def test_a_split_the_hub_lacks(hub):
    hub(Builder())
    with pytest.raises(DataError, match='Unknown split "valid"'):
        load_split(HUB.source, "valid")


def test_the_cache_of_the_real_library_is_taken_only_at_its_revision(tmp_path, monkeypatch):
    """Offline, `datasets` gives whatever revision its cache holds; this one is made here, with its
    own writer.
    """
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(NeedsNetwork, match="cannot be loaded"):
        load_split(HUB.source, "train")
    made = datasets.Dataset.from_dict({"text": ["NA", "007"], "label": [1, 0]})
    folder = tmp_path / "owner___mood" / "default" / "0.0.0" / REVISION
    made.save_to_disk(tmp_path / "made")
    folder.mkdir(parents=True)
    write_cache(datasets, made, folder)
    assert load_split(HUB.source, "train") == [
        {"text": "NA", "label": 1},
        {"text": "007", "label": 0},
    ]
    folder.rename(folder.with_name("f" * 40))
    with pytest.raises(NeedsNetwork, match=f"at revision {'f' * 40}"):
        load_split(HUB.source, "train")


def write_cache(datasets, made, folder):
    from datasets.arrow_writer import ArrowWriter

    writer = ArrowWriter(path=str(folder / "mood-train.arrow"), features=made.features)
    for row in made:
        writer.write(row)
    rows, size = writer.finalize()
    writer.close()
    split = datasets.SplitInfo(name="train", num_bytes=size, num_examples=rows, dataset_name="mood")
    info = datasets.DatasetInfo(
        features=made.features,
        splits=datasets.splits.SplitDict({"train": split}),
        config_name="default",
        dataset_name="mood",
        version="0.0.0",
    )
    info.write_to_directory(str(folder))


@pytest.fixture
def network(monkeypatch):
    """Forget what was found out about the hub, and let it take connections or not."""
    import datasets
    import huggingface_hub.constants

    from fewbench.data import hub as module

    def answer(error=None, offline="0", **environment):
        asked = []

        def connect(place, timeout):
            asked.append(place)
            if error is not None:
                raise error
            return SimpleNamespace(close=lambda: None)

        module.meet_hub.cache_clear()
        monkeypatch.setattr(module.socket, "create_connection", connect)
        monkeypatch.setattr(module, "go_offline", lambda: asked.append("offline"))
        monkeypatch.setattr(module, "getproxies", lambda: environment.get("proxies", {}))
        monkeypatch.setenv("HF_HUB_OFFLINE", offline)
        monkeypatch.setenv("HF_ENDPOINT", environment.get("endpoint", ""))
        return module.meet_hub(), asked

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)  # put back afterwards
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    yield answer
    module.meet_hub.cache_clear()


def test_a_hub_that_cannot_be_reached_is_tried_once(network, hub):
    reason, asked = network(OSError(101, "Network is unreachable"))
    assert reason == "huggingface.co cannot be reached (Network is unreachable)"
    assert asked == [("huggingface.co", 443), "offline"]
    hub(ConnectionError("a long story"), offline=True)
    with pytest.raises(
        NeedsNetwork, match=r"loaded from the hub: huggingface.co cannot be"
    ) as caught:
        load_split(HUB.source, "train")
    assert "a long story" not in str(caught.value)
    assert len(asked) == 2


def test_a_hub_that_answers_or_is_off_stays_as_it_is(network):
    assert network() == (None, [("huggingface.co", 443)])
    assert network(endpoint="http://mirror:8080/hub") == (None, [("mirror", 8080)])
    assert network(OSError("no"), offline="1") == (None, [])
    assert network(OSError("no"), proxies={"https": "http://proxy"}) == (None, [])


def test_the_library_says_nothing_of_its_retries(hub, network, caplog):
    import logging

    network()
    hub(Builder())
    load_split(HUB.source, "train")
    assert not logging.getLogger("huggingface_hub.utils._http").isEnabledFor(logging.WARNING)
