"""`bench run`."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from fewbench.cli.earlier import failed_earlier, of_older_code
from fewbench.cli.options import (
    RUNS,
    AllowOption,
    CorpusOption,
    DataOption,
    DeviceOption,
    DropLeaksOption,
    DryRunOption,
    FailFastOption,
    ForceOption,
    JsonOption,
    KeepModelsOption,
    KOption,
    LimitOption,
    MethodsOption,
    OfflineOption,
    ProtocolOption,
    ResultsOption,
    RetryOption,
    SeedsOption,
    StudentOption,
    TasksOption,
    TeacherOption,
    ThreadsOption,
    TimeoutOption,
    WorkersOption,
)
from fewbench.cli.out import duration, k_values, note, numbers, shown_time
from fewbench.cli.show_plan import show_plan
from fewbench.errors import BenchError, visible

if TYPE_CHECKING:
    from fewbench.runner.jobs import Job, Plan, Work
    from fewbench.runner.local import OnDone, Outcome
    from fewbench.runner.plan import Request
    from fewbench.store.store import Store


class HowToRun(NamedTuple):
    """The conditions that change no number: processes, device, threads, and when to give up.

    Without `workers` there is one per core, or one on a GPU; `timeout` is in seconds.
    """

    workers: int | None = None
    device: str = "auto"
    threads: int = 1
    timeout: float | None = None
    fail_fast: bool = False


def run(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="a grid of runs in a TOML file; options given here take its place",
            rich_help_panel=RUNS,
        ),
    ] = None,
    methods: MethodsOption = None,
    tasks: TasksOption = None,
    k: KOption = None,
    seeds: SeedsOption = None,
    student: StudentOption = None,
    teacher: TeacherOption = None,
    protocol: ProtocolOption = None,
    corpus: CorpusOption = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            metavar="NAMES",
            help="prompts by name, or own (bench validate shows them)",
            rich_help_panel=RUNS,
        ),
    ] = None,
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    threads: ThreadsOption = 1,
    timeout: TimeoutOption = None,
    fail_fast: FailFastOption = False,
    limit: LimitOption = None,
    drop_leaks: DropLeaksOption = False,
    allow_metric_code: AllowOption = False,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
    retry_failed: RetryOption = False,
    keep_models: KeepModelsOption = False,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Run methods on tasks: what has no record yet, and nothing twice.

    Without options: all methods on the demo tasks. K and seeds are the protocol's unless they are
    given; the protocol is quick, demo for the demo tasks, or full with --k full. Runs with --limit
    or --drop-leaks are not comparable with complete ones.
    """
    from fewbench.data.hub import go_offline
    from fewbench.runner.grid_file import read_requests
    from fewbench.runner.local import choose_device
    from fewbench.runner.plan import STUDENT, Request, usual_protocol
    from fewbench.store.store import Store

    if offline:
        go_offline()
    sizes = k_values(k)
    asked = names_listed("--tasks", tasks, ["demo"])
    request = Request(
        methods=names_listed("--methods", methods, ["all"]),
        tasks=asked,
        k=sizes,
        seeds=numbers("--seeds", seeds),
        student=student or STUDENT,
        teacher=teacher,
        corpus=corpus,
        keep_models=keep_models,
        protocol=protocol or usual_protocol(asked, sizes),
        data=data,
        limit=limit,
        drop_leaks=drop_leaks,
        offline=offline,
        templates=() if template is None else names_listed("--template", [template]),
        metric_code=allow_metric_code,
    )
    given = _given(
        methods=methods,
        tasks=tasks,
        k=k,
        seeds=seeds,
        student=student,
        teacher=teacher,
        protocol=protocol,
        template=template,
        corpus=corpus,
        limit=limit,
        drop_leaks=drop_leaks,
        keep_models=keep_models,
    )
    requests = [request] if config is None else read_requests(config, request, given)
    how = HowToRun(workers, device, threads, duration("--timeout", timeout), fail_fast)
    store = Store(results, on_damage=lambda damage: note(f"warning: {damage}"))
    plan, todo = _plan(requests, store, force=force, retry_failed=retry_failed)
    if dry_run:
        if device != "auto":  # which is never wrong, and torch takes its time
            choose_device(device)
        show_plan(plan, todo, store, workers or cores(), json=json)
        return
    failed = carry_out(plan, todo, store, how)
    _show_results(plan, store, json=json)
    if failed:
        raise typer.Exit(1)


def _given(**options: object) -> list[str]:
    """Return the names of the options that were given."""
    return [name for name, value in options.items() if value]


