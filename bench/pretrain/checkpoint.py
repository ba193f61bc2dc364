"""A checkpoint: one safetensors file, whole or absent, from which training goes on bit for bit on
the same machine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fewbench.errors import BenchError, StoreDamaged
from fewbench.io.atomic import write_whole


def save_checkpoint(
    file: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Write weights, the optimizer's moments, and `state` (JSON)."""
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    for name, weight in model.named_parameters():
        tensors[f"weight/{name}"] = weight.detach().contiguous()
        for key, value in optimizer.state[weight].items():
            tensors[f"{key}/{name}"] = torch.as_tensor(value).contiguous()
    write_whole(file, save(tensors, metadata={"state": json.dumps(state)}))


def load_checkpoint(
    file: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Put weights and moments back, and return the state.

    Raises:
        StoreDamaged: the file is not one that was written whole.
        BenchError: it is of another model.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            state = json.loads((opened.metadata() or {})["state"])
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise StoreDamaged(
            f"damaged checkpoint: {error}", where=str(file), fix=f"remove {file} to start anew"
        ) from error
    for name, weight in model.named_parameters():
        stored = tensors.get(f"weight/{name}")
        if stored is None or stored.shape != weight.shape:
            raise BenchError(
                f"this checkpoint is of another model: {name}", where=str(file), fix="another --out"
            )
        with torch.no_grad():
            weight.copy_(stored)
        moments = {
            key.removesuffix(f"/{name}"): value
            for key, value in tensors.items()
            if key.endswith(f"/{name}") and not key.startswith("weight/")
        }
        optimizer.state[weight] = {
            key: value if key == "step" and not weight.is_cuda else value.to(weight.device)
            for key, value in moments.items()
        }
    result: dict[str, Any] = state
    return result
