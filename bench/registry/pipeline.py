"""Pipelines: compression steps by name, `head-prune+kd+ptq` (thesis, section 4.5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, TypeVar

from fewbench.errors import BenchError
from fewbench.io.checked_json import joint_hash
from fewbench.registry.methods import MethodInfo
from fewbench.types import Json, Settings

V = TypeVar("V")

PLUS = "+"


@dataclass(frozen=True, slots=True)
class Pipeline(MethodInfo):
    """Several steps as one method, which begins as its first.

    Its settings are `step.setting`, its presets `step.preset`.
    """

    parts: tuple[MethodInfo, ...] = ()

    @property
    def steps(self) -> tuple[MethodInfo, ...]:
        """The transforms it is made of, in order."""
        return self.parts

    @property
    def trained_by(self) -> str | None:
        """The setting that names the method of the teacher that it starts from."""
        return f"{self.parts[0].name}.teacher"

    def searched(self, fixed: Settings) -> tuple[str, ...]:
        """List the settings that a grid may vary: those not fixed for every step that has them."""
        searched: set[str] = set()
        for step in self.steps:
            searched |= {name for name in step.search if f"{step.name}.{name}" not in fixed}
        return tuple(name for name in self.search if name in searched)

    def code_hash(self) -> str:
        """Return a hash of the code of all steps."""
        return joint_hash([step.code_hash() for step in self.parts])[:16]


def pipeline(name: str, known: Mapping[str, MethodInfo]) -> Pipeline:
    """Return the pipeline of a name.

    Raises:
        BenchError: an unknown step, a method that is no step, one step twice, or one after a last
            step.
    """
    steps = [_step(part, name, known) for part in name.split(PLUS)]
    _check_steps(name, steps)
    names = ", then ".join(step.name for step in steps)
    grid: dict[str, tuple[Any, ...]] = {}
    settings: Json = {}
    annotations: dict[str, str] = {}
    presets: dict[str, Settings] = {}
    for step in steps:
        grid |= step.grid
        settings |= _prefixed(step, step.settings)
        annotations |= _prefixed(step, step.annotations)
        presets |= _presets(step)
    return Pipeline(
        name=name,
        file=steps[0].file,
        summary=f"{names}: a pipeline from the trained teacher.",
        paper="; ".join(dict.fromkeys(step.paper for step in steps)),
        needs=_union(map(_needs_of_step, steps)),
        settings=settings,
        annotations=annotations,
        search=_union(step.search for step in steps),
        presets=presets,
        grid=grid,
        kinds=_common([step.kinds for step in steps]),
        backbones=_common([step.backbones for step in steps]),
        parts=tuple(steps),
        checks=any(step.checks for step in steps),
        split_checks=any(step.split_checks for step in steps),
    )


def check_order(method: MethodInfo, settings: Settings) -> None:
    """Refuse a step after one that must be the last with a pipeline's fixed settings.

    Raises:
        BenchError: there is one.
    """
    is_last = {
        step.name: step.is_last(settings_of(step, method, settings)) for step in method.steps
    }
    for step, following in pairwise(method.steps):
        if is_last[step.name]:
            raise _out_of_order(method.name, method.steps, step, following)


def check_teacher(method: MethodInfo, settings: Settings) -> None:
    """Refuse a teacher of its own for a step that is not a pipeline's first.

    One teacher is trained for all steps, and it is the first that names it.

    Raises:
        BenchError: another step names one.
    """
    for step in method.steps[1:]:
        name = f"{step.name}.teacher"
        if name in settings:
            raise BenchError(
                f"'{name}' in '{method.name}': all steps have the teacher of the first",
                where=str(step.file),
                fix=f"--methods {method.name}:{method.trained_by}={settings[name]}",
            )


def _check_steps(name: str, steps: Sequence[MethodInfo]) -> None:
    for step, following in pairwise(steps):
        if step.last:
            raise _out_of_order(name, steps, step, following)
    if len({step.name for step in steps}) < len(steps):
        raise BenchError(f"'{name}' has a step twice", allowed="each step once")


def _out_of_order(
    name: str, steps: Sequence[MethodInfo], last: MethodInfo, following: MethodInfo
) -> BenchError:
    in_order = [*(step.name for step in steps if step is not last), last.name]
    others = [
        f"{last.name}.{setting}={not value}"
        for setting, value in last.last_if.items()
        if isinstance(value, bool)
    ]
    fixes = [f"--methods {PLUS.join(in_order)}", *(f"or {name}:{other}" for other in others)]
    return BenchError(
        f"in '{name}' {following.name} follows {last.name}, which must be the last step",
        where=str(last.file),
        fix=", ".join(fixes),
    )


def _prefixed(step: MethodInfo, values: Mapping[str, V]) -> dict[str, V]:
    return {f"{step.name}.{name}": value for name, value in values.items()}


def _presets(step: MethodInfo) -> dict[str, Settings]:
    """Return the presets of a step, as a pipeline of it has them."""
    return {f"{step.name}.{name}": _prefixed(step, preset) for name, preset in step.presets.items()}


def _union(names: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return the names that any step has, in the order of the steps."""
    return tuple(dict.fromkeys(chain.from_iterable(names)))


def _needs_of_step(step: MethodInfo) -> list[str]:
    """Return the needs of a step without the student: it works on the model before it."""
    return [need for need in step.needs if need != "student"]


def _common(names: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the names that every step has, in the order of the first."""
    shared = set(names[0]).intersection(*names[1:])
    return tuple(name for name in names[0] if name in shared)


def info_of(name: str, known: Mapping[str, MethodInfo]) -> MethodInfo | None:
    """Return a method or a pipeline by name, if its parts are known."""
    if PLUS not in name:
        return known.get(name)
    try:
        return pipeline(name, known)
    except BenchError:
        return None


def settings_of(step: MethodInfo, method: MethodInfo, settings: Settings) -> Json:
    """Return the settings of one step: a trial's, and those fixed for the step by its name."""
    if method is step:
        return dict(settings)
    of_step = {name: value for name, value in settings.items() if name in step.search}
    prefix = f"{step.name}."
    for name, value in settings.items():
        if name.startswith(prefix):
            of_step[name.removeprefix(prefix)] = value
    return of_step


def _step(name: str, whole: str, known: Mapping[str, MethodInfo]) -> MethodInfo:
    steps: Sequence[str] = [step for step, info in known.items() if info.composes]
    if name not in known:
        raise BenchError(
            f"unknown step '{name}' in '{whole}'", allowed=steps, given=name, fix="bench ls methods"
        )
    if not known[name].composes:
        raise BenchError(
            f"'{name}' in '{whole}' is no step: it does not turn a model into another",
            where=str(known[name].file),
            allowed=steps,
            given=name,
        )
    return known[name]
