"""The page's file: template, style, scripts and data, written atomically."""

from __future__ import annotations

from pathlib import Path

from fewbench.errors import BenchError
from fewbench.io.atomic import write_whole
from fewbench.report.page.data import PageData
from fewbench.report.page.markup import Markup, fill, json_block, policy

HERE = Path(__file__).parent
SCRIPTS = (
    "dom.js",
    "model.js",
    "board.js",
    "rows.js",
    "cell.js",
    "download.js",
    "figures.js",
    "pareto.js",
    "published.js",
    "methods.js",
    "runs.js",
    "page.js",
)
"""In the order in which they are joined into one script."""

GENERATOR = "fewbench leaderboard"


def to_html(data: PageData, title: str, links: str = "") -> Markup:
    """Return the page of some data (`fewbench.report.page.gather`).

    Args:
        data: the data.
        title: of the page.
        links: to other pages, as Markup; none if the page stands alone.
    """
    style = Markup(base_style() + _packaged("page.css"))
    script = Markup("\n".join(_packaged(name) for name in SCRIPTS))
    return fill(
        _packaged("template.html"),
        head=head(title, style, script),
        title=title,
        script=script,
        links=links,
        data=json_block(data),
    )


def head(title: str, style: Markup, script: Markup | None = None) -> Markup:
    """Return the start of a page, down to its body: it may do what its style and script need.

    Args:
        title: of the window.
        style: of the page.
        script: its only script, or None.
    """
    allowed = policy(style, script)
    return fill(
        _packaged("head.html"), title=title, generator=GENERATOR, policy=allowed, style=style
    )


def base_style() -> Markup:
    """Return the style that the page shares with the others of a site."""
    return _packaged("base.css")


def save(page: Markup, file: Path) -> None:
    """Write a page, and replace an earlier one.

    Raises:
        BenchError: the file is not such a page, or cannot be written. It is left unchanged.
    """
    check(file)
    try:
        write_whole(file, page.encode("utf-8"))
    except OSError as error:
        raise _unwritable(file, error) from error


def check(file: Path) -> None:
    """Refuse to overwrite anything but an earlier page.

    Raises:
        BenchError: the file is a folder, or not such a page.
    """
    if file.is_dir():
        raise BenchError(
            "cannot write the page: this is a folder", where=str(file), fix=f"--out {file}/x.html"
        )
    try:
        with file.open("rb") as stream:
            start = stream.read(4096)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(file, error) from error
    if start.strip() and f'content="{GENERATOR}"'.encode() not in start:
        raise BenchError(
            "this file is not a leaderboard page, so it is not overwritten",
            where=str(file),
            fix="--out with another name",
        )


def _unwritable(file: Path, error: OSError) -> BenchError:
    return BenchError(f"cannot write the page: {error.strerror}", where=str(file), fix="--out FILE")


def _packaged(name: str) -> Markup:
    return Markup((HERE / name).read_text("utf-8"))
