"""Carry stored runs over a change that alters none of their numbers, where that can be proven.

Three things age in a record without its number changing: the constants of its protocol, where those
that changed are not among what the run used; the hash of its method's code, where the code moved,
was renamed or is hashed by another rule; and the hash of its settings, where the method has new
ones whose defaults do what it did before.

**Constants.** The planner of today makes the run again. It is the same run if all it is made from
is the same but the protocol's hash, its trials are those that the record tells of, in their order,
and every other constant of its protocol, as the record's own commit states it, is what the run
would have today. It then takes today's key. A run with a trained teacher needs that the teacher's
run was carried, too.

**Code.** For each method whose records were current at a commit, one of its runs is done again by
the code of today. If all answers are the same, and all probabilities within 1e-5, its records take
today's hash. They need not be the same to the byte: rows that stand in other batches differ in
their last bits. A record that another machine made can be further off, without a change of the code
having to do with it: then the run is done by the commit's code, too, and all its probabilities have
to be the same to the bit.

**Settings.** As for code, one run of each method and its fixed settings is done again by today's
code and defaults, where those are others. If it comes out the same, its like take today's key and
hash.

    python scripts/carry.py constants results --data DATA
    python scripts/carry.py settings results --data DATA --since COMMIT
    python scripts/carry.py code results --data DATA --since COMMIT [--methods ft,kd]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fewbench.errors import BenchError
from fewbench.io import toml
from fewbench.io.atomic import remove
from fewbench.io.checked_json import joint_hash
from fewbench.registry.methods import methods
from fewbench.registry.pipeline import PLUS, info_of
from fewbench.runner.jobs import Job
from fewbench.runner.local import execute
from fewbench.runner.plan import Request, make_plan
from fewbench.store import paths
from fewbench.store.cell import label
from fewbench.store.measurement import attached_file, file_of, measurements, write
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Run

CHECKOUT = Path(__file__).resolve().parent.parent
CLOSE = 1e-5
"""How far probabilities may be apart."""

NO_CONSTANT = ("title", "paper", "k", "seeds", "ddof", "grid", "grid_taught", "grows_from")
"""What of a protocol's table is no constant of one run, or is compared by the trials and updates
that come of it.
"""


def request_of(runs: Iterable[Run], data: Path) -> Request:
    """Return a request that plans some runs, which are equal in all but method, K and seed."""
    runs = list(runs)
    some = runs[0]
    return Request(
        methods=tuple(sorted({label(run.method, run.settings) for run in runs})),
        tasks=(f"{some.task}@{some.source}",),
        k=tuple(sorted({run.k for run in runs})),
        seeds=tuple(sorted({run.seed for run in runs})),
        student=some.student.name if some.student else "fewbench-micro",
        teacher=some.teacher.name if some.teacher else None,
        protocol=some.protocol,
        data=data,
        offline=True,
        limit=some.limit,
        drop_leaks=some.drop_leaks,
        templates=(some.template,) if some.template else (),
        corpus=some.corpus.name if some.corpus and some.corpus.name != "demo" else None,
    )


def place_of(run: Run) -> tuple[Any, ...]:
    """Return what runs of one request share."""
    models = tuple(
        None if ref is None else ref.name for ref in (run.student, run.teacher, run.corpus)
    )
    return run.task, run.source, run.template, run.protocol, run.limit, run.drop_leaks, models


def jobs_of_today(
    records: Iterable[Record], store: Store, data: Path
) -> Iterator[tuple[Record, Job]]:
    """Yield each record with the run of today that goes by the same names, if there is one."""
    groups: dict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for record in records:
        groups[place_of(record.run)].append(record)
    for group in groups.values():
        try:
            plan = make_plan(request_of([record.run for record in group], data), store)
        except BenchError as error:
            print(
                f"not planned today: {group[0].run.task} {group[0].run.protocol}: {error.problem}",
                file=sys.stderr,
            )
            continue
        found = {_named(job.run): job for job in plan.jobs}
        for record in group:
            if (job := found.get(_named(record.run))) is not None:
                yield record, job


def _named(run: Run) -> tuple[Any, ...]:
    return label(run.method, run.settings), run.k, run.seed


@lru_cache
def constants_at(commit: str) -> dict[str, Any]:
    """Return the tables of the protocols at a commit."""
    text = _shown(commit, "bench/registry/protocols.toml") or _shown(commit, "bench/protocols.toml")
    with tempfile.TemporaryDirectory() as folder:
        (file := Path(folder) / "protocols.toml").write_bytes(text)
        return toml.load(file)


def _shown(commit: str, file: str) -> bytes:
    """Return a file as it was at a commit, or nothing if it was not there."""
    git = ["git", "-C", str(CHECKOUT), "show", f"{commit}:{file}"]
    return subprocess.run(git, capture_output=True).stdout


def unlike(record: Record, job: Job, keys: dict[str, str]) -> str:
    """Return why a run of today is not the one that a record tells of; nothing if it is.

    Args:
        record: of a finished run.
        job: the run of today.
        keys: the keys of today of runs that were carried, by those they had.
    """
    old, new = record.run, job.run
    teacher = keys.get(old.inputs.teacher, old.inputs.teacher)
    inputs = replace(
        old.inputs, protocol=new.inputs.protocol, trials=new.inputs.trials, teacher=teacher
    )
    again = replace(old, inputs=inputs, key=new.key, student=new.student, teacher=new.teacher)
    if again != new or _models(old) != _models(new):
        return "it is made from other things"
    trials = [trial.settings for trial in record.selection.trials or ()]
    if [{**trial} for trial in job.trials] != trials and [
        {**new.settings, **trial} for trial in job.trials
    ] != trials:
        return "its trials are others"
    commit = record.environment.commit
    if commit is None or record.environment.dirty:
        return "no clean commit made it"
    before = constants_at(commit).get(old.protocol, {})
    today = asdict(job.protocol)
    other = [
        name
        for name, value in before.items()
        if name not in NO_CONSTANT and today.get(name) != value
    ]
    return f"another {other[0]}" if other else ""


def _models(run: Run) -> list[str | None]:
    return [None if ref is None else ref.revision for ref in (run.student, run.teacher)]


def carry_constants(store: Store, data: Path) -> Counter[str]:
    """Give today's keys to the runs that today's constants make the same, teachers first."""
    pairs = [
        (record, job)
        for record, job in jobs_of_today(_known(store), store, data)
        if record.run.key != job.key
    ]
    keys: dict[str, str] = {}
    outcome: Counter[str] = Counter()
    for taught in (False, True):
        for record, job in pairs:
            if bool(record.run.inputs.teacher) != taught:
                continue
            if why := unlike(record, job, keys):
                outcome[f"{record.run.protocol}: {why}"] += 1
                continue
            details = dict(record.details)
            if taught:
                details["teacher"] = {**details["teacher"], "run": job.run.inputs.teacher}
            keys[record.run.key] = job.key
            rewrite(store, record, replace(record, run=job.run, details=details), keys)
            outcome[f"{record.run.protocol}: carried"] += 1
    return outcome


def rewrite(store: Store, old: Record, new: Record, keys: Mapping[str, str]) -> None:
    """Store a record under its new key, with its predictions and measurements, and remove the old
    one.

    Args:
        store: of both.
        old: as it is stored.
        new: of the same run, under another key.
        keys: the new keys of runs, by their old ones; measurements name other runs.
    """
    file = file_of(store, old)
    predictions = store.predictions(old) if old.predictions else None
    measured = list(measurements(store, old))
    place = store.save(new, predictions)
    new = store.find(new.run.key)
    for one in measured:
        beside = paths.measurement(file, one.what)
        attached = {
            e: attached_file(beside, e, digest).read_bytes() for e, digest in one.files.items()
        }
        named = {
            name: keys.get(value, value) if isinstance(value, str) else value
            for name, value in one.settings.items()
        }
        write(
            store,
            new,
            replace(one, run=new.run.key, predictions=new.predictions, settings=named),
            attached,
        )
    for other in [*file.parent.glob(f"{file.stem}.*")]:
        if other.stem != place.stem:
            remove(other)


def _known(store: Store) -> list[Record]:
    return [
        record for record in store.records() if record.run.inputs.known and record.status == "ok"
    ]


HASHES = """
import json
try:
    from fewbench.registry.methods import methods
