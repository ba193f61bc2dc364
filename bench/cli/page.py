"""`bench leaderboard`."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer

from fewbench.cli.listing import JsonOption, ResultsOption
from fewbench.cli.out import absolute, note, print_json


def leaderboard(
    out: Annotated[Path, typer.Option("--out", help="the file to write", callback=absolute)],
    results: ResultsOption = Path("results"),
    title: Annotated[str, typer.Option("--title", help="what the page is called")] = "Few-shot leaderboard",
    json: JsonOption = False,
) -> None:
    """Write the stored runs as one HTML file, which needs neither a server nor the network."""
    from fewbench.declare import declared
    from fewbench.page.gather import gather, read
    from fewbench.page.write import check, save, to_html
    from fewbench.protocol import protocols
    from fewbench.published import read_published
    from fewbench.registry import methods, task_files
    from fewbench.store import Store

    check(out)
    gc.disable()  # a process that reads ten thousand records and ends
    stored, damaged = read(Store(results))
    folder = results / "published"
    published = read_published(folder) if folder.is_dir() else []
    data = gather(stored, damaged, published, declared(task_files()), methods(), protocols(), out.absolute().parent)
    page = to_html(data, title)
    save(page, out)
    size, printed = len(page.encode()), len(data["published"])
    if json:
        print_json({"file": str(out), "bytes": size, "runs": len(stored), "published": printed})
    else:
        note(f"{out}: {len(stored)} runs, {printed} published rows, {size / 1024:.0f} KiB")
    for damage in damaged:
        note(f"damaged: {damage}")
    if any(damage.serious for damage in damaged):
        raise typer.Exit(3)
