"""Find a stored run by the first digits of its key, or by a selector: `prompt-ft/sst-2/k16/s13`.

A selector is `METHOD[:SETTING=VALUE,...]`, then in any order `TASK[@SOURCE][+TEMPLATE]`, `kN`, `sN`
and `NAME=VALUE` for the names in `NAMED`. Parts may be left out as long as one run fits. Where
several fit, the plain ones are preferred: those with no other settings, the task's own template and
the complete test set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePath
from typing import TYPE_CHECKING

from fewbench.data.train_size import k_order, parse_k
from fewbench.errors import BenchError, StoreDamaged, shortened
from fewbench.registry.methods import methods
from fewbench.registry.pipeline import PLUS
from fewbench.registry.settings import choose_methods
from fewbench.store.cell import label
from fewbench.types import CorpusRef, ModelRef, Run, Settings

if TYPE_CHECKING:
    from fewbench.store.record import Record
    from fewbench.store.store import Store

NAMED = ("student", "teacher", "corpus", "protocol", "template", "limit", "dtype", "attention")
"""Parts that are written `name=value`."""

SHOWN = 8
"""Candidates that an error lists at most."""

SHORT = 8
"""Digits of a key that are shown, unless two runs of one store share them."""

REVISION = 8
"""Digits of a model's revision in `name@12345678`."""

LIST_RUNS = "bench ls runs"

_KEY = re.compile(r"[0-9a-f]{1,32}", re.IGNORECASE)
_K_OR_SEED = re.compile(r"(s)(-?\d+)|(k)(-?\d+|full|total-\d+)")

Ref = ModelRef | CorpusRef


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector in parts; a part that is not given fits every run.

    Args:
        method: with its settings, as typed.
        parts: the others by name: task, k, seed and those of `NAMED`.
        settings: those of `method` as values; None where they are only known as typed.
    """

    method: str
    parts: Mapping[str, str]
    settings: Settings | None

    def fits(self, run: Run) -> bool:
        """True if every part fits the run."""
        return self.fits_method(run) and all(self.fits_part(name, run) for name in self.parts)

    def fits_method(self, run: Run) -> bool:
        """True if the run is of the method and has at least the settings that are given."""
        if run.method != self.method.partition(":")[0]:
            return False
        if self.settings is None:
            return label(run.method, run.settings) == self.method
        return all(
            name in run.settings and run.settings[name] == value
            for name, value in self.settings.items()
        )

    def fits_part(self, name: str, run: Run) -> bool:
        """True if a part other than the method fits the run."""
        return self.parts[name] in _PART_NAMES[name](run)

    def plainest(self, records: Sequence[Record]) -> list[Record]:
        """Return the runs without other settings, templates and limits than given, if there are."""
        records = _preferred(records, lambda run: run.settings == self.settings)
        if "template" not in self.parts and "+" not in self.parts.get("task", ""):
            records = _preferred(records, lambda run: not run.template)
        if "limit" not in self.parts:
            records = _preferred(records, lambda run: run.limit is None and not run.drop_leaks)
        if not {"dtype", "attention"} & self.parts.keys():
            records = _preferred(records, lambda run: not run.arithmetic.name)
        return list(records)


def parse_selector(text: str) -> Selector:
    """Return the selector that a text spells.

    Raises:
        BenchError: no method, an unknown `name=`, or a part given twice.
    """
    method, *others = [piece.strip() for piece in text.split("/") if piece.strip()] or [""]
    if not method or ("=" in method and ":" not in method):
        raise BenchError(
            f"'{shortened(text)}' names no run",
            allowed="a key's first digits, or method/task/kN/sN",
            fix=LIST_RUNS,
        )
    parts: dict[str, str] = {}
    for piece in others:
        name, value = _named_part(piece, text)
        if name in parts:
            raise BenchError(f"'{shortened(text)}' has two parts for the {name}", fix=LIST_RUNS)
        parts[name] = value
    return Selector(method, parts, _settings(method))


def find_run(store: Store, text: str) -> Record:
    """Return the one stored run that a key's first digits or a selector name.

    Raises:
        BenchError: no such run, or several; the error lists candidates.
        StoreDamaged: its record is damaged.
    """
    if _KEY.fullmatch(text):
        return _find_by_key(store, text.lower())
    records = list(store.summaries())
    return store.find(_select(records, text, str(store.root)).run.key)


def shortened_keys(keys: Iterable[str]) -> dict[str, str]:
    """Return the first digits of each key, as many as tell all of them apart."""
    distinct = sorted(set(keys))
    digits = SHORT
    while len({key[:digits] for key in distinct}) < len(distinct):
        digits += 1
    return {key: key[:digits] for key in distinct}


def selector_of(run: Run) -> str:
    """Return a run's method, task, K and seed as a selector."""
    template = f"+{run.template}" if run.template else ""
    task = f"{run.task}@{run.source}{template}"
    return f"{label(run.method, run.settings)}/{task}/k{run.k}/s{run.seed}"


