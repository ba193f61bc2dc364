"""Four commands at once on one store, killed at random moments: nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from conftest import PROJECT

from fewbench.store.claims import Claims
from fewbench.store.store import Store

ASKED = ["--methods", "majority,ft,vanilla-kd,zero-shot:pmi", "--seeds", "13"]
PLACES = ("timing", "environment", "checksum")


def start(results, log):
    """Start a command in a process group of its own, as on a machine of its own."""
    command = [sys.executable, "-m", "fewbench", "run", *ASKED, "--workers", "1"]
    with log.open("ab") as stream:
        return subprocess.Popen(
            [*command, "--results", str(results)],
            stdout=subprocess.DEVNULL,
            stderr=stream,
            cwd=PROJECT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )


def contents(results):
    """Return what is in every record but times and machine, and the bytes of its predictions."""
    found = {}
    for file in sorted((results / "runs").rglob("*")):
        if file.is_dir():
            continue
        content = file.read_bytes()
        if file.suffix == ".json":
            record = json.loads(content)
            for place in PLACES:
                record.pop(place, None)
            content = json.dumps(record, sort_keys=True).encode()
        found[str(file.relative_to(results))] = content
    return found


@pytest.mark.slow
def test_four_commands_with_kills(tmp_path):
    rng = random.Random(5)
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    assert start(alone, tmp_path / "alone.err").wait() == 0
    logs = [tmp_path / f"{number}.err" for number in range(4)]
    running = [start(shared, log) for log in logs]
    kills, at_work = 0, Counter()
    until = time.monotonic() + 1800
    while kills < 6 and time.monotonic() < until:
        time.sleep(rng.uniform(3, 12))
        number = rng.randrange(4)
        if running[number].poll() is not None:
            break
        if not (shared / "runs").exists():
            continue
        ours = [claim for claim in Claims(shared / "claims").all() if claim.holder]
        at_work.update(claim.title for claim in ours if claim.holder.pid == running[number].pid)
        running[number].send_signal(rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        running[number].wait()
        kills += 1
        running[number] = start(shared, logs[number])
    assert [process.wait() for process in running] == [0, 0, 0, 0]
    assert contents(alone) == contents(shared)
    done = Counter()
    for log in logs:
        told = re.findall(r"^\[\d+/\d+\] (.*)$", log.read_text(), re.MULTILINE)
        here = [line for line in told if not line.endswith("(done elsewhere)")]
        done.update(line.partition("  ")[0] for line in here)
    runs = len(list(Store(shared).records()))
    print(f"{kills} kills, {sum(done.values())} done of {runs}")
    print(f"at work when killed: {dict(at_work)}")
    assert max(done.values()) == 1
    assert len(done) <= runs
    assert list((shared / "claims").iterdir()) == []
    assert {damage.severity for damage in Store(shared).fsck()} <= {"leftover"}
