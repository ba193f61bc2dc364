"""Methods that a Python user has as functions, written out as the method files that they stand for.

A run is known by the code of its method, and is carried out in a process of its own. So a function
becomes a file: its source, and what it uses of its module (imports, functions, classes, literal
values), in a folder named by the hash of that text. What cannot be written down is refused.
"""

from __future__ import annotations

import ast
import builtins
import functools
import hashlib
import inspect
import symtable
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar

from fewbench.errors import BenchError
from fewbench.io.atomic import make_folder, write_whole
from fewbench.refs import NAME
from fewbench.types import Json, Settings

Function = TypeVar("Function", bound=Callable[..., Any])

HASH_DIGITS = 12
DECLARED = "__fewbench_method__"
"""The attribute under which `method` leaves a function's declarations."""


def method(**declarations: Any) -> Callable[[Function], Function]:
    """Declare what a method that is a function needs, as the constants of a method file do.

        @fewbench.method(needs=("student",), search=("lr",))
        def my_method(task, split, kit, *, lr=1e-3): ...

    Args:
        declarations: any of needs, search, grid, search_if, presets, kinds, backbones and paper.

    Raises:
        BenchError: another name, or a value that is no literal.
    """
    for name, value in declarations.items():
        if name not in CONSTANTS:
            raise BenchError(
                f"a method declares no '{name}'", allowed=CONSTANTS, given=name, fix="needs=(…)"
            )
        if not _is_literal(value):
            raise BenchError(f"'{name}' must be a literal value, and it is {value!r}")

    def declare(function: Function) -> Function:
        setattr(function, DECLARED, declarations)
        return function

    return declare


CONSTANTS = ("needs", "search", "grid", "search_if", "presets", "kinds", "backbones", "paper")


def write_method(function: Callable[..., Any], folder: Path) -> str:
    """Write a function as a method file below a folder, and return what `--methods` would name.

    Of a `functools.partial`, the keyword arguments are the method's settings.

    Raises:
        BenchError: a function whose source is not to be had, or that uses what cannot be written.
        StoreUnwritable: the file cannot be written.
    """
    settings: Json = {}
    while isinstance(function, functools.partial):
        if function.args:
            raise _refused(function, "it fixes arguments by place", "functools.partial(f, lr=1e-3)")
        settings = {**function.keywords, **settings}
        function = function.func
    if not isinstance(function, FunctionType):
        raise _refused(function, "it is no function", "def my_method(task, split, kit): …")
    if not NAME.fullmatch(function.__name__.replace("_", "-")):
        fix = "def my_method(task, split, kit): …"
        raise _refused(function, f"'{function.__name__}' is no method's name", fix)
    text = method_source(function)
    digest = hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]
    file = folder / digest / f"{function.__name__}.py"
    if not file.is_file():
        make_folder(file.parent)
        write_whole(file, text.encode())
    assigned = [f"{name}={value!r}" for name, value in sorted(settings.items())]
    return f"{file}:{','.join(assigned)}" if assigned else str(file)


