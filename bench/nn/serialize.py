"""Trained models as tensors and a manifest, and back: the same class on the same backbone, changed in the same ways."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn import prune
from fewbench.nn.task_model import TaskModel
from fewbench.types import ModelRef, Task

if TYPE_CHECKING:
    from fewbench.nn.fit_context import Models

OURS = ("fewbench.nn.", "fewbench.methods.")
"""The packages whose classes can be kept and rebuilt."""


def pack(model: object) -> tuple[dict[str, Any], bytes]:
    """Return a trained model's manifest and its tensors as safetensors bytes.

    The manifest names the class, what it is rebuilt from (`TaskModel.blueprint`), the backbone, what was done to
    it (`Backbone.changes`), and which names share one tensor.

    Raises:
        BenchError: this predictor is no model of a class in `fewbench.nn` or `fewbench.methods`.
    """
    if not isinstance(model, TaskModel) or not type(model).__module__.startswith(OURS):
        raise BenchError(
            f"a predictor of class {type(model).__name__} cannot be kept",
            allowed="models of the classes in bench/nn and in a method of methods/",
        )
    tensors, tied = _untied(model.state_dict())
    ref = model.backbone.ref
    manifest = {
        "class": f"{type(model).__module__}:{type(model).__name__}",
        "blueprint": model.blueprint(),
        "backbone": {"name": ref.name, "revision": ref.revision},
        "changes": model.backbone.changes,
        "tied": tied,
    }
    return manifest, save(tensors)


def unpack(manifest: Mapping[str, Any], content: bytes, task: Task, ref: ModelRef, models: Models) -> TaskModel:
    """Return the model that `pack` took apart, on the device and in evaluation mode.

    Args:
        manifest: of `pack`.
        content: the tensors as safetensors bytes.
        task: the model's task.
        ref: its backbone.
        models: reads and copies pretrained models.

    Raises:
        BenchError: made of another backbone, or by a class of another package.
    """
    if manifest["backbone"]["revision"] != ref.revision:
        raise BenchError(f"this model was made of {manifest['backbone']}, not of {ref.name} ({ref.revision})")
    module, _, name = str(manifest["class"]).partition(":")
    if not module.startswith(OURS):
        raise BenchError(f"no model class of '{module}' can be rebuilt", allowed=", ".join(f"{name}…" for name in OURS))
    backbone = models.fresh(ref)
    for change in manifest["changes"]:
        prune.apply(backbone, change)
    model: TaskModel = getattr(import_module(module), name).rebuild(backbone, task, **manifest["blueprint"])
    tensors = load(content)
    tensors |= {alias: tensors[original] for alias, original in manifest["tied"].items()}
    model.load_state_dict(tensors)
    return model.eval()


def duplicate(model: TaskModel) -> TaskModel:
    """Return a copy of a trained model that can be trained and changed; the two share token ids, not weights."""
    shared = {id(thing): thing for thing in (model.backbone.tokenizer, model.backbone.encodings, model.task)}
    return copy.deepcopy(model, shared).requires_grad_(True)


def _untied(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Split a state into tensors, each stored once, and further names by the first name of the same tensor."""
    first: dict[tuple[int, torch.Size], str] = {}
    tensors: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    for name, tensor in state.items():
        original = first.setdefault((tensor.data_ptr(), tensor.shape), name) if tensor.numel() else name
        if original == name:
            tensors[name] = tensor.detach().cpu().contiguous()
        else:
            tied[name] = original
    return tensors, tied
