"""Settings as typed, `name:beta=50,layers=[1,3]`, bound to a method's signature."""

from __future__ import annotations

import ast
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fewbench.errors import LONGEST, BenchError, shortened
from fewbench.registry.groups import method_groups
from fewbench.registry.imports import check_imports
from fewbench.registry.methods import MethodInfo, known_methods, method_file, method_name
from fewbench.registry.named_inputs import INPUTS
from fewbench.registry.pipeline import PLUS, check_order, check_teacher, pipeline
from fewbench.types import Json


class Chosen(NamedTuple):
    """A method and the settings its user fixed; `named` unless it came with `all` or a group."""

    method: MethodInfo
    settings: Json
    named: bool = True


def methods_of(requests: Sequence[str]) -> dict[str, MethodInfo]:
    """Return every method by name, those whose files or folders `--methods` names included.

    Raises:
        BenchError: a path that is no method, a method that imports a module which is not here, or
            two methods of one name.
    """
    paths = [head for head, _ in map(_split, requests) if _is_path(head)]
    known = known_methods(paths)
    for path in paths:
        check_imports(method_file(path))
    return known


def choose_methods(
    requests: Sequence[str], known: Mapping[str, MethodInfo] | None = None
) -> list[Chosen]:
    """List what `--methods` names: names, `a+b`, paths, with settings or presets; groups, `all`.

    Args:
        requests: as typed.
        known: what `methods_of` gives for them, if it was asked before.

    Raises:
        BenchError: an unknown method or setting, or a value that does not fit.
    """
    known = methods_of(requests) if known is None else known
    chosen: list[Chosen] = []
    for head, assignments in map(_split, requests):
        if head == "all" and not assignments:
            chosen += [Chosen(method, {}, named=False) for method in _all(known)]
        elif head in method_groups() and head not in known and not assignments:
            members = choose_methods(method_groups()[head].methods, known)
            chosen += [choice._replace(named=False) for choice in members]
        else:
            method = _method(head, known)
            chosen.append(Chosen(method, bind(method, assignments)))
    return _unique(chosen)


def _method(head: str, known: Mapping[str, MethodInfo]) -> MethodInfo:
    """Return the method or pipeline that a request names by its head."""
    name = method_name(head) if _is_path(head) else head
    if PLUS in name:
        return pipeline(name, known)
    if name not in known:
        raise BenchError(
            f"unknown method '{name}'",
            allowed=["all", *method_groups(), *known],
            given=name,
            fix="bench ls methods",
        )
    return known[name]


def _unique(chosen: Sequence[Chosen]) -> list[Chosen]:
    """Keep each method with its settings once; it is named if any of them is."""
    unique: list[Chosen] = []
    for choice in chosen:
        for number, other in enumerate(unique):
            if other[:2] == choice[:2]:
                unique[number] = choice._replace(named=choice.named or other.named)
                break
        else:
            unique.append(choice)
    return unique


def _all(known: Mapping[str, MethodInfo]) -> list[MethodInfo]:
    """List every method and the pipelines that steps name, without steps that name none."""
    alone = [info for info in known.values() if not info.step or info.pipelines]
    return [
        *alone,
        *(pipeline(name, known) for info in alone for name in info.pipelines if PLUS in name),
    ]


def bind(method: MethodInfo, assignments: Sequence[str]) -> Json:
    """Return the settings that `setting=value` texts and preset names stand for.

    Raises:
        BenchError: a setting or preset the method lacks, a value of another type or range than its
            own, or a step after one that must be the last with these settings.
    """
    settings: Json = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            if name not in method.presets:
                raise BenchError(
                    f"method '{method.name}' has no preset '{name}'",
                    where=str(method.file),
                    allowed=method.presets or "no presets",
                    given=name,
                    fix=f"--methods {method.name}:setting=value",
                )
            settings |= method.presets[name]
            continue
        if name not in method.settings:
            raise BenchError(
                f"method '{method.name}' has no setting '{name}'",
                where=str(method.file),
                allowed=method.settings or "no settings",
                given=name,
                fix=f"bench ls methods shows the settings of {method.name}",
            )
        settings[name] = _value(method, name, text)
    check_order(method, settings)
    check_teacher(method, settings)
    return dict(sorted(settings.items()))


