"""Benchmarks and scripts, which no other test runs, import what there is."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
FILES = sorted([*PROJECT.glob("benchmarks/*.py"), *PROJECT.glob("scripts/**/*.py")])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PROJECT).as_posix())
def test_what_is_imported_of_the_project_is_there(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fewbench"):
            module = importlib.import_module(node.module or "")
            missing = [one.name for one in node.names if not _has(module, one.name)]
            assert not missing, f"{node.module} has no {missing}"


def _has(module: object, name: str) -> bool:
    if hasattr(module, name):
        return True
    try:  # a module of a package
        return bool(importlib.import_module(f"{module.__name__}.{name}"))  # type: ignore[attr-defined]
    except ImportError:
        return False