def title_of(run: Run) -> str:
    """Return a run's short key and selector, as messages name it."""
    return f"{run.key[:SHORT]} {selector_of(run)}"


def run_order(run: Run) -> tuple[object, ...]:
    """Return the sort key of runs: task, method, K, seed, models, protocol, key."""
    student, teacher = _student(run), _teacher(run)
    models = [ref.name if ref else "" for ref in (student, teacher)]
    task = f"{run.task}@{run.source}+{run.template}"
    method = label(run.method, run.settings)
    return (task, method, k_order(run.k), run.seed, *models, run.protocol, run.key)


def model_names(ref: Ref) -> set[str]:
    """Return the names of a model: complete or its last part, with its revision or without."""
    revision = f"@{ref.revision[:REVISION]}"
    bare = ref.name.removesuffix(revision)
    names = {bare, PurePath(bare).name}
    return names | {name + revision for name in names}


def _find_by_key(store: Store, digits: str) -> Record:
    try:
        return store.find(digits)
    except StoreDamaged:
        raise
    except BenchError as error:
        records = list(store.summaries())
        alike = [record for record in records if record.run.key.startswith(digits)]
        if len(alike) > 1:
            raise _ambiguous(alike, digits, str(store.root), records) from error
        raise


def _select(records: Sequence[Record], text: str, where: str) -> Record:
    selector = parse_selector(text)
    fitting = [record for record in records if selector.fits(record.run)]
    if not fitting:
        raise _not_found(records, selector, text, where)
    plainest = selector.plainest(fitting) if len(fitting) > 1 else fitting
    if len(plainest) > 1:
        raise _ambiguous(plainest, text, where, records)
    return plainest[0]


def _named_part(piece: str, text: str) -> tuple[str, str]:
    """Return a part's name and value: `k16` is ("k", "16")."""
    if match := _K_OR_SEED.fullmatch(piece):
        return ("seed", match[2]) if match[1] else ("k", match[4])
    name, equals, value = piece.partition("=")
    if not equals:
        return "task", piece
    if name not in NAMED:
        raise BenchError(
            f"unknown part '{shortened(piece)}' of '{shortened(text)}'",
            allowed=[f"{name}=" for name in NAMED],
            given=f"{name}=",
            fix=LIST_RUNS,
        )
    return name, value


def _preferred(records: Sequence[Record], is_plain: Callable[[Run], bool]) -> Sequence[Record]:
    """Return the plain ones among several records, or all where none is plain."""
    plain = [record for record in records if is_plain(record.run)]
    return plain or records


def _settings(method: str) -> Settings | None:
    """Return typed settings as values; None for those of a method that is not installed."""
    name, _, settings = method.partition(":")
    if not settings:
        return {}
    steps = name.split(PLUS)
    if not all(step in methods() for step in steps):
        return None
    return choose_methods([method])[0].settings


def _task_names(run: Run) -> Collection[str]:
    """Return the names of a run's task, with and without its source and template."""
    names = [run.task, f"{run.task}@{run.source}"]
    return [*names, *(f"{name}+{run.template}" for name in names if run.template)]


def _names_of(ref: Ref | None) -> Collection[str]:
    return {"none"} if ref is None else model_names(ref)


def _student(run: Run) -> Ref | None:
    """Return the model that a run trained, or made smaller."""
    return run.student or run.teacher


def _teacher(run: Run) -> Ref | None:
    return run.teacher if run.student else None


_PART_NAMES: Mapping[str, Callable[[Run], Collection[str]]] = {
    "task": _task_names,
    "k": lambda run: [str(run.k)],
    "seed": lambda run: [str(run.seed)],
    "student": lambda run: _names_of(_student(run)),
    "teacher": lambda run: _names_of(_teacher(run)),
    "corpus": lambda run: _names_of(run.corpus),
    "protocol": lambda run: [run.protocol],
    "template": lambda run: [run.template or "own"],
    "limit": lambda run: [str(run.limit).lower()],
    "dtype": lambda run: [run.arithmetic.dtype],
    "attention": lambda run: [run.arithmetic.attention],
}
"""What a part may be, for a run to fit it."""


