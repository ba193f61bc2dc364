"""What predictors tell of each example besides their answers, in the predictions file."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load

from fewbench.errors import StoreDamaged
from fewbench.store.predictions import from_bytes, to_bytes
from fewbench.types import Predictions, Run

RUN = Run("t", 1, "s", "m", {}, None, None, 2, 13, "quick", "f", "tf", key="k")
IDS = ("test-0", "test-1", "test-2")
VALUES = np.array([0.5, 1.5, -2], np.float32)
EXITS = np.array([3, 1, 6], np.int32)


@pytest.mark.parametrize(
    "answers",
    [{"values": VALUES}, {"probabilities": np.array([[1, 0], [0, 1], [0.5, 0.5]], np.float32)}],
)
def test_extras_are_written_and_read(answers):
    given = Predictions(IDS, **answers, extras={"exits": EXITS, "cuts": EXITS * 2})
    data = to_bytes(given, RUN)
    found = from_bytes(data, "here")
    assert found.ids == IDS and np.array_equal(found.array, given.array)
    assert {name: extra.tolist() for name, extra in found.extras.items()} == {
        "exits": [3, 1, 6],
        "cuts": [6, 2, 12],
    }
    assert set(load(data)) == {*answers, "extras.exits", "extras.cuts"}


def test_the_order_of_extras_does_not_show():
    one = Predictions(IDS, values=VALUES, extras={"a": EXITS, "b": EXITS})
    other = Predictions(IDS, values=VALUES, extras={"b": EXITS, "a": EXITS})
    assert to_bytes(one, RUN) == to_bytes(other, RUN)


def test_without_extras_there_is_one_tensor():
    data = to_bytes(Predictions(IDS, values=VALUES), RUN)
    assert set(load(data)) == {"values"}
    assert from_bytes(data, "here").extras == {}


@pytest.mark.parametrize(
    "extra", [EXITS[:2], EXITS[None], EXITS.astype(np.int64), EXITS.astype(np.float32)]
)
def test_extras_that_do_not_fit_are_refused(extra):
    with pytest.raises(ValueError, match="exits of shape"):
        Predictions(IDS, values=VALUES, extras={"exits": extra})


def test_extras_that_are_cut_short_are_damage():
    data = to_bytes(Predictions(IDS, values=VALUES, extras={"exits": EXITS}), RUN)
    with pytest.raises(StoreDamaged):
        from_bytes(data[:-4], "here")
