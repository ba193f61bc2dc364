"""Groups of methods, by what they are for: `groups.toml`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from fewbench.io import toml

FILE = Path(__file__).parent / "groups.toml"


class MethodGroup(NamedTuple):
    """A named list of methods, as `--methods` takes them."""

    name: str
    title: str
    methods: tuple[str, ...]


@lru_cache
def method_groups() -> dict[str, MethodGroup]:
    """Return the groups by name."""
    return {
        name: MethodGroup(name, table["title"], tuple(table["methods"]))
        for name, table in toml.load(FILE).items()
    }
