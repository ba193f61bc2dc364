"""Which methods go with which tasks and models, by what methods say of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from fewbench.errors import BenchError
from fewbench.registry.methods import MethodInfo
from fewbench.registry.pretrained import backbone_kind
from fewbench.registry.settings import Chosen
from fewbench.types import ModelRef, Task


def match(
    chosen: Sequence[Chosen],
    tasks: Sequence[Task],
    requests: Sequence[str],
    models: Mapping[str, ModelRef | None],
) -> tuple[dict[Task, list[Chosen]], tuple[str, ...]]:
    """Return the methods that each task can be given to, and why others cannot.

    Raises:
        BenchError: a method asked for by name that lacks its teacher, does not read the model or,
            asked for by name too, take the task; or nothing that goes together.
    """
    named = {name.partition("@")[0] for name in requests}
    together: dict[Task, list[Chosen]] = {task: [] for task in tasks}
    left_out: dict[str, BenchError] = {}
    for choice, task in product(chosen, tasks):
        unfit = _untaught(choice.method, models) or _unread(choice.method, models)
        error = unfit or _untaken(choice.method, task)
        if error is None:
            together[task].append(choice)
        elif choice.named and (unfit or task.name in named):
            raise error
        else:
            left_out[error.problem] = error
    if left_out and not any(together.values()):
        raise next(iter(left_out.values()))
    return together, tuple(left_out)


def _untaken(method: MethodInfo, task: Task) -> BenchError | None:
    if task.kind in method.kinds:
        return None
    return BenchError(
        f"method '{method.name}' takes no {task.kind} task, and '{task.name}' is one",
        where=str(method.file),
        allowed=method.kinds,
        fix="another method for this task",
    )


def _untaught(method: MethodInfo, models: Mapping[str, ModelRef | None]) -> BenchError | None:
    if "teacher" not in method.needs or models.get("teacher") is not None:
        return None
    return BenchError(
        f"method '{method.name}' needs a teacher", fix="--teacher MODEL (bench ls models)"
    )


def _unread(method: MethodInfo, models: Mapping[str, ModelRef | None]) -> BenchError | None:
    given = [ref for role in method.needs if (ref := models.get(role)) is not None]
    wrong = [ref for ref in given if backbone_kind(ref) not in method.backbones]
    if not wrong:
        return None
    return BenchError(
        f"method '{method.name}' reads no {backbone_kind(wrong[0])} language models, and '{wrong[0].name}' is one",
        where=str(method.file),
        allowed=method.backbones,
        fix="another method for this model, or another model (bench ls models)",
    )
