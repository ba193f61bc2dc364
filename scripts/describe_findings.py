"""Write docs/findings.md: what the papers claim, and whether the committed results show it.

python scripts/describe_findings.py --results results --out docs/findings.md
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewbench.errors import BenchError, how_many
from fewbench.io.atomic import write_whole
from fewbench.io.toml import load
from fewbench.measure.attack import PAPER_RECIPE
from fewbench.measure.loyalty import label_loyalty, own_teacher, probability_loyalty
from fewbench.registry.protocols import get_protocol
from fewbench.report.compare.chance import at_chance
from fewbench.report.compare.clusters import by_task
from fewbench.report.compare.items import vary
from fewbench.report.compare.pairing import NamedQuestion, Pair, pairs
from fewbench.report.compare.rows import FEWEST_EACH, FEWEST_SEEDS
from fewbench.report.figures import score
from fewbench.report.preset_names import with_preset
from fewbench.report.query import by_label, code_of, find_label, models_apart
from fewbench.report.render.markdown import markdown
from fewbench.report.statistics.crossed import LEVEL, Paired, estimate, least_seeds, pairs_of_runs
from fewbench.report.statistics.paired import holm
from fewbench.report.tables.beyond import grids, rows
from fewbench.report.tables.measures import KINDS
from fewbench.report.today import Today
from fewbench.report.wanted import Wanted
from fewbench.store.inputs import protocol_hash
from fewbench.store.measurement import Shelf
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import K

HERE = Path(__file__).parent

HEAD = """# What the papers found, and what shows here

Written by the command below from the committed records; edit nothing by hand.

```
python scripts/describe_findings.py --results results --out docs/findings.md
```

Each claim is that one method is above another; both ran on the same splits. Values are means over split seeds, in
hundredths, with their spread (population standard deviation); *seeds* counts those on which the first is above. The
overall difference is the mean over tasks, the rows of a task averaged first; its interval is 95% over seeds by
Student's t, the seeds of a task's rows taken together, and p is of the same t. A claim **shows** if p is below 0.05,
corrected for the number of claims made of that student (Holm, 1979); its opposite shows likewise; else nothing can be
told.

A task at chance counts in no mean: none of a student's methods that train is above the majority class there, at any K,
by a one-sided t-test over the seeds of each method and question, where there are at least {fewest_tested}, corrected for
the number of tests. Its rows stand below the others, marked "at chance". Where no method has as many seeds, a task cannot
be called at chance, and it counts.

Protocols: {protocols}. Students and teachers:

{students}

Both runs of a row marked † were made by earlier constants of the protocol, under which taught methods had one trial;
rows without the mark by today's.

![Score against K on sst-2 and trec](figures/k-scaling.svg)

`bench plot k-scaling --tasks sst-2,trec --methods ft,prompt-ft,prompt-kd,prompt-distiller,smash --student
minilm-l3-mlm --out docs/figures/k-scaling.svg`

![Score and speed-up against the patience on mr](figures/patience.svg)

`bench plot patience --tasks mr --student fewbench-mini --out docs/figures/patience.svg`
"""


COMPRESSED = """
## Full data: how good, how faithful, how robust, how small, how fast

The pattern of thesis Tables 3.1, 4.1 to 4.3 and 5.1: score on test; loyalty to the run's own teacher; accuracy after
an attack; parameters, size and speed-up over the teacher in one process (of early exits over their model without them).
All these runs took {hours:.1f} hours, one after the other on one thread of a busy machine, without attacks and costs.
Those on qnli learned from a sample of 2,000 rows and chose by as many (`--k {sampled}`).

mnli by `thesis-4-v1` is thesis Table 4.1, on a sample of the training rows. The warm-up that the thesis prints is
longer than the training on so few, and the rate never reaches its peak.
`bench reproduce thesis 4.1 --show` sets it beside the printed table.

