"""All that the board and its site show, read from a results folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fewbench.data.task_file import Declared, declared
from fewbench.registry.methods import MethodInfo, methods, task_files
from fewbench.registry.protocols import protocols
from fewbench.report.compare.items import Labels
from fewbench.report.page.data import PageData
from fewbench.report.page.gather import board_blocks, gather, read
from fewbench.report.page.models import read_described
from fewbench.report.page.panels import Judge
from fewbench.report.page.runs import Stored
from fewbench.report.published import FOLDER, Published, read_published
from fewbench.report.query import own_files, task_names
from fewbench.report.tables.blocks import Block
from fewbench.report.today import Today
from fewbench.report.wanted import Wanted
from fewbench.store.damage import Damage
from fewbench.store.store import Store


@dataclass(frozen=True, slots=True)
class SiteContent:
    """All that a site shows.

    `board` is the data of its first page, `blocks` are the cells, `stored` the runs, with their
    files under `root`; `published` are the papers' numbers, `known` tasks and suites, and
    `damaged` the files that could not be read.
    """

    title: str
    board: PageData
    blocks: Sequence[Block]
    stored: Sequence[Stored]
    root: Path
    published: Sequence[Published]
    methods: Mapping[str, MethodInfo]
    known: Declared
    damaged: Sequence[Damage]


def read_content(
    results: Path,
    title: str = "Few-shot leaderboard",
    *,
    tasks: Sequence[str] | None = None,
    data: Path | None = None,
    folder: Path | None = None,
) -> SiteContent:
    """Read a results folder.

    Args:
        results: the folder.
        title: of the board.
        tasks: names, suites or files as `--tasks` takes them; None for all.
        data: the data folder, whose test labels let methods be compared by item.
        folder: of the page, which links to records are relative to; None for the results folder.

    Raises:
        BenchError: an unknown task, or a file of tasks, models or published numbers with a mistake.
    """
    wanted = Wanted(task_names(tasks) if tasks else None)
    files = own_files(tasks)
    stored, damaged = read(Store(results))
    stored = [run for run in stored if run.record in wanted]
    numbers = results / FOLDER
    published = read_published(numbers) if numbers.is_dir() else []
    known, here = declared(task_files(files)), methods()
    today = Today(files, known.tasks)
    blocks = board_blocks(stored, here, protocols(), today)
    board = gather(
        stored,
        damaged,
        published,
        known,
        here,
        protocols(),
        folder or results,
        Judge(Store(results), Labels(data, files, known.tasks)),
        today,
        blocks,
        read_described(results),
    )
    return SiteContent(title, board, blocks, stored, results, published, here, known, damaged)
