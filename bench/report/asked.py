"""The Python API for stored runs: `fewbench.results`, `table`, `compare` and `plot`.

Nothing heavy is imported before a function is called.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbench.data.train_size import parse_k
from fewbench.errors import how_many
from fewbench.types import K

if TYPE_CHECKING:
    from typing import TypeAlias

    import pandas as pd
    from matplotlib.figure import Figure

    from fewbench.data.memory_task import InMemoryTask
    from fewbench.types import Task

    OneTask: TypeAlias = str | Path | Task | InMemoryTask
    Tasks: TypeAlias = OneTask | Sequence[OneTask]
    OneMethod: TypeAlias = str | Path | Callable[..., Any]
    Methods: TypeAlias = OneMethod | Sequence[OneMethod]

Names = str | Sequence[str]
Numbers = int | Sequence[int]
Ks = K | Sequence[K]

OWN = "own"
"""The folder of a results folder that holds the files written for objects of a Python user."""


def results(folder: Path | str = "results", *, tasks: Tasks = ()) -> pd.DataFrame:
    """Return the stored runs of a folder, one row per run.

    A row has the run's names, hashes of what it was made from, and scores in hundredths (missing
    where it failed). `scores` has those by every metric, and costs are as in `bench table --cost`.
    `earlier` says what of it is not of today; it is empty where nothing is.

    Args:
        folder: of the records.
        tasks: your own tasks (.toml files or objects), to tell which runs are of today's.

    Raises:
        BenchError: the folder cannot be read, or a mistake in one of the files.
    """
    from fewbench.report.frame import to_frame
    from fewbench.report.query import models_apart, own_files
    from fewbench.report.tables.costs import RunCosts
    from fewbench.report.today import Today
    from fewbench.store.store import Store

    store = Store(Path(folder), on_damage=lambda damage: warn(str(damage)))
    today = Today(own_files(tasks_of(tasks, folder)))
    return to_frame(models_apart(store.records()), today, RunCosts(store))


def table(
    frame: pd.DataFrame,
    rows: Names = "method",
    columns: Names = "task",
    *,
    metric: Names = (),
    cost: bool = False,
    teachers: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return means over split seeds, in hundredths: columns end in `mean`, `std` and `n`.

    Failed runs are left out. A warning tells of runs that are not of today, and of cells whose runs
    were made by two versions of their method's code.

    Args:
        frame: of `results`, or some of its rows.
        rows: names of columns of the frame that make rows.
        columns: likewise, of the table's columns.
        metric: `accuracy`, several, or `all` that runs have a score by; none for the task's own.
        cost: add each cell's mean training seconds and memory, parameters and bytes.
        teachers: a frame (of `results`) with the runs that taught these; they are added, and their
            methods end in `(teacher)`.

    Raises:
        BenchError: no such column or metric, or a cell that would hold several questions or a seed
            twice.
    """
    from fewbench.report.frame import mean_table

    return mean_table(
        frame,
        names_of(rows),
        names_of(columns),
        metrics=names_of(metric),
        cost=cost,
        teachers=teachers,
    )


