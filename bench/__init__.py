"""A benchmark harness for few-shot learning and compression of small language models.

    import fewbench

    records = fewbench.run(methods=["ft", "prompt-ft"], tasks="sst-2", k=16, seeds=[13, 21])
    frame = fewbench.results("results")
    fewbench.table(frame, rows="method", columns="task")
    fewbench.compare("prompt-ft", "ft", results="results")

These functions do what the commands of `bench` do. Where a command ends in an error they raise
`fewbench.errors.BenchError`, and what a command says in passing they say as a warning. Nothing
heavy is imported before a function is called.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbench.report.asked import (
    Ks,
    Names,
    Numbers,
    compare,
    ks_of,
    methods_of,
    names_of,
    numbers_of,
    path_of,
    plot,
    results,
    table,
    tasks_of,
    warn,
)
from fewbench.types import K

if TYPE_CHECKING:
    import pandas as pd

    from fewbench.data.memory_task import InMemoryTask
    from fewbench.nn.task_model import TaskModel
    from fewbench.registry.callables import method
    from fewbench.report.asked import Methods, Tasks
    from fewbench.runner.jobs import Job, Plan
    from fewbench.store.record import Record
    from fewbench.store.store import Store
    from fewbench.types import Split, Task

__all__ = [
    "InMemoryTask",
    "__version__",
    "compare",
    "load_model",
    "load_task",
    "method",
    "plot",
    "reproduce",
    "results",
    "run",
    "split",
    "table",
]


def __getattr__(name: str) -> Any:
    """Give what is looked up only when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("fewbench")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


_LAZY = {
    "InMemoryTask": "fewbench.data.memory_task",
    "method": "fewbench.registry.callables",
}
"""Names that would import what most users of the package do not need."""


def run(
    methods: Methods = "all",
    tasks: Tasks = "demo",
    *,
    k: Ks | None = None,
    seeds: Numbers | None = None,
    protocol: str | None = None,
    student: str = "fewbench-micro",
    teacher: str | None = None,
    corpus: str | None = None,
    template: Names = (),
    data: Path | str | None = None,
    results: Path | str = "results",
    device: str = "auto",
    workers: int | None = 1,
    threads: int = 1,
    limit: int | None = None,
    dtype: str = "float32",
    attention: str = "sdpa",
    keep_models: bool = False,
    force: bool = False,
    offline: bool = False,
) -> list[Record]:
    """Run methods on tasks: what has no record yet, and nothing twice.

    Runs are carried out in processes of their own: a script that calls this needs
    `if __name__ == "__main__":`.

    Args:
        methods: names, in a list or by commas, `name:setting=value`, `all`, paths of .py files, or
            functions `fit(task, split, kit, *, <settings>)`; `functools.partial` fixes settings.
        tasks: names, `task@source`, suites, `all`, paths of .toml files, or objects: a `Task`, or
            an `InMemoryTask` with its rows.
        k: examples per class, `total-N` for N in all, or `full`; None for the protocol's.
        seeds: split seeds; None for the protocol's.
        protocol: the constants of the comparison: a name, or a .toml file of your own; None for
            quick, demo for the demo tasks, full for full data.
        student: the model that is trained: an embedded name, a folder or a hub name.
        teacher: likewise, for methods that need one; None for the embedded one of the embedded
            student.
        corpus: unlabelled documents, for methods that prepare on some.
        template: names of prompts that take the place of the task's own.
        data: the folder of data files.
        results: the folder of the records.
        device: `auto`, `cpu`, `cuda` (all GPUs), `cuda:0`.
        workers: runs at a time on all devices together; None for as many as there is room for.
        threads: torch's threads in each process.
        limit: test rows, drawn; such runs are not comparable with whole ones.
        dtype: what linear layers multiply in, `float32` or `bfloat16`; a cell of its own.
        attention: `sdpa` (fused) or `eager`; likewise.
        keep_models: store trained models too.
        force: redo what has a record.
        offline: never use the network.

    Returns:
        the record of every run asked for, those of before included and failed ones too.

    Raises:
        BenchError: anything asked for that cannot be had; nothing was run then.
    """
    from fewbench.data.hub import go_offline
    from fewbench.runner.plan import Request, make_plan, usual_protocol
    from fewbench.runner.refusals import settle
    from fewbench.store.store import Store

    if offline:
        go_offline()
    task_names, sizes = tasks_of(tasks, results), ks_of(k)
    request = Request(
        methods=methods_of(methods, results),
        tasks=task_names,
        k=sizes,
        seeds=numbers_of(seeds),
        student=student,
        teacher=teacher,
        protocol=protocol or usual_protocol(task_names, sizes),
        data=path_of(data),
        limit=limit,
        dtype=dtype,
        attention=attention,
        offline=offline,
        templates=names_of(template),
        corpus=corpus,
        keep_models=keep_models,
    )
    store = Store(Path(results).absolute(), on_damage=lambda damage: warn(str(damage)))
    plan = make_plan(request, store)
    plan = settle(plan, plan.todo(force=force), workers or 1)
    for reason in plan.left_out:
        warn(f"left out: {reason}")
    _execute(plan, plan.todo(force=force), store, workers, device, threads)
    records = [store.get(job.run) for job in plan.jobs]
    return [record for record in records if record is not None]


