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

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from fewbench.nn.task_model import TaskModel
    from fewbench.store.record import Record
    from fewbench.types import Split, Task

__all__ = ["compare", "load_model", "load_task", "plot", "results", "run", "split", "table"]

Names = str | Sequence[str]
Numbers = int | Sequence[int]


def run(
    methods: Names = "all",
    tasks: Names = "demo",
    *,
    k: Numbers | None = None,
    seeds: Numbers | None = None,
    protocol: str = "quick",
    student: str = "fewbench-micro",
    teacher: str | None = None,
    corpus: str | None = None,
    template: Names = (),
    data: Path | str | None = None,
    results: Path | str = "results",
    device: str = "auto",
    workers: int = 1,
    threads: int = 1,
    limit: int | None = None,
    keep_models: bool = False,
    force: bool = False,
    offline: bool = False,
) -> list[Record]:
    """Run methods on tasks: what has no record yet, and nothing twice.

    Runs are carried out in processes of their own: a script that calls this needs
    `if __name__ == "__main__":`.

    Args:
        methods: names, `name:setting=value`, `all`, or paths of .py files.
        tasks: names, `task@source`, suites, `all`, or paths of .toml files.
        k: examples a label; None for the protocol's.
        seeds: split seeds; None for the protocol's.
        protocol: the constants of the comparison.
        student: the model that is trained: an embedded name, a folder or a hub name.
        teacher: likewise, for methods that need one; None for the embedded one of the embedded
            student.
        corpus: unlabelled documents, for methods that prepare on some.
        template: names of prompts that take the place of the task's own.
        data: the folder of data files.
        results: the folder of the records.
        device: `auto`, `cpu`, `cuda`, `cuda:0`.
        workers: runs at a time.
        threads: torch's threads in each process.
        limit: test rows, drawn; such runs are not comparable with whole ones.
        keep_models: store trained models too.
        force: redo what has a record.
        offline: never use the network.

    Returns:
        the record of every run asked for, those of before included and failed ones too.

    Raises:
        BenchError: anything asked for that cannot be had; nothing was run then.
    """
    from fewbench.data.hub import go_offline
    from fewbench.runner.local import choose_device, execute
    from fewbench.runner.plan import Request, make_plan
    from fewbench.runner.refusals import without_refused
    from fewbench.store.store import Store

    if offline:
        go_offline()
    request = Request(
        methods=_names(methods),
        tasks=_names(tasks),
        k=_numbers(k),
        seeds=_numbers(seeds),
        student=student,
        teacher=teacher,
        protocol=protocol,
        data=_path(data),
        limit=limit,
        offline=offline,
        templates=_names(template),
        corpus=corpus,
        keep_models=keep_models,
    )
    store = Store(Path(results).absolute(), on_damage=lambda damage: _warn(str(damage)))
    plan = make_plan(request, store)
    plan = without_refused(plan, plan.todo(force=force))
    for reason in plan.left_out:
        _warn(f"left out: {reason}")
    stages = plan.stages(plan.todo(force=force))
    if stages:
        execute(
            stages,
            store,
            workers=workers,
            device=choose_device(device),
            threads=threads,
            on_done=lambda work, outcome: None,
        )
    records = [store.get(job.run) for job in plan.jobs]
    return [record for record in records if record is not None]


def results(folder: Path | str = "results", *, tasks: Names = ()) -> pd.DataFrame:
    """Return the stored runs of a folder, one row a run.

    A row has the run's names, hashes of what it was made from, and scores in hundredths (missing
    where it failed). `earlier` says what of it is not of today; it is empty where nothing is.

    Args:
        folder: of the records.
        tasks: .toml files of tasks that are your own, so that what is of today can be told.

    Raises:
        BenchError: the folder cannot be read, or a mistake in one of the files.
    """
    from fewbench.report.frame import to_frame
    from fewbench.report.query import models_apart, own_files
    from fewbench.report.today import Today
    from fewbench.store.store import Store

    store = Store(Path(folder), on_damage=lambda damage: _warn(str(damage)))
    return to_frame(models_apart(store.records()), Today(own_files(_names(tasks))))


def table(frame: pd.DataFrame, rows: Names = "method", columns: Names = "task") -> pd.DataFrame:
    """Return means over split seeds, in hundredths: columns end in `mean`, `std` and `n`.

    Failed runs are left out. A warning tells of runs that are not of today, and of cells whose runs
    were made by two versions of their method's code.

    Args:
        frame: of `results`, or some of its rows.
        rows: names of columns of the frame that make rows.
        columns: likewise, of the table's columns.

    Raises:
        BenchError: no such column, or a cell that would hold several questions or a seed twice.
    """
    from fewbench.report.frame import mean_table

    return mean_table(frame, _names(rows), _names(columns))


