"""The hash of the code that a method runs: its file, and of the parts it imports what it can reach.

Reach is by name: of an imported part, a definition counts if its name stands anywhere in code that counts already; so
does a method of a class. Names that the runner asks for, and those Python and torch call by themselves, always count:
so a new function in a part makes no record stale, and a change of one that is used does. (A name built at run time
would escape; parts do not do that.)
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.files import read_file

ROOT = Path(__file__).parent
ASKED = frozenset({"predict", "describe", "forward", "backward"})
"""What is called without being named by a method: by the runner, or by torch."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Piece(NamedTuple):
    """A statement of a module, or one method of a class: its code, the names in it, and the name it goes by.

    `name` is None where it counts as soon as its owner does: an import, a class's own statements, a dunder.
    """

    name: str | None
    owner: str | None
    code: str
    names: frozenset[str]


def parse(file: Path) -> ast.Module:
    """Return a source's syntax tree.

    Raises:
        BenchError: no such file, or not Python.
    """
    try:
        return ast.parse(read_file(file).decode("utf-8-sig"), str(file))
    except FileNotFoundError as error:
        raise BenchError(f"no such file: {file}", fix="bench ls methods") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BenchError(f"not Python: {error or 'nested too deeply'}", where=str(file)) from error
    except OSError as error:
        raise BenchError(f"this file cannot be read: {error.strerror}", where=str(file)) from error


@lru_cache
def code_hash(file: Path) -> str:
    """Return 16 hexadecimal digits that change with the code a method runs; comments and docstrings do not count."""
    names, counted = set(ASKED), set()
    pieces, parts = _pieces(file)
    waiting = set(pieces)
    for piece in pieces:  # all of the method's own file counts
        names |= piece.names | ({piece.name} if piece.name else set())
    seen = set(parts)
    for part in (queue := list(parts)):
        pieces, more = _pieces(part)
        waiting |= set(pieces)
        queue += [other for other in more if other not in seen]
        seen |= set(more)
    while reached := {piece for piece in waiting if _counts(piece, names)}:
        waiting -= reached
        counted |= reached
        names |= {name for piece in reached for name in piece.names}
    return hashlib.sha256("\0".join(sorted(piece.code for piece in counted)).encode()).hexdigest()[:16]


def _counts(piece: Piece, names: set[str]) -> bool:
    return all(name is None or name in names for name in (piece.name, piece.owner))


@lru_cache
def _pieces(file: Path) -> tuple[tuple[Piece, ...], tuple[Path, ...]]:
    """Return the pieces of a source and the parts that it imports; of imports only names count that are given anew."""
    tree = parse(file)
    pieces: list[Piece] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            pieces += _class_pieces(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            pieces.append(_piece(node, node.name))
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            pieces += [_piece(node, target.id if isinstance(target, ast.Name) else None) for target in targets]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            renamed = frozenset(alias.name for alias in node.names if alias.asname)
            pieces.append(Piece(None, None, "", renamed))
        elif not _is_text(node):
            pieces.append(_piece(node, None))
    return tuple(pieces), tuple(dict.fromkeys(path for path in _imports(tree) if path.is_file()))


def _class_pieces(node: ast.ClassDef) -> Iterator[Piece]:
    functions = [item for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))]
    node.body = [item for item in node.body if item not in functions] or [ast.Pass()]
    yield _piece(node, node.name)
    for function in functions:
        called = function.name.startswith("__")
        yield _piece(function, None if called else function.name, owner=node.name)


def _piece(node: ast.stmt, name: str | None, owner: str | None = None) -> Piece:
    for inner in ast.walk(node):
        if isinstance(inner, Definition) and inner.body and _is_text(inner.body[0]):
            inner.body = inner.body[1:] or [ast.Pass()]
    return Piece(name, owner, f"{owner or ''}: {ast.unparse(node)}", frozenset(_names(node)))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _names(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield inner.id
        elif isinstance(inner, ast.Attribute):
            yield inner.attr
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):  # getattr, quoted annotations
            yield inner.value


def _imports(tree: ast.Module) -> Iterator[Path]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "fewbench.parts":
            yield from (ROOT / "parts" / f"{alias.name}.py" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fewbench.parts."):
            yield ROOT / "parts" / f"{node.module.split('.')[2]}.py"
        elif isinstance(node, ast.Import):
            parts = [alias.name for alias in node.names if alias.name.startswith("fewbench.parts.")]
            yield from (ROOT / "parts" / f"{name.split('.')[2]}.py" for name in parts)