def _execute(
    plan: Plan, todo: Sequence[Job], store: Store, workers: int | None, device: str, threads: int
) -> None:
    """Carry out runs that models and methods were asked about."""
    from fewbench.runner.local import execute

    stages = plan.stages(todo)
    if stages:
        execute(
            stages,
            store,
            workers=workers,
            device=device,
            threads=threads,
            on_done=lambda work, outcome: None,
            stamps=plan.stamps,
            settled=True,
        )


def reproduce(
    paper: str,
    table: str,
    *,
    student: str | None = None,
    teacher: str | None = None,
    protocol: str | None = None,
    seeds: Numbers | None = None,
    corpus: str | None = None,
    data: Path | str | None = None,
    results: Path | str = "results",
    device: str = "auto",
    workers: int | None = 1,
    threads: int = 1,
    limit: int | None = None,
    keep_models: bool = False,
    offline: bool = False,
    show: bool = False,
) -> pd.DataFrame:
    """Make a published table again: one row a cell, ours beside theirs.

    Runs are carried out in processes of their own: a script that calls this needs
    `if __name__ == "__main__":`.

    Args:
        paper: `smash`, `ppt`, `prompt-distiller` or `thesis`.
        table: its number, such as `4.1`.
        student: the model in the place of the paper's students; None for the embedded one.
        teacher: likewise of its teachers; None for the embedded one of the embedded student.
        protocol: the constants of the runs; None for the paper's, or the nearest.
        seeds: split seeds; None for the protocol's.
        corpus: unlabelled documents, for methods that prepare on some.
        data: the folder of data files.
        results: the folder of the records.
        device: `auto`, `cpu`, `cuda` (all GPUs), `cuda:0`.
        workers: runs at a time on all devices together; None for as many as there is room for.
        threads: torch's threads in each process.
        limit: test rows, drawn; such runs are not comparable with whole ones.
        keep_models: store trained models too.
        offline: never use the network.
        show: run nothing, and show what is stored.

    Returns:
        every cell: where it is printed, the runs it stands for or the reason why there are none,
        the published number and ours in the same unit, our interval at 95 %, the difference.

    Raises:
        BenchError: no such table, or a model, protocol or corpus that is not there.
    """
    import pandas as pd

    from fewbench.data.hub import go_offline
    from fewbench.registry.protocols import get_protocol
    from fewbench.report.published import published_folder, read_published
    from fewbench.report.reproduce.figures import compared
    from fewbench.report.reproduce.jobs import plan_jobs, stand_ins
    from fewbench.report.reproduce.mapping import Known, plan_cells
    from fewbench.report.reproduce.show import flat_rows
    from fewbench.report.reproduce.tables import find_table, printed_tables
    from fewbench.runner.plan import Request
    from fewbench.runner.refusals import refused_jobs
    from fewbench.store.store import Store

    if offline:
        go_offline()
    folder = Path(results).absolute()
    printed = find_table(printed_tables(read_published(published_folder(folder))), paper, table)
    models = stand_ins(student, teacher)
    request = Request(
        methods=(),
        tasks=(),
        seeds=numbers_of(seeds),
        student=models.student,
        data=path_of(data),
        limit=limit,
        offline=offline,
        corpus=corpus,
        keep_models=keep_models,
    )
    store = Store(folder, on_damage=lambda damage: warn(str(damage)))
    cells = plan_cells(printed, models, Known(), protocol=protocol)
    planned = plan_jobs(cells, request, store)
    if not show:
        refused = refused_jobs(planned.plan, planned.plan.todo(), workers or 1)
        planned = planned.without(refused)
        _execute(planned.plan, planned.plan.todo(), store, workers, device, threads)
    ddof = get_protocol(cells.protocol).ddof
    return pd.DataFrame(flat_rows(compared(planned.table, planned.jobs, store, ddof)))


