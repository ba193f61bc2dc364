"""The page's file: template, style, scripts and data put together, and written whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewbench.errors import BenchError
from fewbench.io.atomic import write_whole
from fewbench.report.page.markup import Markup, fill, json_block, policy

HERE = Path(__file__).parent
SCRIPTS = (
    "dom.js",
    "model.js",
    "board.js",
    "figures.js",
    "beyond.js",
    "methods.js",
    "runs.js",
    "page.js",
)
"""In the order in which they are joined to one script."""

GENERATOR = "fewbench leaderboard"


def to_html(data: Mapping[str, Any], title: str) -> Markup:
    """Return the page that shows some data (`fewbench.report.page.gather`)."""
    style = _own("page.css")
    script = Markup("\n".join(_own(name) for name in SCRIPTS))
    return fill(
        _own("template.html"),
        title=title,
        generator=GENERATOR,
        policy=policy(style, script),
        style=style,
        script=script,
        data=json_block(data),
    )


def save(page: Markup, file: Path) -> None:
    """Write a page, in the place of an earlier one.

    Raises:
        BenchError: the file is something else than such a page, or cannot be written. It is as it
            was.
    """
    check(file)
    try:
        write_whole(file, page.encode("utf-8"))
    except OSError as error:
        raise BenchError(
            f"the page cannot be written: {error.strerror}", where=str(file), fix="--out FILE"
        ) from error


def check(file: Path) -> None:
    """Refuse to write over anything but an earlier page.

    Raises:
        BenchError: a folder, or a file that is no page.
    """
    if file.is_dir():
        raise BenchError(
            "the page is a file, and this is a folder", where=str(file), fix=f"--out {file}/x.html"
        )
    try:
        with file.open("rb") as stream:
            start = stream.read(4096)
    except FileNotFoundError:
        return
    except OSError as error:
        raise BenchError(
            f"the page cannot be written: {error.strerror}", where=str(file), fix="--out FILE"
        ) from error
    if start.strip() and f'content="{GENERATOR}"'.encode() not in start:
        raise BenchError(
            "this file is no leaderboard page, and stays",
            where=str(file),
            fix="--out with another name",
        )


def _own(name: str) -> Markup:
    return Markup((HERE / name).read_text("utf-8"))
