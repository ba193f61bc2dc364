"""A grid's text: for a terminal, Markdown, LaTeX or CSV, one file each."""

from fewbench.render.comma import to_csv
from fewbench.render.latex import latex
from fewbench.render.markdown import markdown
from fewbench.render.terminal import terminal

__all__ = ["latex", "markdown", "terminal", "to_csv"]
