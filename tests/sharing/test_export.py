"""Exports are read back by what they are for."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import add, demo, theirs  # noqa: F401

from fewbench.report.share.card import front_matter, model_index
from fewbench.report.tables.blocks import build
from fewbench.report.tables.entry import entries
from fewbench.store.store import Store


def test_csv_bundle(add, bench, theirs, tmp_path):
    add(13), add(21)
    done = bench("export", "csv", "--out", tmp_path / "csv", "--results", theirs)
    assert done.returncode == 0, done.stderr
    tables = {
        name: list(
            csv.DictReader(io.StringIO((tmp_path / "csv" / f"{name}.csv").read_text("utf-8")))
        )
        for name in ("runs", "trials", "cells")
    }
    assert [row["seed"] for row in tables["runs"]] == ["13", "21"] and tables["runs"][0][
        "test_accuracy"
    ]
    assert [row["setting_lr"] for row in tables["trials"]] == ["0.1", "0.1"]
    assert [(row["n"], row["seeds"]) for row in tables["cells"]] == [("2", "13 21")]


def test_a_models_card_reads_as_the_hub_reads_it(add, bench, theirs):
    import yaml
    from huggingface_hub.repocard_data import ModelCardData

    add(13), add(21)
    done = bench("export", "card", "majority", "--name", "my/model", "--results", theirs)
    assert done.returncode == 0, done.stderr
    _, block, rest = done.stdout.split("---\n")
    data = ModelCardData(model_name="my/model", **yaml.safe_load(block))
    (result,) = data.eval_results
    mean = np.mean([record.scores["test"]["accuracy"] for record in Store(theirs).records()])
    assert (result.task_type, result.metric_type, result.dataset_name) == (
        "text-classification", "accuracy", "demo-sentiment@demo"
    ) and rest == ""  # fmt: skip
    assert result.metric_value == pytest.approx(mean, abs=1e-6) and result.metric_args["shots"] == 4


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False, width=16)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(st.characters(codec="utf-8"))


def collections(inner):
    keys = st.sampled_from(["a", "c-d"])
    return st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)


@settings(deadline=None)
@given(st.recursive(SCALARS, collections, max_leaves=8))
def test_any_metadata_is_yaml(value):
    import yaml

    text = front_matter({"model-index": value})
    assert yaml.safe_load(text.removeprefix("---\n").removesuffix("\n---")) == {
        "model-index": value
    }


def test_model_index_of_a_task_that_is_not_known(add, theirs):
    add(13)
    cells = entries(build(list(Store(theirs).records()), {}, {}))
    (result,) = model_index("m", cells, {})["model-index"][0]["results"]
    assert result["dataset"] == {"type": "demo-sentiment", "name": "demo-sentiment@demo"}