except ImportError:  # of before the rooms
    from fewbench.registry import methods
print(json.dumps({name: method.code_hash() for name, method in methods().items()}))
"""


def hashes_at(commit: str, folder: Path) -> dict[str, str]:
    """Return the hash of each method's code at a commit, by the rule of that commit; its files go
    to `folder`.
    """
    git = ["git", "-C", str(CHECKOUT), "archive", commit, "bench", "methods", "tasks", "plots"]
    packed = subprocess.run(git, capture_output=True, check=True).stdout
    tarfile.open(fileobj=io.BytesIO(packed)).extractall(folder, filter="data")
    package = (folder / "bench").rename(folder / "fewbench")
    for inner in ("methods", "tasks", "plots"):
        (folder / inner).rename(package / inner)
    line = [sys.executable, "-c", HASHES]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(line, capture_output=True, check=True, cwd=folder, env=environment)
    return dict(json.loads(done.stdout))


def hash_of(method: str, hashes: dict[str, str]) -> str | None:
    """Return the hash of a method, or of a pipeline of steps; None if a part of it is not known."""
    parts = method.split(PLUS)
    if any(part not in hashes for part in parts):
        return None
    return hashes[method] if len(parts) == 1 else joint_hash([hashes[part] for part in parts])[:16]


def proof(records: list[Record], store: Store, data: Path, before: Path) -> str:
    """Do the quickest of some runs of one method again, with its teacher's.

    Return why it proves nothing, or nothing if it does.

    Args:
        records: the runs.
        store: of them.
        data: the folder of data files.
        before: the folder of the code that they were made by.
    """
    fit = [r for r in records if r.status == "ok" and r.predictions and r.run.inputs.known]
    seconds = {record.run.key: record.timing.total_seconds or 0 for record in store.records()}

    def with_teacher(record: Record) -> float:
        taught_by = (record.details.get("teacher") or {}).get("run")
        return seconds[record.run.key] + seconds.get(taught_by, 0)

    for quickest in sorted(fit, key=with_teacher):
        plan = make_plan(request_of([quickest.run], data), store)
        if [job.key for job in plan.jobs] == [quickest.run.key]:
            return done_again(quickest, plan.jobs[0], store, data, before)
    return "none of its runs is one of today"


def done_again(
    record: Record, job: Job, store: Store, data: Path, before: Path | None = None
) -> str:
    """Do a run again; return how it differs from its record, or nothing if it does not.

    Args:
        record: of the run.
        job: the run of today.
        store: of the record.
        data: the folder of data files.
        before: the folder of the code that made the record. What that makes here may stand in the
            record's place.
    """
    with tempfile.TemporaryDirectory() as scratch:
        today, then = Store(Path(scratch) / "today"), Store(Path(scratch) / "then")
        if not do(record, job.key, today, data):
            return "it is planned as another run"
        problem = _apart(record, store, today.get(job.run), today)
        if problem and before is not None:
            do_by(before, record, store, then, data)
            here = then.find(record.run.key)
            done = here is not None and here.status == "ok"
            if done and not _apart(here, then, today.get(job.run), today, close=0):
                return ""
        return problem


def do(record: Record, key: str, into: Store, data: Path) -> bool:
    """Do a run again, and what it needs; False if it would go by another key."""
    plan = make_plan(request_of([record.run], data), into)
    if [job.key for job in plan.jobs] != [key]:
        return False
    stages = plan.stages(plan.todo())
    quiet = {"on_done": lambda work, outcome: None}
    execute(stages, into, workers=1, device="cpu", threads=1, **quiet)
    return True


def do_by(code: Path, record: Record, store: Store, into: Store, data: Path) -> None:
    """Do a run again by the code in a folder, in a process of its own."""
    line = [sys.executable, __file__, "again", str(store.root), "--data", str(data)]
    line += ["--key", record.run.key, "--into", str(into.root)]
    subprocess.run(line, env={**os.environ, "PYTHONPATH": str(code)}, check=False)


def _apart(
    old: Record, store: Store, new: Record | None, fresh: Store, close: float = CLOSE
) -> str:
    """Return how a run that was done again differs, or nothing if it does not."""
    name = f"run {old.run.key[:8]}"
    if new is None or new.status != "ok":
        return f"{name} fails today: {new and new.error}"
    before, after = store.predictions(old), fresh.predictions(new)
    if before.ids != after.ids or before.array.shape != after.array.shape:
        return f"{name} answers other rows today"
    if not np.array_equal(before.answers, after.answers):
        return f"{name} answers otherwise today: {new.scores['test']} for {old.scores['test']}"
    most = float(np.abs(before.array - after.array).max())
    return f"{name} gives probabilities {most:.1e} apart" if most > close else ""


def current_at(commit: str, store: Store, folder: Path) -> dict[str, list[Record]]:
    """Return the records whose code was current at a commit, by method; it goes to `folder`."""
    before = hashes_at(commit, folder)
    current: dict[str, list[Record]] = defaultdict(list)
    for record in store.records():
        if record.method_code == hash_of(record.run.method, before):
            current[record.run.method].append(record)
    return current


def other_settings_alone(record: Record, job: Job) -> bool:
    """True if a run of today is made of what a record's was, but for the settings' hash."""
    old, new = record.run, job.run
    inputs = replace(old.inputs, settings=new.inputs.settings)
    again = replace(old, inputs=inputs, key=new.key, student=new.student, teacher=new.teacher)
    return old.key != new.key and again == new and _models(old) == _models(new)


def carry_settings(store: Store, data: Path, since: str) -> None:
    """Give today's keys to the runs of a method with new settings of which one comes out alike."""
    with tempfile.TemporaryDirectory() as folder:
        by_method = current_at(since, store, Path(folder))
    current = [record for records in by_method.values() for record in records]
    pairs: dict[str, list[tuple[Record, Job]]] = defaultdict(list)
    for record, job in jobs_of_today(current, store, data):
        if record.status == "ok" and other_settings_alone(record, job):
            pairs[label(record.run.method, record.run.settings)].append((record, job))
    for method, of_method in sorted(pairs.items()):
        of_method.sort(key=lambda pair: pair[0].timing.total_seconds or 0)
        record, job = of_method[0]
        try:
            problem = done_again(record, job, store, data)
        except BenchError as error:
            problem = str(error)
        if not problem:
            for record, job in of_method:
                code = job.method.code_hash()
                new = replace(record, run=job.run, method_code=code)
                rewrite(store, record, new, {record.run.key: job.key})
        outcome = f"keep their key: {problem}" if problem else "carried"
        print(f"{method}: {len(of_method)} records {outcome}", flush=True)
    _teachers(store)


