"""Numbers printed in the papers: `results/published/*.csv`, one file per table.

They are other people's runs, and never share a cell with ours unmarked: `Beside.mark` says how they
differ.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from fewbench.data.train_size import is_full
from fewbench.errors import BenchError
from fewbench.registry.papers import Paper, papers
from fewbench.types import K

COLUMNS = tuple(
    "paper table group row method column task backbone K metric value std n note".split()
)

FOLDER = "published"
"""Its name within a results folder."""

PARSED = ("task", "K", "value", "std", "n")
"""The columns that are read as something else than their text."""

METRICS = {
    "accuracy": "percent",
    "f1": "percent",
    "macro_f1": "percent",
    "mcc": "percent",
    "pearson": "percent",
    "spearman": "percent",
    "exact_match": "percent",
    "token_f1": "percent",
    "average": "percent, the mean over the row's tasks",
    "unstated": "percent; the paper does not name the metric",
    "label_loyalty": "percent",
    "probability_loyalty": "percent",
    "after_attack_accuracy": "percent",
    "attack_queries": "queries an example",
    "mrr": "0 to 1",
    "probability": "0 to 1",
    "speedup": "times the model it was made of",
    "parameters_m": "millions",
    "train_minutes": "minutes",
    "peak_memory_gb": "GB",
}
"""What is printed, and its unit. Values are as printed: percents are not divided by 100."""

PROTOCOLS = {
    "smash": ("smash-v1",),
    "prompt-distiller": ("prompt-distiller-v1",),
    "ppt": ("ppt-v1",),
    "efficient-nlp-thesis 3": ("thesis-3-v1",),
    "efficient-nlp-thesis 4": ("thesis-4-v1",),
    "efficient-nlp-thesis 5": ("thesis-5-v1",),
    "efficient-nlp-thesis 6": ("thesis-6-v1", "lm-bff-v1"),
}
"""The protocols of a paper, or of a chapter of the thesis; several have the same constants."""


CITED = {"efficient-nlp-thesis": "thesis"}
"""What a paper of these files is cited as, where it goes by another key."""


def paper_of(key: str) -> Paper | None:
    """Return the paper of a key; None for one that is not of this project."""
    name = CITED.get(key, key)
    cited = (paper for paper in papers().values() if paper.cited == name)
    return next(cited, None)


OF_LM_BFF = "LM-BFF"
"""Stands in the note of a number that a paper took from LM-BFF, whose protocol it is."""

HIDDEN_NOTES = ("GLUE test server", "test set")
"""Notes of numbers scored by GLUE's server, whose test labels nobody has."""

UNSTATED = "source of the data not stated"
"""The mark of a number whose paper does not say which of a task's sources it used."""


@dataclass(frozen=True, slots=True)
class Published:
    """One number of one table.

    `row`, `group` and `column` are as printed; `method` is ours, with its settings as `bench run`
    takes them, or empty where we have none. `k` is examples per class, `full`, `32 total`, or empty
    where no example is used. `std` and `n` (runs) are None where the paper does not say; `note`
    holds its footnotes. `task_source` is empty where the paper does not say which of a task's
    sources it used, and `template` where the prompt is the task's own.
    """

    paper: str
    table: str
    group: str
    row: str
    method: str
    column: str
    task: str
    backbone: str
    k: str
    metric: str
    value: float
    std: float | None
    n: int | None
    note: str
    task_source: str = ""
    template: str = ""

    @property
    def source(self) -> str:
        """The place in its paper: `smash Table 2, "dR-b"`; or the source it was imported from."""
        row = ": ".join(filter(None, [self.group, self.row]))
        if self.is_imported:
            return f"{self.paper} (imported), {row}"
        return f"{self.paper} Table {self.table}, {row}"

    @property
    def notes(self) -> list[str]:
        """Its footnotes, one by one."""
        return self.note.split("; ")

    @property
    def is_of_hidden_test(self) -> bool:
        """True for a score on GLUE's hidden test set."""
        return any(note in HIDDEN_NOTES for note in self.notes)

    @property
    def is_imported(self) -> bool:
        """True for a number that stands in no paper's table (`fewbench.report.foreign`)."""
        return not self.table

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols of ours that it was made by, the paper's own first; there may be none."""
        if OF_LM_BFF in self.note:
            return ("lm-bff-v1",)
        return protocols_of(self.paper, self.table)


def protocols_of(paper: str, table: str) -> tuple[str, ...]:
    """Return the protocols of ours that a table was made by, its paper's own first."""
    chapter = table.partition(".")[0]
    return PROTOCOLS.get(paper) or PROTOCOLS.get(f"{paper} {chapter}", ())


