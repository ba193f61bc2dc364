"""What a kept model makes of texts of one's own: the case study that its method's part offers
(`STUDY`).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from fewbench.errors import BenchError
from fewbench.measure.stored import Locations, backbone_of, model_key, model_of, task_of
from fewbench.registry.methods import MethodInfo, known_methods
from fewbench.registry.protocol import get_protocol
from fewbench.store.artifacts import Built, Supplies
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Example, ModelRef, Split, Task


def study(record: Record, texts: Sequence[str], top: int, world: Locations) -> list[dict[str, str]]:
    """Return the rows of a case study, all with the same columns. No data is read: record and
    models are enough.

    Args:
        record: of the run.
        texts: as many an example as the task has.
        top: how many things a ranking shows.
        world: holds the kept models, and says where backbones lie.

    Raises:
        BenchError: a method without a case study, texts that make no examples, a model that is not
            there any more.
    """
    known = known_methods(world.methods)
    method = known.get(record.run.method)
    if method is None or not method.study:
        offer = [name for name, info in known.items() if info.study]
        raise BenchError(
            f"method '{record.run.method}' offers no case study",
            allowed=offer,
            fix="bench show KEY",
        )
    task = task_of(record, world)
    examples = _examples(task, texts)
    import torch

    from fewbench.nn.fit_context import FitContext, Models

    run, models = record.run, Models(torch.device("cpu"))
    model = model_of(record, task, models, world)
    kit = FitContext(
        task,
        Split(
            task.full_name,
            run.k,
            run.seed,
            (),
            (),
            (),
            (),
            run.fingerprint,
            run.test_fingerprint,
            {},
        ),
        get_protocol(run.protocol).of_classes(len(task.labels)),
        run.seed,
        models,
        _found(record, run.student, world),
        _found(record, run.teacher, world),
        supplies=Supplies(teacher=_teacher(record, method, world.store), methods=known),
        artifacts=world.store.artifacts,
    )
    rows: list[dict[str, str]] = import_module(f"fewbench.nn.{method.study}").study(
        model, kit, examples, top
    )
    return rows


def _examples(task: Task, texts: Sequence[str]) -> list[Example]:
    each = {"single": 1, "pair": 2}.get(task.format)
    if each is None or len(texts) % each:
        need = "no choices" if each is None else f"{each} for each example of {task.full_name}"
        raise BenchError(
            f"--text is given {len(texts)} times", allowed=need, fix="--text 'one.' --text 'two.'"
        )
    starts = range(0, len(texts), each)
    return [
        Example(f"text-{n}", tuple(texts[start : start + each])) for n, start in enumerate(starts)
    ]


def _found(record: Record, ref: ModelRef | None, world: Locations) -> ModelRef | None:
    return ref and backbone_of(record, ref.name, ref.revision, world)


def _teacher(record: Record, method: MethodInfo, store: Store) -> Built | None:
    """Return the trained teacher of a run: the kept model of its own run on the same split."""
    run = record.run
    if method.trained_by is None:
        return None
    name = run.settings.get(method.trained_by, method.settings[method.trained_by])
    same = (
        "task",
        "source",
        "template",
        "k",
        "seed",
        "protocol",
        "fingerprint",
        "test_fingerprint",
    )
    for other in store.records():
        theirs = other.run
        if (theirs.method, theirs.settings, theirs.student) == (name, {}, run.teacher) and all(
            getattr(theirs, what) == getattr(run, what) for what in same
        ):
            return Built(model_key(other), f"the teacher ({name})")
    raise BenchError(f"the run of its teacher ({name}) is not stored here", where=str(store.root))