class _Bounds(NamedTuple):
    """Numbers that a setting takes, by the name in its annotation (`fewbench.types`)."""

    kind: type
    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    shown: str = "a finite number"

    def hold(self, value: Any) -> bool:
        return self.least <= value <= self.most and value > self.above and math.isfinite(value)


LARGEST = 2**31 - 1
"""The largest whole number that a setting takes: nothing that is counted here is as many."""

BOUNDS: Mapping[str, _Bounds] = {
    "int": _Bounds(
        int, least=-LARGEST, most=LARGEST, shown=f"a whole number, -{LARGEST} to {LARGEST}"
    ),
    "float": _Bounds(float),
    "Count": _Bounds(int, least=1, most=LARGEST, shown=f"a whole number, 1 to {LARGEST}"),
    "Natural": _Bounds(int, least=0, most=LARGEST, shown=f"a whole number, 0 to {LARGEST}"),
    "Positive": _Bounds(float, above=0, shown="a number above 0"),
    "Weight": _Bounds(float, least=0, shown="a number, 0 or more"),
    "Share": _Bounds(float, least=0, most=1, shown="a number from 0 to 1"),
}
_IN_WORDS = {
    "str": "text",
    "bool": "true or false",
    "None": "none",
    "tuple": "a list",
    "ModelName": "a model: embedded, a folder or of the hub",
    "DataFile": "a file",
}
"""What a kind is called where no value was refused."""

_PLAIN: Mapping[str, type] = {"str": str, "bool": bool, "None": type(None)}


def _value(method: MethodInfo, name: str, text: str) -> Any:
    """Parse a value, which must be of one of the kinds in the setting's annotation."""
    default = method.settings[name]
    spelt = {"true": "True", "false": "False", "none": "None"}
    too_deep = (RecursionError, MemoryError)
    try:
        value = ast.literal_eval(spelt.get(text.lower(), text))
    except (ValueError, SyntaxError, *too_deep):
        value = text
    kinds = _kinds(method.annotations.get(name, ""), default)
    for kind in kinds:
        if kind in INPUTS and value is not None:
            return INPUTS[kind](text)
        fits, fitted = _fitted(kind, value, default)
        if fits:
            return fitted
    raise BenchError(
        f"'{shortened(text)}' does not fit {method.name}:{name}",
        where=str(method.file),
        allowed=", or ".join(_shown(kind, default) for kind in kinds),
        given=text,
        fix=f"--methods {method.name}:{name}={default}",
    )


def allowed_values(method: MethodInfo, setting: str) -> str:
    """Say in words which values a setting takes."""
    kinds = _kinds(method.annotations.get(setting, ""), method.settings[setting])
    shown = ", or ".join(_IN_WORDS.get(kind) or _shown(kind, None) for kind in kinds)
    return shown.replace(f" to {LARGEST}", " or more")


def _kinds(annotation: str, default: Any) -> list[str]:
    """Return the kinds an annotation names; what it does not say, the default's type says."""
    kinds = [kind.strip() for kind in re.split(r"\|(?![^\[]*\])", annotation)]
    known = [kind for kind in kinds if _is_known(kind)]
    if [kind for kind in known if kind != "None"]:
        return known
    return [*known, _name(type(default))] if default is not None else [*known, ANY]


def _is_known(kind: str) -> bool:
    return kind in BOUNDS or kind in INPUTS or kind in _PLAIN or kind.startswith("Literal[")


ANY = "any value"
"""The kind of a setting whose default is None and whose annotation tells no type."""