def _differing(records: Sequence[Record]) -> dict[str, list[str]]:
    """Return the parts in which some runs differ, each as it is typed for every run."""
    runs = [record.run for record in records]
    typed: dict[str, list[str]] = {
        "method": [label(run.method, run.settings) for run in runs],
        "task": [f"{run.task}@{run.source}" for run in runs],
        "k": [f"k{run.k}" for run in runs],
        "seed": [f"s{run.seed}" for run in runs],
    }
    for name in NAMED:
        typed[name] = _named_parts(name, runs)
    return {name: texts for name, texts in typed.items() if len(set(texts)) > 1}


def _named_parts(name: str, runs: Sequence[Run]) -> list[str]:
    """Return a named part as it is typed for each run; models of one name with their revisions."""
    short = [f"{name}={_typed(name, run)}" for run in runs]
    model = {"student": _student, "teacher": _teacher}.get(name)
    if model is None or len(set(short)) > 1:
        return short
    return [f"{name}={_with_revision(model(run))}" for run in runs]


def _typed(name: str, run: Run) -> str:
    """Return the shortest value of a named part that fits a run."""
    return min(_PART_NAMES[name](run), key=lambda value: (len(value), value))


def _with_revision(ref: Ref | None) -> str:
    if ref is None:
        return "none"
    suffix = f"@{ref.revision[:REVISION]}"
    return PurePath(ref.name.removesuffix(suffix)).name + suffix


def _ambiguous(
    candidates: Sequence[Record], text: str, where: str, records: Iterable[Record]
) -> BenchError:
    """Return the error of a text that fits several runs: candidates, and what tells them apart."""
    candidates = sorted(candidates, key=lambda record: run_order(record.run))
    differing = _differing(candidates)
    short = shortened_keys(record.run.key for record in records)
    lines = [f"'{shortened(text)}' fits {len(candidates)} stored runs:"]
    for number, record in enumerate(candidates[:SHOWN]):
        named = [differing[name][number] for name in NAMED if name in differing]
        lines.append("/".join([f"{short[record.run.key]} {selector_of(record.run)}", *named]))
    if len(candidates) > SHOWN:
        lines.append(f"and {len(candidates) - SHOWN} more")
    return BenchError("\n".join(lines), where=where, fix=_how_to_narrow(differing))


def _how_to_narrow(differing: Mapping[str, Sequence[str]]) -> str:
    """Suggest parts that make a selector fit fewer runs."""
    others = [name for name in differing if name != "method"]
    examples = [differing[name][0] for name in others]
    if "method" in differing:
        return "type the method's settings as they are listed, or a key's first digits"
    if not examples:
        return "type a key's first digits: nothing else tells these runs apart"
    parts = ", ".join(f"/{example}" for example in examples)
    return f"add {parts} or the like, or type a key's first digits"


def _not_found(records: Sequence[Record], selector: Selector, text: str, where: str) -> BenchError:
    """Return the error of a selector that fits no run: which part is unknown, and near names."""
    runs = [record.run for record in records]
    of_method = [run for run in runs if selector.fits_method(run)]
    if not of_method:
        return _no_such("method", selector.method, _method_names(runs), where)
    for name, value in selector.parts.items():
        known = {text for run in runs for text in _PART_NAMES[name](run)}
        if value not in known:
            return _no_such(name, value, known, where)
    error = BenchError(f"no stored run is '{shortened(text)}'", where=where, fix=LIST_RUNS)
    error.nearest = get_close_matches(text, set(map(selector_of, of_method)), 3, 0.3)
    return error


def _method_names(runs: Iterable[Run]) -> set[str]:
    """Return the names of the runs' methods, without their settings and with them."""
    names = set()
    for run in runs:
        names |= {run.method, label(run.method, run.settings)}
    return names


def _no_such(part: str, value: str, known: Collection[str], where: str) -> BenchError:
    name = part.upper() if part == "k" else part
    problem = f"no stored run has the {name} '{shortened(value)}'"
    if part in ("k", "seed"):
        stored = sorted(known, key=lambda number: k_order(parse_k(number)))
        return BenchError(problem, where=where, allowed=", ".join(stored), fix=LIST_RUNS)
    error = BenchError(problem, where=where, fix=LIST_RUNS)
    error.nearest = get_close_matches(value, sorted(known), 3, 0.5)
    return error
