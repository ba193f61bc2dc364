"""Pieces of a module's code: what counts or does not in the hash of the code that a method runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

Function = ast.FunctionDef | ast.AsyncFunctionDef

UNWRITTEN = frozenset({"ctx", "kind", "type_comment"})
"""Fields of a syntax tree that change nothing of what code does."""


class CodePiece(NamedTuple):
    """A statement of a module, or a method of a class: its code, its names, its own name.

    `name` is None where it counts as soon as its owner does: a class's own statements, a dunder.
    """

    name: str | None
    owner: str | None
    code: str
    names: frozenset[str]


def cut(node: ast.stmt) -> Iterator[CodePiece]:
    """Yield the pieces of a module's statement, without docstrings; a class's methods apart."""
    if isinstance(node, ast.ClassDef):
        yield from _class_pieces(node)
    elif isinstance(node, Function):
        yield _piece(node, node.name)
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield _piece(node, target.id if isinstance(target, ast.Name) else None)
    elif not _says_nothing(node):
        yield _piece(node, None)


def _says_nothing(node: ast.stmt) -> bool:
    """True for imports, which are followed by what they name, and for texts."""
    return isinstance(node, (ast.Import, ast.ImportFrom)) or _is_text(node)


def _class_pieces(node: ast.ClassDef) -> Iterator[CodePiece]:
    functions = [item for item in node.body if isinstance(item, Function)]
    left = [item for item in node.body if item not in functions]
    node.body = left or [ast.Pass()]
    yield _piece(node, node.name)
    for function in functions:
        called = function.name.startswith("__")
        yield _piece(function, None if called else function.name, owner=node.name)


def _piece(node: ast.stmt, name: str | None, owner: str | None = None) -> CodePiece:
    names: set[str] = set()
    node = _CodeOnly().visit(node)
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            names.add(inner.id)
        elif isinstance(inner, ast.Attribute):
            names.add(inner.attr)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            names.add(inner.value)  # getattr, quoted annotations
    return CodePiece(name, owner, f"{owner or ''}: {written(node)}", frozenset(names))


def written(node: object) -> str:
    """Return a syntax tree as text, the same on every version of Python that parses it alike.

    `ast.unparse` and `ast.dump` write the same tree otherwise from version to version. What is
    empty or not there is left out, for a new version adds fields that old code leaves empty.
    """
    if isinstance(node, ast.AST):
        given = [(name, value) for name, value in ast.iter_fields(node) if name not in UNWRITTEN]
        parts = [
            f"{name}={written(value)}" for name, value in given if value is not None and value != []
        ]
        return f"{type(node).__name__}({', '.join(parts)})"
    if isinstance(node, list):
        return f"[{', '.join(written(part) for part in node)}]"
    return ascii(node)


class _CodeOnly(ast.NodeTransformer):
    """Removes docstrings, texts in class bodies and imports, at any depth.

    A text in a class body describes the field above it. An import's names are followed instead, so
    that a module may move.
    """

    def visit_Import(self, node: ast.Import) -> None:
        """Remove the import."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Remove the import."""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        """Remove every text of the class's body."""
        self.generic_visit(node)
        if any(_is_text(item) for item in node.body):
            node.body = [item for item in node.body if not _is_text(item)] or [ast.Pass()]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Remove the function's docstring."""
        self._remove_docstring(node)
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        """Remove the function's docstring."""
        self._remove_docstring(node)
        return node

    def _remove_docstring(self, node: Function) -> None:
        self.generic_visit(node)
        if node.body and _is_text(node.body[0]):
            node.body = node.body[1:] or [ast.Pass()]


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
