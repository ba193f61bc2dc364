"""The pages of methods: what they do, by which paper, with which settings, and what they scored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from markdown_text import Page, cited, code, codes, facts, page, plain, table

from fewbench.registry.groups import method_groups
from fewbench.registry.methods import methods
from fewbench.report.declarations import MethodDeclaration, declarations
from fewbench.report.evidence import Evidence, evidence
from fewbench.store.store import Store

INTRODUCTION = """# All methods

A method is one file or one folder of `methods/`, from whose declarations its page is written. `--methods` takes names,
settings (`pkd:beta=50`), presets (`pkd:last`), pipelines (`truncate+kd`), groups, files of your own, and `all`.
[Methods](../methods.md) tells which models they read and what some of them need; [your own](../your-method.md) is a file.
"""

MOST_ROWS = 40
"""Rows of evidence that stand open; more are folded."""


def method_pages(results: Path) -> list[Page]:
    """Return the list of methods, and a page for each.

    Args:
        results: the folder of the records that are the evidence.
    """
    declared = declarations(methods())
    found = evidence(Store(results))
    pages = [Page("methods/index.md", _index(declared, found))]
    for method in declared:
        text = _text(method, found.get(method.name, []))
        pages.append(Page(f"methods/{method.name}.md", text))
    return pages


def _index(declared: Iterable[MethodDeclaration], found: Collection[str]) -> str:
    rows = [
        (
            f"[{method.name}]({method.name}.md)",
            plain(method.summary),
            plain(method.citation),
            "yes" if method.name in found else "–",
        )
        for method in declared
    ]
    groups = [
        (code(group.name), group.title, codes(group.methods)) for group in method_groups().values()
    ]
    return page(
        INTRODUCTION,
        table(("method", "what it does", "paper", "stored runs"), rows),
        "## Groups",
        table(("group", "what for", "methods"), groups),
    )


def _text(method: MethodDeclaration, lines: Sequence[Evidence]) -> str:
    teacher = method.teacher
    about = {
        "Paper": cited(method.citation, method.papers),
        "Needs": ", ".join(method.needs),
        "Tasks": ", ".join(method.kinds),
        "Models": ", ".join(method.backbones),
        "Teacher": f"trained by [{teacher}]({teacher}.md)" if teacher else "",
        "Pipelines": codes(method.pipelines),
        "Groups": codes(method.groups),
        "Code": code(method.file),
    }
    return page(
        f"# {method.name}",
        plain(method.summary),
        facts(about),
        f"```sh\n{method.command}\nbench cite {method.name}\n```",
        "## What it computes" if method.paragraphs else "",
        *map(plain, method.paragraphs),
        _settings(method),
        _presets(method),
        _evidence(lines),
    )


def _settings(method: MethodDeclaration) -> str:
    if not method.settings:
        return "## Settings\n\nNone."
    rows = [
        (code(setting.name), code(setting.default), plain(setting.allowed), plain(setting.searched))
        for setting in method.settings
    ]
    return page("## Settings", table(("setting", "default", "may be", "searched"), rows))


def _presets(method: MethodDeclaration) -> str:
    if not method.presets:
        return ""
    rows = [(code(preset.typed), code(preset.settings)) for preset in method.presets]
    return page("## Presets", table(("preset", "settings"), rows))


def _evidence(lines: Sequence[Evidence]) -> str:
    """Return the scores of the committed runs; many of them are folded."""
    if not lines:
        return "## Evidence\n\nNo run of it is stored in `results/` yet."
    heads = ("task", "K", "with", "models", "protocol", "mean (95 %)", "n", "remarks")
    shown = table(heads, map(_line, lines))
    note = (
        "Means over split seeds of the stored runs, in percent, with Student's interval. "
        "[The board](../leaderboard.html) compares methods, and [findings](../findings.md) says "
        "what can be told from them."
    )
    if len(lines) > MOST_ROWS:
        inner = shown.replace("\n", "\n    ")
        shown = f'??? note "{len(lines)} rows"\n\n    {inner}'
    return page("## Evidence", note, shown)


def _line(line: Evidence) -> tuple[str, ...]:
    mean = "–" if line.mean is None else f"**{line.mean:.1f}**"
    if line.low is not None and line.high is not None:
        mean += f"<br>{line.low:.1f}&nbsp;to&nbsp;{line.high:.1f}"
    name, _, source = line.task.partition("@")
    task = f"[{name}](../tasks/{name}.md)" + plain(f"@{source}" if source else "")
    models = "<br>taught by ".join(code(model) for model in (line.student, line.teacher) if model)
    about = (task, str(line.k), code(line.typed), models or "–", line.protocol)
    return (*about, mean, str(line.n), "; ".join(line.remarks))
