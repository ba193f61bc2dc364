"""Write the model of a stored run as a folder that needs none of this project's code."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from fewbench.errors import BenchError
from fewbench.export import onnx_graph
from fewbench.export.card import card
from fewbench.export.card_sections import StoredRuns
from fewbench.export.pretrained import name_labels, to_transformers
from fewbench.export.program import ONNX_FILE, DeployedForm
from fewbench.export.tokens import PROMPT_FILE, write_prompt, write_tokenizer
from fewbench.io.atomic import new_folder
from fewbench.measure.stored import Locations, model_of, task_of
from fewbench.nn.backbone import Backbone
from fewbench.nn.classifier import HeadModel
from fewbench.nn.exits import ExitModel
from fewbench.nn.fit_context import Models
from fewbench.nn.long_words import LongWordsModel
from fewbench.nn.prompt import PromptModel
from fewbench.nn.soft_prompt import SoftPromptModel
from fewbench.nn.span_model import SpanModel
from fewbench.nn.task_model import TaskModel
from fewbench.report.query import own_files
from fewbench.report.today import Today
from fewbench.store.record import Record


def export_model(
    record: Record, locations: Locations, to: Path, *, onnx: bool = False, int8: bool = False
) -> DeployedForm:
    """Write a run's kept model to a new folder, and return the form that it was given.

    Args:
        record: of the run.
        locations: where models and tasks are.
        to: the folder; none, or an empty one.
        onnx: as ONNX; a model in int8 is so by nature.
        int8: as ONNX in int8, rounded as `ptq` does by default if it is in fp32.

    Raises:
        BenchError: the model was not kept or has no such form, the folder is not empty, a library
            is missing, or the folder cannot be written.
    """
    check_free(to)
    task = task_of(record, locations)
    model = model_of(record, task, Models(torch.device("cpu")), locations)
    rounded = onnx_graph.in_int8(model)
    form = DeployedForm(onnx or int8 or rounded, int8 or rounded, int8 and not rounded)
    check_form(model, form, record.run.key[:8])
    today = Today(own_files([*locations.tasks]))
    text = card(record, model, form, today, StoredRuns(locations.store))
    write_model(model, form, text, to)
    return form


def check_free(folder: Path) -> None:
    """Refuse a folder that is not empty, and a file.

    Raises:
        BenchError: it is so.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise BenchError(
            "something is there already, and is not overwritten",
            where=str(folder),
            allowed="a new folder, or an empty one",
            fix="--to another folder",
        )


def check_form(model: TaskModel, form: DeployedForm, key: str) -> None:
    """Refuse a model that cannot be written in a form, or whose libraries are missing.

    Raises:
        BenchError: it is so.
    """
    if reason := _reason_against(model, form):
        raise BenchError(
            f"the model of run {key} has no form outside this project: {reason}",
            allowed="masked language models with a head on the first token, or a prompt with label "
            "words, on single texts and pairs",
            fix="--onnx" if _only_onnx(model, form) else "fewbench.load_model, which loads it",
        )
    if form.onnx:
        onnx_graph.check_installed()


def _only_onnx(model: TaskModel, form: DeployedForm) -> bool:
    masks = any(change["change"] == "mask_heads" for change in model.backbone.changes)
    return masks and not form.onnx


def _reason_against(model: TaskModel, form: DeployedForm) -> str | None:
    kind = type(model)
    if type(model.backbone) is not Backbone:
        return f"a '{model.backbone.config.model_type}' is no masked language model"
    if isinstance(model, SoftPromptModel):
        return "a soft prompt has vectors in the place of tokens"
    if isinstance(model, ExitModel):
        return "its examples leave at different layers"
    if isinstance(model, SpanModel):
        return "its answers are spans of a passage"
    if isinstance(model, LongWordsModel):
        return "its label words are of several tokens"
    if kind not in (HeadModel, PromptModel):
        return f"its class {kind.__name__} is the method's own"
    if model.task.format == "choice":
        return "each option of a choice is read as a sequence of its own"
    if _only_onnx(model, form):
        return "some heads are masked in layers that share weights"
    return None


def write_model(model: TaskModel, form: DeployedForm, text: str, to: Path) -> None:
    """Write a model's weights, tokenizer, prompt and card to a folder, whole or not at all.

    Raises:
        BenchError: it cannot be written.
    """
    from safetensors import SafetensorError

    try:
        with new_folder(to) as folder:
            _fill(folder, model, form)
            (folder / "README.md").write_text(text, "utf-8")
    except (OSError, SafetensorError) as error:
        problem = getattr(error, "strerror", None) or error
        raise BenchError(f"this cannot be written: {problem}", where=str(to)) from error


def _fill(folder: Path, model: TaskModel, form: DeployedForm) -> None:
    if isinstance(model, PromptModel):
        write_prompt(model, folder / PROMPT_FILE, scores_of_words=not form.onnx)
    write_tokenizer(model, onnx_graph.inputs_of(model), folder)
    if form.onnx:
        config = copy.deepcopy(model.backbone.config)
        name_labels(config, model.task)
        config.save_pretrained(folder)
        onnx_graph.write_onnx(model, folder / ONNX_FILE, int8=form.int8)
    else:
        to_transformers(model).save_pretrained(folder, safe_serialization=True)
        mode = (folder / "config.json").stat().st_mode
        for file in folder.glob("*.safetensors"):
            file.chmod(mode)  # safetensors hides its files from other users