`bench table --k full,{sampled} --with loyalty,attack,cost`"""

ATTACK = "accuracy after an attack"

SAMPLED = "total-2000"
"""The K that stands for full data where all of it would take days."""

FULL: tuple[K, ...] = ("full", SAMPLED)
FEWEST_ROWS = 4
"""Methods of a task on full data that make a table."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A paper's claim: `first` is above `second` in `measure`."""

    claim: str
    place: str
    first: str
    second: str
    measure: str = "score"
    of: str = "student"
    """Whose runs are meant: those of the student, or of the teacher's model trained alike."""
    ks: tuple[K, ...] = (16,)
    protocol: str = "quick"
    reading: str = ""


class Models(NamedTuple):
    """A student, the teacher it learns from, and what they are in a few words."""

    student: str
    teacher: str
    what: str


class Measures:
    """What is compared of stored runs; each takes the runs of one method in one place and returns a
    number a run.
    """

    def __init__(self, store: Store, records: Iterable[Record]) -> None:
        self._store, self._known = store, {record.run.key: record for record in records}
        self._of: Mapping[str, Callable[[Sequence[Record]], list[float]]] = {
            "score": lambda runs: [score(run) for run in runs],
            "spread": _spread,
            "label-loyalty": lambda runs: [self._loyalty(label_loyalty, run) for run in runs],
            "probability-loyalty": lambda runs: [
                self._loyalty(probability_loyalty, run) for run in runs
            ],
            ATTACK: lambda runs: [100 * self._after_attack(run) for run in runs],
        }
        self._shelf = Shelf(store)

    def of(self, measure: str, runs: Sequence[Record]) -> list[float]:
        """Return a number a run, in hundredths."""
        if measure not in self._of:
            raise BenchError(f"no measure is called '{measure}'", allowed=self._of, given=measure)
        return self._of[measure](runs)

    def can(self, measure: str, pair: Pair) -> bool:
        """Return whether a measure can be taken: a loyalty needs the teachers' runs."""
        runs = (*pair.first, *pair.second)
        if measure == ATTACK:
            return all(self._attacks(run) for run in runs)
        is_loyalty = measure.endswith("loyalty")
        return not is_loyalty or all(own_teacher(run, self._known) for run in runs)

    def vary(self, pair: Pair) -> bool:
        """Return whether the answers of either method vary over split seeds."""
        return vary(pair.first, self._store) or vary(pair.second, self._store)

    def _after_attack(self, run: Record) -> float:
        return float(self._attacks(run)[0]["after_attack_accuracy"])

    def _attacks(self, run: Record) -> list[Mapping[str, Any]]:
        """Return the scores of the attack by TextFooler as its paper has it, on test rows drawn at
        random, if it is there.
        """
        attacks = (attack for attack in self._shelf.of(run, "attack") if "drawn" in attack.settings)
        return [attack.scores for attack in attacks if attack.name == PAPER_RECIPE]

    def _loyalty(self, loyalty: Callable[[Any, Any], float], run: Record) -> float:
        teacher = own_teacher(run, self._known)
        assert teacher is not None  # or `can` is False
        both = [self._store.predictions(record) for record in (teacher, run)]
        return 100 * loyalty(*(one.probabilities for one in both))


def _spread(runs: Sequence[Record]) -> list[float]:
    scores = np.array([score(run) for run in runs])
    return list(np.abs(scores - scores.mean()))


def describe(findings: Sequence[Finding], models: Sequence[Models], store: Store) -> str:
    """Return the document: the verdicts by student, then a section a finding."""
    records = [record for record in models_apart(store.records()) if record.status == "ok"]
    measures = Measures(store, records)
    columns = [told_of(each, findings, records, measures) for each in models]
    names = [f"`{each.student}`" for each in models]
    protocols = dict.fromkeys(f"`{finding.protocol}`" for finding in findings)
    parts = [
        HEAD.format(
            fewest_tested=FEWEST_SEEDS,
            protocols=", ".join(protocols),
            students="\n".join(
                f"- `{m.student}`, taught by `{m.teacher}`: {m.what}" for m in models
            ),
        ),
        f"| claim | {' | '.join(names)} |",
        f"| --- | {' | '.join('---' for _ in names)} |",
    ]
    for place, finding in enumerate(findings):
        verdicts = [column[place].verdict for column in columns]
        parts.append(f"| {finding.claim} | {' | '.join(verdicts)} |")
    for place, finding in enumerate(findings):
        texts = [column[place].text for column in columns if column[place].text]
        reading = [_filled(finding)] if finding.reading else []
        head = f"{finding.place}. Measured: {finding.measure}."
        parts += [f"\n## {finding.claim}\n\n" + "\n\n".join([head, *texts, *reading])]
    tables = compressed(records, store)
    seconds = sum(record.timing.total_seconds for record in records if record.run.k in FULL)
    head = COMPRESSED.format(hours=seconds / 3600, sampled=SAMPLED)
    parts += ["\n\n".join([head, *tables])] if tables else []
    return "\n".join([*parts, ""])


