"""The file-name registry: files and folders of `methods/`, and tables of `tasks/*.toml`.

Listing imports nothing. A method's name, settings, paper and needs are read from its source by
`ast`, so `bench ls methods` and the binding of `--methods pkd:beta=50` never load torch. Other
packages join through the entry-point groups `fewbench.methods` (a module) and `fewbench.tasks` (a
package that holds TOML files, or `package:file.toml`); users by a path.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from fewbench.errors import BenchError
from fewbench.refs import NAME
from fewbench.registry.code_hash import code_hash, parse
from fewbench.types import KINDS, USUAL_KINDS, BackboneKind, Json, Settings

FOLDER = "__init__.py"
"""The file of a method that is a folder."""


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """The declarations in a method's source.

    `settings` are the keyword arguments of its `fit` and its `prepare` with their defaults;
    `search` those that a grid may vary, the protocol's or, for settings of its own, `grid` (the
    preferred value first); `search_if` the settings under which there is anything to search.
    `needs` is what it asks for: `student`, `teacher`, the `template` (and with it label `words`, of
    one token each unless it asks for `long-words` too), the `unlabeled` pool, a `corpus`, the
    `label_counts` of all training rows, the task's other `prompts`.
    `kinds` are the tasks it takes, `backbones` the models it reads. `presets` are named settings.
    `checks` says whether it has a `check` of models and settings, `split_checks` whether it has a
    `check_split` of the rows that a split holds. The setting `teacher` names the method whose run
    on the same split, with the teacher's backbone, makes its trained teacher.

    `prepares` says, by format of the task, which of its preparations (`prepare`) a run uses; a
    setting named there that is on goes before the format. `prepare_settings` are the arguments of
    `prepare`, `fit_settings` those of `fit` (or `transform`): a setting may be of both.
    `prepare_checks` says whether it has a `check_prepare` of the corpus. A `step` has a `transform`
    (model to model) in place of `fit`: alone it starts at the trained teacher. What `composes` has
    one and goes with others (`fewbench.registry.pipeline`); it may have a `fit` too. After a `last`
    step, or one with the settings `last_if`, nothing may follow, and `pipelines` are those that
    begin with it and belong to `all`. `study` names the module of `nn/` whose `study` tells of its
    kept models (`bench show --text`).
    `by_path` says that the user named its file: a method that is being worked on, so that runs of
    its earlier code are run again.
    """

    name: str
    file: Path
    summary: str
    paper: str
    needs: tuple[str, ...]
    settings: Settings = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    search: tuple[str, ...] = ()
    presets: Mapping[str, Settings] = field(default_factory=dict)
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    search_if: Settings = field(default_factory=dict)
    kinds: tuple[str, ...] = USUAL_KINDS
    backbones: tuple[str, ...] = ("masked",)
    prepares: Mapping[str, str] = field(default_factory=dict)
    prepare_settings: tuple[str, ...] = ()
    fit_settings: tuple[str, ...] = ()
    prepare_checks: bool = False
    step: bool = False
    composes: bool = False
    last: bool = False
    last_if: Settings = field(default_factory=dict)
    pipelines: tuple[str, ...] = ()
    checks: bool = False
    split_checks: bool = False
    study: str = ""
    by_path: bool = False

    @property
    def steps(self) -> tuple[MethodInfo, ...]:
        """The transforms it is made of, in order; none for a method that fits."""
        return (self,) if self.step else ()

    @property
    def trained_by(self) -> str | None:
        """The setting that names the method of its trained teacher; None where it has none."""
        return "teacher" if "teacher" in self.needs and "teacher" in self.settings else None

    def searched(self, fixed: Settings) -> tuple[str, ...]:
        """List the settings that a grid may vary beside those of `fixed`."""
        settings = {**self.settings, **fixed}
        is_search = all(settings.get(name) == value for name, value in self.search_if.items())
        return self.search if is_search else ()

    def is_last(self, fixed: Settings) -> bool:
        """True if no step may follow this one with some fixed settings."""
        settings = {**self.settings, **fixed}
        is_met = all(settings[name] == value for name, value in self.last_if.items())
        return self.last or (bool(self.last_if) and is_met)

    def prepared_kind(self, form: str, fixed: Settings) -> str | None:
        """Choose a run's preparation, if any, by the task's format and fixed settings."""
        settings = {**self.settings, **fixed}
        switched_on = (kind for name, kind in self.prepares.items() if settings.get(name) is True)
        return next(switched_on, self.prepares.get(form))

    def code_hash(self) -> str:
        """Return a hash of the code the method runs (`fewbench.registry.code_hash`)."""
        return code_hash(self.file)

    @property
    def sources(self) -> dict[str, MethodInfo]:
        """The methods that may define the classes of its models, by name: itself, or its steps."""
        return {method.name: method for method in self.steps or (self,)}

    def module(self) -> ModuleType:
        """Import the method, once per process and content of its file. Torch loads here."""
        called = self.name.replace("-", "_")
        if self.file in _own("methods", f"{called}.py") + _own("methods", f"{called}/{FOLDER}"):
            return importlib.import_module(f"fewbench.methods.{called}")
        content = hashlib.sha256(str(self.file.resolve()).encode() + b"\0" + self.file.read_bytes())
        qualified = f"fewbench_method_{content.hexdigest()[:12]}"
        if qualified not in sys.modules:
            spec = importlib.util.spec_from_file_location(qualified, self.file)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[qualified] = (
                module  # dataclasses, pickle and relative imports look it up there
            )
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[qualified]
                raise
        return sys.modules[qualified]

    def owns(self, kind: type) -> bool:
        """True if a class is the method's own: its file defines it, or imports it by its name."""
        return getattr(self.module(), kind.__name__, None) is kind


