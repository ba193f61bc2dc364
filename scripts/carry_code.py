"""Carry the code hashes of stored records over a change that alters no number, where a run of each method proves it.

A move, a rename or another way of hashing gives every method another hash, and all its records would be shown as made
by older code. For each method whose records were current at a commit, one of its runs is done again by the code of
today. If its predictions are the same to the byte, the method's records take today's hash; if not, they keep theirs.

    python scripts/carry_code.py results --data DATA --since COMMIT
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import subprocess
import sys
import tarfile
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from fewbench.artifacts import artifact_key
from fewbench.cell import label
from fewbench.errors import BenchError
from fewbench.pipeline import PLUS
from fewbench.plan import Request, make_plan
from fewbench.record import Record
from fewbench.registry import methods
from fewbench.runner.local import execute
from fewbench.selection import info_of
from fewbench.store import Store

CHECKOUT = Path(__file__).resolve().parent.parent


def hashes_at(commit: str, folder: Path) -> dict[str, str]:
    """Return the hash of each method's code at a commit, by the rule of that commit; its files go to `folder`."""
    git = ["git", "-C", str(CHECKOUT), "archive", commit, "bench", "methods"]
    packed = subprocess.run(git, capture_output=True, check=True).stdout
    tarfile.open(fileobj=io.BytesIO(packed)).extractall(folder, filter="data")
    rule = _rule(folder / "bench" / "codehash.py")
    files = sorted((folder / "methods").glob("[!_]*.py"))
    return {file.stem.replace("_", "-"): str(rule.code_hash(file)) for file in files}


def _rule(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("codehash_of_a_commit", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hash_of(method: str, hashes: dict[str, str]) -> str | None:
    """Return the hash of a method, or of a pipeline of steps; None if a part of it is not known."""
    parts = method.split(PLUS)
    if any(part not in hashes for part in parts):
        return None
    return hashes[method] if len(parts) == 1 else artifact_key([hashes[part] for part in parts])[:16]


def proof(records: list[Record], store: Store, data: Path, workers: int) -> str:
    """Do the quickest of some runs of one method again; return why it proves nothing, or nothing if it does."""
    fit = [r for r in records if r.status == "ok" and r.predictions and r.run.inputs.known]
    if not fit:
        return "none of its runs says what it was made from"
    quickest = min(fit, key=lambda record: record.timing.get("total_seconds", 0))
    run = quickest.run
    request = Request(
        methods=(label(run.method, run.settings),),
        tasks=(f"{run.task}@{run.source}",),
        k=(run.k,),
        seeds=(run.seed,),
        student=run.student.name if run.student else "fewbench-micro",
        teacher=run.teacher.name if run.teacher else None,
        protocol=run.protocol,
        data=data,
        offline=True,
        templates=(run.template,) if run.template else (),
        corpus=run.corpus.name if run.corpus and run.corpus.name != "demo" else None,
    )
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Store(Path(scratch))
        plan = make_plan(request, fresh)
        if [job.key for job in plan.jobs] != [run.key]:
            return f"run {run.key[:8]} is made from other things today"
        stages = plan.stages(plan.todo())
        execute(stages, fresh, workers=workers, device="cpu", threads=1, on_done=lambda work, outcome: None)
        again = fresh.get(run)
        if again is None or again.status != "ok":
            return f"run {run.key[:8]} fails today: {again and again.error}"
        if again.predictions != quickest.predictions:
            return f"run {run.key[:8]} predicts otherwise today: {again.scores['test']} for {quickest.scores['test']}"
    return ""


def main() -> int:
    """Carry hashes over in a results folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--since", required=True, help="the commit at which the records were current")
    parser.add_argument("--methods", help="only these, by commas")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    store = Store(given.results)
    with tempfile.TemporaryDirectory() as folder:
        before = hashes_at(given.since, Path(folder))
    current: dict[str, list[Record]] = defaultdict(list)
    for record in store.records():
        if record.method_code == hash_of(record.run.method, before):
            current[record.run.method].append(record)
    known = methods()
    wanted = given.methods.split(",") if given.methods else sorted(current)
    for method in wanted:
        info = info_of(method, known)
        try:
            problem = proof(current[method], store, given.data, given.workers) if info else "it is not here any more"
        except BenchError as error:
            problem = str(error)
        if not problem and info is not None:
            for record in current[method]:
                predictions = store.predictions(record) if record.predictions else None
                store.save(replace(record, method_code=info.code_hash()), predictions)
        print(
            f"{method}: {len(current[method])} records " + (f"keep their hash: {problem}" if problem else "carried"),
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