def compressed(records: Sequence[Record], store: Store) -> list[str]:
    """Return a table in Markdown for each task with methods trained on full data."""
    full = [record for record in records if record.run.k in FULL]
    measured = grids(rows(full, records, store, KINDS, Today().changed, code_of(full)))
    tables = [grid for grid in measured if len(grid.rows) >= FEWEST_ROWS]
    return [markdown(grid).strip() for grid in tables]


def _filled(finding: Finding) -> str:
    """Return what is to be read beside a finding, with its protocol's constants filled in."""
    return finding.reading.strip().format(**get_protocol(finding.protocol).prepare)


class Told(NamedTuple):
    """What is said of a claim for one student: a cell of the first table, and a text."""

    verdict: str
    text: str


def told_of(
    models: Models, findings: Sequence[Finding], records: Sequence[Record], measures: Measures
) -> list[Told]:
    """Return what is said of each claim for one student; p is corrected over its claims."""
    wanted = {
        "student": Wanted(student=models.student, teacher=models.teacher),
        "teacher": Wanted(student=models.teacher),
    }
    runs = {of: _asked(records, each) for of, each in wanted.items()}
    chance = {of: at_chance(some) for of, some in runs.items()}
    names = {"student": models.student, "teacher": models.teacher}
    found = [
        compare(each, names[each.of], runs[each.of], measures, chance[each.of]) for each in findings
    ]
    adjusted = iter(
        holm([one.p for one in found if isinstance(one, Compared) and one.p is not None])
    )
    return [_told(one, adjusted) for one in found]


def _asked(records: Sequence[Record], wanted: Wanted) -> list[Record]:
    return [record for record in records if record in wanted]


def _told(one: Compared | Told, adjusted: Iterator[float]) -> Told:
    if not isinstance(one, Compared):
        return one
    return one.told(math.nan if one.p is None else next(adjusted))


class Compared(NamedTuple):
    """Two methods' runs, paired: a table of them, the mean difference over its rows that are not at
    chance, its interval and p.
    """

    table: str
    gain: float
    low: float
    high: float
    p: float | None
    tasks: str

    def told(self, adjusted: float) -> Told:
        """Return the verdict and the text, where p is `adjusted` for the number of claims, nan with
        too few seeds.
        """
        verdict = (
            "not significant"
            if not adjusted < LEVEL
            else "shows"
            if self.low > 0
            else "the opposite shows"
        )
        overall = f"Mean of {self.tasks} {self.gain:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"
        ps = (
            "too few seeds to tell"
            if self.p is None
            else f"p {_p(self.p)}, corrected {_p(adjusted).removeprefix('= ')}"
        )
        text = f"{self.table}\n\n{overall}, {ps}: **{verdict}**."
        return Told(f"{self.gain:+.1f} {verdict}", text)


