"""The pages of tasks: where the rows are from, their splits and leaks, and the prompts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from markdown_text import Page, cited, code, codes, facts, page, plain, table

from fewbench.data.facts import FactTask
from fewbench.data.metrics import shown_metric
from fewbench.data.task_file import Declared, Suite, declared
from fewbench.registry.methods import task_files
from fewbench.registry.papers import papers_in
from fewbench.types import Prompt, Source, Task

INTRODUCTION = """# Tasks

A task is a data set with a format, labels, a metric, a manual template and label words, declared in one table of
`tasks/*.toml`. A file is a suite: `--tasks glue` stands for its tasks. Data comes from the hub at pinned revisions, or
from a folder; only the four small tasks of `demo` come with the package.
"""

PECULIARITIES = {
    "may_be_empty": "texts may be empty",
    "may_repeat_options": "a row may have two equal options",
    "may_lack_options": "a row may have fewer options than labels",
}

MANY_LABELS = 7
"""From so many labels on, label words stand in one line."""


def task_pages(docs: Path) -> list[Page]:
    """Return the list of tasks, and a page for each task and each set of facts.

    Args:
        docs: the folder of documents, in which `splits.md` and `overlap.md` hold what was counted.
    """
    known = declared(task_files())
    splits, overlap = (_rows_by_task(docs / name) for name in ("splits.md", "overlap.md"))
    pages = [_index(known)]
    for task in known.tasks.values():
        suites = _suites_of(task, known.suites.values())
        counted = [_splits(task, splits), _overlap(task, overlap)]
        pages.append(Page(f"tasks/{task.name}.md", _task_text(task, suites, counted)))
    for fact_task in known.facts.values():
        pages.append(Page(f"tasks/{fact_task.name}.md", _facts_text(fact_task)))
    return pages


def _index(known: Declared) -> Page:
    rows = [
        (
            f"[{name}]({name}.md)",
            task.kind,
            str(len(task.labels)) if task.kind in ("single", "pair", "choice") else "–",
            shown_metric(task.metric, task.positive),
            plain(task.title),
        )
        for name, task in sorted(known.tasks.items())
    ]
    suites = [
        (code(name), plain(suite.title), ", ".join(map(_member, suite.tasks)))
        for name, suite in sorted(known.suites.items())
    ]
    fact_rows = [(f"[{name}]({name}.md)", plain(item.title)) for name, item in known.facts.items()]
    return Page(
        "tasks/index.md",
        page(
            INTRODUCTION,
            table(("task", "kind", "classes", "metric", "what it is"), rows),
            "## Suites",
            table(("suite", "what it is", "tasks"), suites),
            "## Facts",
            "Sentences with a gap, to be completed by `bench probe`; nothing is trained on them.",
            table(("facts", "what they are"), fact_rows),
        ),
    )


def _member(member: str) -> str:
    name = member.partition("@")[0]
    return f"[{member}]({name}.md)"


def _suites_of(task: Task, suites: Iterable[Suite]) -> list[str]:
    return [suite.name for suite in suites if _is_in(task, suite)]


def _is_in(task: Task, suite: Suite) -> bool:
    return any(member.partition("@")[0] == task.name for member in suite.tasks)


def _task_text(task: Task, suites: Iterable[str], counted: list[str]) -> str:
    metrics = [shown_metric(task.metric, task.positive), *task.metrics]
    about = {
        "What it is": plain(task.title),
        "Paper": cited(task.paper, papers_in(task.paper, "tasks")),
        "Licence": plain(task.licence),
        "Kind": task.kind,
        "Labels": "" if task.is_regression else _shortened(codes(task.labels)),
        "Values": "from {:g} to {:g}".format(*task.bounds) if task.bounds else "",
        "Metrics": ", ".join(metrics),
        "Longest input": f"{task.max_length} tokens",
        "Suites": codes(suites),
        "Declared in": code(f"tasks/{Path(task.file).name}"),
        "Version": str(task.version),
    }
    command = f"bench run --tasks {task.name} --methods ft,prompt-ft"
    return page(
        f"# {task.name}",
        facts(about),
        f"```sh\n{command}\n```",
        _sources(task),
        _prompts(task),
        *counted,
    )


def _shortened(text: str, most: int = 600) -> str:
    """Cut a long list of labels between two of them."""
    return text if len(text) <= most else text[:most].rpartition(", ")[0] + ", …"


def _sources(task: Task) -> str:
    heads = ("source", "where", "train", "test", "texts", "label", "what is peculiar")
    rows = [_source_row(task, source) for source in task.sources]
    several = "The first is used unless another is named: "
    note = several + codes(f"--tasks {task.name}@{source.name}" for source in task.sources)
    return page("## Data", note + "." if len(rows) > 1 else "", table(heads, rows))


def _source_row(task: Task, source: Source) -> list[str]:
    place = "/".join(filter(None, [source.path, source.config]))
    where = f"files {code(place)}" + (", or the hub" if source.hub else "")
    if source.revision:
        where += f" at {code(source.revision[:12])}"
    peculiar = [said for name, said in PECULIARITIES.items() if getattr(source, name)]
    if source.join:
        peculiar.append("a text is a list that is joined")
    if source.drop:
        peculiar.append(f"rows labelled {codes(source.drop)} are left out")
    if source.folds:
        peculiar.append(f"{source.folds} published few-shot splits")
    if source.unlabeled:
        peculiar.append(f"unlabelled rows: {code(source.unlabeled)}")
    columns = [codes(source.texts), code(source.label)]
    return [
        code(source.name),
        where,
        code(source.train),
        code(source.test),
        *columns,
        "; ".join(peculiar),
    ]


def _prompts(task: Task) -> str:
    if task.format == "span":
        return "## Prompt\n\nNone: a span of the passage answers the question."
    prompts = [Prompt("own", task.template, task.words), *task.prompts]
    rows = [[code(p.name), code(p.template), _words(task, p.words)] for p in prompts]
    note = "`--template NAME` takes another in the place of the task's own."
    heads = ("name", "template", "label words")
    return page("## Prompt", note if len(rows) > 1 else "", table(heads, rows))


def _words(task: Task, words: tuple[tuple[str, ...], ...]) -> str:
    pairs = [
        f"{plain(label)}: {codes(of_label)}"
        for label, of_label in zip(task.labels, words, strict=False)
    ]
    return _shortened(("<br>" if len(pairs) < MANY_LABELS else ", ").join(pairs))


def _rows_by_task(file: Path) -> dict[str, list[list[str]]]:
    """Return a document's table: the cells of each row after the first, by the first."""
    found: dict[str, list[list[str]]] = {}
    for name, cells in re.findall(r"^\| (\S+@\S+) \| (.*) \|$", file.read_text("utf-8"), re.M):
        found.setdefault(name, []).append(cells.split(" | "))
    return found


