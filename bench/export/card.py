"""The card of a deployed model: its data, training, scores and measurements, and how to load it."""

from __future__ import annotations

from collections.abc import Sequence

from fewbench.data.train_size import k_title
from fewbench.export.card_sections import StoredRuns, hub_facts, sections, table
from fewbench.export.program import DeployedForm, program
from fewbench.export.tokens import PROMPT_FILE
from fewbench.nn.classifier import HeadModel
from fewbench.nn.prompt import PromptModel
from fewbench.nn.task_model import TaskModel
from fewbench.registry.protocols import ddofs
from fewbench.report.share.card import front_matter, model_index
from fewbench.report.tables.blocks import build
from fewbench.report.tables.entry import entries
from fewbench.report.today import Today
from fewbench.store.record import Record
from fewbench.types import Json


def card(
    record: Record, model: TaskModel, form: DeployedForm, today: Today, stored: StoredRuns
) -> str:
    """Return a model's card as Markdown: the hub's metadata, facts, a program, notes, sections.

    Scores and measurements are those of the kept model; a model that was rounded after it was
    measured has none.
    """
    head = front_matter(_metadata(record, model, form, today))
    title = f"# {record.run.method} on {model.task.full_name}"
    facts = table(_facts(record, model, form))
    code = f"```python\n{program(model, form)}\n```"
    notes = "\n".join(f"- {note}" for note in _notes(model, form))
    usage = "## How to load it\n\nRun this in the folder of this file, or change `FOLDER`:"
    parts = [head, title, facts, usage, code, notes]
    if not form.rounded_here:
        parts += sections(record, model.task, stored)
    return "\n\n".join(parts) + "\n"


def _metadata(record: Record, model: TaskModel, form: DeployedForm, today: Today) -> Json:
    """Return the hub's metadata; a score only if it is this very model's, on the whole test set."""
    prompted_masked = isinstance(model, PromptModel) and not form.onnx
    metadata: Json = {
        "library_name": "onnxruntime" if form.onnx else "transformers",
        "pipeline_tag": "fill-mask" if prompted_masked else "text-classification",
    }
    metadata |= hub_facts(record, model.task)
    if form.rounded_here or not record.comparable:
        return metadata
    cells = [
        cell
        for cell in entries(build([record], {}, ddofs(), today.changed))
        if cell.mean is not None
    ]
    name = f"{record.run.method}-{model.backbone.ref.name}"
    return metadata | model_index(name, cells, today.tasks)


def _facts(record: Record, model: TaskModel, form: DeployedForm) -> list[tuple[str, str]]:
    run, task = record.run, model.task
    ref = model.backbone.ref
    settings = dict(run.settings) | dict(record.selection.settings or {})
    chosen = ", ".join(f"{name}={value}" for name, value in settings.items())
    facts = [
        ("form", form.title),
        ("task", f"{task.full_name}: {task.title}"),
        ("labels", _code(task.labels) if task.bounds is None else f"a value, {_range(model)}"),
        ("method", f"{run.method}{f' ({chosen})' if chosen else ''}"),
        ("made of", f"{ref.name} ({ref.revision})"),
        ("trained on", f"{k_title(run.k)}, split seed {run.seed}"),
        ("protocol", run.protocol),
        ("score", _score(record, form)),
        ("texts", f"cut to {task.max_length} tokens"),
        ("run", f"`{run.key}`"),
    ]
    if isinstance(model, PromptModel):
        words = [f"{label}: {', '.join(words)}" for label, words in _label_words(model)]
        facts += [("prompt", f"`{task.template}`"), ("label words", "; ".join(words))]
    return facts


def _label_words(model: PromptModel) -> list[tuple[str, tuple[str, ...]]]:
    task = model.task
    names = task.labels if task.bounds is None else tuple(map(str, task.bounds))
    return list(zip(names, task.words, strict=True))


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _range(model: TaskModel) -> str:
    assert model.task.bounds is not None
    lower, upper = model.task.bounds
    return f"{lower:g} to {upper:g}"


def _score(record: Record, form: DeployedForm) -> str:
    metric = record.selection.metric
    score = record.score
    if form.rounded_here or score is None:
        return "not measured in this form"
    text = f"{100 * score:.1f} ({metric}, test set"
    if record.run.limit is not None:
        text += f" of {record.run.limit} rows"
    if record.run.drop_leaks:
        text += " without leaked rows"
    if record.run.arithmetic.name:
        text += f", computed in {record.run.arithmetic.name}"
    return text + ")"


def _notes(model: TaskModel, form: DeployedForm) -> list[str]:
    notes = []
    if form.rounded_here:
        notes.append(
            "The run was measured in fp32. This is the model after rounding to int8 as the method "
            "`ptq` does it: another model, whose score is that of `ptq` made from this run's."
        )
    if form.int8:
        notes.append(
            "Weights of the encoder's linear layers are int8, and so are their products. "
            "An answer does not depend on what else is in its batch."
        )
    if _has_zero_heads(model) and not form.onnx:
        notes.append(
            "Removed attention heads are zeros here, since a configuration of transformers cannot "
            "name them: the folder is as large and as slow as before. As ONNX they are left out."
        )
    if isinstance(model, HeadModel) and not form.onnx:
        notes.append(
            "The head is linear on the first token's state; the layer that transformers has before "
            "it is set to pass states on unchanged. Keep the weights in fp32."
        )
    if isinstance(model, PromptModel):
        notes.append(f"`{PROMPT_FILE}` holds the prompt as token ids and texts, and label words.")
    notes.append("Special tokens that a text spells, such as `[MASK]`, are read as text.")
    return notes


def _has_zero_heads(model: TaskModel) -> bool:
    return any(change["change"] == "prune_heads" for change in model.backbone.changes)
