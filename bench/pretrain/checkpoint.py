"""Checkpoints: one safetensors file, written atomically, to resume from.

On the same machine a resumed run ends in the same bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from fewbench.errors import BenchError, StoreDamaged
from fewbench.io.atomic import write_whole
from fewbench.types import Json


def save_checkpoint(
    file: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: Json
) -> None:
    """Write weights, the optimizer's moments, and `state` (JSON)."""
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    for name, weight in model.named_parameters():
        tensors[f"weight/{name}"] = weight.detach().contiguous()
        for key, value in optimizer.state[weight].items():
            tensors[f"{key}/{name}"] = torch.as_tensor(value).contiguous()
    write_whole(file, save(tensors, metadata={"state": json.dumps(state)}))


def load_checkpoint(file: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Json:
    """Restore the weights and the optimizer's moments, and return the state.

    Raises:
        StoreDamaged: the file is damaged or incomplete.
        BenchError: the checkpoint belongs to another model.
    """
    state, tensors = _read(file)
    for name, weight in model.named_parameters():
        stored = tensors.get(f"weight/{name}")
        if stored is None or stored.shape != weight.shape:
            raise BenchError(
                f"this checkpoint belongs to another model: the weight {name} does not fit",
                where=str(file),
                fix="another --out",
            )
        with torch.no_grad():
            weight.copy_(stored)
        optimizer.state[weight] = _moments(name, weight, tensors)
    return state


def _moments(name: str, weight: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the optimizer's state of a weight; AdamW keeps `step` of a CPU weight as it is."""
    moments = {}
    for key, value in tensors.items():
        moment, _, owner = key.partition("/")
        if owner != name or moment == "weight":
            continue
        as_stored = moment == "step" and not weight.is_cuda
        moments[moment] = value if as_stored else value.to(weight.device)
    return moments


def _read(file: Path) -> tuple[Json, dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            state = json.loads((opened.metadata() or {})["state"])
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise StoreDamaged(
            f"damaged checkpoint: {error}", where=str(file), fix=f"remove {file} to start again"
        ) from error
    return state, tensors