def _name(kind: type) -> str:
    return kind.__name__


def _fitted(kind: str, value: Any, default: Any) -> tuple[bool, Any]:
    """Return True with the value as a kind, if it is of that kind."""
    if kind == ANY:
        return _storable(value), value
    if kind.startswith("Literal["):
        return value in ast.literal_eval(f"({kind[8:-1]},)"), value
    if kind in BOUNDS:
        return _fitted_number(BOUNDS[kind], value)
    if isinstance(default, tuple) and isinstance(value, list):
        value = tuple(value)
    return type(value) is _PLAIN.get(kind, type(default)) and _storable(value), value


def _fitted_number(bounds: _Bounds, value: Any) -> tuple[bool, Any]:
    whole = type(value) is int and bounds.kind is float and abs(value) <= sys.float_info.max
    number = float(value) if whole else value
    return type(number) is bounds.kind and bounds.hold(number), number


def _storable(value: Any) -> bool:
    """True if a record can hold a value and all that is in it."""
    if isinstance(value, tuple | list):
        return all(map(_storable, value))
    if isinstance(value, dict):
        return all(isinstance(name, str) for name in value) and all(map(_storable, value.values()))
    bounds = BOUNDS.get(_name(type(value)))
    return bounds.hold(value) if bounds else value is None or isinstance(value, str | bool)


def _shown(kind: str, default: Any) -> str:
    if kind.startswith("Literal["):
        return ", ".join(sorted(str(known) for known in ast.literal_eval(f"({kind[8:-1]},)")))
    if kind == "None":
        return kind
    shown = BOUNDS[kind].shown if kind in BOUNDS else f"a {kind}"
    return shown if default is None else f"{shown}, such as the default {default!r}"


def split_list(text: str, what: str = "the list") -> list[str]:
    """Split `a,b:x=1,y=[1,2],c` at the commas between names: `a`, `b:x=1,y=[1,2]`, `c`.

    A piece with `=` and no `:` belongs to the name before it. `what` names the list in errors.

    Raises:
        BenchError: it names nothing, or has a bracket without a partner.
    """
    pieces: list[str] = []
    for piece in _at_commas(text):
        head = piece.partition("=")[0]
        if pieces and "=" in piece and ":" not in head:
            pieces[-1] += "," + piece
        else:
            pieces.append(piece)
    if not pieces:
        raise BenchError(f"{what} names nothing: '{text}'", allowed="names and commas, such as a,b")
    return pieces


_PARTNERS = {")": "(", "]": "["}


def _at_commas(text: str) -> list[str]:
    """Split at the commas outside brackets; empty pieces are dropped.

    Raises:
        BenchError: a bracket without a partner.
    """
    pieces: list[str] = []
    opened: list[int] = []
    start = 0
    for place, letter in enumerate(text):
        if letter in _PARTNERS.values():
            opened.append(place)
        elif letter in _PARTNERS:
            if not opened or text[opened.pop()] != _PARTNERS[letter]:
                raise _alone(text, place)
        elif letter == "," and not opened:
            pieces.append(text[start:place].strip())
            start = place + 1
    if opened:
        raise _alone(text, opened[-1])
    pieces.append(text[start:].strip())
    return list(filter(None, pieces))


def _before(text: str, place: int) -> str:
    """Return the end of what stands up to a place."""
    start = max(0, place + 1 - LONGEST)
    return ("…" if start else "") + text[start : place + 1]


def _alone(text: str, place: int) -> BenchError:
    return BenchError(
        f"a bracket without a partner: '{text[place]}'",
        where=f"{_before(text, place)} ← here, in '{shortened(text)}'",
        fix="close it, as in name:setting=[1,2]",
    )


def _split(request: str) -> tuple[str, list[str]]:
    head, _, tail = request.partition(":")
    return head, _at_commas(tail)


def _is_path(head: str) -> bool:
    return head.endswith(".py") or "/" in head
