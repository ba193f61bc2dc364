"""Run the benchmarks, each beside its strongest peer, and write what they print as a page.

`python benchmarks/performance.py` writes `docs/performance.md`: by benchmark the command and its
figures (medians and ratios of one run; mean lengths where texts are read) and its day, and the
machine at the top. `--only` makes some of them again. Rounds and sizes are small, so that all takes
some minutes. A benchmark that needs a package or data that is not here is named as left out, with
its reason.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "performance.md"

BENCHMARKS: dict[str, str] = {
    "A trial of prompt-ft, beside the Trainer": "prompt_ft_trial.py --updates 20 --rounds 3",
    "Scoring a test set, beside a plain loop": "test_scoring.py --rounds 3 --sentences 500",
    "bfloat16, beside single precision": "arithmetic.py --rounds 3 --lengths 24",
    "int8, fewer heads and layers, exits": "speedups.py --hidden 256 --rounds 3",
    "int8, beside PyTorch's own": "int8.py --hidden 256 768 --rounds 5",
    "The packed view, beside the library's": "views.py --updates 10 --rounds 3",
    "Starting the command": "startup.py --rounds 5",
    "A plan": "planning.py --rounds 3",
    "Two workers, beside one": "workers.py --rounds 3",
    "A table of 10,000 records": "table_10000.py --rounds 3",
    "A comparison on 10,000 items": "compare_10000.py",
    "Commands, before and after": "earlier.py --before ../before --python ../before/.venv/bin/python "
    "--data ../shared/data",
    "An attack, beside TextAttack": "attack.py --data ../shared/data/textfooler/mr/test.jsonl "
    "--neighbours ../shared/data/attack/counter_fitted_neighbours.json --nltk-data ../shared/nltk_data "
    "--examples 16 --rounds 1",
}
"""The arguments of each benchmark by its title."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", metavar="FILE", help="only these, as startup.py; the rest stays"
    )
    parser.add_argument("--out", type=Path, default=PAGE, help="(default: %(default)s)")
    parser.add_argument(
        "--patience", type=float, default=400, help="seconds that each may take (default: 400)"
    )
    arguments = parser.parse_args()
    before = sections(arguments.out) if arguments.only else {}
    parts = [heading()]
    for title, line in BENCHMARKS.items():
        command = shlex.split(line)
        if arguments.only is None or command[0] in arguments.only:
            print(title, file=sys.stderr)
            parts.append(
                f"## {title}\n\n{time.strftime('%Y-%m-%d')}: {figures(command, arguments.patience)}\n"
            )
        elif title in before:
            parts.append(f"## {title}\n{before[title]}")
    arguments.out.write_text("\n".join(parts), "utf-8")


def sections(page: Path) -> dict[str, str]:
    """Return the sections of a page by their titles; none if there is no page yet."""
    text = page.read_text("utf-8") if page.exists() else ""
    parts = (part.partition("\n") for part in text.split("\n## ")[1:])
    return {title: body.rstrip("\n") + "\n" for title, _, body in parts}


def heading() -> str:
    """Return the top of the page: how it is made, the machine, and the versions."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    return (
        "# Performance\n\n"
        "Written by `python benchmarks/performance.py`. Ratios are of one run, to the side that is "
        "named first;\n`cpu` is processor time, which varies less on a busy machine.\n\n"
        f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {packages}.\n"
    )


def processor() -> str:
    """Return the processor's name, with bfloat16 if it multiplies it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    half = "bf16" in facts.get("flags", "")
    return facts.get("model name", platform.machine()) + (" with bfloat16" if half else "")


def figures(command: Sequence[str], patience: float) -> str:
    """Run a benchmark; return its command and what it printed, or why there is nothing."""
    shown = f"`python benchmarks/{shlex.join(command)}`"
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / command[0]), *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=patience,
            env=environment,
            cwd=HERE.parent,
        )
    except subprocess.TimeoutExpired:
        return f"{shown}: left out, it took more than {patience:g} s."
    if done.returncode:
        said = done.stderr.strip().splitlines()
        reason = said[-1] if said else f"it ended with {done.returncode}"
        return f"{shown}: left out: {reason}"
    return f"{shown}\n\n```\n{done.stdout.rstrip()}\n```"


if __name__ == "__main__":
    main()
