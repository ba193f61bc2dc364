"""Hostile texts, and stores that hold them wherever a text may stand."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from stored import a_record, some_predictions

from fewbench.report.published import COLUMNS
from fewbench.store.measurement import measured, write
from fewbench.store.parts import Environment, Selection, SplitFacts, Trial
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import ModelRef, Run

HOSTILE = {
    "terminal": "\x1b[2J\x1b]0;title\x07\x9b31m\x7f\rover",
    "link": "\x1b]8;;http://evil\x1b\\here\x1b]8;;\x1b\\",
    "order": "\u202eevil\u2066\ufeff\u200b\u2028next\u2029",
    "surrogate": "a\udce9\x00b",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)><!--",
    "end of script": '</script><script>alert(1)//"&quot;',
    "markdown": "a|b`c`[x](javascript:alert(1))![y](http://evil)<b>**d**\n# e",
    "latex": r"\input{/etc/passwd}$x^2$%&#_{}~\\[1ex]",
    "rich": "[red]r[/red][link=http://evil]s[/link][/][bold",
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+cmd",
    "minus": "-1+cmd",
    "at": "@SUM(1)",
    "tab": "\t=1+1",
    "return": "\r\n=1+1",
    "wide": "＝1+1",
}
"""What would do harm somewhere, by kind."""

FAILED = 2
"""The split seed whose runs have failed."""

STEERING = ("terminal", "link", "order", "surrogate", "rich")
ALL = "".join(HOSTILE[kind] for kind in (*STEERING, "html", "formula"))
"""What could harm a terminal, in one text."""


def save(store: Store, text: str, method: str, seed: int, teacher: Run | None = None) -> Record:
    """Store a run in which every text is hostile; of the seed `FAILED` one that failed."""
    names = dict.fromkeys(("task", "source", "protocol", "template"), text)
    ref = ModelRef(text, "", "0" * 16)
    plain = a_record(
        **names, method=method, seed=seed, student=ref, teacher=ref, settings={text: text}
    )
    trial = Trial(settings={text: text}, seed=1, dev={text: 0.5}, extra={text: text})
    record = replace(
        plain,
        scores={part: {text: 0.5 + seed / 10} for part in ("dev", "test")},
        selection=Selection(
            metric=text, positive=text, settings={text: text}, trial=0, trials=(trial, trial)
        ),
        split=SplitFacts(whole_test_fingerprint=text, extra={text: text}),
        details={
            text: text,
            "label_words": [text],
            "teacher": {"run": teacher.key if teacher else text},
        },
        environment=Environment(device=text, commit=text, extra={text: text}),
        warnings=(text,),
        method_code=text,
    )
    if seed == FAILED:
        failed = replace(
            record,
            status="failed",
            error=text,
            scores={},
            selection=Selection(),
            details={"traceback": text},
        )
        store.save(failed, None)
    else:
        store.save(record, some_predictions())
    found = store.get(record.run)
    assert found is not None
    return found


def measure(store: Store, record: Record) -> None:
    """Store what tables show beyond the score, with every text hostile."""
    text = record.run.task
    told = {"settings": {text: text}, "environment": Environment(extra={text: text})}
    cost = {"parameters": {"total": 2_500_000}, "layer_ratio": 2.0, text: text}
    write(store, record, measured(record, "cost", scores=cost, **told))
    attack = {"after_attack_accuracy": 0.125, "mean_queries": 97.5, text: text}
    write(
        store, record, measured(record, "attack", "cli", scores=attack, **told), {".jsonl": b"{}\n"}
    )


def published(folder: Path, texts: list[str]) -> None:
    """Write a file of published numbers that stand beside ours."""
    folder.mkdir()
    writable = [
        text
        for text in texts
        if text.isprintable() or text.encode("utf-8", "ignore").decode() == text
    ]
    with (folder / "evil.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(COLUMNS)
        for text in writable:
            given = {
                "method": text,
                "task": text,
                "metric": text,
                "K": "16",
                "value": "50",
                "std": "",
                "n": "",
            }
            rows.writerow([given.get(name, text) for name in COLUMNS])
            rows.writerow(
                [
                    {**given, "metric": "accuracy", "task": "sst-2"}.get(name, text)
                    for name in COLUMNS
                ]
            )
