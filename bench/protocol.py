"""Protocols: grid, steps, selection and averaging, by name (`protocols.toml`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fewbench import toml
from fewbench.errors import BenchError

Tie = Literal["first", "last"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """The constants of a comparison. `max_steps` and `eval_every` count optimizer updates.

    `checkpoint_tie` and `trial_tie` say which of several best dev scores wins: the `first` (LM-BFF, a strict >) or the
    `last` (OpenPrompt, a >=). `ddof` is that of the reported standard deviation. `grid_taught` takes the place of parts
    of `grid` for methods that learn from a trained teacher, which had a search of its own. `prepare` gives settings of
    what methods build once for all their runs, where their defaults, the papers', would take too long.
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
    prepare: Mapping[str, Any] = field(default_factory=dict)
    grid_taught: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def trials(
        self,
        search: Iterable[str],
        fixed: Mapping[str, Any],
        own: Mapping[str, Sequence[Any]] | None = None,
        *,
        taught: bool = False,
    ) -> list[dict[str, Any]]:
        """Return the settings of each trial: the grid over `search`, in the grid's order, less what is `fixed`.

        `own` are values of settings that the method alone has, the preferred one first. They vary slowest and in the
        order that lets `trial_tie` prefer them: of trials that tie, one with the preferred value wins. `taught` says
        that it learns from a trained teacher.
        """
        mine = {name: tuple(values)[:: -1 if self.trial_tie == "last" else 1] for name, values in (own or {}).items()}
        grid = mine | dict(self.grid) | (dict(self.grid_taught) if taught else {})
        names = [name for name in grid if name in set(search) and name not in fixed]
        return [dict(zip(names, values, strict=True)) for values in itertools.product(*(grid[n] for n in names))]


def better(score: float, best: float | None, tie: Tie) -> bool:
    """Whether a dev score takes the place of the best so far."""
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
        raise BenchError(f"unknown protocol '{name}'", allowed=known, given=name, fix="bench ls protocols")
    return known[name]


def from_table(name: str, table: dict[str, Any]) -> Protocol:
    """Return the protocol that a table of a TOML file states."""
    grid, taught = (
        {setting: tuple(values) for setting, values in table.pop(kind, {}).items()} for kind in ("grid", "grid_taught")
    )
    return Protocol(name=name, grid=grid, grid_taught=taught, seeds=tuple(table.pop("seeds")), **table)
