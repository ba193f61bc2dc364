"""Figures by name: each file in `plots/` with a function `draw` is one. Listing imports nothing.

`draw(material, **settings)` returns a matplotlib figure; its settings are keywords with defaults,
`pareto:cost=latency` to the user. Matplotlib loads when something is drawn.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from fewbench.data.train_size import k_title
from fewbench.errors import BenchError, visible
from fewbench.io.atomic import write_whole
from fewbench.registry.code_hash import parse
from fewbench.registry.methods import figure_files
from fewbench.report.published import Published
from fewbench.report.query import models_apart
from fewbench.report.tables.blocks import places, without_doubled
from fewbench.report.tables.names import Names, protocol_names, telling
from fewbench.report.wanted import Wanted
from fewbench.store.cell import TaskCell, Terms
from fewbench.store.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fewbench.store.measurement import Measurement
    from fewbench.store.store import Store

FORMATS = (".svg", ".png", ".pdf")


@dataclass(frozen=True, slots=True)
class Material:
    """The records, store and published numbers that a figure is drawn from.

    Args:
        records: those that the user chose, failed ones left out and those that share cell and seed
            with another.
        store: where they stand, with measurements and predictions beside them.
        published: numbers of the papers, where they are asked for.
    """

    records: Sequence[Record]
    store: Store
    published: Sequence[Published] = ()

    def measured(self, record: Record, kind: str) -> list[Measurement]:
        """Return the measurements of a kind that fit a record, by file name."""
        from fewbench.store.measurement import measurements

        return list(measurements(self.store, record, kind))


class FigureInfo(NamedTuple):
    """A figure by name, and what its file says of itself."""

    name: str
    summary: str
    file: Path


class Panel(NamedTuple):
    """A task as it was asked, and the terms that the records on one pair of axes share."""

    cell: TaskCell
    terms: Terms

    @property
    def task(self) -> str:
        """The task's name."""
        return self.cell.task

    @property
    def metric(self) -> str:
        """The headline metric."""
        return self.cell.metric


def figures() -> dict[str, FigureInfo]:
    """Return all figures by name."""
    found = {}
    for file in figure_files():
        tree = parse(file)
        if any(isinstance(node, ast.FunctionDef) and node.name == "draw" for node in tree.body):
            name = file.stem.replace("_", "-")
            found[name] = FigureInfo(name, (ast.get_docstring(tree) or "").split("\n", 1)[0], file)
    return found


def find(request: str) -> FigureInfo:
    """Return the figure that a request names.

    Raises:
        BenchError: there is none.
    """
    name, known = request.partition(":")[0], figures()
    if name not in known:
        raise BenchError(
            f"there is no figure '{name}'", allowed=known, given=name, fix="bench ls figures"
        )
    return known[name]


def drawable(
    store: Store, wanted: Wanted, methods: Collection[str] = ()
) -> tuple[list[Record], int]:
    """Return the finished runs to draw, and the number left out as doubled.

    A run is doubled if it shares cell and split seed with another.

    Args:
        store: of the runs.
        wanted: which records count.
        methods: only these, whatever their settings; all if there are none.

    Raises:
        BenchError: no such run has one of the methods, or no stored run a model, the protocol or
            a K that is wanted.
    """
    stored = models_apart(store.records())
    wanted.check(stored, str(store.root))
    records = [record for record in stored if record.status == "ok" and record in wanted]
    known = {record.run.method for record in records}
    for name in sorted({*methods} - known):
        raise BenchError(
            f"no such run has the method '{name}'", where=str(store.root), allowed=known, given=name
        )
    chosen = [record for record in records if not methods or record.run.method in methods]
    kept = without_doubled(chosen)
    return kept, len(chosen) - len(kept)


def draw(request: str, material: Material) -> Figure:
    """Return a figure by name, with its settings if any: `pareto:cost=latency`.

    Raises:
        BenchError: no such figure or setting, or the records it needs are not there.
    """
    import matplotlib

    from fewbench.plots._style import STYLE

    module = importlib.import_module(f"fewbench.plots.{find(request).file.stem}")
    settings = _bind(request, inspect.signature(module.draw).parameters)
    with matplotlib.rc_context(STYLE):
        figure: Figure = module.draw(material, **settings)
        figure.draw_without_rendering()
    return figure


def save(figure: Figure, file: Path) -> None:
    """Write a figure, whole or not at all; the ending says as what.

    Raises:
        BenchError: another ending, or the file cannot be written.
    """
    check_format(file)
    stream = io.BytesIO()
    write_to(figure, stream, file.suffix)
    try:
        write_whole(file, stream.getvalue())
    except OSError as error:
        raise BenchError(
            f"the figure cannot be written: {error.strerror}", where=str(file)
        ) from error


def write_to(figure: Figure, stream: BinaryIO, ending: str) -> None:
    """Write a figure to a stream in one of `FORMATS`; the same figure gives the same bytes."""
    import matplotlib

    from fewbench.plots._style import STYLE

    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
    with matplotlib.rc_context(STYLE):
        figure.savefig(stream, format=ending[1:], metadata=dates[ending])


def check_format(file: Path) -> None:
    """Refuse a file whose ending is none of a figure's."""
    if file.suffix not in FORMATS:
        raise BenchError(
            f"'{file.suffix}' is no format of figures",
            where=str(file),
            allowed=FORMATS,
            fix="--out x.svg",
        )


