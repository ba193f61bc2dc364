"""Match methods with tasks and models by what the methods declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.registry.methods import MethodInfo
from fewbench.registry.needs import needing
from fewbench.registry.pretrained import backbone_kind
from fewbench.registry.settings import Chosen
from fewbench.types import ModelRef, Task


class Matched(NamedTuple):
    """The methods that go with each task, and why others were left out."""

    methods: dict[Task, list[Chosen]]
    left_out: tuple[str, ...]


def match(
    chosen: Sequence[Chosen],
    tasks: Sequence[Task],
    requests: Sequence[str],
    models: Mapping[str, ModelRef | None],
) -> Matched:
    """Match methods with tasks and models.

    Raises:
        BenchError: a method asked for by name that lacks its teacher, does not read the model or,
            asked for by name too, does not take the task; or nothing that goes together.
    """
    task_names = {name.partition("@")[0] for name in requests}
    together: dict[Task, list[Chosen]] = {task: [] for task in tasks}
    left_out: dict[str, BenchError] = {}
    for choice, task in product(chosen, tasks):
        method = needing(choice.method, choice.settings)
        unfit = _lacks_teacher(method, models) or _cannot_read(method, models)
        error = unfit or _does_not_take(choice.method, task)
        both_named = choice.named and (unfit is not None or task.name in task_names)
        if error is None:
            together[task].append(choice)
        elif both_named:
            raise error
        else:
            left_out[error.problem] = error
    _refuse_nothing(together, left_out)
    return Matched(together, tuple(left_out))


def _refuse_nothing(
    together: Mapping[Task, list[Chosen]], errors: Mapping[str, BenchError]
) -> None:
    if errors and not any(together.values()):
        raise next(iter(errors.values()))


def _does_not_take(method: MethodInfo, task: Task) -> BenchError | None:
    if task.kind in method.kinds:
        return None
    return BenchError(
        f"method '{method.name}' takes no {task.kind} task, and '{task.name}' is one",
        where=str(method.file),
        allowed=method.kinds,
        fix="another method for this task",
    )


def _lacks_teacher(method: MethodInfo, models: Mapping[str, ModelRef | None]) -> BenchError | None:
    if "teacher" not in method.needs or models.get("teacher") is not None:
        return None
    return BenchError(
        f"method '{method.name}' needs a teacher", fix="--teacher MODEL (bench ls models)"
    )


def _cannot_read(method: MethodInfo, models: Mapping[str, ModelRef | None]) -> BenchError | None:
    for role in method.needs:
        model = models.get(role)
        if model is None or backbone_kind(model) in method.backbones:
            continue
        kind = backbone_kind(model)
        return BenchError(
            f"method '{method.name}' reads no {kind} language models, and '{model.name}' is one",
            where=str(method.file),
            allowed=method.backbones,
            fix="another method for this model, or another model (bench ls models)",
        )
    return None
