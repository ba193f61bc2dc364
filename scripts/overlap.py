"""Write docs/overlap.md: how many test rows of each task stand in the text that the embedded models
were trained on.

python scripts/overlap.py --corpora CORPUS CORPUS --data DATA --out docs/overlap.md
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path

from fewbench.data.documents import documents
from fewbench.data.reader import find_file, read_rows
from fewbench.data.task_file import declared
from fewbench.errors import BenchError
from fewbench.io.atomic import write_whole
from fewbench.registry.methods import task_files
from fewbench.types import Task

WINDOW = 8
"""Words: a text of fewer is in any corpus by chance, and is not looked for."""
HEAD = """# Test rows in the embedded models' text

Written by `scripts/overlap.py`; edit nothing by hand. A text stands in a corpus if its bare lower-case words follow
each other in one document. A test row is looked for if one of its texts has {window} words or more, and counts as seen
if all of these stand there. No label is in the corpora. Corpora: {corpora}.

| task | test rows | looked for | seen |
| --- | ---: | ---: | ---: |
"""


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--corpora", nargs="+", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/overlap.md"))
    args = parser.parse_args()
    tests = read_tests(args.data)
    wanted: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
    for rows in tests.values():
        for text in (text for texts in rows for text in texts if len(text) >= WINDOW):
            wanted[text[:WINDOW]].add(text)
    seen = found(args.corpora, wanted)
    lines = [_line(name, rows, seen) for name, rows in tests.items()]
    corpora = ", ".join(Path(corpus).name for corpus in args.corpora)
    write_whole(
        args.out, (HEAD.format(window=WINDOW, corpora=corpora) + "\n".join(lines) + "\n").encode()
    )


def read_tests(data: Path) -> dict[str, list[list[tuple[str, ...]]]]:
    """Return the words of every text of every test row, by task; tasks whose data is not there are
    left out.
    """
    tests = {}
    for task in declared(task_files([])).tasks.values():
        if not _is_chinese(task):
            try:
                if None not in [find_file(task, data, split) for split in task.source.splits]:
                    rows = read_rows(task, data, offline=True).test
                    tests[task.full_name] = [[words(text) for text in row.texts] for row in rows]
            except BenchError as error:
                print(f"{task.full_name}: {error.problem}")
    return tests


def found(
    corpora: list[str], wanted: dict[tuple[str, ...], set[tuple[str, ...]]]
) -> set[tuple[str, ...]]:
    """Return which texts stand in a corpus, whole; `wanted` holds them by their first words."""
    seen: set[tuple[str, ...]] = set()
    for corpus in corpora:
        for document in documents(corpus):
            stream = words(" ".join(document))
            for first, window in enumerate(
                zip(*(stream[shift:] for shift in range(WINDOW)), strict=False)
            ):
                for text in wanted.get(window, ()):
                    if stream[first : first + len(text)] == text:
                        seen.add(text)
    return seen


def words(text: str) -> tuple[str, ...]:
    """Return a text's words in lower case, without punctuation."""
    return tuple(re.findall(r"\w+", text.lower()))


def _line(name: str, rows: list[list[tuple[str, ...]]], seen: set[tuple[str, ...]]) -> str:
    long = [[text for text in row if len(text) >= WINDOW] for row in rows]
    looked = [row for row in long if row]
    return f"| {name} | {len(rows)} | {len(looked)} | {sum(all(text in seen for text in row) for row in looked)} |"


def _is_chinese(task: Task) -> bool:
    return bool(re.search(r"[\u4e00-\u9fff]", "".join(str(task.template))))


if __name__ == "__main__":
    main()