def _bind(request: str, parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    name, _, tail = request.partition(":")
    known = {key: parameter.default for key, parameter in parameters.items() if key != "material"}
    settings = {}
    for piece in filter(None, tail.split(",")):
        key, equals, value = piece.partition("=")
        if key not in known or not equals:
            raise BenchError(
                f"the figure '{name}' has no setting '{piece}'", allowed=known or "none", given=key
            )
        try:
            settings[key] = (
                value if isinstance(known[key], str) else type(known[key])(ast.literal_eval(value))
            )
        except (ValueError, SyntaxError, TypeError) as error:
            problem = f"{key}={value} is no {type(known[key]).__name__}"
            raise BenchError(problem, fix=f"{name}:{key}={known[key]}") from error
    return settings


def score(record: Record) -> float:
    """Return a record's headline test score in hundredths."""
    return 100 * record.finished_score


def panels(records: Sequence[Record], *, over: str = "") -> dict[Panel, list[Record]]:
    """Group records by panel, in the order of tasks; `over` is `k` or `template`, to join it."""
    found: dict[Panel, list[Record]] = {}
    for record in records:
        question = record.question
        task, terms = question.task, question.terms
        terms = terms._replace(k=0) if over == "k" else terms
        found.setdefault(Panel(task, terms), []).append(record)
    joined = _over_templates(found) if over == "template" else found
    return {
        panel: joined[panel]
        for panel in sorted(joined, key=lambda one: (one.cell, one.terms.order))
    }


def _over_templates(found: Mapping[Panel, list[Record]]) -> dict[Panel, list[Record]]:
    """Join the panels of one task's templates, by the n-th definition of each."""
    joined: dict[Panel, list[Record]] = {}
    counts: dict[tuple[Panel, str], int] = {}
    for panel in sorted(found, key=lambda one: (one.cell, one.terms.order)):
        bare = panel._replace(cell=panel.cell._replace(template="", definition=""))
        number = counts.setdefault((bare, panel.cell.template), 0)
        counts[bare, panel.cell.template] += 1
        definition = str(number or "")
        merged = bare._replace(cell=bare.cell._replace(definition=definition))
        joined.setdefault(merged, []).extend(found[panel])
    return joined


def titles(shown: Sequence[Panel]) -> dict[Panel, str]:
    """Return a distinct title for each panel: its task, and as much else as is needed."""
    several_k = len({panel.terms.k for panel in shown}) > 1
    protocols = protocol_names({panel.terms[1:3]: () for panel in shown})
    by_panel = {}
    for panel in shown:
        terms = panel.terms
        twins = [other for other in shown if other.task == panel.task]
        parts = [_task_title(panel, twins)]
        if terms.k and several_k:
            parts.append(k_title(terms.k))
        if len(protocols) > 1:
            parts.append(protocols[terms[1:3]])
        parts += [*_marks(panel, twins), *_left_out(terms)]
        by_panel[panel] = visible(" · ".join(parts))
    return by_panel


def _left_out(terms: Terms) -> Iterator[str]:
    """Yield which test rows a panel's runs leave out, and in what else they computed."""
    if terms.limit:
        yield f"{terms.limit} drawn test rows"
    if terms.drop_leaks:
        yield "leaks dropped"
    if terms.arithmetic:
        yield terms.arithmetic


def _task_title(panel: Panel, twins: Sequence[Panel]) -> str:
    """Return a panel's task, with its source if its twins have several, metric and template."""
    cell = panel.cell
    title = panel.task
    if len({twin.cell.source for twin in twins}) > 1:
        title += f"@{cell.source}"
    if panel.metric != "accuracy":
        title += f" ({cell.metric_name})"
    return title + (f"+{cell.template}" if cell.template else "")


def _marks(panel: Panel, twins: Sequence[Panel]) -> list[str]:
    """Return the marks of a panel's task among twins with the same terms."""
    cells = {twin.cell: () for twin in twins if twin.terms == panel.terms}
    lines = Names(cells, {}).column(panel.cell).lines
    return [line for line in lines if line.startswith("#")]


def by_name(
    records: Sequence[Record], among: Sequence[Record] | None = None
) -> dict[str, list[Record]]:
    """Group records by their name in a legend: method, settings, and student if there are several.

    Args:
        records: of one panel, say.
        among: of the whole figure; a method has the same name in all its panels, whichever students
            they have.
    """
    rows = {place.row for place in places(list(among or records))}
    rows |= {place.row for place in places(list(records))}
    shown = telling(rows)
    names = Names({}, {shown[row]: () for row in rows})
    several = len({row.student for row in rows if row.student}) > 1
    found: dict[str, list[Record]] = {}
    for record, place in zip(records, places(list(records)), strict=True):
        student = f" ({place.row.student})" if place.row.student and several else ""
        found.setdefault(visible(names.row(shown[place.row]) + student), []).append(record)
    return found


def chunks(names: Sequence[str], size: int) -> Iterator[list[str]]:
    """Yield names in groups of nearly equal length, of `size` at most."""
    groups = -(-len(names) // size)
    for group in range(groups):
        yield list(names[group * len(names) // groups : (group + 1) * len(names) // groups])
