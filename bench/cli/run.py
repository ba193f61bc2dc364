"""`bench run`."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from fewbench.cli.cluster_options import (
    AddressOption,
    DetachOption,
    ExecutorOption,
    JobsOption,
    PerJobOption,
)
from fewbench.cli.earlier import failed_earlier, of_older_code
from fewbench.cli.options import (
    HOW,
    AllowOption,
    AttentionOption,
    ConfigOption,
    CorpusOption,
    DataOption,
    DeviceOption,
    DropLeaksOption,
    DryRunOption,
    DtypeOption,
    FailFastOption,
    ForceOption,
    JsonOption,
    KeepModelsOption,
    KOption,
    LimitOption,
    MethodsOption,
    OfflineOption,
    PerDeviceOption,
    ProtocolOption,
    RetryOption,
    RunResultsOption,
    SeedsOption,
    ShardOption,
    StudentOption,
    TasksOption,
    TeacherOption,
    TemplatesOption,
    ThreadsOption,
    TimeoutOption,
    WorkersOption,
)
from fewbench.cli.out import duration, note
from fewbench.cli.requests import requests_of
from fewbench.cli.show_plan import nothing_to_do, show_plan
from fewbench.errors import BenchError, how_many
from fewbench.runner.environment import cores

if TYPE_CHECKING:
    from fewbench.runner.executors.asked import AskedCluster
    from fewbench.runner.jobs import Job, Plan
    from fewbench.runner.plan import Request
    from fewbench.runner.shards import Shard
    from fewbench.store.store import Store


class HowToRun(NamedTuple):
    """The conditions that change no number: processes, device, threads, and when to give up.

    Without `workers` and `per_device` there are as many processes as there is room for
    (`fewbench.runner.devices.make_rooms`); `timeout` is in seconds. `track` names experiment
    trackers (`fewbench.runner.trackers`).
    """

    workers: int | None = None
    device: str = "auto"
    threads: int = 1
    timeout: float | None = None
    fail_fast: bool = False
    track: Sequence[str] = ()
    per_device: int | None = None


def run(
    config: ConfigOption = None,
    methods: MethodsOption = None,
    tasks: TasksOption = None,
    k: KOption = None,
    seeds: SeedsOption = None,
    student: StudentOption = None,
    teacher: TeacherOption = None,
    protocol: ProtocolOption = None,
    corpus: CorpusOption = None,
    template: TemplatesOption = None,
    data: DataOption = None,
    results: RunResultsOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    per_device: PerDeviceOption = None,
    threads: ThreadsOption = 1,
    timeout: TimeoutOption = None,
    fail_fast: FailFastOption = False,
    shard: ShardOption = None,
    executor: ExecutorOption = "local",
    jobs: JobsOption = None,
    per_job: PerJobOption = None,
    address: AddressOption = None,
    detach: DetachOption = False,
    track: Annotated[
        list[str] | None,
        typer.Option(
            "--track",
            metavar="WHERE",
            help="tensorboard:DIR, wandb:PROJECT or trackio:PROJECT",
            rich_help_panel=HOW,
        ),
    ] = None,
    limit: LimitOption = None,
    drop_leaks: DropLeaksOption = False,
    dtype: DtypeOption = "float32",
    attention: AttentionOption = "sdpa",
    allow_metric_code: AllowOption = False,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
    retry_failed: RetryOption = False,
    keep_models: KeepModelsOption = False,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Run methods on tasks: what has no record yet, and nothing twice.

    Without methods and tasks: a first look, at four methods on two small tasks, whose records go
    to a cache. Else all methods, or the demo tasks, are meant where none are named. K and seeds are
    the protocol's unless they are given; the protocol is quick, demo for the demo tasks, or full
    with --k full. Runs with --limit or --drop-leaks are not comparable with complete ones.
    """
    from fewbench.cli import first_look
    from fewbench.runner.devices import check_counts
    from fewbench.runner.executors.asked import asked_cluster
    from fewbench.runner.shards import parse_shard
    from fewbench.runner.trackers import check_trackers
    from fewbench.store.store import Store

    part, trackers = parse_shard(shard), track or ()
    check_trackers(trackers)
    cluster = asked_cluster(
        executor, jobs=jobs, per_job=per_job, address=address, detach=detach, device=device
    )
    is_first_look = not (methods or tasks or config)
    check_counts(workers, per_device, device)
    if is_first_look:
        look = first_look.asked(k, seeds, protocol, results)
        methods, tasks, seeds, protocol, results = look
    requests = requests_of(
        config,
        methods=methods,
        tasks=tasks,
        k=k,
        seeds=seeds,
        student=student,
        teacher=teacher,
        protocol=protocol,
        corpus=corpus,
        template=template,
        data=data,
        limit=limit,
        drop_leaks=drop_leaks,
        dtype=dtype,
        attention=attention,
        keep_models=keep_models,
        metric_code=allow_metric_code,
        offline=offline,
    )
    limit_s = duration("--timeout", timeout)
    how = HowToRun(workers, device, threads, limit_s, fail_fast, trackers, per_device)
    store = Store(
        results or Path("results").absolute(), on_damage=lambda damage: note(f"warning: {damage}")
    )
    plan, todo = planned(requests, store, force=force, retry_failed=retry_failed, shard=part)
    if dry_run:
        _check_device(how, cluster)
        show_plan(plan, todo, store, workers or cores(), json=json)
        return
    failed = carry_out(plan, todo, store, how, requests, cluster)
    if not detach:
        _show_results(plan, todo, store, is_first_look=is_first_look, json=json)
    if failed:
        raise typer.Exit(1)