def split(
    task: str,
    k: K | None = None,
    seed: int = 13,
    *,
    data: Path | str | None = None,
    offline: bool = False,
) -> Split:
    """Make a split: train, dev as large as train, and test rows without labels.

    Args:
        task: a name, `task@source`, or the path of a .toml file.
        k: examples per class; None where the data set publishes its own splits.
        seed: of the split, or the number of a published one.
        data: the folder of data files.
        offline: never use the network.

    Raises:
        BenchError: no such task, its data is not there, or it has too few rows.
    """
    from fewbench.data.reader import read_rows
    from fewbench.data.split import make_split

    one = load_task(task)
    rows = read_rows(one, path_of(data), offline=offline)
    return make_split(one, rows, k, seed)


def load_task(name: str) -> Task:
    """Return a task by its name, `task@source`, or the path of a .toml file that declares one.

    Raises:
        BenchError: none, or several.
    """
    from fewbench.errors import BenchError
    from fewbench.registry.tasks import choose_tasks

    found = choose_tasks([name])
    if len(found) != 1:
        names = [task.name for task in found]
        raise BenchError(f"'{name}' names {len(found)} tasks", allowed=names or "one task")
    return found[0]


def load_model(
    results: Path | str,
    run: str,
    *,
    models: Iterable[str] = (),
    tasks: Tasks = (),
    methods: Methods = (),
    device: str = "cpu",
) -> TaskModel:
    """Return the model of a run that was made with `keep_models`, in evaluation mode.

    It is a torch module whose `predict` takes examples and returns predictions.

    Args:
        results: the folder of the records.
        run: the first four or more digits of its key, or `prompt-ft/sst-2/k16/s13`
            (`bench ls runs` lists both).
        models: folders of backbones that are neither embedded nor on the hub.
        tasks: .toml files, or objects, of tasks that are not the project's.
        methods: files, or functions, of methods that are not installed.
        device: where it goes.

    Raises:
        BenchError: no such run, its model was not kept, or its backbone is not found.
    """
    import torch

    from fewbench.measure.stored import Locations, model_of, task_of
    from fewbench.nn.fit_context import Models
    from fewbench.store.selector import find_run
    from fewbench.store.store import Store

    store = Store(Path(results))
    record = find_run(store, run)
    world = Locations(
        store,
        models=tuple(models),
        tasks=tasks_of(tasks, results),
        methods=methods_of(methods, results),
    )
    return model_of(record, task_of(record, world), Models(torch.device(device)), world)
