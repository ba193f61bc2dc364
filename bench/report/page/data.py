"""The page's data, as its scripts read them from JSON: named tuples become arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypedDict

from fewbench.types import K


class PageCell(NamedTuple):
    """The numbers of a cell's block, row and column."""

    block: int
    row: int
    column: int


class ColumnData(TypedDict):
    """A task as it was asked; `mark` is the part of `name` that only twins have."""

    task: str
    source: str
    template: str
    name: str
    mark: str
    metric: str
    title: str


class RowData(TypedDict):
    """An entrant."""

    student: str
    teacher: str
    label: str
    method: str


class BlockCell(NamedTuple):
    """A cell of a block; scores are percents, and `doubled` and `changed` are remarks.

    `low` and `high` bound the mean over split seeds at 95 %, by Student's t. `command` makes its
    runs.
    """

    row: int
    column: int
    mean: float | None
    std: float | None
    n: int
    failed: int
    stale: int
    has_mixed_code: bool
    doubled: Sequence[str]
    changed: Sequence[str]
    low: float | None
    high: float | None
    command: str


class BlockData(TypedDict):
    """Cells that may be compared, and the terms that they share.

    `chance` are the numbers of columns that are at chance for all models.
    """

    k: K
    protocol: str
    limit: int | None
    drop_leaks: bool
    arithmetic: str
    ddof: int
    cells: Sequence[BlockCell]
    chance: Sequence[int]


class RankedRow(NamedTuple):
    """A row of a panel, in percents.

    `verdict` is `first`, `same` (not distinguishable from the first), `apart`, or `open` (too few
    seeds to say, or not compared). `difference` is to the first, `low` and `high` bound it at 95 %,
    `p` is Holm's, and `pairs` counts independent pairs of runs.
    """

    row: int
    average: float
    verdict: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    pairs: int
    win_rate: float | None
    average_rank: float | None


class PanelData(TypedDict):
    """Ranked rows of a block, best first, on tasks that all of them were run on.

    `student` is the only model of its rows, or empty where all models are ranked; `chance` are
    columns that are at chance for it, and not among `columns`. `baselines` are
    rows without a model, with their averages. `critical` is the least significant difference of
    average ranks, over `ranked_tasks`; `by_items` says that test items were compared, not only
    seeds.
    """

    block: int
    suite: str
    student: str
    columns: Sequence[int]
    chance: Sequence[int]
    rows: Sequence[RankedRow]
    baselines: Sequence[tuple[int, float]]
    critical: float | None
    ranked_tasks: int
    friedman: float | None
    why_no_ranks: str
    by_items: bool


class MeasuredMean(NamedTuple):
    """The mean over `n` runs of one thing measured."""

    mean: float
    n: int


class MeasuredCell(NamedTuple):
    """The means of a cell, in the order of the columns; None where nothing was measured."""

    block: int
    row: int
    column: int
    means: Sequence[MeasuredMean | None]


class MeasuredData(TypedDict):
    """Measurements by cell; a column has a name and a number of digits."""

    columns: Sequence[tuple[str, int]]
    cells: Sequence[MeasuredCell]


class PublishedCell(NamedTuple):
    """A number printed in a paper; `is_headline` if its metric is its task's own.

    `task` is the printed column where a number is of no task, or its row has another of the task.
    """

    task: str
    metric: str
    value: float
    std: float | None
    n: int | None
    note: str
    source: str
    is_headline: int


class PublishedRow(TypedDict):
    """A line of a paper's table. `address` is empty where the paper has no public one."""

    paper: str
    table: str
    address: str
    label: str
    method: str
    backbone: str
    k: str
    cells: list[PublishedCell]


class MethodData(TypedDict):
    """A method; a setting has a name, a default, what it may be, and the values searched.

    Presets are settings by what is typed.
    """

    summary: str
    paper: str
    needs: Sequence[str]
    kinds: Sequence[str]
    backbones: Sequence[str]
    settings: Sequence[tuple[str, str, str, str]]
    presets: Mapping[str, str]
    code: str | None


class ModelData(TypedDict):
    """A model: its million parameters, and a description."""

    parameters: float
    what: str


class SuiteData(TypedDict):
    """A suite of tasks."""

    name: str
    title: str
    tasks: Sequence[str]


class TrialRow(NamedTuple):
    """A trial of a run: the number of its settings, and its dev score in percent."""

    settings: int
    dev: float | None
    step: int | None
    seed: int


class RunRow(NamedTuple):
    """A run. Its settings, details, environment and measurements are numbers of shared values.

    `date` is empty where the record does not say when it was made.
    """

    block: int
    row: int
    column: int
    method: str
    task: str
    k: K
    seed: int
    key: str
    file: str
    status: str
    error: str | None
    stale: int
    dev: float | None
    test: float | None
    settings: int
    trials: Sequence[TrialRow]
    chosen: int | None
    details: int
    environment: int
    seconds: float | None
    memory: float | None
    measured: int | None
    warnings: Sequence[str]
    date: str


class RunsData(TypedDict):
    """All runs, under the names of their fields."""

    fields: Sequence[str]
    rows: Sequence[RunRow]


class SitePages(TypedDict):
    """Paths of the pages of a site by the names of methods and papers; empty for a page alone."""

    methods: Mapping[str, str]
    papers: Mapping[str, str]


class PageData(TypedDict):
    """All that the page shows. `short` is the number of runs above which details are left out.

    `protocols` are titles by name, and `models` what is known of a model by its name.
    """

    version: str
    short: int
    suites: Sequence[SuiteData]
    columns: Sequence[ColumnData]
    rows: Sequence[RowData]
    blocks: Sequence[BlockData]
    panels: Sequence[PanelData]
    beyond: MeasuredData
    published: Sequence[PublishedRow]
    methods: Mapping[str, MethodData]
    runs: RunsData
    damaged: Sequence[str]
    values: Sequence[object]
    models: Mapping[str, ModelData]
    protocols: Mapping[str, str]
    pages: SitePages


def percent(score: float | None) -> float | None:
    """Return a score in percent, rounded as the page shows it."""
    return None if score is None else round(100 * score, 2)
