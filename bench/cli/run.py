"""`bench run`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbench.cli.earlier import failed_earlier, of_older_code
from fewbench.cli.options import (
    DATA,
    HOW,
    RESULTS,
    RUNS,
    AllowOption,
    DataOption,
    DeviceOption,
    DryRunOption,
    ForceOption,
    JsonOption,
    KOption,
    LimitOption,
    MethodsOption,
    OfflineOption,
    ProtocolOption,
    ResultsOption,
    SeedsOption,
    StudentOption,
    TasksOption,
    TeacherOption,
    ThreadsOption,
)
from fewbench.cli.out import duration, note, numbers, print_json, print_list
from fewbench.errors import BenchError, visible

if TYPE_CHECKING:
    from fewbench.runner.jobs import Job, Plan, Work
    from fewbench.runner.local import OnDone, Outcome
    from fewbench.store.store import Store


def run(
    methods: MethodsOption = None,
    tasks: TasksOption = None,
    k: KOption = None,
    seeds: SeedsOption = None,
    student: StudentOption = None,
    teacher: TeacherOption = None,
    protocol: ProtocolOption = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            "--corpus",
            metavar="PATH",
            help="documents without labels: a file, a folder or hub:NAME#COLUMN",
            rich_help_panel=DATA,
        ),
    ] = None,
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
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            metavar="N",
            help="runs at a time; default one per core",
            rich_help_panel=HOW,
        ),
    ] = None,
    threads: ThreadsOption = 1,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="TIME",
            help="fail runs that take longer: 90, 90s, 30m, 2h",
            rich_help_panel=HOW,
        ),
    ] = None,
    fail_fast: Annotated[
        bool,
        typer.Option("--fail-fast", help="stop at the first run that fails", rich_help_panel=HOW),
    ] = False,
    limit: LimitOption = None,
    drop_leaks: Annotated[
        bool,
        typer.Option(
            "--drop-leaks",
            help="leave out test rows that are also in train or dev",
            rich_help_panel=RUNS,
        ),
    ] = False,
    allow_metric_code: AllowOption = False,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="redo runs that failed", rich_help_panel=RESULTS),
    ] = False,
    keep_models: Annotated[
        bool,
        typer.Option("--keep-models", help="store trained models too", rich_help_panel=RESULTS),
    ] = False,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Run methods on tasks: what has no record yet, and nothing twice.

    Without options: all methods on the demo tasks. K and seeds are the protocol's unless they are
    given; the protocol is quick, or demo for the demo tasks. Runs with --limit or --drop-leaks are
    not comparable with complete ones.
    """
    from fewbench.data.hub import go_offline
    from fewbench.registry.settings import split_list
    from fewbench.runner.local import choose_device
    from fewbench.runner.plan import STUDENT, Request, make_plan
    from fewbench.runner.refusals import settle
    from fewbench.store.store import Store

    if offline:
        go_offline()
    asked = tuple(split_list(",".join(tasks or ["demo"]), "--tasks"))
    request = Request(
        methods=tuple(split_list(",".join(methods or ["all"]), "--methods")),
        tasks=asked,
        k=numbers("--k", k),
        seeds=numbers("--seeds", seeds),
        student=student or STUDENT,
        teacher=teacher,
        corpus=corpus,
        keep_models=keep_models,
        protocol=protocol or ("demo" if asked == ("demo",) else "quick"),
        data=data,
        limit=limit,
        drop_leaks=drop_leaks,
        offline=offline,
        templates=() if template is None else tuple(split_list(template, "--template")),
        metric_code=allow_metric_code,
    )
    limits = {"timeout": duration("--timeout", timeout), "fail_fast": fail_fast}
    store = Store(results, on_damage=lambda damage: note(f"warning: {damage}"))
    plan = make_plan(request, store)
    plan = settle(plan, plan.todo(force=force, retry_failed=retry_failed), _cores())
    for reason in plan.left_out:
        note(f"left out: {reason}")
    if not plan.jobs:
        fix = "bench ls methods and bench ls tasks tell what goes with what"
        raise BenchError("there is no run of these methods on these tasks", fix=fix)
    todo = plan.todo(force=force, retry_failed=retry_failed)
    for text in of_older_code(plan, todo):
        note(text)
    if dry_run:
        choose_device(device)
        _show_plan(plan, todo, store, workers or _cores(), json=json)
        return
    failed = 0
    if todo:
        with terminable():
            failed = _carry_out(plan.stages(todo), store, workers, device, threads, **limits)
    if not todo:
        note(f"nothing to do: all {len(plan.jobs)} runs have a record (--force redoes them)")
    earlier = failed_earlier(plan, todo)
    _show_results(plan, store, json=json)
    if failed or earlier:
        raise typer.Exit(1)