def _check_device(how: HowToRun, cluster: AskedCluster | None) -> None:
    """Refuse a device that this machine lacks, where the runs would be done on it."""
    from fewbench.runner.devices import check_counts, choose_device

    if cluster is not None or (how.device == "auto" and how.per_device is None):
        return  # `auto` is never wrong, and torch takes its time
    check_counts(how.workers, how.per_device, choose_device(how.device))


def planned(
    requests: Sequence[Request],
    store: Store,
    *,
    force: bool = False,
    retry_failed: bool = False,
    shard: Shard | None = None,
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
    if shard is not None:
        whole, plan = len(plan.jobs), shard.of(plan)
        note(f"shard {shard}: {len(plan.jobs)} of {how_many(whole, 'run')}")
    todo = plan.todo(force=force, retry_failed=retry_failed)
    for text in of_older_code(plan, todo):
        note(text)
    return plan, todo


def carry_out(
    plan: Plan,
    todo: Sequence[Job],
    store: Store,
    how: HowToRun,
    requests: Sequence[Request] = (),
    cluster: AskedCluster | None = None,
) -> bool:
    """Carry out the runs to do, with progress on stderr.

    Args:
        plan: of all runs.
        todo: those to do.
        store: where their records go.
        how: the conditions.
        requests: what the plan was made of, for workers elsewhere.
        cluster: where these are; None for this process alone.

    Returns:
        True if a run of the plan has failed, now or earlier.
    """
    failed = 0
    if todo and cluster is not None:
        from fewbench.cli.remote import carry_out_remotely

        failed = int(carry_out_remotely(plan, todo, store, how, requests, cluster))
    elif todo:
        with terminable():
            failed = carry_out_here(plan, todo, store, how)
    elif plan.jobs:
        note(f"{nothing_to_do(plan)} (--force redoes them)")
    else:
        note("nothing to do: the shard has no run")
    return failed + failed_earlier(plan, todo) > 0


def carry_out_here(plan: Plan, todo: Sequence[Job], store: Store, how: HowToRun) -> int:
    """Carry out the runs to do in this process; return how many works have failed."""
    from fewbench.cli.progress import RunTally, shown
    from fewbench.runner.jobs import Job
    from fewbench.runner.local import execute
    from fewbench.runner.trackers import open_trackers
    from fewbench.runner.watcher import Watchers

    stages = plan.stages(todo)
    works = [work for stage in stages for work in stage]
    runs = [work for work in works if isinstance(work, Job)]
    trials = how_many(sum(len(job.trials) for job in runs), "trial")
    others = len(works) - len(runs)
    prepared = f" and {how_many(others, 'preparation')}" if others else ""
    note(f"{how_many(len(runs), 'run')}, {trials}{prepared}; records go to {store.runs}")
    tally = RunTally(len(works))
    trackers = Watchers(*open_trackers(how.track))
    with shown(tally) as screen, closing(trackers):
        failed = execute(
            stages,
            store,
            workers=how.workers,
            per_device=how.per_device,
            device=how.device,
            threads=how.threads,
            timeout=how.timeout,
            fail_fast=how.fail_fast,
            on_done=lambda work, outcome: None,
            watcher=Watchers(tally, screen, trackers),
            stamps=plan.stamps,
            settled=True,
        )
    note(tally.summary)
    return failed


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM interrupt the block as Ctrl-C does, and print how to resume."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show_results(
    plan: Plan, todo: Sequence[Job], store: Store, *, is_first_look: bool, json: bool
) -> None:
    from fewbench.cli import first_look
    from fewbench.cli.table_print import print_tables
    from fewbench.store.seed_runs import SeedRuns

    new = {job.key for job in todo}
    found = (store.get(job.run) if job.key in new else plan.records[job.key] for job in plan.jobs)
    records = [record for record in found if record is not None]
    if is_first_look and not json:
        first_look.show(records, store.root)
    else:
        groups = [SeedRuns.alone(record) for record in records]
        print_tables(groups, "json" if json else "terminal")
