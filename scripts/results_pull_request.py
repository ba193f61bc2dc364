"""Check the records that a pull request adds, and write the comment that says what they show.

    python scripts/results_pull_request.py BASE HEAD --comment comment.md

BASE and HEAD are results folders, before and after. Of HEAD only files are read: records are data,
and the code that checks them is the installed one. The exit code is 0 if all is right.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LONGEST = 60_000
"""Characters of a comment: GitHub takes 65,536."""

MOST_METHODS = 10
"""The most new methods that are compared one by one."""


def main() -> int:
    """Check, write the comment, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("head", type=Path)
    parser.add_argument("--comment", type=Path, required=True)
    parser.add_argument("--against", default="ft", help="the method to compare new ones with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text, is_right = comment(options.base, options.head, Path(folder), options.against)
    options.comment.write_text(shortened(text), "utf-8")
    return 0 if is_right else 1


def comment(base: Path, head: Path, work: Path, against: str) -> tuple[str, bool]:
    """Return the comment, and True if the records may be merged."""
    new, gone = work / "new", []
    before, after = files(base / "runs"), files(head / "runs")
    for name in sorted(before.keys() - after.keys()):
        gone.append(f"`{name}` is removed")
    for name, data in after.items():
        if name not in before:
            target = new / "runs" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        elif before[name] != data:
            gone.append(f"`{name}` is changed: a run that is there already stays as it is")
    if not new.exists() and not gone:
        return "This pull request adds no records.\n", True
    parts = ["## Records of this pull request"]
    problems = list(gone)
    if new.exists():
        checked = bench("submit", new, "--dry-run", "--json", "--results", base)
        report = json.loads(checked.stdout or "{}")
        problems += report.get("problems", [checked.stderr.strip()])
        parts.append(f"{report.get('records', 0)} whole records, {len(problems)} problems.")
        parts += [f"- {count} × {note}" for note, count in report.get("notes", {}).items()]
    if problems:
        parts += ["### Problems", *(f"- {problem}" for problem in problems)]
    elif new.exists():
        parts += comparison(base, new, work / "all", against)
    return "\n".join(parts) + "\n", not problems


def comparison(base: Path, new: Path, together: Path, against: str) -> list[str]:
    """Return the new numbers as a table, and each new method against one that all know."""
    parts = ["### New numbers", "", bench("table", "--format", "markdown", "--results", new).stdout]
    sources = [folder for folder in (base, new) if (folder / "runs").is_dir()]
    bench("merge", *sources, "--into", together)
    rows = json.loads(bench("table", "--json", "--results", new).stdout or "[]")
    for method in sorted({row["method"] for row in rows} - {against})[:MOST_METHODS]:
        done = bench(
            "compare", method, "--against", against, "--format", "markdown", "--results", together
        )
        body = done.stdout if done.returncode == 0 else done.stderr
        parts += [
            f"### `{method}` against `{against}`",
            "",
            body.strip() or "nothing in common",
            "",
        ]
    return parts


def files(runs: Path) -> dict[str, bytes]:
    """Return the files below a folder by path; links are not followed, and so are refused later."""
    found = {}
    for file in sorted(runs.rglob("*")) if runs.is_dir() else ():
        if file.is_file() and not file.is_symlink():
            found[file.relative_to(runs).as_posix()] = file.read_bytes()
    return found


def bench(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a command of the installed package."""
    command = [shutil.which("bench") or f"{Path(sys.executable).parent}/bench", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def shortened(text: str) -> str:
    """Cut a comment that is longer than GitHub takes."""
    return text if len(text) <= LONGEST else text[:LONGEST] + "\n\n… (cut)\n"


if __name__ == "__main__":
    sys.exit(main())