def _carry_out(
    stages: Sequence[Sequence[Work]],
    store: Store,
    workers: int | None,
    device: str,
    threads: int,
    **limits: Any,
) -> int:
    from fewbench.runner.jobs import Job

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

        from fewbench.runner.local import choose_device, execute

        device = choose_device(device)
        count = workers or (1 if device.startswith("cuda") else _cores())
        failed = execute(
            stages,
            store,
            workers=count,
            device=device,
            threads=threads,
            on_done=on_done,
            settled=True,
            **limits,
        )
    left = f", {len(works) - done} left (--fail-fast)" if done < len(works) else ""
    took = _duration(time.monotonic() - started)
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


def _show_plan(plan: Plan, todo: Sequence[Job], store: Store, workers: int, *, json: bool) -> None:
    from fewbench.runner.estimate import estimate_seconds

    open_keys = {job.run.key for job in todo}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for job in plan.jobs:
        settings = ",".join(f"{name}={value}" for name, value in job.run.settings.items())
        name = f"{job.run.method}:{settings}" if settings else job.run.method
        empty = {
            "task": job.task.full_name,
            "method": name,
            "todo": 0,
            "done": 0,
            "failed": 0,
            "trials": 0,
            "updates": 0,
        }
        row = rows.setdefault((job.task.full_name, name), empty)
        record = plan.records.get(job.run.key)
        if job.run.key in open_keys:
            row["todo"] += 1
            row["trials"] += len(job.trials)
            row["updates"] += len(job.trials) * job.protocol.max_steps if job.searched else 0
        else:
            row["failed" if record is not None and record.status == "failed" else "done"] += 1
    seconds = estimate_seconds(todo, store)
    first = _built_first(plan, todo)
    if json:
        print_json(
            {
                "plan": list(rows.values()),
                "first": first,
                "runs": len(todo),
                "estimated_seconds": seconds,
            }
        )
        return
    names = ("task", "method", "todo", "done", "failed", "trials", "updates")
    print_list(
        names, [[str(row[name]) for name in names] for row in rows.values()], right=range(2, 7)
    )
    if first:
        print_list(
            ("first", "for"), [[title, str(count)] for title, count in first.items()], right=[1]
        )
    if todo:
        known = (
            "no earlier runs to estimate the time from"
            if seconds is None
            else (
                f"about {_duration(seconds / min(workers, len(todo)))} "
                f"with {min(workers, len(todo))} workers, "
                "by the records of like runs"
            )
        )
        note(f"{len(todo)} runs to do; {known}")
    else:
        note(f"nothing to do: all {len(plan.jobs)} runs have a record")


def _built_first(plan: Plan, todo: Sequence[Job]) -> dict[str, int]:
    """Count, by title, the works that are built before the runs asked for, and their runs."""
    keys = {work.key for stage in plan.stages(todo) for work in stage} - {
        job.key for job in plan.jobs
    }
    needed = [
        need
        for job in todo
        for need in (job.teacher, job.preparation)
        if need is not None and need.key in keys
    ]
    return {need.title: sum(other.key == need.key for other in needed) for need in needed}


def _show_results(plan: Plan, store: Store, *, json: bool) -> None:
    from fewbench.cli.table import print_tables

    records = [record for job in plan.jobs if (record := store.get(job.run)) is not None]
    print_tables(records, "json" if json else "terminal")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}h {minutes:02}m" if hours else f"{minutes}m {rest:02}s" if minutes else f"{rest}s"
    )
