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
    new = work / "new"
    before, after = files(base / "runs"), files(head / "runs")
    removed = [name for name in before.keys() - after.keys() if is_record(name)]
    touched = [name for name in after if before.get(name) != after[name]]
    replaced = [name for name in touched if name in before and is_record(name)]
    if not touched and not removed:
        return "This pull request adds no records.\n", True
    stems = {stem(name) for name in touched}
    for name, data in after.items():
        if stem(name) in stems:
            target = new / "runs" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    parts = ["## Records of this pull request"]
    problems = [f"`{name}` is removed" for name in sorted(removed)]
    if touched:
        checked = bench("submit", new, "--dry-run", "--json", "--results", base)
        report = json.loads(checked.stdout or "{}")
        problems += report.get("problems", [checked.stderr.strip()])
        parts.append(f"{report.get('records', 0)} whole records, {len(problems)} problems.")
        parts += [f"- {count} × {note}" for note, count in report.get("notes", {}).items()]
    parts += [f"- `{name}` takes the place of a record: say why it differs" for name in replaced]
    if problems:
        parts += ["### Problems", *(f"- {problem}" for problem in problems)]
    else:
        parts += comparison(base, new, work / "all", against)
    return "\n".join(parts) + "\n", not problems


def is_record(name: str) -> bool:
    """Return True for a record, not for what stands beside it."""
    return name.endswith(".json") and Path(name).name.count(".") == 1


def stem(name: str) -> str:
    """Return the path that a record shares with its predictions and measurements."""
    return str(Path(name).with_name(Path(name).name.partition(".")[0]))


def comparison(base: Path, new: Path, together: Path, against: str) -> list[str]:
    """Return the new numbers as a table, and each new method against one that all know."""
    parts = ["### New numbers", "", bench("table", "--format", "markdown", "--results", new).stdout]
    sources = [folder for folder in (base, new) if (folder / "runs").is_dir()]
    bench("merge", *sources, "--into", together, "--keep", "new")
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
