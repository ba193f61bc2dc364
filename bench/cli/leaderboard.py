"""`bench leaderboard`."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbench.cli.options import OUTPUT, DataOption, JsonOption, ResultsOption, TasksOption
from fewbench.cli.out import absolute, fail_if_damaged, note, print_json
from fewbench.errors import BenchError, how_many

if TYPE_CHECKING:
    from fewbench.report.site.content import SiteContent


def leaderboard(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="PATH",
            help="the file or folder to write",
            callback=absolute,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option(
            "--site",
            metavar="DIR",
            help="a folder for any static host: the board, its data, a page per method and paper",
            callback=absolute,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    tasks: TasksOption = None,
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    title: Annotated[
        str,
        typer.Option("--title", metavar="TEXT", help="title of the page", rich_help_panel=OUTPUT),
    ] = "Few-shot leaderboard",
    json: JsonOption = False,
) -> None:
    """Write the stored runs as HTML that needs neither a server nor the network.

    With --out it is one file, with --site a folder of linked pages and data. Methods are ranked on
    the tasks that all of them were run on. With the test labels of --data they are compared by seed
    and item, without them by seed alone.
    """
    from fewbench.report.page.write import check, save, to_html
    from fewbench.report.site.content import read_content

    if (out is None) == (site is None):
        raise BenchError("one of --out and --site is needed", fix="--out board.html or --site DIR")
    if out is not None:
        check(out)
    if site is not None:
        from fewbench.report.site.build import site_files
        from fewbench.report.site.folder import check_folder, save_site

        check_folder(site)
    gc.disable()  # collecting takes a third of the time that ten thousand records need
    folder = None if out is None else out.parent
    content = read_content(results, title, tasks=tasks, data=data, folder=folder)
    if out is not None:
        page = to_html(content.board, title)
        save(page, out)
        _tell(out, len(page.encode()), content, 1, json)
    if site is not None:
        files = site_files(content)
        save_site(files, site)
        _tell(site, sum(map(len, files.values())), content, len(files), json)
    fail_if_damaged(content.damaged)


def _tell(place: Path, size: int, content: SiteContent, files: int, json: bool) -> None:
    """Say what was written."""
    runs, printed = len(content.stored), len(content.board["published"])
    if json:
        print_json({"file": str(place), "bytes": size, "runs": runs, "published": printed})
        return
    several = f"{files} files, " if files > 1 else ""
    counts = f"{how_many(runs, 'run')}, {how_many(printed, 'published row')}"
    note(f"{place}: {several}{counts}, {size / 1024:.0f} KiB")