def names_listed(
    option: str, texts: Sequence[str] | None, default: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the names that an option lists, or the default ones where it is not given."""
    from fewbench.registry.settings import split_list

    return tuple(split_list(",".join(texts), option)) if texts else tuple(default)


def _plan(
    requests: Sequence[Request], store: Store, *, force: bool, retry_failed: bool
) -> tuple[Plan, list[Job]]:
    """Plan the runs asked for, print what is left out or out of date; return the runs to do too.

    Raises:
        BenchError: anything asked for that cannot be had, or no run at all.
    """
    from fewbench.runner.plan import joined, make_plan
    from fewbench.runner.refusals import settle

    plan = joined([make_plan(request, store) for request in requests])
    plan = settle(plan, plan.todo(force=force, retry_failed=retry_failed), cores())
    for reason in plan.left_out:
        note(f"left out: {reason}")
    if not plan.jobs:
        fix = "bench ls methods and bench ls tasks tell what goes with what"
        raise BenchError("there is no run of these methods on these tasks", fix=fix)
    todo = plan.todo(force=force, retry_failed=retry_failed)
    for text in of_older_code(plan, todo):
        note(text)
    return plan, todo


def carry_out(plan: Plan, todo: Sequence[Job], store: Store, how: HowToRun) -> bool:
    """Carry out the runs to do, with progress on stderr.

    Returns:
        True if a run of the plan has failed, now or earlier.
    """
    failed = 0
    if todo:
        with terminable():
            failed = _carry_out(plan.stages(todo), store, how)
    else:
        note(f"nothing to do: all {len(plan.jobs)} runs have a record (--force redoes them)")
    return failed + failed_earlier(plan, todo) > 0


def _carry_out(stages: Sequence[Sequence[Work]], store: Store, how: HowToRun) -> int:
    from fewbench.runner.jobs import Job
    from fewbench.runner.local import choose_device, execute

    works = [work for stage in stages for work in stage]
    runs = [work for work in works if isinstance(work, Job)]
    prepared = f" and {len(works) - len(runs)} preparations" if len(works) > len(runs) else ""
    note(
        f"{len(runs)} runs, {sum(len(job.trials) for job in runs)} trials{prepared}; "
        f"records go to {store.runs}"
    )
    started = time.monotonic()
    done = 0
    with _progress(len(works)) as tell:

        def on_done(work: Work, outcome: Outcome) -> None:
            nonlocal done
            done += 1
            tell(work, outcome)

        device = choose_device(how.device)
        count = how.workers or (1 if device.startswith("cuda") else cores())
        failed = execute(
            stages,
            store,
            workers=count,
            device=device,
            threads=how.threads,
            timeout=how.timeout,
            fail_fast=how.fail_fast,
            on_done=on_done,
            settled=True,
        )
    left = f", {len(works) - done} left (--fail-fast)" if done < len(works) else ""
    took = shown_time(time.monotonic() - started)
    note(f"{done - failed} done, {failed} failed{left}, in {took}")
    return failed


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM interrupt the block as Ctrl-C does, and print how to resume."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _line(work: Work, outcome: Outcome) -> str:
    """Describe a finished work in one line."""
    record = outcome.record
    if outcome.failed:
        reason = (outcome.problem or (record and record.error) or "").splitlines()[0]
        return f"FAILED {work.title}: {reason}" + (
            f" (bench show {record.run.key[:8]})" if record else ""
        )
    if record is None:
        return work.title
    metric = record.question.task.metric_name
    return f"{work.title}  {metric} {100 * record.finished_score:.1f}"


@contextmanager
def _progress(total: int) -> Iterator[OnDone]:
    """Show a bar on a terminal, else a line per finished work; failures are printed in any case."""
    if not sys.stderr.isatty():
        done = 0

        def plain(work: Work, outcome: Outcome) -> None:
            nonlocal done
            done += 1
            note(f"[{done}/{total}] {_line(work, outcome)}")

        yield plain
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=total)

        def drawn(work: Work, outcome: Outcome) -> None:
            bar.update(task, advance=1, description=visible(work.title))
            if outcome.failed:
                bar.console.print(visible(_line(work, outcome)), markup=False, highlight=False)

        yield drawn


def _show_results(plan: Plan, store: Store, *, json: bool) -> None:
    from fewbench.cli.table import print_tables

    records = [record for job in plan.jobs if (record := store.get(job.run)) is not None]
    print_tables(records, "json" if json else "terminal")


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    from fewbench.runner.environment import core_count

    return core_count() or 1
