"""Pipelines: compression steps by name, `head-prune+kd+ptq` (thesis, section 4.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fewbench.errors import BenchError
from fewbench.io.checked_json import joint_hash
from fewbench.registry.methods import MethodInfo

PLUS = "+"


@dataclass(frozen=True, slots=True)
class Pipeline(MethodInfo):
    """Several steps as one method; its settings are `step.setting`, and it begins as its first."""

    parts: tuple[MethodInfo, ...] = ()

    @property
    def steps(self) -> tuple[MethodInfo, ...]:
        """The transforms it is made of, in order."""
        return self.parts

    @property
    def trained_by(self) -> str | None:
        """The setting that names the method of the teacher that it starts from."""
        return f"{self.parts[0].name}.teacher"

    def searched(self, fixed: Mapping[str, Any]) -> tuple[str, ...]:
        """List the settings that a grid may vary: those not fixed for every step that has them."""
        return tuple(
            name
            for name in self.search
            if any(
                name in step.search and f"{step.name}.{name}" not in fixed for step in self.steps
            )
        )

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
    for step, following in pairwise(steps):
        if step.last:
            raise BenchError(
                f"in '{name}' {following.name} follows {step.name}, which must be the last step",
                where=str(step.file),
                fix=f"--methods {PLUS.join([*(s.name for s in steps if not s.last), step.name])}",
            )
    if len({step.name for step in steps}) < len(steps):
        raise BenchError(f"'{name}' has a step twice", allowed="each step once")
    return Pipeline(
        name=name,
        file=steps[0].file,
        summary=f"{', then '.join(step.name for step in steps)}: a pipeline from the trained teacher.",
        paper="; ".join(dict.fromkeys(step.paper for step in steps)),
        needs=tuple(dict.fromkeys(need for step in steps for need in step.needs)),
        settings={
            f"{step.name}.{key}": value for step in steps for key, value in step.settings.items()
        },
        annotations={
            f"{step.name}.{key}": value for step in steps for key, value in step.annotations.items()
        },
        search=tuple(dict.fromkeys(key for step in steps for key in step.search)),
        grid={key: values for step in steps for key, values in step.grid.items()},
        kinds=tuple(kind for kind in steps[0].kinds if all(kind in step.kinds for step in steps)),
        backbones=tuple(
            kind for kind in steps[0].backbones if all(kind in step.backbones for step in steps)
        ),
        parts=tuple(steps),
        checks=any(step.checks for step in steps),
    )


def info_of(name: str, known: Mapping[str, MethodInfo]) -> MethodInfo | None:
    """Return a method or a pipeline by name, if its parts are known."""
    if PLUS not in name:
        return known.get(name)
    try:
        return pipeline(name, known)
    except BenchError:
        return None


def settings_of(
    step: MethodInfo, method: MethodInfo, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the settings of one step: a trial's, and those fixed for the step by its name."""
    if method is step:
        return dict(settings)
    own = {name: value for name, value in settings.items() if name in step.search}
    prefix = f"{step.name}."
    return own | {
        name.removeprefix(prefix): value
        for name, value in settings.items()
        if name.startswith(prefix)
    }


def _step(name: str, whole: str, known: Mapping[str, MethodInfo]) -> MethodInfo:
    steps: Sequence[str] = [step for step, info in known.items() if info.step]
    if name not in known:
        raise BenchError(
            f"unknown step '{name}' in '{whole}'", allowed=steps, given=name, fix="bench ls methods"
        )
    if not known[name].step:
        raise BenchError(
            f"'{name}' in '{whole}' is no step: it does not turn a model into another",
            where=str(known[name].file),
            allowed=steps,
            given=name,
        )
    return known[name]