def compare(
    new: str,
    against: Names,
    *,
    results: Path | str = "results",
    tasks: Names | None = None,
    k: Numbers | None = None,
    seeds: Numbers | None = None,
    protocol: str | None = None,
    student: str | None = None,
    teacher: str | None = None,
    data: Path | str | None = None,
    resamples: int = 5000,
) -> pd.DataFrame:
    """Compare a stored method with others on the same splits and test items.

    Args:
        new: a method as it is stored, or a folder of results with one method.
        against: methods as they are stored, or `all` others.
        results: the folder of their records.
        tasks: only these: tasks, suites, your own .toml files.
        k: only these K.
        seeds: only these split seeds.
        protocol: only this protocol.
        student: only this student, by its name.
        teacher: only this teacher, by its name.
        data: the folder of data files, for test labels.
        resamples: of the bootstrap and of the permutations.

    Returns:
        one row a question and other method, and one of their mean over tasks: means and difference
        in hundredths, the interval at 95 %, p, p after Holm, Hedges' g, wins, ties and losses, and
        the verdict (decision 014).

    Raises:
        BenchError: no runs of such a method, or none that can be compared.
    """
    import pandas as pd

    from fewbench.report.compare.items import Labels
    from fewbench.report.compare.rows import to_object
    from fewbench.report.compare.sides import sides_of, versus_all
    from fewbench.report.query import Wanted, own_files, task_names

    wanted = Wanted(
        tasks=task_names(_names(tasks)) if tasks else None,
        ks=_numbers(k),
        seeds=_numbers(seeds),
        protocol=protocol,
        student=student,
        teacher=teacher,
    )
    mine, others = sides_of(new, _names(against), Path(results), wanted, _warn)
    labels = Labels(_path(data), own_files(_names(tasks or ())))
    rows = []
    for one in versus_all(mine, others, labels, resamples, notify=_warn):
        names = {"new": one.first, "against": one.second}
        rows += [names | to_object(row) for row in [*one.rows, one.overall] if row is not None]
    return pd.DataFrame(rows)


def split(
    task: str, k: int | None = None, seed: int = 13, *, data: Path | str | None = None, offline: bool = False
) -> Split:
    """Return what a method may see of a task: train, dev as large as train, and test rows.

    Args:
        task: a name, `task@source`, or the path of a .toml file.
        k: examples a label; None where the data set publishes its own splits.
        seed: of the split, or the number of a published one.
        data: the folder of data files.
        offline: never use the network.

    Raises:
        BenchError: no such task, its data is not there, or it has too few rows.
    """
    from fewbench.data.reader import read_rows
    from fewbench.data.split import make_split

    one = load_task(task)
    rows = read_rows(one, _path(data), offline=offline)
    return make_split(one, rows, k, seed)


def load_task(name: str) -> Task:
    """Return a task by its name, `task@source`, or the path of a .toml file that declares one.

    Raises:
        BenchError: none, or several.
    """
    from fewbench.errors import BenchError
    from fewbench.runner.plan import choose_tasks

    found = choose_tasks([name])
    if len(found) != 1:
        names = [task.name for task in found]
        raise BenchError(f"'{name}' names {len(found)} tasks", allowed=names or "one task")
    return found[0]


def load_model(
    results: Path | str, key: str, *, models: Iterable[str] = (), tasks: Iterable[str] = (), device: str = "cpu"
) -> TaskModel:
    """Return the model of a run that was made with `keep_models`, in evaluation mode.

    It is a torch module whose `predict` takes examples and returns predictions.

    Args:
        results: the folder of the records.
        key: the first four or more digits of the run's key.
        models: folders of backbones that are neither embedded nor on the hub.
        tasks: .toml files of tasks that are not the project's.
        device: where it goes.

    Raises:
        BenchError: no such run, its model was not kept, or its backbone is not found.
    """
    import torch

    from fewbench.measure.stored import World, model_of, task_of
    from fewbench.nn.fit_context import Models
    from fewbench.store.store import Store

    store = Store(Path(results))
    record = store.find(key)
    world = World(store, models=tuple(models), tasks=tuple(tasks))
    return model_of(record, task_of(record, world), Models(torch.device(device)), world)


def plot(
    figure: str,
    *,
    results: Path | str = "results",
    tasks: Names | None = None,
    methods: Names = (),
    k: Numbers | None = None,
    protocol: str | None = None,
    student: str | None = None,
) -> Figure:
    """Return a figure of stored runs, as `bench plot` draws it.

    Args:
        figure: its name, with its settings if any: `k-scaling`, `pareto:cost=flops`
            (`bench ls figures` lists them).
        results: the folder of the records.
        tasks: only these: tasks, suites, your own .toml files.
        methods: only these, whatever their settings.
        k: only these K.
        protocol: only this protocol.
        student: only this student, by its name.

    Raises:
        BenchError: no such figure or method, or the records it needs are not there.
    """
    from fewbench.report.figures import Material, draw, drawable
    from fewbench.report.query import Wanted, task_names
    from fewbench.store.store import Store

    store = Store(Path(results), on_damage=lambda damage: _warn(str(damage)))
    names = task_names(_names(tasks)) if tasks else None
    wanted = Wanted(names, _numbers(k), None, protocol, student)
    records, left_out = drawable(store, wanted, _names(methods))
    if left_out:
        _warn(f"{left_out} runs share cell and split seed with another, and are not drawn")
    return draw(figure, Material(records, store))


def _names(given: Names) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(map(str, given))


def _numbers(given: Numbers | None) -> tuple[int, ...] | None:
    return None if given is None else (given,) if isinstance(given, int) else tuple(given)


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


def _warn(text: str) -> None:
    """Tell the caller of a function of this module."""
    warnings.warn(text, stacklevel=3)
