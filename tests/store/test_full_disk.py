"""Each call by which the store writes fails in turn: what stood there stands, whole, and nothing is
left behind.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from stored import a_record, same, some_predictions

from fewbench.errors import StoreFull, StoreUnwritable
from fewbench.io import atomic
from fewbench.store.measurement import measured, measurements, write
from fewbench.store.parts import Environment
from fewbench.store.store import Store

KEY = "0" * 32
CALLS = {
    "fsync": (os, "fsync"),
    "replace": (Path, "replace"),
    "open": (Path, "open"),
    "mkdir": (Path, "mkdir"),
}


def put(store: Store, number: int) -> None:
    """Write a record with predictions, what is measured of it, and its model, as `--force
    --keep-models` does.
    """
    model = save({"w": np.full(5, number, "f4")})
    store.artifacts.save(KEY, {"number": number}, model)
    store.save(replace(a_record(), details={"number": number}), some_predictions(number / 8))
    record = store.find(a_record().run.key)
    told: dict[str, Any] = {
        "settings": {},
        "scores": {"number": number},
        "environment": Environment(),
    }
    write(store, record, measured(record, "attack", **told), {".jsonl": b"%d" % number})


def failing(call: Callable[..., Any], at: int, code: int) -> Callable[..., Any]:
    """Return a call that fails from its `at`th time on, but not for what is only read."""
    times = iter(range(10_000))

    def full(*arguments: Any, **options: Any) -> Any:
        if "r" not in (*arguments, options.get("mode")) and next(times) >= at:
            raise OSError(code, os.strerror(code))
        return call(*arguments, **options)

    return full


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("old", [True, False])
def test_each_call_fails_in_turn(
    store: Store, monkeypatch: pytest.MonkeyPatch, code: int, at: int, call: str, old: bool
):
    if old:
        put(store, 1)
    monkeypatch.setattr(*CALLS[call], failing(getattr(*CALLS[call]), at, code))
    try:
        put(store, 2)
        failed = None
    except StoreUnwritable as error:
        failed = error
    monkeypatch.undo()
    if failed is not None:
        assert isinstance(failed, StoreFull) == (code != errno.EIO) and failed.exit_code == 1
        assert not list(store.root.rglob(f"*{atomic.TEMPORARY}"))
    assert not [damage for damage in store.fsck() if damage.serious]
    records = list(store.records())
    assert len(records) == 1 or not (old or failed is None)
    for record in records:
        number = record.details["number"]
        assert number == 2 or failed is not None
        assert same(store.predictions(record), some_predictions(number / 8))
        assert all(each.scores == {"number": number} for each in measurements(store, record))
    assert not old or store.artifacts.read(KEY)[0]["number"] in (1, 2)
