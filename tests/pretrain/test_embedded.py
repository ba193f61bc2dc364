"""The embedded models were made by the recipes in scripts/embedded, and by no other settings."""

from __future__ import annotations

import dataclasses
import json

import pytest
from conftest import PROJECT

from fewbench.pretrain.recipe import Recipe, read_recipe


@pytest.mark.parametrize("name", ["mini", "micro"])
def test_the_recipe_is_the_one_the_weights_tell_of(name):
    made = json.loads(
        (
            PROJECT / "bench" / "registry" / "models" / f"fewbench-{name}" / "training.json"
        ).read_text("utf-8")
    )["recipe"]
    told = dataclasses.asdict(read_recipe(PROJECT / "scripts" / "embedded" / f"{name}.toml", {}))
    defaults = dataclasses.asdict(Recipe())  # of settings that came after the weights
    assert json.loads(json.dumps(told)) == {key: made.get(key, defaults[key]) for key in told}
