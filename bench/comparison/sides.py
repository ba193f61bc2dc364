"""Who is compared with whom: the new method, the others, their records and stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fewbench.comparison.items import Items, Labels, NoItems, items
from fewbench.comparison.pairing import Pair, in_common, pairs
from fewbench.comparison.rows import Versus, adjust, compare
from fewbench.errors import BenchError
from fewbench.record import Record
from fewbench.statistics.ranks import Ranking, rank
from fewbench.store import Store


@dataclass(frozen=True, slots=True)
class Side:
    """A method's records, and the store that has their predictions."""

    name: str
    records: Sequence[Record]
    store: Store


def versus_all(
    new: Side,
    others: Sequence[Side],
    labels: Labels,
    resamples: int,
    *,
    anyway: bool = False,
    notify: Callable[[str], None] = lambda text: None,
) -> list[Versus]:
    """Return the comparison of a method with each of others, p-values adjusted over all of them.

    Of several others, those that cannot be compared are left out, and `notify` hears why.

    Raises:
        BenchError: none can be compared.
    """
    tables: list[Versus] = []
    for other in others:
        try:
            found = pairs(new.records, other.records, anyway=anyway)
        except BenchError as error:
            if other is others[-1] and not tables:
                raise
            notify(f"left out: {other.name}: {error.problem}")
            continue
        given = [(pair, _items(pair, (new.store, other.store), labels)) for pair in found]
        tables.append(compare((new.name, other.name), given, _namer(found), resamples))
    return adjust(tables)


def ranking(sides: Sequence[Side]) -> Ranking | None:
    """Return the average ranks of methods over what all of them were run on alike; None if there is nothing."""
    scores = in_common([side.records for side in sides])
    if not scores or len(sides) < 2:
        return None
    means = np.asarray([[np.mean(seeds) for seeds in methods] for methods in scores])
    return rank(
        [side.name for side in sides], means.round(12)
    )  # equal scores stay equal, whatever their mean's last bit


def shared_by_all(records: Sequence[Record]) -> str:
    """Return what a caption says of records: K, protocol, student, where there is but one."""
    facts: Mapping[str, set[str]] = {
        "K=": {str(record.run.k) for record in records},
        "": {record.run.protocol for record in records},
        "student ": {record.run.student.name for record in records if record.run.student},
    }
    return " · ".join(word + next(iter(values)) for word, values in facts.items() if len(values) == 1)


def _items(pair: Pair, stores: tuple[Store, Store], labels: Labels) -> Items | str:
    try:
        return items(pair, stores, labels)
    except NoItems as error:
        return str(error)


def _namer(found: Sequence[Pair]) -> Callable[[Pair], str]:
    """Return what names pairs: by the task, and as much more as tells them apart."""
    tasks = [name for name, _ in {(pair.place.task, pair.place.source) for pair in found}]
    many_k = len({pair.place.k for pair in found}) > 1
    many_terms = len({pair.terms for pair in found}) > 1

    def name(pair: Pair) -> str:
        place = pair.place
        text = f"{place.task}@{place.source}" if tasks.count(place.task) > 1 else place.task
        text += f"+{place.template}" if place.template else ""
        return text + (f" k{place.k}" if many_k else "") + (f" {pair.terms.protocol}" if many_terms else "")

    return name