def _names(task: Task) -> list[str]:
    return [f"{task.name}@{source.name}" for source in task.sources]


def _splits(task: Task, splits: Mapping[str, list[list[str]]]) -> str:
    rows = [[code(name), *cells] for name in _names(task) for cells in splits.get(name, [])]
    heads = ["source", "K", "seed", "train", "dev", "test", "labels", "exact", "normalised"]
    heads += ["within", "split", "test rows"]
    if not rows:
        return "## Splits and leaks\n\nNot counted: its data was not at hand."
    note = (
        "Test rows that also stand in train or dev, letter for letter (`exact`) or but for case, "
        "punctuation and spacing (`normalised`), and those that repeat an earlier test row "
        "(`within`); [all tasks](../splits.md). `--drop-leaks` leaves them out."
    )
    return page("## Splits and leaks", note, table(heads, rows))


def _overlap(task: Task, overlap: Mapping[str, list[list[str]]]) -> str:
    rows = [[code(name), *cells] for name in _names(task) for cells in overlap.get(name, [])]
    if not rows:
        return ""
    note = "Test rows that stand in the text the embedded models have read ([how](../overlap.md))."
    return page(note, table(("source", "test rows", "looked for", "seen"), rows))


def _facts_text(item: FactTask) -> str:
    about = {
        "What they are": plain(item.title),
        "Paper": cited(item.paper, papers_in(item.paper, "tasks")),
        "Licence": plain(item.licence),
        "Files": _shortened(codes(f"{item.path}/{file}" for file in item.files)),
        "Relations": ", ".join(plain(relation.label) for relation, _ in item.parts),
        "Metrics": "MRR, P@1, P@10",
        "Version": str(item.version),
    }
    command = f"bench probe {item.name} --student fewbench-mini --data DIR"
    return page(f"# {item.name}", facts(about), f"```sh\n{command}\n```")
