"""The hash of a method's code: its file, the user's modules, and what it uses of `fewbench`.

The method's own file counts whole, and so do modules of the user's that it imports, directly or by
way of others. Of `fewbench` counts what can be reached, by name: a module is looked into if a name
that it gives stands in code that counts; a definition in it counts if its name does, and a method
of a class if its own does too. Names that the runner asks for, and those Python and torch call by
themselves, always count. So a new function in a shared module makes no record stale, and a change
of one that is used does. Imports that only type checkers see are left out. Of what is used of a
library counts where it is from, not what it contains: a record names the versions.

What escapes is a name put together at run time, and a module found by a path that is made at run
time.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.io.file_hash import file_hash
from fewbench.io.files import read_file
from fewbench.registry.code_pieces import CodePiece, cut
from fewbench.registry.kept_hashes import CodeHash, find_hash, keep_hash

PACKAGE = "fewbench"
ROOT = Path(__file__).resolve().parents[1]
ASKED = frozenset({"predict", "describe", "forward", "backward", "fit", "FitContext"})
"""What is called without being named by a method: by the runner, or by torch."""

HANDED = ("runner.steps", "nn.fit_context")
"""The modules of what carries a method out: they count though no method imports them."""

SAY_NOTHING = frozenset({"errors"})
"""Modules that decide no number: what they hold is raised and read by people."""


class Import(NamedTuple):
    """An import: `bound` in the importing module, `name` in the modules of `files`.

    `code` is what counts of the import itself where its name is used: which name of a library, or
    that a name is bound as another. Of our own modules the name is followed, so that they may move.
    """

    bound: str
    name: str
    files: tuple[Path, ...]
    code: str = ""


def _import(bound: str, module: list[str], name: str, files: Iterable[Path]) -> Import:
    found = tuple(dict.fromkeys(files))
    origin = name if found else ".".join([*module, name])
    return Import(bound, name, found, "" if found and bound == name else f"{origin} as {bound}")


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """A module's pieces and its imports of modules that may count."""

    pieces: tuple[CodePiece, ...]
    imports: tuple[Import, ...]


def parse(file: Path) -> ast.Module:
    """Return a source's syntax tree.

    Raises:
        BenchError: no such file, or not Python.
    """
    try:
        return ast.parse(read_file(file), str(file))
    except FileNotFoundError as error:
        raise BenchError(f"no such file: {file}", fix="bench ls methods") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BenchError(f"not Python: {error or 'nested too deeply'}", where=str(file)) from error
    except OSError as error:
        raise BenchError(f"this file cannot be read: {error.strerror}", where=str(file)) from error


_State = tuple[tuple[Path, int, int], ...]
"""Files with their sizes and times of modification."""

_known: dict[Path, tuple[str, _State]] = {}


def code_hash(file: Path) -> str:
    """Hash the code that a method runs (16 hex digits), without comments and docstrings.

    It is computed once per process, and again once one of the files that count has changed. That of
    a method of the project is kept in the user's cache.
    """
    known = _known.get(file) or find_hash(file)
    if known is None or not _is_as_it_was(known[1]):
        reach = _Reach(file)
        known = CodeHash(reach.digest(), _state(reach.seen))
        keep_hash(file, known)
    _known[file] = known
    return known[0]


