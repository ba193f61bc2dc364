"""Write docs/label-words.md: the label words that methods found, beside the paper's.

python scripts/label_words.py --results results --out docs/label-words.md
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.io.atomic import write_whole
from fewbench.io.toml import load
from fewbench.report.query import models_apart
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Settings

HERE = Path(__file__).parent
CLASSES = ("positive", "negative")
SHOWN = 10
"""Words of a class that are compared; the paper prints as many."""
HEAD = """# The label words that methods find

Written by the command below from the committed records; edit nothing by hand.

```
python scripts/label_words.py --results results --out docs/label-words.md
```

The first {shown} words of each class of {task}, K = 16: theirs with RoBERTa-large ({place}), ours with
`{student}`. Ours are ordered by how many splits have them among their first {shown}, a number behind each
word, and then by their mean place there. **Bold** words stand in both lists. Auto-L's are the words of its pairs that
were tuned, the best by dev first: the short protocol tunes fewer of them than the paper.
"""


class Found(NamedTuple):
    """A method of the paper, how it is called here, and the words that it found there."""

    name: str
    method: str
    settings: Settings
    theirs: dict[str, list[str]]


class Ranked(NamedTuple):
    """A word, the splits that have it among their first ones, and its mean place there."""

    word: str
    splits: int
    place: float


def words_of(record: Record, label: str) -> list[str]:
    """Return a run's first words of a class: of Auto-L, those of its pairs, each once."""
    words = record.details.get("label_words", {})
    if label not in words:
        return []
    tried = record.details.get("assignments")
    if tried:
        column = list(words).index(label)
        return list(dict.fromkeys(str(words[column]) for words in tried))[:SHOWN]
    return [str(word) for word in words[label][:SHOWN]]


def ranked(runs: Sequence[Record], label: str) -> list[Ranked]:
    """Return the first words of a class over the splits of a method."""
    places: dict[str, list[int]] = defaultdict(list)
    for run in runs:
        for place, word in enumerate(words_of(run, label)):
            places[word].append(place)
    found = [Ranked(word, len(where), fmean(where)) for word, where in places.items()]
    return sorted(found, key=lambda one: (-one.splits, one.place, one.word))[:SHOWN]


def lines(found: Found, runs: Sequence[Record]) -> Iterator[str]:
    """Write a method's section."""
    yield f"\n## {found.name}\n"
    yield f"{len(runs)} splits.\n"
    yield "| class | theirs | ours | in both |"
    yield "| --- | --- | --- | ---: |"
    for label in CLASSES:
        theirs, ours = found.theirs[label], ranked(runs, label)
        both = set(theirs) & {one.word for one in ours}
        told = ", ".join(f"{_bold(one.word, both)} {one.splits}" for one in ours)
        yield f"| {label} | {', '.join(_bold(word, both) for word in theirs)} | {told} | {len(both)} |"


def _bold(word: str, both: set[str]) -> str:
    return f"**{word}**" if word in both else word


def read(file: Path) -> tuple[str, str, list[Found]]:
    """Return the task, the paper's place, and its methods with their words."""
    table = load(file)
    methods = [
        Found(
            one["name"],
            one["method"],
            one["settings"],
            {label: one[label].split() for label in CLASSES},
        )
        for one in table["found"]
    ]
    return table["task"], table["place"], methods


def describe(records: Sequence[Record], student: str) -> str:
    """Return the page.

    Raises:
        BenchError: a method has no run of this student.
    """
    task, place, methods = read(HERE / "findings" / "label_words.toml")
    parts = [HEAD.format(task=task, place=place, student=student, shown=SHOWN).rstrip()]
    for found in methods:
        asked = (found.method, found.settings, task, 16, student)
        runs = [record for record in records if _asked(record) == asked]
        if not runs:
            raise BenchError(f"no run of {found.name} on {task} with {student}")
        parts += lines(found, runs)
    return "\n".join(parts) + "\n"


def _asked(record: Record) -> tuple[str, Settings, str, object, str]:
    run = record.run
    student = "" if run.student is None or record.status != "ok" else run.student.name
    return run.method, run.settings, run.task, run.k, student


def main() -> None:
    """Read the records and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--student", default="minilm-l3-mlm")
    parser.add_argument("--out", type=Path, default=Path("docs/label-words.md"))
    given = parser.parse_args()
    records = models_apart(Store(given.results).records())
    write_whole(given.out, describe(records, given.student).encode())


if __name__ == "__main__":
    main()
