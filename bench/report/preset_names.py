"""Methods by the names of their presets: `ptq:q8bert`, not `ptq:per_channel=False,static=True`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from fewbench.registry.methods import methods
from fewbench.store.cell import label, named


def with_preset(method: str) -> str:
    """Return a method as a person would ask for it; with its settings where no preset has them."""
    return _presets().get(method, method) if ":" in method else method


@lru_cache
def _presets() -> Mapping[str, str]:
    names: dict[str, str] = {}
    for method in methods().values():
        for settings in method.presets.values():
            names[label(method.name, settings)] = named(method, settings)
    return names