def _state(files: Iterable[Path]) -> _State:
    stats = ((file, file.stat()) for file in files)
    return tuple((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats)


def _is_as_it_was(state: _State) -> bool:
    try:
        return _state(file for file, _, _ in state) == state
    except FileNotFoundError:
        return False


class _Reach:
    """The code that counts for one method, found by following names to the end."""

    def __init__(self, file: Path) -> None:
        self.names = set(ASKED)
        self.counted: set[str] = set()
        self.waiting: set[CodePiece] = set()
        self.imports: set[Import] = set()
        self.seen: set[Path] = set()
        self._enter(file.resolve(), whole=True)
        for module in HANDED:
            for part in _own_module(module.split(".")):
                self._enter(part, whole=False)

    def digest(self) -> str:
        """Return the hash of all that counts."""
        while self._follow_names() or self._follow_imports():
            pass
        return hashlib.sha256("\0".join(sorted(self.counted)).encode()).hexdigest()[:16]

    def _enter(self, file: Path, *, whole: bool) -> None:
        if file in self.seen:
            return
        self.seen.add(file)
        source = _read(file)
        self.imports |= set(source.imports)
        if not whole:
            self.waiting |= set(source.pieces)
            return
        for piece in source.pieces:
            self._count(piece)
        self.names |= {imported.bound for imported in source.imports}

    def _count(self, piece: CodePiece) -> None:
        self.counted.add(piece.code)
        self.names |= piece.names | ({piece.name} if piece.name else set())

    def _follow_names(self) -> bool:
        reached = {piece for piece in self.waiting if self._is_named(piece)}
        self.waiting -= reached
        for piece in reached:
            self._count(piece)
        return bool(reached)

    def _is_named(self, piece: CodePiece) -> bool:
        return all(name is None or name in self.names for name in (piece.name, piece.owner))

    def _follow_imports(self) -> bool:
        used = {imported for imported in self.imports if imported.bound in self.names}
        self.imports -= used
        for imported in used:
            self.names.add(imported.name)
            for file in imported.files:
                self._enter(file, whole=not _is_ours(file))
        return bool(used)


def _read(file: Path) -> ModuleSource:
    """Return the pieces and imports of a module, read anew once its file has changed."""
    try:
        return _source(file, file_hash(file))
    except FileNotFoundError as error:
        raise BenchError(f"no such file: {file}", fix="bench ls methods") from error


@lru_cache(maxsize=1024)
def _source(file: Path, digest: bytes) -> ModuleSource:
    tree = parse(file)
    tree.body = [*_run_only(tree.body)]
    imports = tuple(dict.fromkeys(_imports(tree, file)))  # first: pieces are cut out of the tree
    pieces = [piece for node in tree.body for piece in cut(node)]
    return ModuleSource(tuple(_with_imports(piece, imports) for piece in pieces), imports)


def _with_imports(piece: CodePiece, imports: Iterable[Import]) -> CodePiece:
    """Return a piece whose code tells where the names of libraries that it uses are from."""
    used = {
        imported.code for imported in imports if imported.code and imported.bound in piece.names
    }
    return piece._replace(code="\n".join([*sorted(used), piece.code]))


def _run_only(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield a module's statements without those that only type checkers see."""
    for node in statements:
        test = node.test if isinstance(node, ast.If) else None
        name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
        if isinstance(node, ast.If) and name == "TYPE_CHECKING":
            yield from node.orelse
        else:
            yield node


def _imports(tree: ast.Module, file: Path) -> Iterator[Import]:
    """Yield the imports of `fewbench` and of the user's modules, those in functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = alias.name.split(".")
                bound = alias.asname or module[0]
                yield _import(bound, module[:-1], module[-1], _files(module, file))
        elif isinstance(node, ast.ImportFrom):
            yield from _from_import(node, file)
        elif (name := _imported_by_call(node)) is not None:
            yield _import("import_module", name[:-1], name[-1], _files(name, file))


def _from_import(node: ast.ImportFrom, file: Path) -> Iterator[Import]:
    start = [*("." * node.level)] if node.level else []
    module = [*start, *((node.module or "").split(".") if node.module else [])]
    for alias in node.names:
        inner = [] if alias.name == "*" else [alias.name]
        files = (*_files(module, file), *_files([*module, *inner], file))
        # A star gives any name.
        bound = "import_module" if alias.name == "*" else alias.asname or alias.name
        yield _import(bound, module, alias.name, files)


def _imported_by_call(node: ast.AST) -> list[str] | None:
    """Return the module in a call of `import_module` or `__import__`, if it is a literal."""
    if not isinstance(node, ast.Call) or not node.args:
        return None
    called, argument = node.func, node.args[0]
    name = getattr(called, "attr", None) or getattr(called, "id", None)
    if name not in ("import_module", "__import__") or not isinstance(argument, ast.Constant):
        return None
    return str(argument.value).split(".")


def _files(module: list[str], importer: Path) -> Iterator[Path]:
    """Yield the files of a module and its packages, if they are ours or the user's."""
    dots = 0
    while dots < len(module) and module[dots] == ".":
        dots += 1
    names = [name for name in module[dots:] if name]
    if dots:
        folder = importer.parents[min(dots, len(importer.parents)) - 1]
        yield from _in_folder(folder, names)
    elif names and names[0] == PACKAGE:
        yield from _own_module(names[1:])
    elif names:
        yield from _users_module(names, importer)


def _own_module(names: list[str]) -> Iterator[Path]:
    if not names or names[0] not in SAY_NOTHING:
        yield from _in_folder(ROOT, names)


def _users_module(names: list[str], importer: Path) -> Iterator[Path]:
    """Yield the files of a user's module: beside the importing file, or where Python finds it."""
    beside = [*_in_folder(importer.parent, names)]
    if beside:
        yield from beside
        return
    place = _place(names[0])
    if place is not None and not _is_librarys(place, importer):
        yield from _in_folder(
            place.parent.parent if place.name == "__init__.py" else place.parent, names
        )


def _in_folder(folder: Path, names: list[str]) -> Iterator[Path]:
    """Yield the existing packages' `__init__.py` and the module that dotted names lead to."""
    for number, name in enumerate(names, 1):
        file = folder / f"{name}.py"
        if file.is_file():
            yield file
        package = folder / name
        if number < len(names) or not file.is_file():
            if (package / "__init__.py").is_file():
                yield package / "__init__.py"
            folder = package


@lru_cache(maxsize=1024)
def _place(name: str) -> Path | None:
    """Return the file of a top-level module, found without importing it."""
    if name in sys.stdlib_module_names:
        return None
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec: importlib.machinery.ModuleSpec | None = find(name, None) if find is not None else None
        if spec is not None:
            return Path(spec.origin).resolve() if spec.origin and spec.has_location else None
    return None


def _is_librarys(file: Path, importer: Path) -> bool:
    """True for what was installed, unless the method itself comes with it."""
    for place in _library_places():
        if file.is_relative_to(place):
            top = file.relative_to(place).parts[0]
            return not importer.resolve().is_relative_to(place / top)
    return any(part in ("site-packages", "dist-packages") for part in file.parts)


@lru_cache
def _library_places() -> frozenset[Path]:
    return frozenset(
        Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")
    )


def _is_ours(file: Path) -> bool:
    """True for what methods share. What lies beside a method in its own folder is the method's."""
    return str(file).startswith(f"{ROOT}{os.sep}") and not str(file).startswith(
        f"{ROOT / 'methods'}{os.sep}"
    )