class Beside(NamedTuple):
    """A published number for a row of its own backbone; `mark` says how it differs from ours."""

    method: str
    task: str
    backbone: str
    k: str
    value: float
    std: float | None
    n: int | None
    source: str
    mark: str


def published_folder(results: Path) -> Path:
    """Return the folder of published numbers: that of a results folder, or else the project's."""
    own = results / FOLDER
    return own if own.is_dir() else Path(str(resources.files("fewbench.published")))


def read_published(folder: Path) -> list[Published]:
    """Return all published numbers of a folder, by file and line.

    Raises:
        BenchError: no such folder or no tables in it, other columns, or a number that is none.
    """
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise BenchError(
            "there are no published numbers here",
            where=str(folder),
            allowed="a folder of CSV files, as results/published of the project",
            fix="--results results, from a checkout of the project",
        )
    return [number for file in files for number in _read(file)]


def _read(file: Path) -> Iterator[Published]:
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise BenchError("wrong columns", where=str(file), allowed=", ".join(COLUMNS))
        for row in reader:
            where = f"{file}, line {reader.line_num}"
            if None in row or None in row.values():
                raise BenchError("a line with too many or too few cells", where=where)
            plain = {name: row[name] for name in COLUMNS if name not in PARSED}
            place, _, template = row["task"].partition("+")
            task, _, source = place.partition("@")
            std, n = row["std"], row["n"]
            yield Published(
                task=task,
                task_source=source,
                template=template,
                k=row["K"],
                value=_number(row["value"], where),
                std=_number(std, where) if std else None,
                n=int(_number(n, where)) if n else None,
                **plain,
            )


def _number(text: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BenchError(f"'{text}' is not a number", where=where)
    return number


def beside(
    numbers: Iterable[Published],
    *,
    method: str,
    task: str,
    source: str,
    template: str = "",
    metric: str,
    k: K,
    protocol: str,
) -> list[Beside]:
    """Return the published numbers for a method on a task, of the same K if there are any.

    Args:
        numbers: of any tables.
        method: with or without settings; numbers of the same method with any settings are returned.
        task: without its source.
        source: of the task; numbers on the rows of another are marked.
        template: the prompt, if it is not the task's own; numbers with another are marked.
        metric: the one shown; numbers of another are left out.
        k: of our runs.
        protocol: by name.
    """
    base = method.partition(":")[0]
    near = [
        n
        for n in numbers
        if n.method.partition(":")[0] == base and (n.task, n.metric) == (task, metric)
    ]
    same = [number for number in near if number.k in ("", printed_k(k))]
    return [
        Beside(
            n.method,
            n.task,
            n.backbone,
            n.k,
            n.value,
            n.std,
            n.n,
            n.source,
            _differences(n, source, template, k, protocol),
        )
        for n in _once(same or near)
    ]


def printed_k(k: K) -> str:
    """Return a K as the files write it: `total-32` is `32 total` there."""
    word, _, count = str(k).partition("-")
    return f"{count} total" if word == "total" else str(k)


def k_option(text: str) -> str:
    """Return a printed K as `--k` takes it, `32 total` as `total-32`; empty for the protocol's."""
    count, _, total = text.partition(" ")
    return f"{total}-{count}" if total else text


def shown_k(k: K) -> K:
    """Return a K as the page shows it, where ours and printed ones stand side by side."""
    return k if isinstance(k, int) else printed_k(k)


def _once(numbers: Iterable[Published]) -> list[Published]:
    """Drop repeats of a number in a paper: keep that with a std, or the first."""
    unique: dict[tuple[object, ...], Published] = {}
    for number in numbers:
        key = (number.paper, number.method, number.backbone, number.k, number.value)
        if key not in unique or (unique[key].std is None and number.std is not None):
            unique[key] = number
    return list(unique.values())


def _differences(number: Published, source: str, template: str, k: K, protocol: str) -> str:
    """Say how a number's conditions differ from those given; empty where they do not."""
    marks = []
    if number.task_source != source:
        marks.append(f"{number.task}@{number.task_source}" if number.task_source else UNSTATED)
    if number.template != template:
        marks.append(f"prompt {number.template or 'own'}")
    if number.k not in ("", printed_k(k)):
        marks.append("full training set" if is_full(number.k) else f"K={number.k}")
    if protocol not in number.protocols:
        marks.append("another protocol")
    if number.is_of_hidden_test:
        marks.append("GLUE's hidden test set")
    marks += filter(_is_median, number.notes)
    return "; ".join(marks)


def _is_median(note: str) -> bool:
    return note.startswith("median")
