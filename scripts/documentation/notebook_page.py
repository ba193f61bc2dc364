"""The page of a notebook: its text, its cells, and what they showed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from markdown_text import Page, page


def notebook_page(file: Path) -> Page:
    """Return a notebook as a page of the same name."""
    cells = json.loads(file.read_text("utf-8"))["cells"]
    note = f"Every cell was run; [the notebook itself]({file.name}) can be run again."
    title, *rest = [_cell(cell) for cell in cells]
    return Page(f"{file.stem}.md", page(title, note, *rest))


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source
    outputs = [_output(output.get("data", {})) for output in cell["outputs"]]
    return page(f"```python\n{source}\n```", *outputs)


def _output(data: dict[str, Any]) -> str:
    """Return what a cell showed: a figure, a table, or text."""
    if "image/png" in data:
        content = "".join("".join(data["image/png"]).split())
        return f'<img alt="the figure" src="data:image/png;base64,{content}">'
    if "text/html" in data:
        shown = re.search(r"<table.*</table>", "".join(data["text/html"]), re.DOTALL)
        assert shown is not None
        table = "".join(line.strip() for line in shown[0].splitlines())
        table = table.replace("<th></th>", "<td></td>")  # a corner heads nothing
        return re.sub(r"<table[^>]*>", "<table>", table)
    return "```text\n" + "".join(data.get("text/plain", [])) + "\n```"
