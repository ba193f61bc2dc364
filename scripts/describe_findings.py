"""Write docs/findings.md: what the papers claim, and whether the committed results show it.

python scripts/describe_findings.py --results results --out docs/findings.md
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewbench.errors import BenchError
from fewbench.io.atomic import write_whole
from fewbench.io.toml import load
from fewbench.measure.loyalty import label_loyalty, own_teacher, probability_loyalty
from fewbench.registry.protocols import get_protocol
from fewbench.report.compare.clusters import by_task
from fewbench.report.compare.items import vary
from fewbench.report.compare.pairing import Pair, pairs
from fewbench.report.compare.rows import FEWEST_EACH, FEWEST_SEEDS
from fewbench.report.figures import score
from fewbench.report.query import Wanted, by_label, find_label, models_apart
from fewbench.report.statistics.crossed import LEVEL, Paired, estimate, least_seeds, pairs_of_runs
from fewbench.report.statistics.paired import holm
from fewbench.store.inputs import protocol_hash
from fewbench.store.record import Record
from fewbench.store.store import Store

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
corrected for the number of claims (Holm,
1979); its opposite shows likewise; else nothing can be told. Protocol `{protocol}`. The students ({students}) are
embedded: far smaller than the papers' models, and they have read far less. Both runs of a row marked † were made by
earlier constants of the protocol, under which taught methods had one trial; rows without the mark by today's.

![Score against K on mr, sst-2 and trec](figures/k-scaling.svg)

`bench plot k-scaling --tasks mr,sst-2,trec --methods majority,ft,prompt-ft,amulap,prompt-distiller --student
fewbench-micro --out docs/figures/k-scaling.svg`

![Score and speed-up against the patience on mr](figures/patience.svg)

`bench plot patience --tasks mr --student fewbench-mini --out docs/figures/patience.svg`
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """A paper's claim: `first` is above `second` in `measure`."""

    claim: str
    place: str
    first: str
    second: str
    measure: str = "score"
    student: str = "fewbench-micro"
    ks: tuple[int, ...] = (16,)
    protocol: str = "quick"
    reading: str = ""


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
        }

    def of(self, measure: str, runs: Sequence[Record]) -> list[float]:
        """Return a number a run, in hundredths."""
        if measure not in self._of:
            raise BenchError(f"no measure is called '{measure}'", allowed=self._of, given=measure)
        return self._of[measure](runs)

    def vary(self, pair: Pair) -> bool:
        """Return whether the answers of either method vary over split seeds."""
        return vary(pair.first, self._store) or vary(pair.second, self._store)

    def _loyalty(self, loyalty: Callable[[Any, Any], float], run: Record) -> float:
        teacher = own_teacher(run, self._known)
        if teacher is None:
            raise BenchError(
                f"the teacher's run of {run.run.key[:8]} is not stored", fix="bench submit it too"
            )
        both = [self._store.predictions(record) for record in (teacher, run)]
        return 100 * loyalty(*(one.probabilities for one in both))


def _spread(runs: Sequence[Record]) -> list[float]:
    scores = np.array([score(run) for run in runs])
    return list(np.abs(scores - scores.mean()))


def describe(findings: Iterable[Finding], store: Store) -> str:
    """Return the document: a section a finding."""
    records = [record for record in models_apart(store.records()) if record.status == "ok"]
    measures = Measures(store, records)
    findings = list(findings)
    compared = [compare(finding, records, measures) for finding in findings]
    adjusted = iter(
        holm([one.p for one in compared if isinstance(one, Compared) and one.p is not None])
    )
    told = [_told(one, adjusted) for one in compared]
    head = HEAD.format(
        protocol=", ".join(dict.fromkeys(f.protocol for f in findings)),
        students=", ".join(dict.fromkeys(f"`{f.student}`" for f in findings)),
    )
    rows = [
        f"| {each.claim} | {verdict} |" for each, (verdict, _) in zip(findings, told, strict=True)
    ]
    return "\n".join(
        [
            head,
            "| claim | verdict |",
            "| --- | --- |",
            *rows,
            *(
                f"\n## {each.claim}\n\n{text}\n"
                for each, (_, text) in zip(findings, told, strict=True)
            ),
        ]
    )