def methods(extra: Iterable[Path] = ()) -> dict[str, MethodInfo]:
    """Read every method by name: the project's, installed packages', and the files of `extra`.

    Raises:
        BenchError: a file that is no method, or two files of one name.
    """
    found: dict[str, MethodInfo] = {}
    installed = [
        *_own("methods", "[!_]*.py"),
        *_own("methods", "*/__init__.py"),
        *_entry_files("fewbench.methods"),
    ]
    for file, by_path in [
        *((file, False) for file in installed),
        *((file, True) for file in extra),
    ]:
        info = replace(read_method(file), by_path=by_path)
        if info.name in found and found[info.name].file.resolve() != file.resolve():
            raise BenchError(
                f"two methods are called '{info.name}'",
                where=f"{found[info.name].file} and {file}",
                fix="give one of the files another name",
            )
        found[info.name] = info
    return dict(sorted(found.items()))


def known_methods(files: Iterable[str | Path] = ()) -> dict[str, MethodInfo]:
    """Read every method by name, with some files; a folder stands for its `__init__.py`."""
    return methods(method_file(file) for file in files)


def method_file(path: str | Path) -> Path:
    """Return the file of a method's path: of a folder, its `__init__.py`."""
    path = Path(path)
    return path / FOLDER if path.is_dir() else path


def method_name(path: str | Path) -> str:
    """Return the name of the method in a file or folder."""
    file = method_file(path)
    return (file.parent.name if file.name == FOLDER else file.stem).replace("_", "-")


def task_files(extra: Iterable[Path] = ()) -> list[Path]:
    """Return every task file: the project's, those of installed packages, and `extra`."""
    files = [*_own("tasks", "*.toml"), *_entry_files("fewbench.tasks"), *extra]
    return list(dict.fromkeys(file.resolve() for file in files))


def figure_files() -> list[Path]:
    """List the files of `plots/`; those with a `draw` are figures (`fewbench.report.figures`)."""
    return _own("plots", "*.py")


def read_method(file: Path) -> MethodInfo:
    """Read a method's name, settings, paper and needs from its source, without running it.

    Raises:
        BenchError: no such file, not Python, no `fit`, or a setting whose default is not a literal.
    """
    tree = parse(file)
    name = _checked_name(file)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    transform = functions.get("transform")
    fit = functions.get("fit") or transform
    if fit is None:
        raise BenchError(
            "a method file must define fit(task, split, kit, *, <settings with defaults>)",
            where=str(file),
            fix="see CONTRIBUTING.md, 'Add a method in one file'",
        )
    constants = _constants(tree)
    fitted, annotations = _settings(fit, file)
    if transform is not None and _settings(transform, file)[0] != fitted:
        raise BenchError("fit and transform differ in their settings", where=str(file))
    prepare = functions.get("prepare")
    prepared, prepare_annotations = _settings(prepare, file) if prepare else ({}, {})
    _check_defaults(file, prepared, fitted)
    settings = prepared | fitted
    needs = tuple(_literal(constants.get("NEEDS"), file, "NEEDS", ()))
    if "fit" not in functions:
        _check_step(file, needs, settings)
    return MethodInfo(
        name=name,
        file=file,
        summary=(ast.get_docstring(tree) or "").split("\n", 1)[0],
        paper=_literal(constants.get("PAPER"), file, "PAPER", ""),
        needs=needs,
        settings=settings,
        annotations=prepare_annotations | annotations,
        search=tuple(_literal(constants.get("SEARCH"), file, "SEARCH", ())),
        presets=_literal(constants.get("PRESETS"), file, "PRESETS", {}),
        prepares=_literal(constants.get("PREPARES"), file, "PREPARES", {}),
        prepare_settings=tuple(prepared),
        fit_settings=tuple(fitted),
        prepare_checks="check_prepare" in functions,
        step="fit" not in functions,
        composes="transform" in functions,
        last=_literal(constants.get("LAST"), file, "LAST", False),
        last_if=_literal(constants.get("LAST_IF"), file, "LAST_IF", {}),
        pipelines=tuple(_literal(constants.get("PIPELINES"), file, "PIPELINES", ())),
        grid=_literal(constants.get("GRID"), file, "GRID", {}),
        search_if=_literal(constants.get("SEARCH_IF"), file, "SEARCH_IF", {}),
        kinds=_among(KINDS, constants.get("KINDS"), file, "KINDS", USUAL_KINDS),
        backbones=_among(
            get_args(BackboneKind), constants.get("BACKBONES"), file, "BACKBONES", ("masked",)
        ),
        checks="check" in functions,
        split_checks="check_split" in functions,
        study=_literal(constants.get("STUDY"), file, "STUDY", ""),
    )


