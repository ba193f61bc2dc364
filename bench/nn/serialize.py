"""Write trained models as tensors and a manifest, and rebuild them on the same backbone."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load, save
from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn import prune
from fewbench.nn.task_model import TaskModel
from fewbench.types import Json, ModelRef, Settings, Task

if TYPE_CHECKING:
    from fewbench.nn.fit_context import Models
    from fewbench.registry.methods import MethodInfo

OURS = ("fewbench.nn.", "fewbench.methods.")
"""The packages whose classes are found by their own names; those of other methods by the method's.
"""


def pack(model: object, methods: Mapping[str, MethodInfo]) -> tuple[Json, bytes]:
    """Return a trained model's manifest and its tensors as safetensors bytes.

    The manifest names the class, what it is rebuilt from (`TaskModel.blueprint`), the backbone,
    what was done to it (`Backbone.changes`), and which names share one tensor.

    Args:
        model: what a method returned.
        methods: by name, those whose modules may hold its class.

    Raises:
        BenchError: it is no model, or its class stands neither in `fewbench` nor in one of the
            methods.
    """
    if not isinstance(model, TaskModel):
        raise BenchError(
            f"a predictor of class {type(model).__name__} cannot be kept",
            allowed="a TaskModel (bench/nn/task_model.py): "
            "a class of bench/nn or one of the method's own",
        )
    tensors, tied = _untied(model.state_dict())
    ref = model.backbone.ref
    manifest = {
        "class": _class_name(type(model), methods),
        "blueprint": model.blueprint(),
        "backbone": {"name": ref.name, "revision": ref.revision},
        "changes": model.backbone.changes,
        "tied": tied,
    }
    return manifest, save(tensors)


def unpack(
    manifest: Settings,
    content: bytes,
    task: Task,
    ref: ModelRef,
    models: Models,
    methods: Mapping[str, MethodInfo],
) -> TaskModel:
    """Return the model that `pack` took apart, on the device and in evaluation mode.

    Args:
        manifest: of `pack`.
        content: the tensors as safetensors bytes.
        task: the model's task.
        ref: its backbone.
        models: reads and copies pretrained models.
        methods: by name, those whose modules may hold the model's class; no other code is run.

    Raises:
        BenchError: made of another backbone, or of a class that is not there.
    """
    if manifest["backbone"]["revision"] != ref.revision:
        raise BenchError(
            f"this model was made of {manifest['backbone']}, not of {ref.name} ({ref.revision})"
        )
    kind = _class_of(str(manifest["class"]), methods)
    backbone = models.fresh(ref)
    for change in manifest["changes"]:
        prune.apply(backbone, change)
    model: TaskModel = kind.rebuild(backbone, task, **manifest["blueprint"])
    tensors = load(content)
    tensors |= {alias: tensors[original] for alias, original in manifest["tied"].items()}
    model.load_state_dict(tensors)
    return model.eval()


def _class_name(kind: type, methods: Mapping[str, MethodInfo]) -> str:
    """Name a class for a manifest: `fewbench.nn.prompt:PromptModel`, or `my-method:MyModel`."""
    if kind.__module__.startswith(OURS):
        return f"{kind.__module__}:{kind.__name__}"
    owner = next((name for name, method in methods.items() if method.owns(kind)), None)
    if owner is None:
        raise BenchError(
            f"a model of class {kind.__name__} cannot be kept: "
            "no method's file knows it by that name",
            where=", ".join(str(method.file) for method in methods.values()),
            fix=f"in that file, from {kind.__module__} import {kind.__name__}",
        )
    return f"{owner}:{kind.__name__}"


def _class_of(written: str, methods: Mapping[str, MethodInfo]) -> type[TaskModel]:
    """Return the class that a manifest names."""
    place, _, name = written.partition(":")
    if place.startswith(OURS):
        found = getattr(import_module(place), name, None)
    elif place in methods:
        found = getattr(methods[place].module(), name, None)
    else:
        packages = ", ".join(f"{package}…" for package in OURS)
        raise BenchError(
            f"this model's class {name} is of the method '{place}', which is not here",
            allowed=f"{packages} and {', '.join(methods) or 'no method'}",
            fix=f"--methods FILE, the file of {place}",
        )
    if not (isinstance(found, type) and issubclass(found, TaskModel)):
        raise BenchError(
            f"'{place}' has no model class '{name}' any more", fix="the same bench run with --force"
        )
    return found


def duplicate(model: TaskModel) -> TaskModel:
    """Copy a trained model, to be trained and changed; the two share token ids, not weights."""
    shared = {
        id(thing): thing
        for thing in (model.backbone.tokenizer, model.backbone.encodings, model.task)
    }
    return copy.deepcopy(model, shared).requires_grad_(True)


def _untied(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Split a state into tensors, each stored once, and the further names of the same tensors."""
    first: dict[tuple[int, torch.Size], str] = {}
    tensors: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    for name, tensor in state.items():
        original = (
            first.setdefault((tensor.data_ptr(), tensor.shape), name) if tensor.numel() else name
        )
        if original == name:
            tensors[name] = tensor.detach().cpu().contiguous()
        else:
            tied[name] = original
    return tensors, tied
