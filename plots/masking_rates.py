"""Share of each word's occurrences that is masked, by strategy: thesis Figures 7.5 and 7.7.

From `<results>/pretraining/rates/report.json`. The left panel has common words, the most frequent
first, with their frequency; the right one names, alone and as parts of longer ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from fewbench.errors import BenchError
from fewbench.plots._style import point_look, stack
from fewbench.report.figures import Material
from fewbench.types import Json

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAKE = "python scripts/masking_rates.py --corpus … --work …"
BARS, GREY = "#c9c9c9", "#6b6b6b"
COMMON = "common"
"""The kind of the words of Figure 7.5."""


def draw(material: Material) -> Figure:
    """Draw two panels of words, with a mark for each masking strategy."""
    file = material.store.root / "pretraining" / "rates" / "report.json"
    try:
        report = json.loads(file.read_text("utf-8"))
        words, overall = list(report["words"]), dict(report["overall"])
    except FileNotFoundError as error:
        raise BenchError(
            "masking-rates needs a report of masking rates, and none is stored",
            where=str(file),
            fix=MAKE,
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError("not a report of masking rates", where=str(file), fix=MAKE) from error
    common = [word for word in words if word["kind"] == COMMON]
    common.sort(key=lambda word: (-word["share"], word["word"]))
    names = [word for word in words if word["kind"] != COMMON]
    figure, (row,) = stack([[*overall, "frequency"]], 2, height=2.3)
    handles = _draw_rates(row.panels[0], common, list(overall))
    frequency = _draw_frequencies(row.panels[0], common)
    _draw_rates(row.panels[1], names, list(overall))
    _name_kinds(row.panels[1], names)
    row.panels[0].set_ylabel("occurrences masked (%)")
    row.legend([*handles, frequency])
    return figure


def _draw_rates(axes: Axes, words: Sequence[Json], strategies: Sequence[str]) -> list[Artist]:
    """Draw a mark for each word and strategy; return the marks of each strategy."""
    handles: list[Artist] = []
    for number, name in enumerate(strategies):
        rates = [100 * word["rates"][name] for word in words]
        (marks,) = axes.plot(range(len(words)), rates, label=name, **point_look(number))
        handles.append(marks)
    axes.set_xticks(range(len(words)), [word["word"] for word in words], rotation=90)
    axes.set_ylim(bottom=0)
    return handles


def _draw_frequencies(axes: Axes, words: Sequence[Json]) -> Artist:
    """Draw the words' shares of all tokens as bars behind the marks, on an axis of their own."""
    from matplotlib.patches import Patch

    behind = axes.twinx()
    shares = [100 * word["share"] for word in words]
    behind.bar(range(len(words)), shares, color=BARS, width=0.7)
    behind.set_ylabel("frequency (% of all tokens)", color=GREY)
    behind.tick_params(axis="y", colors=GREY)
    behind.grid(False)
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    return Patch(color=BARS, label="frequency")


def _name_kinds(axes: Axes, words: Sequence[Json]) -> None:
    """Divide the kinds of words by a line, and write them over the panel."""
    start = 0
    for kind, group in groupby(word["kind"] for word in words):
        length = len(list(group))
        if start:
            axes.axvline(start - 0.5, color="0.6", linewidth=0.6)
        axes.text(
            start + (length - 1) / 2, 1.02, kind, transform=axes.get_xaxis_transform(), ha="center"
        )
        start += length
