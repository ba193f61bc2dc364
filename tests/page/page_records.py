"""Records for the page's tests: a small store of all that a page shows, and hostile names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fewbench.registry.methods import methods
from fewbench.report.site.content import read_content
from fewbench.store.parts import Environment, RunTiming, Selection, SplitFacts, Trial
from fewbench.store.record import Record, run_key
from fewbench.store.store import Store
from fewbench.types import ModelRef, Run

HOSTILE = (
    '<img src="x" onerror="document.title=1">',
    "</script><script>document.title='owned'</script>",
    '"><svg onload=alert(1)>',
    "<!--<script>",
    "javascript:alert(1)",
    "&lt;b&gt;&amp;",
    "__proto__",
    "constructor",
    "$title ${style}",
    "\u202edlrow olleh",
)
"""What a careless page would take for markup, an entity, a link, a property or a template's name.
"""

SEEDS = (13, 21, 42)


def make(
    method: str = "ft", task: str = "sst-2", *, seed: int = 13, score: float = 0.5, **changes: Any
) -> Record:
    """Return a finished run's record; `changes` are fields of the run or of the record."""
    run = Run(
        task=task,
        task_version=1,
        source="lm-bff",
        method=method,
        settings={},
        student=ModelRef("tiny", "", "0" * 16),
        teacher=None,
        k=16,
        seed=seed,
        protocol="quick",
        fingerprint=f"{task}-{seed}",
        test_fingerprint=f"test-{task}",
    )
    run = replace(run, **{name: changes.pop(name) for name in [*changes] if hasattr(run, name)})
    trials = [
        Trial(settings={"lr": lr}, seed=seed, dev={"accuracy": score - lr}, step=20)
        for lr in (0.0, 0.25)
    ]
    record = Record(
        run=replace(run, key=run_key(run)),
        status="ok",
        scores={part: {"accuracy": score} for part in ("dev", "test")},
        selection=Selection(metric="accuracy", settings={"lr": 0.0}, trial=0, trials=tuple(trials)),
        split=SplitFacts(n_train=32, n_dev=32, n_test=10),
        details={
            "label_words": ["terrible", "great"],
            "template": "{0} It was {mask}.",
            "curve": [[1, 0.5]],
        },
        method_code=methods()[method].code_hash() if method in methods() else "0" * 16,
        environment=Environment(
            device="cpu: Abacus", threads=1, commit="abcdef", load=1.0, packages={"torch": "2"}
        ),
        timing=RunTiming(total_seconds=4.0, peak_memory_mib=100.0),
    )
    return replace(record, **changes)


def failed(method: str, task: str, reason: str, **changes: Any) -> Record:
    """Return the record of a run that failed."""
    blank: dict[str, Any] = dict(scores={}, selection=Selection(), details={}, timing=RunTiming())
    return make(method, task, status="failed", error=reason, **blank, **changes)


def store_of(root: Path, *records: Record) -> Path:
    """Write records into a store; return its folder."""
    for record in records:
        Store(root).save(record, None)
    return root


def usual(root: Path) -> Path:
    """Write a store with stale, failed, missing and published numbers, two K and two protocols."""
    records = [
        *(make("ft", "sst-2", seed=s, score=0.60 + n / 100) for n, s in enumerate(SEEDS)),
        *(make("prompt-ft", "sst-2", seed=s, score=0.80 + n / 100) for n, s in enumerate(SEEDS)),
        *(make("prompt-ft", "sst-2", seed=s, score=0.70, k=4) for s in SEEDS),
        *(make("ft", "mr", seed=s, score=0.75, method_code="0" * 16) for s in SEEDS),
        *(make("ft", "trec", seed=s, score=0.40) for s in SEEDS[:2]),
        *(
            make("ft", "boolq", seed=s, score=0.55, source="super-glue", protocol="lm-bff-v1")
            for s in SEEDS
        ),
        failed("prompt-ft", "mr", "it broke", seed=13),
    ]
    publish(
        root,
        "smash,2,,Theirs,prompt-ft,SST-2,sst-2@lm-bff,roberta-large,16,accuracy,92.7,0.9,5,"
        "from another paper",
    )
    return store_of(root, *records)


def publish(root: Path, *lines: str) -> Path:
    """Write a file of published numbers; return it."""
    file = root / "published" / "some.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    header = "paper,table,group,row,method,column,task,backbone,K,metric,value,std,n,note"
    file.write_text("\n".join([header, *lines, ""]), "utf-8")
    return file


def data_of(root: Path, folder: Path | None = None) -> dict[str, Any]:
    """Return the page's data of a store, as it goes through JSON."""
    return json.loads(json.dumps(read_content(root, folder=folder).board))
