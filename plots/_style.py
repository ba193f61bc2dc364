"""Give all figures one look: a column wide, small plain type, lines distinct without colour."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from fewbench.errors import BenchError, visible

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from fewbench.report.figures import Panel

Item = TypeVar("Item")

COLUMN, PAGE = 3.35, 6.9
"""Inches: one column, and both."""

MOST_ROWS = 24
"""Rows of panels in a figure: five printed pages. A hundred rows take minutes to lay out."""

Look = dict[str, Any]
"""Keywords of matplotlib."""

STYLE: Look = {
    "text.parse_math": False,  # names of methods and tasks are texts, whatever $ is in them
    "font.size": 7,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure everywhere
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "legend.columnspacing": 1.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.color": "0.88",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.4,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "fewbench",  # the same ids in the same figure
    "pdf.fonttype": 42,
}

COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d1f", "#56b4e9")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1.5, 1.5, 1.5, 1.5, 1.5)))
MARKERS = "os^DvP*X"
SHAPES = "os^DvPX<>p"
FILLS = ("full", "none", "bottom")


def line_look(number: int) -> Look:
    """Return the style of a figure's n-th line: 40 pairs of dash and mark, distinct in grey."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[number % len(DASHES)],
        "marker": MARKERS[number % len(MARKERS)],
        "markerfacecolor": "white" if number % 2 else COLOURS[number % len(COLOURS)],
        "markeredgewidth": 0.8,
    }


def point_look(number: int) -> Look:
    """Return the style of a figure's n-th point: 30 pairs of shape and filling."""
    colour = COLOURS[number % len(COLOURS)]
    filling = FILLS[number // len(SHAPES) % len(FILLS)]
    look: Look = {
        "linestyle": "none",
        "marker": SHAPES[number % len(SHAPES)],
        "fillstyle": filling,
        "color": colour,
        "markeredgewidth": 0.8,
        "markersize": 4.6,
    }
    if filling == "bottom":
        look["markerfacecoloralt"] = "white"
    return look


def mean_and_band(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the population standard deviation."""
    return statistics.fmean(values), statistics.pstdev(values)


class PanelRow(NamedTuple):
    """A row of panels with room for a legend below."""

    figure: SubFigure
    panels: list[Axes]

    def trim(self, count: int) -> None:
        """Remove the panels after the first `count`."""
        for axes in self.panels[count:]:
            axes.remove()

    def label_scores(self, shown: Iterable[Panel], name: str) -> None:
        """Label the y axes by their metrics: the first, and each of another one than the last.

        Args:
            shown: the panels of the row.
            name: of the scores: `test score` becomes `test accuracy (%)`.
        """
        before = ""
        for axes, panel in zip(self.panels, shown, strict=False):
            metric = panel.cell.metric_name
            if metric != before:
                axes.set_ylabel(score_label(name, [metric]))
            before = metric

    def legend(self, handles: Iterable[Artist], note: str = "") -> None:
        """Put a legend below the row, in as many columns as fit, and a note over it."""
        handles = list(handles)
        width = self.figure.get_figure(root=True).get_figwidth()
        columns = _columns([str(handle.get_label()) for handle in handles], width)
        look: Look = {"title": note, "title_fontsize": 6.5} if note else {}
        self.figure.legend(handles=handles, loc="outside lower center", ncols=columns, **look)


def notes_below(count: int, note: str) -> list[str]:
    """Return the notes of the legends of some rows: the last has one."""
    return [""] * (count - 1) + [note]


def score_label(name: str, metrics: Iterable[str]) -> str:
    """Return the name of scores with their metric and unit: `test accuracy (%)`."""
    shown = sorted({visible(metric) for metric in metrics})
    if len(shown) > 1:
        return f"{name} ({', '.join(shown)}; hundredths)"
    is_share = shown[0].partition(" ")[0] in ("accuracy", "f1", "macro_f1")
    return f"{name.replace('score', shown[0])} ({'%' if is_share else '× 100'})"


def spread_note(spread: str, counts: Iterable[int]) -> str:
    """Say what is drawn of how many split seeds: `mean of 5 split seeds; band: ± 1 std`.

    Args:
        spread: the thing that shows a standard deviation; empty for none.
        counts: of the split seeds of each point.
    """
    least, most = min(counts := list(counts)), max(counts)
    seeds = "1 split seed" if most == 1 else f"{most} split seeds"
    of = f"{least} to {seeds}" if least < most else seeds
    return f"mean of {of}; {spread}: ± 1 std" if spread and most > 1 else f"mean of {of}"


def in_rows(items: Sequence[Item], length: int) -> list[Sequence[Item]]:
    """Cut items into rows of a length; the last may be shorter."""
    return [items[start : start + length] for start in range(0, len(items), length)]


def fill_band(
    axes: Axes, places: Sequence[float], means: Sequence[float], stds: Sequence[float], colour: str
) -> None:
    """Shade one standard deviation around a line."""
    low = [mean - std for mean, std in zip(means, stds, strict=True)]
    high = [mean + std for mean, std in zip(means, stds, strict=True)]
    axes.fill_between(places, low, high, color=colour, alpha=0.13, linewidth=0)


def stack(
    rows: Sequence[Sequence[str]], columns: int, *, height: float = 1.9, noted: bool = False
) -> tuple[Figure, list[PanelRow]]:
    """Make a figure of rows of panels.

    Args:
        rows: for each row the names in its legend, none for no legend.
        columns: panels per row; one fills a column of text, more a page.
        height: of the panels, in inches.
        noted: the last row's legend has a note.

    Raises:
        BenchError: more than `MOST_ROWS` rows.
    """
    from matplotlib.figure import Figure

    if len(rows) > MOST_ROWS:
        raise BenchError(
            f"the figure would have {len(rows)} rows of panels, and {MOST_ROWS} are the most",
            fix="choose among the runs with --tasks, --methods, --k, --protocol or --student",
        )
    width = COLUMN if columns == 1 else PAGE
    lines = [ceil(len(names) / _columns(names, width)) for names in rows]
    lines[-1] += noted
    heights = [height + 0.14 * count for count in lines]
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    panels = [part.subplots(1, columns, squeeze=False)[0] for part in parts]
    return figure, [PanelRow(part, list(row)) for part, row in zip(parts, panels, strict=True)]


def _columns(names: Sequence[str], width: float) -> int:
    """Return the columns of a legend that fits a width in inches, its lines as even as possible."""
    widest = max((len(name) for name in names), default=1)
    fitting = max(1, int(width / (0.05 * widest + 0.5)))
    lines = -(-len(names) // fitting) or 1
    return -(-len(names) // lines) or 1
