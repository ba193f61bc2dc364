"""Case studies: a kept model's answers to new texts, as its method's module offers them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from fewbench.errors import BenchError
from fewbench.measure.stored import Locations, backbone_of, model_key, model_of, task_of
from fewbench.registry.methods import MethodInfo, known_methods
from fewbench.registry.protocols import get_protocol
from fewbench.store.artifacts import Built, Supplies
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Example, ModelRef, Split, Task


def study(
    record: Record, texts: Sequence[str], top: int, locations: Locations
) -> list[dict[str, str]]:
    """Return the rows of a case study, all with the same columns, without reading any data.

    Args:
        record: of the run.
        texts: for each example as many as the task has.
        top: the length of rankings.
        locations: the kept models and the backbones.

    Raises:
        BenchError: the method offers no case study, the texts do not make examples, or a model is
            missing.
    """
    known = known_methods(locations.methods)
    method = known.get(record.run.method)
    if method is None or not method.study:
        raise BenchError(
            f"method '{record.run.method}' offers no case study",
            allowed=[name for name, info in known.items() if info.study],
            fix="bench show KEY",
        )
    task = task_of(record, locations)
    examples = _examples(task, texts)
    import torch

    from fewbench.nn.fit_context import FitContext, Models

    run, models = record.run, Models(torch.device("cpu"))
    model = model_of(record, task, models, locations)
    context = FitContext(
        task,
        _empty_split(record, task),
        get_protocol(run.protocol).for_run(len(task.labels), run.k),
        run.seed,
        models,
        _backbone(record, run.student, locations),
        _backbone(record, run.teacher, locations),
        supplies=Supplies(teacher=_teacher(record, method, locations.store), methods=known),
        artifacts=locations.store.artifacts,
    )
    module = import_module(f"fewbench.nn.{method.study}")
    rows: list[dict[str, str]] = module.study(model, context, examples, top)
    return rows


def _empty_split(record: Record, task: Task) -> Split:
    run = record.run
    return Split(
        task=task.full_name,
        k=run.k,
        seed=run.seed,
        train=(),
        dev=(),
        test=(),
        unlabeled=(),
        fingerprint=run.fingerprint,
        test_fingerprint=run.test_fingerprint,
        leaks={},
    )


def _examples(task: Task, texts: Sequence[str]) -> list[Example]:
    size = {"single": 1, "pair": 2}.get(task.format)
    if size is None or len(texts) % size:
        need = "no choices" if size is None else f"{size} for each example of {task.full_name}"
        raise BenchError(
            f"--text is given {len(texts)} times", allowed=need, fix="--text 'one.' --text 'two.'"
        )
    examples = []
    for number, start in enumerate(range(0, len(texts), size)):
        examples.append(Example(f"text-{number}", tuple(texts[start : start + size])))
    return examples


def _backbone(record: Record, ref: ModelRef | None, locations: Locations) -> ModelRef | None:
    return ref and backbone_of(record, ref.name, ref.revision, locations)


def _teacher(record: Record, method: MethodInfo, store: Store) -> Built | None:
    """Return a run's trained teacher: the kept model of the teacher's run on the same split."""
    run = record.run
    if method.trained_by is None:
        return None
    name = run.settings.get(method.trained_by, method.settings[method.trained_by])
    for other in store.records():
        if other.run.key == run.inputs.teacher:
            return Built(model_key(other), f"the teacher ({name})")
    raise BenchError(f"the run of its teacher ({name}) is not stored here", where=str(store.root))