def compare(
    finding: Finding,
    model: str,
    records: Sequence[Record],
    measures: Measures,
    chance: Collection[str],
) -> Compared | Told:
    """Compare the two methods of a finding; where that cannot be, return what is to be said
    instead.
    """
    try:
        names, paired, apart = find_pairs(finding, records)
    except BenchError as error:
        return Told("not compared", f"`{model}`: not compared: {error.problem}.")
    paired = [pair for pair in paired if measures.can(finding.measure, pair)]
    if not paired:
        lacking = "attacks" if finding.measure == ATTACK else "teachers' runs"
        return Told("not compared", f"`{model}`: not compared: the {lacking} are not stored.")
    paired.sort(key=lambda pair: pair.question.task.task in chance)  # those at chance last
    drawn = [drawn_from(pair, finding, measures) for pair in paired]
    table = [
        f"`{model}`:\n",
        f"| task | K | {names[0]} | {names[1]} | difference | seeds |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(_row(pair, finding, measures, chance) for pair in paired),
        *(f"\nNot compared: {reason}." for reason in apart),
    ]
    above = [place for place, pair in enumerate(paired) if pair.question.task.task not in chance]
    if not above:
        told = "all tasks are at chance"
        return Told(told, "\n".join(table) + f"\n\n{told.capitalize()}.")
    tasks = by_task([paired[place].question for place in above])
    clusters = [[drawn[above[place]] for place in places] for places in tasks]
    enough = pairs_of_runs(clusters) >= FEWEST_SEEDS and least_seeds(clusters) >= FEWEST_EACH
    found = estimate(clusters)
    count = how_many(len(tasks), "task")
    p = found.p if enough else None
    return Compared("\n".join(table), found.difference, found.low, found.high, p, count)


def drawn_from(pair: Pair, finding: Finding, measures: Measures) -> Paired:
    """Return the differences of a pair, by seed."""
    first, second = (
        np.array(measures.of(finding.measure, side)) for side in (pair.first, pair.second)
    )
    return Paired(pair.seeds, first - second, fixed=not measures.vary(pair))


def _row(pair: Pair, finding: Finding, measures: Measures, chance: Collection[str]) -> str:
    sides = [np.array(measures.of(finding.measure, side)) for side in (pair.first, pair.second)]
    gain = sides[0] - sides[1]
    task = pair.question.task.task
    cells = [
        task + _age(pair) + (", at chance" if task in chance else ""),
        pair.question.k,
        *(f"{side.mean():.1f} ±{side.std():.1f}" for side in sides),
        f"{gain.mean():+.1f}",
        f"{(gain > 0).sum()} of {len(gain)}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _age(pair: Pair) -> str:
    """Return what marks a row whose runs were made by earlier constants of their protocol."""
    today = protocol_hash(get_protocol(pair.question.protocol))
    return "" if pair.question.constants == today else " †"


def _p(p: float) -> str:
    if p < LEVEL <= round(p, 3):
        return f"< {LEVEL}"  # rounded, it would not look significant
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


class Found(NamedTuple):
    """Both methods of a finding as they are stored, with their settings; their runs, paired; and
    why those of some questions are not.
    """

    names: list[str]
    pairs: list[Pair]
    apart: list[str]


def find_pairs(finding: Finding, records: Sequence[Record]) -> Found:
    """Find the runs of both methods, and pair them question by question.

    Raises:
        BenchError: one has no runs or several settings, or no question's runs can be paired.
    """
    wanted = Wanted(ks=frozenset(finding.ks), protocol=finding.protocol)
    stored = by_label(record for record in records if record in wanted)
    names = [find_label(name, stored, "results") for name in (finding.first, finding.second)]
    first, second = (_by_question(stored[name]) for name in names)
    found, apart = [], []
    for question in sorted(first.keys() & second.keys(), key=attrgetter("order")):
        try:
            found += pairs(first[question], second[question])
        except BenchError as error:
            apart.append(error.problem)
    shown = [with_preset(name) for name in names]
    return Found(shown, found or pairs(*(stored[name] for name in names)), apart)


def _by_question(records: Sequence[Record]) -> dict[NamedQuestion, list[Record]]:
    questions: dict[NamedQuestion, list[Record]] = {}
    for record in records:
        questions.setdefault(NamedQuestion.of(record.run), []).append(record)
    return questions


def read_findings(file: Path) -> tuple[list[Finding], list[Models]]:
    """Return what a file of findings holds: the claims, and the models they are asked of."""
    held = load(file)
    return [Finding(**each) for each in held["finding"]], [
        Models(**each) for each in held["models"]
    ]


def main() -> None:
    """Read the arguments, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, help="default: standard output")
    arguments = parser.parse_args()
    findings, models = read_findings(HERE / "findings" / "findings.toml")
    text = describe(findings, models, Store(arguments.results))
    if arguments.out is None:
        print(text, end="")
    else:
        write_whole(arguments.out, text.encode())


if __name__ == "__main__":
    main()
