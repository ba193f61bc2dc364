"""Render a grid as text: for a terminal, Markdown, LaTeX or CSV, one file per format."""

from fewbench.report.render.comma import to_csv
from fewbench.report.render.latex import latex
from fewbench.report.render.listing import fits, listing
from fewbench.report.render.markdown import markdown
from fewbench.report.render.terminal import terminal

__all__ = ["fits", "latex", "listing", "markdown", "terminal", "to_csv"]
