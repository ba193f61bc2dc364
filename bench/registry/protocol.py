"""Protocols: grid, steps, selection and averaging, in one frozen object."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from fewbench.data.dev_cut import DevCut
from fewbench.types import Json, K, Settings, Task

Grid = Mapping[str, Sequence[Any]]
"""The values that trials try, by setting."""

Tie = Literal["first", "last"]


class SizeRates(NamedTuple):
    """The learning rates of models of up to so many parameters."""

    parameters: float
    lr: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Protocol:
    """The constants of a comparison.

    Few-shot protocols count training in optimizer updates: `max_steps`, of which `eval_every` lie
    between two dev scores, and `warmup_steps`. `grows_from` is the number of classes that
    `max_steps` is meant for: tasks of more classes, whose train set is as much larger, get as many
    more updates. `steps_by_k` gives the updates of larger K: a K has those of the largest listed
    one that is not above it.

    Protocols of full data count in `epochs`: passes over train, each with `evals_per_epoch` dev
    scores unless `eval_every` is given, and `warmup_share`, a share of all updates. With
    `patience`, training ends after so many dev scores in a row that are not better than the best.
    Of all training rows, `dev_share` is cut off as dev, but no more than `dev_most` rows.

    With `length_window`, batches are made of examples of like length, so many batches at a time.
    `micro_batch` is how many rows go through a model at once, where a batch does not fit in memory;
    losses that change something at each update take whole batches (`carries` of `kit.train`).

    `checkpoint_tie` and `trial_tie` say which of several best dev scores wins: the `first` (LM-BFF,
    a strict >) or the `last` (OpenPrompt, a >=). `ddof` is that of the reported standard deviation.
    `sizes` gives learning rates by the student's size, the smallest first, in the place of the
    grid's. `max_length`, by format, takes the place of the tasks' own. `prepare` gives settings of
    what methods build once for all their runs, where their defaults, the papers', would take too
    long. `file` is the file of a user's own protocol.
    """

    name: str
    title: str
    paper: str
    k: K
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
    epochs: float | None = None
    evals_per_epoch: int = 1
    warmup_share: float | None = None
    patience: int | None = None
    micro_batch: int | None = None
    length_window: int = 0
    steps_by_k: Mapping[int, int] = field(default_factory=dict)
    max_length: Mapping[str, int] = field(default_factory=dict)
    sizes: tuple[SizeRates, ...] = ()
    dev_share: float = 0.1
    dev_most: int = 2000
    file: str = ""

    @property
    def dev_cut(self) -> DevCut:
        """The size of dev that is cut off full data."""
        return DevCut(self.dev_share, self.dev_most)

    def for_run(self, classes: int, k: K) -> Protocol:
        """Return the protocol with the updates of a run on a number of classes, at a K."""
        return self.of_k(k).of_classes(classes)

    def of_size(self, parameters: int) -> Protocol:
        """Return the protocol with the learning rates for a model of so many parameters."""
        for rates in self.sizes:
            if parameters <= rates.parameters:
                return replace(self, grid={**self.grid, "lr": rates.lr})
        return self

    def of_k(self, k: K) -> Protocol:
        """Return the protocol with the updates that `steps_by_k` gives a K."""
        below = [listed for listed in self.steps_by_k if isinstance(k, int) and listed <= k]
        return replace(self, max_steps=self.steps_by_k[max(below)]) if below else self

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

    def in_updates(self, rows: int, batch_size: int) -> Protocol:
        """Return the protocol with its epochs counted in updates.

        Args:
            rows: of the train set.
            batch_size: rows per update.
        """
        if self.epochs is None:
            return self
        per_epoch = -(-rows // batch_size)
        max_steps = max(1, round(self.epochs * per_epoch))
        warmup_steps = self.warmup_steps
        if self.warmup_share is not None:
            warmup_steps = round(self.warmup_share * max_steps)
        return replace(
            self,
            epochs=None,
            max_steps=max_steps,
            eval_every=self.eval_every or max(1, per_epoch // self.evals_per_epoch),
            warmup_steps=min(warmup_steps, max_steps),
        )

    def fitted(self, task: Task) -> Task:
        """Return a task with the protocol's maximum length for its format."""
        length = self.max_length.get(task.format, task.max_length)
        return task if length == task.max_length else replace(task, max_length=length)

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
        trained, and all of them are tried. All trials with the preferred value come first, or last
        where `trial_tie` lets the last win: of trials that tie, one with that value wins.
        """
        searched = set(search) - set(fixed)
        of_grid = _product(_only(self.grid, searched))
        of_method = _product(_only(own or {}, searched - set(self.grid)))
        turns = of_method
        if of_grid != [{}]:
            turns = list(itertools.islice(itertools.cycle(of_method), len(of_grid)))
        if self.trial_tie == "last":
            turns = turns[::-1]
        pairs = list(zip(itertools.cycle(of_grid), turns, strict=False))
        pairs.sort(key=lambda pair: of_method.index(pair[1]), reverse=self.trial_tie == "last")
        return [shared | mine for shared, mine in pairs]


def _only(grid: Grid, names: Set[str]) -> Grid:
    return {name: values for name, values in grid.items() if name in names}


def _product(grid: Grid) -> list[Json]:
    """List every combination of the values of some settings."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def better(score: float, best: float | None, tie: Tie) -> bool:
    """True if a dev score replaces the best so far."""
    return best is None or score > best or (tie == "last" and score == best)
