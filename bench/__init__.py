"""A benchmark harness for few-shot learning and compression of small language models, as Python functions.

    import fewbench

    records = fewbench.run(methods=["ft", "prompt-ft"], tasks="sst-2", k=16, seeds=[13, 21])
    frame = fewbench.results("results")
    fewbench.table(frame, rows="method", columns="task")
    fewbench.compare("prompt-ft", "ft", results="results")

They do what the commands of `bench` do, and raise `fewbench.errors.BenchError` where those end in an error. Nothing
heavy is imported before a function is called.
"""

from __future__ import annotations

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
    """Run methods on tasks, what has no record yet and nothing twice, as `bench run` does.

    Runs are carried out in processes of their own: a script that calls this needs `if __name__ == "__main__":`.

    Args:
        methods: names, `name:setting=value`, `all`, or paths of .py files.
        tasks: names, `task@source`, suites, `all`, or paths of .toml files.
        k: examples a label; None for the protocol's.
        seeds: split seeds; None for the protocol's.
        protocol: the constants of the comparison.
        student: the model that is trained: an embedded name, a folder or a hub name.
        teacher: likewise, for methods that need one; None for the embedded one of the embedded student.
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
    from fewbench.runner.local import choose_device, execute
    from fewbench.runner.plan import Request, make_plan
    from fewbench.runner.refusals import without_refused
    from fewbench.store.store import Store

    request = Request(
        methods=_names(methods),
        tasks=_names(tasks),
        k=_numbers(k),
        seeds=_numbers(seeds),
        student=student,
        teacher=teacher,
        protocol=protocol,
        data=None if data is None else Path(data),
        limit=limit,
        offline=offline,
        templates=_names(template),
        corpus=corpus,
        keep_models=keep_models,
    )
    store = Store(Path(results).absolute())
    plan = make_plan(request, store)
    plan = without_refused(plan, plan.todo(force=force))
    stages = plan.stages(plan.todo(force=force))
    if stages:
        where = choose_device(device)
        execute(stages, store, workers=workers, device=where, threads=threads, on_done=lambda work, outcome: None)
    records = [store.get(job.run) for job in plan.jobs]
    return [record for record in records if record is not None]


def results(folder: Path | str = "results") -> pd.DataFrame:
    """Return the stored runs of a folder, one row a run: names, what it was made from, scores in hundredths.

    Raises:
        BenchError: the folder cannot be read.
    """
    from fewbench.report.frame import to_frame
    from fewbench.report.query import models_apart
    from fewbench.store.store import Store

    return to_frame(models_apart(Store(Path(folder)).records()))


def table(frame: pd.DataFrame, rows: Names = "method", columns: Names = "task") -> pd.DataFrame:
    """Return means over split seeds, with columns that end in `mean`, `std` and `n`, in hundredths.

    Args:
        frame: of `results`, or some of its rows.
        rows: names of columns of the frame that make rows.
        columns: likewise, of the table's columns.

    Raises:
        BenchError: no such column, or a cell that would hold runs of several questions, or of one seed twice.
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
    """Compare a stored method with others on the same splits and test items, as `bench compare` does.

    Returns:
        one row a question and other method, and one of their mean over tasks: means and difference in hundredths, the
        interval at 95 %, p, p after Holm, Hedges' g, wins, ties and losses, and the verdict.

    Raises:
        BenchError: no runs of such a method, or none that can be compared.
    """
    import pandas as pd

    from fewbench.report.compare.items import Labels
    from fewbench.report.compare.rows import to_object
    from fewbench.report.compare.sides import Side, versus_all
    from fewbench.report.query import Wanted, by_label, find_label, models_apart, own_files, task_names
    from fewbench.store.store import Store

    asked = _names(tasks or ())
    wanted = Wanted(task_names(asked) if asked else None, _numbers(k), _numbers(seeds), protocol, student, teacher)
    store = Store(Path(results))
    stored = by_label(record for record in models_apart(store.summaries()) if record in wanted)
    names = [find_label(name, stored, str(results)) for name in (new, *_names(against))]
    mine, *others = (Side(name, stored[name], store) for name in names)
    labels = Labels(None if data is None else Path(data), own_files(asked))
    found = versus_all(mine, others, labels, resamples)
    rows = [(one, row) for one in found for row in [*one.rows, *([one.overall] if one.overall else [])]]
    return pd.DataFrame([{"new": one.first, "against": one.second, **to_object(row)} for one, row in rows])


def split(
    task: str, k: int | None = None, seed: int = 13, *, data: Path | str | None = None, offline: bool = False
) -> Split:
    """Return what a method may see of a task: K examples a label to train on, as many for dev, and test rows.

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
    rows = read_rows(one, None if data is None else Path(data), offline=offline)
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
        raise BenchError(f"'{name}' names {len(found)} tasks", allowed=[task.name for task in found] or "one task")
    return found[0]


def load_model(
    results: Path | str, key: str, *, models: Iterable[str] = (), tasks: Iterable[str] = (), device: str = "cpu"
) -> TaskModel:
    """Return the trained model of a run that was made with `keep_models`, in evaluation mode; it has `predict`.

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
    figure: str, *, results: Path | str = "results", tasks: Names | None = None, methods: Names | None = None
) -> Figure:
    """Return a figure of stored runs, as `bench plot` draws it: `k-scaling`, `pareto:cost=flops` (`bench ls figures`).

    Raises:
        BenchError: no such figure, or the records it needs are not there.
    """
    from fewbench.report.figures import Material, draw
    from fewbench.report.query import Wanted, models_apart, task_names
    from fewbench.report.tables.blocks import without_doubled
    from fewbench.store.store import Store

    store = Store(Path(results))
    wanted = Wanted(task_names(_names(tasks)) if tasks else None)
    records = [record for record in models_apart(store.records()) if record.status == "ok" and record in wanted]
    chosen = [record for record in records if methods is None or record.run.method in _names(methods)]
    return draw(figure, Material(without_doubled(chosen), store))


def _names(given: Names) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(map(str, given))


def _numbers(given: Numbers | None) -> tuple[int, ...] | None:
    return None if given is None else (given,) if isinstance(given, int) else tuple(given)
