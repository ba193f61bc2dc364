"""The sections of a model's card that say how it was made and measured, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fewbench.data.train_size import k_title
from fewbench.export.evaluated import command
from fewbench.measure.loyalty import own_teacher
from fewbench.report.tables import beyond
from fewbench.report.tables.blocks import without_doubled
from fewbench.store.cell import entrant_of
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Json, Task

TITLES = {"loyalty": "Loyalty to its teacher", "cost": "Cost", "attack": "Robustness"}
"""The sections of what may have been measured besides scores, in order."""

MISSING = {
    "loyalty": "It has no teacher in the store to compare its answers with.",
    "cost": "Not measured: `bench cost {key}`.",
    "attack": "Not measured: `bench attack {key}`.",
}


NOT_RECORDED = "not recorded"


class StoredRuns:
    """The stored runs among which a card's run is seen: its other seeds, its teacher.

    Args:
        store: of all of them.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.records = list(store.summaries())

    def seeds(self, record: Record) -> list[Record]:
        """Return the finished runs of a run's cell, itself among them, by split seed."""
        twins = [other for other in self.records if other.cell == record.cell]
        finished = without_doubled([other for other in twins if other.score is not None])
        return sorted(finished, key=lambda other: other.run.seed)

    def measured(self, record: Record, kind: str) -> list[tuple[str, str]]:
        """Return the figures of a kind that a run has, as names and texts."""
        if record.score is None:
            return []
        (row,) = beyond.rows([record], self.records, self.store, [kind])
        names = [name for name in beyond.columns([row]) if name != "score"]
        values = [row.values[name] for name in names]
        return [(n, f"{v.mean:.{v.digits}f}") for n, v in zip(names, values, strict=True)]


def sections(record: Record, task: Task, stored: StoredRuns) -> list[str]:
    """Return the sections on data, training, scores, loyalty, cost and robustness."""
    parts = {
        "Data": _data(record, task),
        "Training": _training(record),
        "Scores": _scores(record, stored),
    }
    for kind, title in TITLES.items():
        parts[title] = _measured(record, stored, kind)
    return [f"## {title}\n\n{text}" for title, text in parts.items()]


def hub_facts(record: Record, task: Task) -> Json:
    """Return metadata that links the card to the hub: the data set, and tags."""
    facts: Json = {"datasets": [task.source.path]} if task.source.hub else {}
    return facts | {"tags": ["fewbench", record.run.method]}


def table(rows: Iterable[tuple[str, str]], header: tuple[str, str] = ("", "")) -> str:
    """Return a Markdown table of two columns."""
    lines = [f"| {' | '.join(header)} |", "|---|---|"]
    for name, value in rows:
        text = value.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {name} | {text} |")
    return "\n".join(lines)


def _data(record: Record, task: Task) -> str:
    source, sizes = task.source, record.split
    place = "/".join(filter(None, [source.path, source.config]))
    revision = f" at revision `{source.revision}`" if source.revision else ""
    where = f"`{place}`{revision}" if source.hub else f"files, laid out as `{place}`"
    leaks = sizes.leaks or {}
    rows = [
        ("task", f"{task.title} ({task.full_name}), version {task.version}"),
        ("paper", task.paper),
        ("licence of the data", task.licence),
        ("rows", where),
        ("split", f"{k_title(record.run.k)}, split seed {record.run.seed}"),
        ("train, dev, test", ", ".join(map(_count, (sizes.n_train, sizes.n_dev, sizes.n_test)))),
        ("test rows also in train or dev", _counts(leaks)),
        ("fingerprints of train with dev, and of test", _fingerprints(record)),
    ]
    return table(rows)


def _fingerprints(record: Record) -> str:
    return f"`{record.run.fingerprint}`, `{record.run.test_fingerprint}`"


def _count(number: int | None) -> str:
    return _shown(number, "{:,}")


def _counts(leaks: Mapping[str, int]) -> str:
    among = {name: count for name, count in leaks.items() if name != "within_test"}
    return ", ".join(f"{count} {name}" for name, count in among.items()) or NOT_RECORDED


def _training(record: Record) -> str:
    run, trials = record.run, record.selection.trials
    dev = record.scores.get("dev", {}).get(record.selection.metric or "")
    rows = [
        ("method", entrant_of(run).method),
        ("protocol", f"{run.protocol} (constants {_shown(run.inputs.protocol, '`{}`')})"),
        ("trials", _shown(len(trials) if trials else None, "{}, chosen on dev")),
        ("settings of the chosen one", _settings(record)),
        ("its dev score", _shown(None if dev is None else 100 * dev, "{:.1f}")),
        ("seconds, all trials", _shown(record.timing.total_seconds, "{:.0f}")),
        ("machine", _shown(record.environment.device, "{}")),
        ("made", _made(record)),
    ]
    return f"{table(rows)}\n\nTo make it again:\n\n```sh\n{command([record])}\n```"


def _shown(value: float | str | None, form: str) -> str:
    """Return a value in a form; the words for one that a record lacks."""
    return NOT_RECORDED if value is None or value == "" else form.format(value)


def _settings(record: Record) -> str:
    settings = {**record.run.settings, **(record.selection.settings or {})}
    return ", ".join(f"{name}={value}" for name, value in settings.items()) or "none are searched"


def _made(record: Record) -> str:
    facts = {
        "": record.timing.finished,
        "by ": record.environment.submitter,
        "commit ": record.environment.commit,
    }
    return ", ".join(f"{word}{fact}" for word, fact in facts.items() if fact) or NOT_RECORDED


def _scores(record: Record, stored: StoredRuns) -> str:
    metrics = record.scores.get("test", {})
    of_this = [(name, f"{100 * score:.1f}") for name, score in metrics.items()]
    text = table(of_this, ("test", f"this model (split seed {record.run.seed})"))
    twins = stored.seeds(record)
    if len(twins) < 2:
        return f"{text}\n\nThe store has this split seed alone: it says nothing of other splits."
    by_seed = ", ".join(f"{r.run.seed}: {100 * r.finished_score:.1f}" for r in twins)
    return (
        f"{text}\n\nThe same training on {len(twins)} splits, each a model of its own: "
        f"{_mean(twins)} {record.selection.metric} (by split seed {by_seed})."
    )


def _mean(records: Sequence[Record]) -> str:
    from statistics import fmean, stdev

    scores = [100 * record.finished_score for record in records]
    return f"{fmean(scores):.1f} ± {stdev(scores):.1f} (ddof 1)"


def _measured(record: Record, stored: StoredRuns, kind: str) -> str:
    found = stored.measured(record, kind)
    if not found:
        return MISSING[kind].format(key=record.run.key[:8])
    text = table(found)
    if kind == "loyalty":
        teachers = {other.run.key: other for other in stored.records}
        teacher = own_teacher(record, teachers)
        assert teacher is not None
        return f"In hundredths, to the answers of run `{teacher.run.key}`.\n\n{text}"
    if kind == "cost":
        return f"Of the kept model, in PyTorch; ms at batch 1.\n\n{text}"
    return f"By adversarial substitution of words; accuracy in hundredths.\n\n{text}"
