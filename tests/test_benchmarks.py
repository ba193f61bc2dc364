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
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        beside = file.with_name(f"{node.module}.py")
        if node.module.startswith("fewbench"):
            module = importlib.import_module(node.module)
            missing = [one.name for one in node.names if not _has(module, one.name)]
        elif beside.is_file():
            missing = [one.name for one in node.names if one.name not in _defined(beside)]
        else:
            continue
        assert not missing, f"{node.module} has no {missing}"


def _defined(file: Path) -> set[str]:
    """Return the names of functions, classes and values at the top of a file, without imports."""
    found = set[str]()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def _has(module: object, name: str) -> bool:
    if hasattr(module, name):
        return True
    try:  # a module of a package
        return bool(importlib.import_module(f"{module.__name__}.{name}"))  # type: ignore[attr-defined]
    except ImportError:
        return False
