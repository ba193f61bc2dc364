"""The method that trains a run's teacher, by name: a method or pipeline, with settings of its own.

`vanilla-kd:teacher=truncate+kd:truncate.layers=10` learns from a teacher assistant of ten layers
(Mirzadeh et al., 2020). Several settings stand in brackets: `teacher=(ft:lr=1e-5,batch_size=8)`.
"""

from __future__ import annotations

from collections.abc import Mapping

from fewbench.errors import BenchError
from fewbench.registry.methods import MethodInfo
from fewbench.registry.pipeline import PLUS
from fewbench.registry.settings import Chosen, choose_methods
from fewbench.types import Settings

RETURNS = "returns"
"""The setting by which a method says whose model it returns: its `student` or its `teacher`."""


def teacher_of(
    method: MethodInfo, settings: Settings, known: Mapping[str, MethodInfo]
) -> Chosen | None:
    """Return the method that trains a run's teacher, and its settings; None where there is none.

    Raises:
        BenchError: a name or settings that are unknown, or a method that trains no model.
    """
    setting = method.trained_by
    if setting is None:
        return None
    text = str(settings.get(setting, method.settings[setting]))
    text = text.removeprefix("(").removesuffix(")") if text.startswith("(") else text
    name = text.partition(":")[0]
    able = [other.name for other in known.values() if _trains(other)]
    if PLUS not in name and name not in able:
        raise BenchError(
            f"'{name}' cannot train the teacher of {method.name}",
            allowed=[*able, f"steps joined by {PLUS}"],
            given=name,
            fix=f"--methods {method.name}:{setting}={able[0]}",
        )
    (chosen,) = choose_methods([text], known)
    return chosen


def lineage(
    method: MethodInfo, settings: Settings, known: Mapping[str, MethodInfo]
) -> list[Chosen]:
    """List the method that trains a run's teacher, the one that trains that one's, and so on.

    Raises:
        BenchError: a method that would train its own teacher, besides those of `teacher_of`.
    """
    chain = [Chosen(method, dict(settings))]
    while (taught := teacher_of(chain[-1].method, chain[-1].settings, known)) is not None:
        if any(taught[:2] == earlier[:2] for earlier in chain):
            names = " < ".join(choice.method.name for choice in [*chain, taught])
            raise BenchError(
                f"a method would train its own teacher: {names}",
                fix=f"--methods {method.name}:{method.trained_by}=ft",
            )
        chain.append(taught)
    return chain[1:]


def returned(method: MethodInfo, settings: Settings) -> str:
    """Return the role of the backbone that a method's model is made of: student or teacher."""
    if "student" not in method.needs:
        return "teacher"
    return str(settings.get(RETURNS, method.settings.get(RETURNS, "student")))


def _trains(method: MethodInfo) -> bool:
    """True if a method's model can teach: it is trained, or made of a trained one."""
    return "student" in method.needs or method.step
