"""A store for the tests of the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewbench.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store; its folder is not there yet."""
    return Store(tmp_path / "results")