def carry_code(store: Store, data: Path, since: str, wanted: list[str]) -> None:
    """Give today's hash to the records of each method of which a run comes out the same."""
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder)
        _carry_code(store, data, current_at(since, store, before), wanted, before)
    _teachers(store)


def _carry_code(
    store: Store, data: Path, current: Mapping[str, list[Record]], wanted: list[str], before: Path
) -> None:
    known = methods()
    for method in wanted or sorted(current):
        info = info_of(method, known)
        try:
            problem = "it is not here any more"
            if info:
                problem = proof(current[method], store, data, before)
        except BenchError as error:
            problem = str(error)
        if not problem and info is not None:
            for record in current[method]:
                predictions = store.predictions(record) if record.predictions else None
                store.save(replace(record, method_code=info.code_hash()), predictions)
        told = f"keep their hash: {problem}" if problem else "carried"
        print(f"{method}: {len(current[method])} records {told}", flush=True)


def _teachers(store: Store) -> None:
    """Let runs name the code that their teachers' records now have."""
    codes = {record.run.key: record.method_code for record in store.records()}
    for record in list(store.records()):
        told = record.details.get("teacher")
        if not told or told.get("code") == codes.get(told.get("run"), told.get("code")):
            continue
        details = {**record.details, "teacher": {**told, "code": codes[told["run"]]}}
        store.save(
            replace(record, details=details),
            store.predictions(record) if record.predictions else None,
        )


def main() -> int:
    """Carry the runs of a results folder over."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", choices=("constants", "settings", "code", "again"))
    parser.add_argument("results", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--since", help="the commit at which the records' code was current")
    parser.add_argument("--methods", help="only these, by commas")
    parser.add_argument("--key", help="with again: the run to do again, for itself")
    parser.add_argument("--into", type=Path, help="with again: the folder of its results")
    given = parser.parse_args()
    store = Store(given.results)
    if given.what == "constants":
        for what, count in carry_constants(store, given.data).most_common():
            print(f"{count:6} {what}")
        return 0
    if given.what == "again":
        record = store.find(given.key)
        return 0 if do(record, record.run.key, Store(given.into), given.data) else 1
    if given.since is None:
        parser.error("--since COMMIT is needed")
    if given.what == "settings":
        carry_settings(store, given.data, given.since)
        return 0
    carry_code(store, given.data, given.since, given.methods.split(",") if given.methods else [])
    return 0


if __name__ == "__main__":
    sys.exit(main())
