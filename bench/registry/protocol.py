"""Protocols: grid, steps, selection and averaging, by name (`protocols.toml`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fewbench.errors import BenchError
from fewbench.io import toml
from fewbench.types import Json, Settings

Grid = Mapping[str, Sequence[Any]]
"""The values that trials try, by setting."""

Tie = Literal["first", "last"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """The constants of a comparison. `max_steps` and `eval_every` count optimizer updates.

    `checkpoint_tie` and `trial_tie` say which of several best dev scores wins: the `first` (LM-BFF,
    a strict >) or the `last` (OpenPrompt, a >=). `ddof` is that of the reported standard deviation.
    `prepare` gives settings of what methods build once for all their runs, where their defaults,
    the papers', would take too long. `grows_from` is the number of classes that `max_steps` is
    meant for: tasks of more classes, whose train set is as much larger, get as many more updates.
    Without it the updates are the same for all tasks.
    """

    name: str
    title: str
    paper: str
    k: int
    seeds: tuple[int, ...]
    grid: Mapping[str, tuple[Any, ...]]
    max_steps: int
    eval_every: int
    schedule: Literal["linear", "constant"]
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    eval_batch_size: int
    checkpoint_tie: Tie
    trial_tie: Tie
    ddof: int
    prepare: Settings = field(default_factory=dict)
    grows_from: int | None = None

    def of_classes(self, classes: int) -> Protocol:
        """Return the protocol with the updates for a number of classes, and as many evaluations."""
        if self.grows_from is None or classes <= self.grows_from:
            return self
        grown = (
            steps * classes // self.grows_from
            for steps in (self.max_steps, self.eval_every, self.warmup_steps)
        )
        max_steps, eval_every, warmup_steps = grown
        return replace(self, max_steps=max_steps, eval_every=eval_every, warmup_steps=warmup_steps)

    def trials(
        self,
        search: Iterable[str],
        fixed: Settings,
        own: Grid | None = None,
    ) -> list[Json]:
        """List each trial's settings: the grid over `search`, in order, without what is `fixed`.

        `own` are values of settings that the method alone has, the preferred one first. They add no
        trials, for a method that is tried more often has more chances to be lucky on dev: the
        trials of the grid go through them in turn. Where the grid has nothing to vary, nothing is
        trained, and all of them are tried. Of trials that tie, the one with the preferred value
        comes first or last, as `trial_tie` prefers.
        """
        searched = set(search) - set(fixed)
        of_grid = _product(_only(self.grid, searched))
        of_method = _product(_only(own or {}, searched - set(self.grid)))
        turns = of_method
        if of_grid != [{}]:
            turns = list(itertools.islice(itertools.cycle(of_method), len(of_grid)))
        if self.trial_tie == "last":
            turns.reverse()
        pairs = zip(itertools.cycle(of_grid), turns, strict=False)
        return [shared | mine for shared, mine in pairs]


def _only(grid: Grid, names: Set[str]) -> Grid:
    return {name: values for name, values in grid.items() if name in names}


def _product(grid: Grid) -> list[Json]:
    """List every combination of the values of some settings."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def better(score: float, best: float | None, tie: Tie) -> bool:
    """True if a dev score replaces the best so far."""
    return best is None or score > best or (tie == "last" and score == best)


def protocols() -> dict[str, Protocol]:
    """Return every protocol by name."""
    tables = toml.load(Path(__file__).parent / "protocols.toml")
    return {name: from_table(name, table) for name, table in tables.items()}


def get_protocol(name: str) -> Protocol:
    """Return a protocol.

    Raises:
        BenchError: no such name.
    """
    known = protocols()
    if name not in known:
        raise BenchError(
            f"unknown protocol '{name}'", allowed=known, given=name, fix="bench ls protocols"
        )
    return known[name]


def from_table(name: str, table: Json) -> Protocol:
    """Return the protocol that a table of a TOML file states."""
    grid = {setting: tuple(values) for setting, values in table.pop("grid").items()}
    return Protocol(name=name, grid=grid, seeds=tuple(table.pop("seeds")), **table)