def _told(one: Compared | tuple[str, str], adjusted: Iterator[float]) -> tuple[str, str]:
    if not isinstance(one, Compared):
        return one
    return one.told(math.nan if one.p is None else next(adjusted))


class Compared(NamedTuple):
    """Two methods' runs, paired: a table of them, the mean difference over its rows, its interval
    and p.
    """

    table: str
    gain: float
    low: float
    high: float
    p: float | None
    tasks: str
    reading: str

    def told(self, adjusted: float) -> tuple[str, str]:
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
        return verdict, text + (f"\n\n{self.reading.strip()}" if self.reading else "")


def compare(
    finding: Finding, records: Sequence[Record], measures: Measures
) -> Compared | tuple[str, str]:
    """Compare the two methods of a finding; where that cannot be, return what is to be said
    instead.
    """
    head = f"{finding.place}. Measured: {finding.measure}"
    try:
        names, paired = find_pairs(finding, records)
    except BenchError as error:
        return "not compared", f"{head}. Not compared: {error.problem}."
    rows, drawn = [], []
    for pair in paired:
        first, second = (
            np.array(measures.of(finding.measure, side)) for side in (pair.first, pair.second)
        )
        gain = first - second
        drawn.append(Paired(pair.seeds, gain, fixed=not measures.vary(pair)))
        means = [f"{side.mean():.1f} ±{side.std():.1f}" for side in (first, second)]
        cells = [
            pair.question.task.task + _age(pair),
            pair.question.k,
            *means,
            f"{gain.mean():+.1f}",
            f"{(gain > 0).sum()} of {len(gain)}",
        ]
        rows.append(f"| {' | '.join(map(str, cells))} |")
    tasks = by_task([pair.question for pair in paired])
    clusters = [[drawn[place] for place in places] for places in tasks]
    enough = pairs_of_runs(clusters) >= FEWEST_SEEDS and least_seeds(clusters) >= FEWEST_EACH
    found = estimate(clusters)
    table = [
        f"{head}, of `{finding.student}`.\n",
        f"| task | K | {names[0]} | {names[1]} | difference | seeds |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *rows,
    ]
    told = found.p if enough else None
    count = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}"
    return Compared(
        "\n".join(table), found.difference, found.low, found.high, told, count, finding.reading
    )


def _age(pair: Pair) -> str:
    """Return what marks a row whose runs were made by earlier constants of their protocol."""
    today = protocol_hash(get_protocol(pair.question.protocol))
    return "" if pair.question.constants == today else " †"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def find_pairs(finding: Finding, records: Sequence[Record]) -> tuple[list[str], list[Pair]]:
    """Return both methods as they are stored, with their settings, and their runs, paired.

    Raises:
        BenchError: one has no runs or several settings, or the two have no place or no splits in
            common.
    """
    wanted = Wanted(ks=frozenset(finding.ks), protocol=finding.protocol, student=finding.student)
    stored = by_label(record for record in records if record in wanted)
    names = [find_label(name, stored, "results") for name in (finding.first, finding.second)]
    return names, pairs(*(stored[name] for name in names))


def read_findings(file: Path) -> list[Finding]:
    """Return what a file of findings holds."""
    return [Finding(**each) for each in load(file)["finding"]]


def main() -> None:
    """Read the arguments, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, help="default: standard output")
    arguments = parser.parse_args()
    text = describe(read_findings(HERE / "findings" / "findings.toml"), Store(arguments.results))
    if arguments.out is None:
        print(text, end="")
    else:
        write_whole(arguments.out, text.encode())


if __name__ == "__main__":
    main()