def compare(
    new: str,
    against: Names,
    *,
    results: Path | str = "results",
    tasks: Tasks | None = None,
    k: Ks | None = None,
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
        tasks: only these: tasks, suites, your own .toml files or objects.
        k: only these K.
        seeds: only these split seeds.
        protocol: only this protocol.
        student: only this student, by its name.
        teacher: only this teacher, by its name.
        data: the folder of data files, for test labels.
        resamples: of the bootstrap and of the permutations.

    Returns:
        one row per question and other method, and one of their mean over tasks: means and
        difference in hundredths, the interval at 95 %, p, p after Holm, Hedges' g, wins, ties and
        losses, and the verdict (decision 014).

    Raises:
        BenchError: no runs of such a method, or none that can be compared.
    """
    import pandas as pd

    from fewbench.report.compare.items import Labels
    from fewbench.report.compare.rows import to_object
    from fewbench.report.compare.sides import sides_of, versus_all
    from fewbench.report.query import own_files, task_names
    from fewbench.report.wanted import Wanted

    asked = tasks_of(tasks or (), results)
    wanted = Wanted(
        tasks=task_names(asked) if asked else None,
        ks=ks_of(k),
        seeds=numbers_of(seeds),
        protocol=protocol,
        student=student,
        teacher=teacher,
    )
    mine, others = sides_of(new, names_of(against), Path(results), wanted, warn)
    labels = Labels(path_of(data), own_files(asked))
    rows = []
    for one in versus_all(mine, others, labels, resamples, notify=warn):
        names = {"new": one.first, "against": one.second}
        rows += [names | to_object(row) for row in [*one.rows, one.overall] if row is not None]
    return pd.DataFrame(rows)


def plot(
    figure: str,
    *,
    results: Path | str = "results",
    tasks: Tasks | None = None,
    methods: Names = (),
    k: Ks | None = None,
    protocol: str | None = None,
    student: str | None = None,
) -> Figure:
    """Return a figure of stored runs, as `bench plot` draws it.

    Args:
        figure: its name, with its settings if any: `k-scaling`, `pareto:cost=flops`
            (`bench ls figures` lists them).
        results: the folder of the records.
        tasks: only these: tasks, suites, your own .toml files or objects.
        methods: only these, whatever their settings.
        k: only these K.
        protocol: only this protocol.
        student: only this student, by its name.

    Raises:
        BenchError: no such figure or method, or the records it needs are not there.
    """
    from fewbench.report.figures import Material, draw, drawable
    from fewbench.report.query import task_names
    from fewbench.report.wanted import Wanted
    from fewbench.store.store import Store

    store = Store(Path(results), on_damage=lambda damage: warn(str(damage)))
    asked = tasks_of(tasks or (), results)
    names = task_names(asked) if asked else None
    wanted = Wanted(names, ks_of(k), None, protocol, student)
    records, left_out = drawable(store, wanted, names_of(methods))
    if left_out:
        warn(f"not drawn: {how_many(left_out, 'run')} with the cell and split seed of another")
    drawn = draw(figure, Material(records, store))
    vars(drawn)["_repr_png_"] = partial(
        _png, drawn
    )  # how a notebook shows an object; matplotlib's own way is pyplot
    return drawn


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=144)
    return stream.getvalue()


def names_of(given: Names) -> tuple[str, ...]:
    """Return names as several; one text may list them by commas, as on the command line.

    Raises:
        BenchError: a text that names nothing.
    """
    from fewbench.registry.settings import split_list

    return tuple(split_list(given) if isinstance(given, str) else map(str, given))


def tasks_of(given: Tasks, results: Path | str) -> tuple[str, ...]:
    """Return tasks as `--tasks` would name them; objects are written to files in a results folder.

    Raises:
        BenchError: a task that cannot be declared, or rows that do not fit it.
    """
    from fewbench.data.memory_task import InMemoryTask, write_task
    from fewbench.data.task_file import declared
    from fewbench.registry.methods import task_files
    from fewbench.types import Task

    folder = Path(results).absolute() / OWN
    names = []
    for task in _listed(given, Path | Task | InMemoryTask):
        if isinstance(task, InMemoryTask):
            names.append(str(task.write(folder)))
        elif isinstance(task, Task):
            names.append(write_task(task, folder, declared(task_files()).tasks))
        else:
            names.append(str(task))
    return tuple(names)


def methods_of(given: Methods, results: Path | str) -> tuple[str, ...]:
    """Return methods as `--methods` would name them; functions are written to method files.

    Raises:
        BenchError: a function that cannot be written to a file.
    """
    from fewbench.registry.callables import write_method

    folder = Path(results).absolute() / OWN
    return tuple(
        write_method(method, folder) if callable(method) else str(method)
        for method in _listed(given, Path | Callable)
    )


def _listed(given: Any, one: Any) -> Sequence[Any]:
    """Return objects and names as several; a text lists names by commas."""
    if isinstance(given, str):
        return names_of(given)
    return (given,) if isinstance(given, one) else given


def ks_of(given: Ks | None) -> tuple[K, ...] | None:
    """Return one K or several as several; None stays None.

    Raises:
        BenchError: a word that is no K.
    """
    if given is None:
        return None
    several = (given,) if isinstance(given, int | str) else given
    return tuple(parse_k(str(k)) for k in several)


def numbers_of(given: Numbers | None) -> tuple[int, ...] | None:
    """Return one number or several as several; None stays None."""
    return None if given is None else (given,) if isinstance(given, int) else tuple(given)


def path_of(given: Path | str | None) -> Path | None:
    """Convert a path; None stays None."""
    return None if given is None else Path(given)


def warn(text: str) -> None:
    """Tell the caller of one of the public functions."""
    warnings.warn(text, stacklevel=3)
