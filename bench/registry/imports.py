"""The imports of a user's method file that cannot succeed, found without running the file."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.registry.code_hash import parse


class TopImport(NamedTuple):
    """The top-level module of an import, and the line of it."""

    module: str
    line: int


def check_imports(file: Path) -> None:
    """Refuse a method file that imports a module which is not here as soon as it is loaded.

    Imports in functions, conditions and `try` are the author's own care.

    Raises:
        BenchError: no such file, not Python, or such an import.
    """
    for module, line in _imported(parse(file)):
        if _is_here(module):
            continue
        is_beside = (file.parent / f"{module}.py").is_file() or (file.parent / module).is_dir()
        raise BenchError(
            f"it imports '{module}', which Python does not find here",
            where=f"{file}, line {line}",
            fix=(
                "make a folder of both: the method as its __init__.py, which says "
                f"from .{module} import …"
                if is_beside
                else f"pip install the package that has {module}"
            ),
        )


def _imported(tree: ast.Module) -> Iterator[TopImport]:
    """Yield the absolute imports among a module's own statements."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield TopImport(alias.name.partition(".")[0], node.lineno)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield TopImport(str(node.module).partition(".")[0], node.lineno)


def _is_here(module: str) -> bool:
    """True if Python finds a top-level module; nothing is imported for this."""
    if module in sys.modules or module in sys.stdlib_module_names:
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
