"""The options that several commands share: one name, one help and one panel everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.out import absolute, k_values, numbers
from fewbench.errors import BenchError

if TYPE_CHECKING:
    from fewbench.measure.stored import Locations
    from fewbench.report.wanted import Wanted
    from fewbench.store.store import Store
    from fewbench.types import Task

RUNS, TRAINING, MODELS, DATA, RESULTS, HOW, OUTPUT = PANELS = (
    "Which runs",
    "Training",
    "Models",
    "Data",
    "Results",
    "How to run",
    "Output",
)
"""The panels of a command's help, in this order; options without a panel stand before them."""

RunsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help="stored runs: a key's first digits, or method/task/kN/sN (bench ls runs)",
    ),
]
MethodsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--methods",
        metavar="NAMES",
        help="methods: names, groups, name:setting=value, or .py files of your own",
        rich_help_panel=RUNS,
    ),
]
TasksOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tasks",
        metavar="NAMES",
        help="tasks: names, task@source, suites, or .toml files of your own",
        rich_help_panel=RUNS,
    ),
]
KOption = Annotated[
    str | None,
    typer.Option(
        "--k",
        metavar="N,...",
        help="training examples per label, total-N in all, or full",
        rich_help_panel=RUNS,
    ),
]
OneKOption = Annotated[
    str | None,
    typer.Option(
        "--k",
        metavar="N",
        help="training examples per label, total-N in all, or full",
        rich_help_panel=RUNS,
    ),
]
SeedsOption = Annotated[
    str | None,
    typer.Option("--seeds", metavar="N,...", help="seeds of the splits", rich_help_panel=RUNS),
]
ProtocolOption = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        metavar="NAME",
        help="protocol: a name, or a .toml file of your own",
        rich_help_panel=RUNS,
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="a grid of runs in a TOML file; options given here take its place",
        rich_help_panel=RUNS,
    ),
]
TemplatesOption = Annotated[
    str | None,
    typer.Option(
        "--template",
        metavar="NAMES",
        help="prompts by name, or own (bench validate shows them)",
        rich_help_panel=RUNS,
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="part I of N, for machines that share no folder",
        rich_help_panel=RUNS,
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=1,
        metavar="N",
        help="use N test items at most, drawn at random",
        rich_help_panel=RUNS,
    ),
]
_STUDENT = typer.Option(
    "--student",
    metavar="MODEL",
    help="student: an embedded name, a folder, or a hub name (NAME@REVISION)",
    rich_help_panel=MODELS,
)
StudentOption = Annotated[str | None, _STUDENT]
StudentsOption = Annotated[list[str] | None, _STUDENT]
TeacherOption = Annotated[
    str | None,
    typer.Option(
        "--teacher",
        metavar="MODEL",
        help="teacher: an embedded name, a folder, or a hub name (NAME@REVISION)",
        rich_help_panel=MODELS,
    ),
]
BackboneOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="DIR",
        help="folder of a backbone that is neither embedded nor on the hub",
        rich_help_panel=MODELS,
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="FEWBENCH_DATA",
        metavar="DIR",
        help="folder of data files",
        callback=absolute,
        rich_help_panel=DATA,
    ),
]
AllowOption = Annotated[
    bool,
    typer.Option(
        "--allow-metric-code",
        help="run metrics that are scripts: at a path, or of a hub user",
        rich_help_panel=DATA,
    ),
]
CorpusOption = Annotated[
    str | None,
    typer.Option(
        "--corpus",
        metavar="PATH",
        help="documents without labels: a file, a folder or hub:NAME#COLUMN",
        rich_help_panel=DATA,
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        metavar="N",
        help="runs at a time; default one per core",
        rich_help_panel=HOW,
    ),
]
PerDeviceOption = Annotated[
    int | None,
    typer.Option(
        "--per-device",
        min=1,
        metavar="N",
        help="runs at a time on each GPU; default by its memory",
        rich_help_panel=HOW,
    ),
]
TimeoutOption = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="TIME",
        help="fail runs that take longer: 90, 90s, 30m, 2h",
        rich_help_panel=HOW,
    ),
]
FailFastOption = Annotated[
    bool,
    typer.Option("--fail-fast", help="stop at the first run that fails", rich_help_panel=HOW),
]
DtypeOption = Annotated[
    str,
    typer.Option(
        "--dtype",
        metavar="NAME",
        help="float32 or bfloat16: what layers multiply in, on a CPU or a GPU",
        rich_help_panel=RUNS,
    ),
]
AttentionOption = Annotated[
    str,
    typer.Option(
        "--attention",
        metavar="NAME",
        help="how attention is computed: sdpa (fused) or eager",
        rich_help_panel=RUNS,
    ),
]
DropLeaksOption = Annotated[
    bool,
    typer.Option(
        "--drop-leaks",
        help="leave out test rows that are also in train or dev",
        rich_help_panel=RUNS,
    ),
]
RetryOption = Annotated[
    bool,
    typer.Option("--retry-failed", help="redo runs that failed", rich_help_panel=RESULTS),
]
KeepModelsOption = Annotated[
    bool,
    typer.Option("--keep-models", help="store trained models too", rich_help_panel=RESULTS),
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="never use the network", rich_help_panel=DATA)
]
ResultsOption = Annotated[
    Path,
    typer.Option(
        "--results",
        envvar="FEWBENCH_RESULTS",
        metavar="DIR",
        help="folder of stored runs",
        callback=absolute,
        rich_help_panel=RESULTS,
    ),
]
RunResultsOption = Annotated[
    Path | None,
    typer.Option(
        "--results",
        envvar="FEWBENCH_RESULTS",
        metavar="DIR",
        help="folder of stored runs",
        callback=absolute,
        rich_help_panel=RESULTS,
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force", help="redo what is stored, replace what is there", rich_help_panel=RESULTS
    ),
]
KeepOption = Annotated[
    str | None,
    typer.Option(
        "--keep",
        metavar="old|new",
        help="of two different records of one run: the old or the new one",
        rich_help_panel=RESULTS,
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="show what would be done, and do nothing", rich_help_panel=HOW),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        help="auto, cpu, cuda (for runs, all GPUs) or cuda:0",
        rich_help_panel=HOW,
    ),
]
_THREADS = typer.Option(
    "--threads", min=1, metavar="N", help="torch threads per process", rich_help_panel=HOW
)
OptionalThreadsOption = Annotated[int | None, _THREADS]
ThreadsOption = Annotated[int, _THREADS]
PublishedOption = Annotated[
    bool,
    typer.Option(
        "--published",
        help="add the numbers that papers print, and imported ones, marked",
        rich_help_panel=OUTPUT,
    ),
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="NAME",
        help="terminal, markdown, latex, csv or json",
        rich_help_panel=OUTPUT,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON", rich_help_panel=OUTPUT)]


def wanted_runs(
    tasks: list[str] | None = None,
    k: str | None = None,
    seeds: str | None = None,
    protocol: str | None = None,
    student: str | None = None,
    teacher: str | None = None,
) -> Wanted:
    """Return the selection of stored runs that options of these names make.

    Raises:
        BenchError: an unknown task, a K that is none, or a seed that is not a whole number.
    """
    from fewbench.report.query import task_names
    from fewbench.report.wanted import Wanted

    return Wanted(
        tasks=task_names(tasks) if tasks else None,
        ks=k_values(k),
        seeds=numbers("--seeds", seeds),
        protocol=protocol,
        student=student,
        teacher=teacher,
    )


def locations(
    store: Store,
    data: Path | None,
    models: list[str] | None,
    tasks: list[str] | None,
    methods: list[str] | None,
    *,
    offline: bool,
) -> Locations:
    """Return the places that stored models are rebuilt from, by options of these names."""
    from fewbench.measure.stored import Locations

    return Locations(store, data, models or (), tasks or (), offline, methods or ())


def one_task(name: str, why: str) -> Task:
    """Return the only task that a name stands for; `why` says that there must be one.

    Raises:
        BenchError: an unknown task, or a name of several, as a suite's.
    """
    from fewbench.registry.tasks import choose_tasks

    chosen = choose_tasks([name])
    if len(chosen) != 1:
        names = [task.full_name for task in chosen]
        raise BenchError(f"'{name}' names {len(chosen)} tasks, and {why}", allowed=names)
    return chosen[0]
