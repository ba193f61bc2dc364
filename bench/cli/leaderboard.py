"""`bench leaderboard`."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer

from fewbench.cli.options import OUTPUT, DataOption, JsonOption, ResultsOption, TasksOption
from fewbench.cli.out import absolute, fail_if_damaged, note, print_json


def leaderboard(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="PATH",
            help="the file or folder to write",
            callback=absolute,
            rich_help_panel=OUTPUT,
        ),
    ],
    tasks: TasksOption = None,
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    title: Annotated[
        str,
        typer.Option("--title", metavar="TEXT", help="title of the page", rich_help_panel=OUTPUT),
    ] = "Few-shot leaderboard",
    json: JsonOption = False,
) -> None:
    """Write the stored runs as one HTML file that needs neither a server nor the network.

    Methods are ranked on the tasks that all of them were run on. With the test labels of --data
    they are compared by seed and item, without them by seed alone.
    """
    from fewbench.data.task_file import declared
    from fewbench.registry.methods import methods, task_files
    from fewbench.registry.protocols import protocols
    from fewbench.report.compare.items import Labels
    from fewbench.report.page.gather import gather, read
    from fewbench.report.page.panels import Judge
    from fewbench.report.page.write import check, save, to_html
    from fewbench.report.published import read_published
    from fewbench.report.query import Wanted, own_files, task_names
    from fewbench.report.today import Today
    from fewbench.store.store import Store

    check(out)
    wanted, files = Wanted(task_names(tasks) if tasks else None), own_files(tasks)
    gc.disable()  # collecting takes a third of the time that ten thousand records need
    stored, damaged = read(Store(results))
    stored = [one for one in stored if one.record in wanted]
    folder = results / "published"
    published = read_published(folder) if folder.is_dir() else []
    place, known = out.absolute().parent, declared(task_files(files))
    judge = Judge(Store(results), Labels(data, files))
    shown = gather(
        stored, damaged, published, known, methods(), protocols(), place, judge, Today(files)
    )
    page = to_html(shown, title)
    save(page, out)
    size, printed = len(page.encode()), len(shown["published"])
    if json:
        print_json({"file": str(out), "bytes": size, "runs": len(stored), "published": printed})
    else:
        note(f"{out}: {len(stored)} runs, {printed} published rows, {size / 1024:.0f} KiB")
    fail_if_damaged(damaged)