def method_source(function: FunctionType) -> str:
    """Return the text of the method file that a function stands for.

    Raises:
        BenchError: a source that is not to be had, or a thing in use that cannot be written.
    """
    writer = _Writer(function)
    writer.add(function.__name__, function)
    declared: Settings = getattr(function, DECLARED, {})
    constants = [f"{name.upper()} = {value!r}" for name, value in declared.items()]
    summary = (inspect.getdoc(function) or f"The function {function.__name__}.").splitlines()[0]
    parts = [
        f'"""{summary}"""' if '"' not in summary else repr(summary),
        "from __future__ import annotations",
        "\n".join(sorted(writer.imports)),
        "\n".join(constants),
        *writer.definitions,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


class _Writer:
    """Collects a function's source and, before it, what it uses of its module."""

    def __init__(self, function: FunctionType) -> None:
        self.function = function
        self.imports: set[str] = set()
        self.definitions: list[str] = []
        self.known: Json = {}

    def add(self, name: str, value: Any) -> None:
        """Add what a name of the function's module stands for, once."""
        if name in self.known:
            if self.known[name] is not value:
                raise self._refuse(f"'{name}' stands for two things in it")
            return
        self.known[name] = value
        if isinstance(value, ModuleType):
            self._add_import(name, value.__name__, "")
        elif self._is_own(value):
            self._add_definition(name, value)
        elif _is_literal(value):
            self.definitions.append(f"{name} = {value!r}")
        else:
            self._add_from(name, value)

    def _is_own(self, value: Any) -> bool:
        """True for functions and classes that the function's own module defines."""
        is_code = isinstance(value, FunctionType | type)
        return is_code and value.__module__ == self.function.__module__

    def _add_import(self, name: str, module: str, member: str) -> None:
        if member:
            renamed = "" if member == name else f" as {name}"
            self.imports.add(f"from {module} import {member}{renamed}")
        else:
            renamed = "" if module == name else f" as {name}"
            self.imports.add(f"import {module}{renamed}")

    def _add_from(self, name: str, value: Any) -> None:
        """Add an import of something that another module gives."""
        module = getattr(value, "__module__", None)
        member = getattr(value, "__qualname__", getattr(value, "__name__", name))
        owner = sys.modules.get(str(module))
        if owner is None or getattr(owner, str(member), None) is not value:
            kind = type(value).__name__
            raise self._refuse(
                f"'{name}', which it uses, is a {kind} and cannot be written to a method file"
            )
        self._add_import(name, str(module), str(member))

    def _add_definition(self, name: str, value: FunctionType | type) -> None:
        text = self._text_of(name, value)
        try:
            symbols = symtable.symtable(text, name, "exec")
        except SyntaxError as error:
            raise self._refuse(f"'{name}' cannot stand alone: {error.msg}") from error
        nonlocals = inspect.getclosurevars(value).nonlocals if inspect.isfunction(value) else {}
        known = {**vars(sys.modules[value.__module__]), **self.function.__globals__, **nonlocals}
        for used in sorted(_global_names(symbols) - {name, "fit"}):
            if used in known:
                self.add(used, known[used])
        self.definitions.append(text)

    def _text_of(self, name: str, value: FunctionType | type) -> str:
        """Return a definition's text: the method itself is called `fit`, without declarations."""
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
        except (OSError, TypeError) as error:
            raise self._refuse(f"the source of '{name}' is not to be had") from error
        except SyntaxError as error:
            raise self._refuse(f"'{name}' is not defined by a def of its own") from error
        node = tree.body[0]
        if value is not self.function or not isinstance(node, ast.FunctionDef):
            return ast.unparse(tree)
        node.decorator_list = [
            decorator for decorator in node.decorator_list if not self._declares(decorator)
        ]
        node.name = "fit"
        calls_itself = any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))
        return ast.unparse(tree) + (f"\n\n{name} = fit" if calls_itself else "")

    def _declares(self, decorator: ast.expr) -> bool:
        """True for `@method(…)` of this module, by whatever name it goes."""
        if not isinstance(decorator, ast.Call):
            return False
        called = decorator.func
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            owner = self.function.__globals__.get(called.value.id)
            return getattr(owner, called.attr, None) is method
        return isinstance(called, ast.Name) and self.function.__globals__.get(called.id) is method

    def _refuse(self, problem: str) -> BenchError:
        fix = "import or define it within the function, or write a method file (CONTRIBUTING.md)"
        return _refused(self.function, problem, fix)


def _global_names(symbols: symtable.SymbolTable) -> set[str]:
    """Return the names that a definition looks up outside itself, builtins aside."""
    names: set[str] = set()
    tables = [symbols]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        outermost = table.get_type() == "module"
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (outermost or symbol.is_global()):
                names.add(symbol.get_name())
    return names - vars(builtins).keys()


def _is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False


def _refused(function: Any, problem: str, fix: str) -> BenchError:
    name = getattr(function, "__name__", None) or repr(function)
    return BenchError(f"{name} cannot be run as a method: {problem}", fix=fix)
