"""Score against any setting of methods, alpha say: thesis Figures 5.3 and 5.4.

`sweep:setting=alpha` names it. A line is a method whose runs differ in that setting. Where no run
fixes it, but a grid searches it (`sweep:setting=lr`), the score is the best on dev of the trials
with each value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple

from fewbench.errors import BenchError
from fewbench.plots._curves import draw_curves, label_some
from fewbench.registry.methods import methods
from fewbench.registry.pipeline import info_of
from fewbench.report.figures import Material, Panel, by_name, panels, score
from fewbench.store.inputs import settings_hash
from fewbench.store.record import Record
from fewbench.types import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAKE = (
    "bench run --methods vanilla-kd:alpha=0.2,vanilla-kd:alpha=0.8,vanilla-kd --tasks sst-2, "
    "then bench plot sweep:setting=alpha"
)
NUMBERS = (int, float)
WIDE = 20
"""The ratio of the largest to the smallest value from which on an axis is logarithmic."""

Found = Mapping[Panel, Mapping[str, Mapping[Any, Sequence[float]]]]
"""Scores by value, by method, by panel."""


class SweepPoint(NamedTuple):
    """A run at a value of the setting: the value, the split seed and the score."""

    value: Any
    seed: int
    score: float


def draw(material: Material, *, setting: str = "") -> Figure:
    """Draw a panel for each task, and a line for each method, with two or more values."""
    found = _curves(material.records, setting, lambda record: _of_run(record, setting))
    axis = "test score"
    if not found:
        found = _curves(material.records, setting, lambda record: _of_trials(record, setting))
        axis = "best dev score"
    if not found:
        raise BenchError(
            f"sweep needs runs of one task at two or more values of '{setting}'"
            if setting
            else "sweep needs the name of a setting",
            allowed=_settings(material.records) or "none: no stored runs differ in a setting",
            fix=MAKE,
        )
    values = _values(found)
    if not all(type(value) in NUMBERS for value in values):
        return _by_word(found, values, setting, axis)

    def dress(axes: Axes, places: list[float]) -> None:
        _number_axis(axes, places)
        axes.set_xlabel(setting)

    return draw_curves(found, dress, score_name=axis)


def _by_word(found: Found, values: Sequence[Any], setting: str, axis: str) -> Figure:
    """Draw values that are no numbers side by side."""
    curves: dict[Panel, dict[str, dict[float, Sequence[float]]]] = {}
    for panel, by_method in found.items():
        for name, curve in by_method.items():
            placed = {float(values.index(value)): scores for value, scores in curve.items()}
            curves.setdefault(panel, {})[name] = placed

    def dress(axes: Axes, places: list[float]) -> None:
        words = [str(value) for value in values]
        axes.set_xticks(range(len(values)), words, rotation=30 if len(values) > 4 else 0)
        axes.set_xlim(-0.5, len(values) - 0.5)
        axes.set_xlabel(setting)
        axes.grid(axis="x", visible=False)

    return draw_curves(curves, dress, joined=False, score_name=axis)


def _curves(
    records: Sequence[Record], setting: str, of: Callable[[Record], list[SweepPoint]]
) -> Found:
    """Return the curves of methods with two or more values; a seed with two runs is left out."""
    bare = {record.run.key: _without(record, setting) for record in records}
    found: dict[Panel, dict[str, dict[Any, list[float]]]] = {}
    for panel, group in panels(records).items():
        names = by_name([bare[record.run.key] for record in group], list(bare.values()))
        name_of = {run.run.key: name for name, runs in names.items() for run in runs}
        points: dict[str, list[SweepPoint]] = {}
        for record in group:
            points.setdefault(name_of[record.run.key], []).extend(of(record))
        for name, several in points.items():
            curve = _curve(several)
            if len(curve) > 1:
                found.setdefault(panel, {})[name] = curve
    return found


def _curve(points: Iterable[SweepPoint]) -> dict[Any, list[float]]:
    points = list(points)
    runs = Counter((point.value, point.seed) for point in points)
    curve: dict[Any, list[float]] = {}
    for value, seed, reached in points:
        if runs[value, seed] == 1:
            curve.setdefault(value, []).append(reached)
    return curve


def _without(record: Record, setting: str) -> Record:
    """Return a record as if its run did not have the setting, so that all values go by one name.

    Runs whose method had other defaults than today keep their hash of settings, and stand apart.
    """
    run = record.run
    hashed = "" if _is_of_today(record) else run.inputs.settings
    settings = {name: value for name, value in run.settings.items() if name != setting}
    inputs = replace(run.inputs, settings=hashed, trials="")
    return replace(record, run=replace(run, settings=settings, inputs=inputs))


def _of_run(record: Record, setting: str) -> list[SweepPoint]:
    """Return a run's test score at the value that it has by its user, or by today's default."""
    settings = record.run.settings
    searched = record.selection.settings or {}
    if setting in settings:
        value = settings[setting]
    elif setting not in searched and _is_of_today(record):
        value = _defaults(record.run.method).get(setting)
    else:
        value = None
    return [] if value is None else [SweepPoint(value, record.run.seed, score(record))]


def _of_trials(record: Record, setting: str) -> list[SweepPoint]:
    """Return the best dev score of a run's trials at each value that they searched."""
    metric, best = record.selection.metric, dict[Any, float]()
    for trial in record.selection.trials or ():
        if metric is not None and setting in trial.settings and metric in trial.dev:
            value, reached = trial.settings[setting], 100 * trial.dev[metric]
            best[value] = max(reached, best.get(value, reached))
    return [SweepPoint(value, record.run.seed, reached) for value, reached in best.items()]


def _is_of_today(record: Record) -> bool:
    """True if a run's settings, defaults included, are recorded and those of today's method."""
    info = info_of(record.run.method, _methods())
    known = record.run.inputs.settings
    return info is not None and known == settings_hash(info, record.run.settings)


def _defaults(method: str) -> Settings:
    info = info_of(method, _methods())
    return {} if info is None else info.settings


_methods = cache(methods)


def _settings(records: Iterable[Record]) -> list[str]:
    """Return the settings that runs fix, or that their trials search."""
    found: set[str] = set()
    for record in records:
        found.update(record.run.settings, record.selection.settings or {})
    return sorted(found)


def _values(found: Found) -> list[Any]:
    """Return all values in order, numbers as numbers and others as texts."""
    values: set[Any] = set()
    for by_method in found.values():
        for curve in by_method.values():
            values.update(curve)
    if all(type(value) in NUMBERS for value in values):
        return sorted(values)
    return sorted(values, key=str)


def _number_axis(axes: Axes, places: Sequence[float]) -> None:
    """Set up an axis of numbers, logarithmic if they differ much, with labels at some of them."""
    low, high = places[0], places[-1]
    is_log = low > 0 and high / low >= WIDE
    if is_log:
        axes.set_xscale("log")
        axes.minorticks_off()
    label_some(axes, places, log if is_log else float)
