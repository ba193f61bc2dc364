"""`bench status`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from fewbench.cli.options import (
    AllowOption,
    AttentionOption,
    ConfigOption,
    CorpusOption,
    DataOption,
    DropLeaksOption,
    DtypeOption,
    JsonOption,
    KeepModelsOption,
    KOption,
    LimitOption,
    MethodsOption,
    OfflineOption,
    ProtocolOption,
    ResultsOption,
    SeedsOption,
    ShardOption,
    StudentOption,
    TasksOption,
    TeacherOption,
    TemplatesOption,
    WorkersOption,
)
from fewbench.cli.out import (
    fail_if_damaged,
    note,
    print_json,
    print_list,
    say,
    shown_time,
)
from fewbench.errors import how_many, shortened

if TYPE_CHECKING:
    from fewbench.runner.overview import Overview
    from fewbench.store.claims import Claim
    from fewbench.store.store import Store
    from fewbench.types import Json

SHOWN_FAILURES = 10
"""The failed runs that a terminal shows at most."""


def status(
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
    shard: ShardOption = None,
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    workers: WorkersOption = None,
    limit: LimitOption = None,
    drop_leaks: DropLeaksOption = False,
    dtype: DtypeOption = "float32",
    attention: AttentionOption = "sdpa",
    keep_models: KeepModelsOption = False,
    allow_metric_code: AllowOption = False,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Show what is done, under way, failing and left in a results folder.

    With options that say which runs are meant, as those of bench run, what is left of them is
    counted, and how long it will take.
    """
    from fewbench.cli.requests import requests_of
    from fewbench.cli.run import planned
    from fewbench.runner.environment import cores
    from fewbench.runner.overview import overview_of, overview_of_plan
    from fewbench.runner.shards import parse_shard
    from fewbench.store.store import Store

    part = parse_shard(shard)
    store = Store(results, on_damage=lambda damage: None)
    asked = (methods, tasks, k, seeds, student, teacher, protocol, template, config, corpus, part)
    if any(asked) or limit or drop_leaks or keep_models:
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
        plan, todo = planned(requests, store, shard=part)
        overview = overview_of_plan(store, plan, todo, workers or cores())
        _show(overview, store, planned=True, json=json)
    else:
        _show(overview_of(store), store, planned=False, json=json)
    fail_if_damaged(store.damaged)


def _show(overview: Overview, store: Store, *, planned: bool, json: bool) -> None:
    if json:
        print_json(_as_json(overview, store, planned=planned))
        return
    say(_summary(overview, planned=planned))
    _show_claims(overview.under_way)
    if overview.failing:
        shown = overview.failing[:SHOWN_FAILURES]
        rows = [[failure.key[:8], failure.title, shortened(failure.error)] for failure in shown]
        print()
        print_list(("key", "failed", "error"), rows)
        if len(shown) < len(overview.failing):
            note(f"{len(overview.failing) - len(shown)} more failed: bench status --json")
    if overview.ended:
        rows = [[_title(claim), claim.by, _ago(claim.renewed)] for claim in overview.ended]
        print()
        print_list(("left by a process that ended", "where", "last sign"), rows)
        note("the next bench run of these takes them up")


def _summary(overview: Overview, *, planned: bool) -> str:
    counts = overview.counts
    parts = [f"{counts.done} done", f"{counts.failed} failed", f"{counts.under_way} under way"]
    if not planned:
        return f"{how_many(counts.runs, 'run')} stored: {', '.join(parts)}"
    text = f"{how_many(counts.runs, 'run')}: {', '.join([*parts, f'{counts.left} left'])}"
    if not counts.left + counts.under_way:
        return text
    if overview.seconds is None:
        return f"{text}\nno earlier runs to estimate the time from"
    return f"{text}\nabout {shown_time(overview.seconds)} to go, by the records of like runs"


def _show_claims(claims: Sequence[Claim]) -> None:
    if not claims:
        return
    rows = [[_title(claim), *_progress(claim), _age(claim.since), _pid(claim)] for claim in claims]
    print()
    print_list(("under way", "updates", "loss", "dev", "for", "pid"), rows, right=[1, 2, 3, 4])


def _progress(claim: Claim) -> list[str]:
    """Return the updates so far, the last loss and the last dev score as texts."""
    progress = claim.progress
    if progress is None:
        return ["", "", ""]
    trial = f"{progress.trial}/{progress.trials} " if progress.trials > 1 else ""
    loss = "" if progress.loss is None else f"{progress.loss:.3f}"
    dev = "" if progress.dev is None else f"{progress.dev:.3f}"
    return [f"{trial}{progress.step}/{progress.steps}", loss, dev]


def _pid(claim: Claim) -> str:
    """Return the number of the process, with its machine if that is not this one."""
    holder = claim.holder
    if holder is None:
        return claim.by
    return str(holder.pid) if holder.is_here else f"{holder.pid} on {holder.host}"


def _title(claim: Claim) -> str:
    return claim.title or f"{claim.key[:8]} (unreadable)"


def _age(since: str) -> str:
    """Return the time since a moment, by this machine's clock; empty if it is none."""
    try:
        return _ago(datetime.fromisoformat(since).timestamp())
    except (ValueError, OverflowError):
        return ""


def _ago(moment: float) -> str:
    return shown_time(max(0.0, datetime.now(timezone.utc).timestamp() - moment))


def _as_json(overview: Overview, store: Store, *, planned: bool) -> Json:
    counts = overview.counts._asdict()
    if not planned:
        del counts["left"]
    return {
        "results": str(store.root),
        **counts,
        "estimated_seconds": overview.seconds,
        "running": [_claim_json(claim) for claim in overview.under_way],
        "ended": [_claim_json(claim) for claim in overview.ended],
        "failing": [failure._asdict() for failure in overview.failing],
    }


def _claim_json(claim: Claim) -> Json:
    return {
        "key": claim.key,
        "title": claim.title,
        "host": claim.holder.host if claim.holder else None,
        "pid": claim.holder.pid if claim.holder else None,
        "since": claim.since,
        "progress": claim.progress._asdict() if claim.progress else None,
    }
