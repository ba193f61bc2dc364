"""How long `bench leaderboard` takes over 10,000 records, and how long Chromium takes to open what
it writes.

The records are those of `table_10000.py`. The page is opened from disk with the network off; its
time goes from the navigation to the drawn board, that of a sort from the click to the next frame.
Where itables is installed, a board of `--rows` methods on fourteen tasks is opened as this page
shows it and as itables does (DataTables inlined).
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measure import Seconds, interleave, process
from table_10000 import TASKS, write

from fewbench.report.page.write import save, to_html
from fewbench.store import paths

READY = {"this page": "#board tbody td", "itables": "table.dataTable tbody td"}
SORT = """async () => {
  const start = performance.now();
  document.querySelectorAll("#board thead button")[3].click();
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return (performance.now() - start) / 1000;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--records", type=int, default=10_000, help="how many (default: %(default)s)"
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=1000,
        help="methods of the compared board (default: %(default)s)",
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="measured rounds of each (default: %(default)s)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write(root, arguments.records)
        files = paths.record_files(root / "runs", print)
        page = root / "page.html"
        bench = [sys.executable, "-m", "fewbench"]
        interleave(
            {
                "bench leaderboard": process(
                    [*bench, "leaderboard", "--results", str(root), "--out", str(page)]
                ),
                "bench table": process([*bench, "table", "--results", str(root)]),
                "reading the files alone": lambda: Seconds.of(
                    lambda: [file.read_bytes() for file in files]
                ),
                "python -c pass": process([sys.executable, "-c", "pass"]),
            },
            arguments.rounds,
        )
        pages = {f"the page of {len(files)} records": ("this page", page)}
        pages |= boards(root, arguments.rows)
        for title, (_, file) in pages.items():
            print(f"{title}: {file.stat().st_size / 1024:.0f} KiB")
        browse(pages, arguments.rounds)


def boards(root: Path, rows: int) -> dict[str, tuple[str, Path]]:
    """Write the same scores as this page shows them, and as itables does if it is installed."""
    dice = random.Random(0)
    scores = [[round(dice.uniform(50, 95), 1) for _ in TASKS] for _ in range(rows)]
    column = {
        "source": "x",
        "mark": "",
        "metric": "accuracy",
        "template": "",
        "title": "",
    }
    block = {"k": 16, "protocol": "quick", "limit": None, "drop_leaks": False, "ddof": 0}
    data = {
        "version": "0",
        "suites": [],
        "columns": [{"task": task, "name": task, **column} for task in TASKS],
        "rows": [
            {"label": f"method-{n}", "method": f"method-{n}", "student": "x", "teacher": ""}
            for n in range(rows)
        ],
        "blocks": [
            block
            | {
                "cells": [
                    [r, c, s, None, 1, 0, 0, False, [], [], None, None, ""]
                    for r, row in enumerate(scores)
                    for c, s in enumerate(row)
                ]
            }
        ],
        "panels": [],
        "beyond": {"columns": [], "cells": []},
        "short": 0,
        "published": [],
        "methods": {},
        "runs": {"fields": [], "rows": []},
        "damaged": [],
        "values": [],
    }
    save(to_html(data, "board"), root / "board.html")
    found = {f"a board of {rows} rows by this page": ("this page", root / "board.html")}
    if importlib.util.find_spec("itables"):
        (root / "itables.html").write_text(by_itables(scores), "utf-8")
        found[f"a board of {rows} rows by itables"] = ("itables", root / "itables.html")
    return found


def by_itables(scores: list[list[float]]) -> str:
    """Return a page in which itables shows scores, all rows at once, with everything inlined."""
    import itables
    import pandas as pd
    from itables.javascript import generate_init_offline_itables_html

    frame = pd.DataFrame(
        scores, columns=list(TASKS), index=[f"method-{n}" for n in range(len(scores))]
    )
    bundle = Path(itables.__file__).parent / "html" / "dt_bundle.js"
    init = generate_init_offline_itables_html(bundle)
    table = itables.to_html_datatable(frame, connected=False, paging=False, maxBytes=0)
    return f"<!doctype html><html lang=en><head><meta charset=utf-8></head><body>{init}{table}</body></html>"


def browse(pages: Mapping[str, tuple[str, Path]], rounds: int) -> None:
    """Open every page in turn, and sort this page's by the third column; print medians and all
    times.
    """
    from playwright.sync_api import sync_playwright

    taken: dict[tuple[str, str], list[float]] = {}
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or playwright.chromium.executable_path
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for number in range(rounds + 1):
            for title in list(pages)[:: -1 if number % 2 else 1]:
                for what, seconds in _visit(browser, *pages[title]).items():
                    taken.setdefault((title, what), []).append(seconds)
        browser.close()
    for (title, what), times in taken.items():
        counted = times[1:]  # the first round is not
        print(
            f"{title}, {what}: {statistics.median(counted):.2f} s ({' '.join(f'{t:.2f}' for t in counted)})"
        )


def _visit(browser: Any, kind: str, file: Path) -> dict[str, float]:
    context = browser.new_context(offline=True)
    page = context.new_page()
    start = time.perf_counter()
    page.goto(file.as_uri())
    page.wait_for_selector(READY[kind])
    taken = {"opened": time.perf_counter() - start}
    if kind == "this page":
        taken["sorted"] = page.evaluate(SORT)
    context.close()
    return taken


if __name__ == "__main__":
    main()
