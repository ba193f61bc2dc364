"""Toy tasks, rows, protocols and runs, for the conformance suite and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fewbench.data.corpora import corpus_ref
from fewbench.data.labelled import LabelledRows
from fewbench.data.metrics import Scorer
from fewbench.data.split import make_split
from fewbench.data.unified import unified
from fewbench.registry.methods import MethodInfo, methods
from fewbench.registry.needs import needing, rows_of
from fewbench.registry.pretrained import find_model
from fewbench.registry.protocol import Protocol
from fewbench.registry.protocols import get_protocol
from fewbench.registry.tasks import choose_tasks
from fewbench.runner.jobs import Job
from fewbench.runner.maker import JobData, JobMaker
from fewbench.store.inputs import exact_hash, row_hashes
from fewbench.types import Example, Kind, Prompt, Rows, Source, Task

SUBJECTS = ("the film", "the movie", "acting", "the plot", "a cat", "the dog", "it", "this")
OPINIONS = ("wonderful and lovely", "dull , a bit", "boring , a waste")
SOURCE = Source("toy", "toy", "default", "train", "test", ("text",), "label", hub=False)
FORMS: Mapping[Kind, Mapping[str, Any]] = {
    "single": dict(
        labels=("bad", "fair", "good"),
        template="{0} It was {mask}.",
        words=(("terrible",), ("okay",), ("great",)),
    ),
    "pair": dict(
        labels=("no", "maybe", "yes"),
        template="{0|cut}? {mask}, {1|lower}",
        words=(("no",), ("maybe",), ("yes",)),
    ),
    "choice": dict(
        labels=("A", "B", "C"),
        template="{0} {1} {options} answer: {mask}",
        words=(("A",), ("B",), ("C",)),
    ),
    "regression": dict(
        labels=(),
        template="{0} It was {mask}.",
        words=(("terrible",), ("great",)),
        bounds=(0.0, 5.0),
    ),
    "span": dict(labels=("answer", "no-answer"), template="", words=((), ()), metric="token_f1"),
}


def toy_task(kind: Kind, **changes: Any) -> Task:
    """Make a task of a format (three classes or options), unified or not, or of another kind."""
    form: dict[str, Any] = {
        "name": f"toy-{kind}",
        "title": "A toy",
        "format": "single" if kind == "regression" else kind,
        "metric": "pearson" if kind == "regression" else "accuracy",
        "sources": (SOURCE,),
        "paper": "none",
        "licence": "CC0-1.0",
        "max_length": 48,
        **FORMS[kind],
    }
    task = Task(**(form | changes))
    if task.is_regression or task.prompts or not task.template:
        return task
    own = Prompt("", task.template, task.words)
    view = unified(task.format, task.labels, own, {}, 1 if task.format == "single" else 2)
    return replace(task, prompts=() if view is None else (view,))


def toy_rows(task: Task, *, train: int = 24, test: int = 9) -> Rows:
    """Return labelled rows whose texts are all different; the label shows in their words."""
    return Rows(_toy_part(task, "train", train), _toy_part(task, "test", test))


def _toy_part(task: Task, part: str, n: int) -> tuple[Example, ...]:
    return tuple(_toy_example(task, part, row) for row in range(n))


def _toy_example(task: Task, part: str, row: int) -> Example:
    label = row % 3
    opinion = (*OPINIONS[label].split(), *"abcd"[: row // 3 % 4], ".")
    subject, known = SUBJECTS[row // 3 % 8], "yes" if part == "train" else "no"
    text = f"{subject} was {' '.join(opinion)} {known} {row}."
    value = 2.5 * label if task.is_regression else label
    if task.format == "single":
        return Example(f"{part}-{row}", (text,), value)
    if task.format == "pair":
        return Example(
            f"{part}-{row}",
            (text, f"{SUBJECTS[(row + 1) % 8].capitalize()} was {OPINIONS[0]}."),
            value,
        )
    if task.format == "span":
        return _toy_question(f"{part}-{row}", text, subject, row % 2 and task.may_lack_answers)
    options = tuple(OPINIONS[(row // 3 + shift) % 3] for shift in range(3))
    return Example(f"{part}-{row}", (text, "was it ?"), options.index(OPINIONS[label]), options)


def _toy_question(name: str, text: str, subject: str, lacking: bool | int) -> Example:
    """Ask for the subject of a text, or for something that it does not say."""
    if lacking:
        return Example(name, (text, "who saw it?"), 1)
    return Example(name, (text, "what was it?"), 0, answers=((0, len(subject)),))


def toy_protocol(**changes: Any) -> Protocol:
    """Return the protocol `quick` with three updates, and preparations of three."""
    quick = get_protocol("quick")
    few = {name: 3 if name.endswith("steps") else value for name, value in quick.prepare.items()}
    given: dict[str, Any] = {"max_steps": 3, "eval_every": 2, "prepare": few, "grows_from": None}
    return replace(quick, **(given | changes))


def toy_job(
    method: MethodInfo,
    model_folder: Path,
    task: Task | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    protocol: Protocol | None = None,
    k: int = 2,
    seed: int = 13,
    keep: bool = False,
    labelled: Mapping[str, LabelledRows] | None = None,
) -> Job:
    """Return a job on a toy task; the model is student and teacher, the corpus the embedded one.

    The labelled rows of another task are those of the demo, unless they are given.
    """
    task, protocol = task or toy_task("single"), protocol or toy_protocol()
    rows, model = toy_rows(task), find_model(str(model_folder), offline=True)
    corpus = corpus_ref(None) if "corpus" in needing(method, settings or {}).needs else None
    models = {"student": model, "teacher": model}
    if labelled is None:
        (demo,) = choose_tasks(["demo-sentiment"])
        labelled = {rows_of(method, settings or {}): LabelledRows(demo, None, True, "demo")}
    maker = JobMaker(protocol, methods(), models, corpus, labelled=labelled)
    split = make_split(task, rows, k, seed)
    scorer = Scorer(task, rows.test)
    return maker.job(
        JobData(task, split, scorer, row_hashes(rows), exact_hash([*split.train, *split.dev])),
        method,
        settings or {},
        keep=keep,
    )
