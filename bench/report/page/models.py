"""Descriptions of the board's models: of the package's, and of those in a results folder's file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from fewbench.io.toml import TomlTable, load
from fewbench.registry.pretrained import count_parameters, describe, embedded_models
from fewbench.report.page.data import ModelData

FILE = "models.toml"
"""The file of a results folder that says what its models are."""

GUIDE = "see docs/board.md, 'What a model is'"


def read_described(folder: Path) -> dict[str, ModelData]:
    """Read what a results folder's `models.toml` says of its models; none if it has no such file.

    Raises:
        BenchError: the file is not TOML, or a key in it is unknown, missing or not what it must be.
    """
    file = folder / FILE
    if not file.is_file():
        return {}
    return {name: _described(TomlTable(file, name, v, GUIDE)) for name, v in load(file).items()}


def _described(table: TomlTable) -> ModelData:
    count = table.positive("parameters")
    what = table.take("what", str)
    table.finish()
    return {"parameters": _millions(count), "what": what}


def models_of(used: Iterable[str], described: Mapping[str, ModelData]) -> dict[str, ModelData]:
    """Describe those models that are the package's, or that a results folder describes."""
    embedded = embedded_models()
    known = {}
    for name in sorted({*used}):
        if name in embedded:
            known[name] = _embedded(embedded[name])
        elif name in described:
            known[name] = described[name]
    return known


def _embedded(folder: Path) -> ModelData:
    facts = describe(folder)
    shape = f"{facts['type']} of {facts['layers']} layers, {facts['width']} wide"
    return {
        "parameters": _millions(count_parameters(folder)),
        "what": f"{shape}, with a vocabulary of {facts['vocabulary']:,}; comes with the package",
    }


def _millions(count: int) -> float:
    return round(count / 1e6, 2)