def _checked_name(file: Path) -> str:
    name = method_name(file)
    if not NAME.fullmatch(name):
        raise BenchError(
            f"'{name.replace('-', '_')}' is no method name",
            where=str(file),
            allowed="lower-case letters, digits, '_'",
        )
    return name


def _check_defaults(file: Path, prepared: Settings, fitted: Settings) -> None:
    """Refuse a setting with different defaults in `prepare` and `fit`."""
    for name, default in prepared.items():
        if fitted.get(name, default) != default:
            problem = f"the setting '{name}' has one default in fit and another in prepare"
            raise BenchError(problem, where=str(file))


def _settings(function: ast.FunctionDef, file: Path) -> tuple[Json, dict[str, str]]:
    """Return a function's keyword arguments with defaults, and their annotations, if any."""
    arguments = function.args.kwonlyargs
    settings = {}
    for argument, default in zip(arguments, function.args.kw_defaults, strict=True):
        if default is None:
            raise BenchError(
                f"the setting '{argument.arg}' has no default",
                where=f"{file}, line {function.lineno}",
            )
        settings[argument.arg] = _literal(default, file, argument.arg, None)
    return settings, {a.arg: ast.unparse(a.annotation) for a in arguments if a.annotation}


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the values of a module's own names, as written."""
    values = {}
    for node in tree.body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name):
                values[target.id] = node.value
    return values


def _check_step(file: Path, needs: tuple[str, ...], settings: Settings) -> None:
    if "teacher" not in needs or not isinstance(settings.get("teacher"), str):
        raise BenchError(
            "a step starts at a trained teacher when it is first, "
            "so it needs one and names the method that trains it",
            where=str(file),
            fix='NEEDS = ("teacher",) and the setting teacher: str = "ft"',
        )


def _among(
    known: tuple[str, ...], node: ast.expr | None, file: Path, name: str, default: tuple[str, ...]
) -> tuple[str, ...]:
    values = tuple(_literal(node, file, name, default))
    wrong = [value for value in values if value not in known]
    if wrong or not values:
        raise BenchError(
            f"{name} is {values}",
            where=str(file),
            allowed=known,
            given=str(wrong[0]) if wrong else None,
        )
    return values


def _literal(node: ast.expr | None, file: Path, name: str, default: Any) -> Any:
    if node is None:
        return default
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise BenchError(
            f"'{name}' must be a literal value", where=f"{file}, line {node.lineno}"
        ) from error


def _own(folder: str, pattern: str) -> list[Path]:
    here = importlib.util.find_spec(f"fewbench.{folder}")
    places = list(here.submodule_search_locations or []) if here else []
    found = (file for place in places for file in Path(place).glob(pattern))
    return sorted(
        file
        for file in found
        if not (file.parent if file.name == FOLDER else file).name.startswith("_")
    )


def _entry_files(group: str) -> Iterator[Path]:
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        spec = importlib.util.find_spec(point.module)
        if spec is None or spec.origin is None:
            raise BenchError(
                f"the entry point '{point.name}' of {group} names no module '{point.module}'"
            )
        origin = Path(spec.origin)
        if group == "fewbench.methods":
            yield origin
        else:
            yield from (
                [origin.parent / point.attr] if point.attr else sorted(origin.parent.glob("*.toml"))
            )
