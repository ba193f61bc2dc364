"""AdamW with clipping and a rate schedule, as one thing whose whole state can be saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from fewbench.registry.protocol import Protocol

Tensors = dict[str, Tensor]


class Optimizer:
    """Clips gradients, takes a step and moves the rate on.

    Args:
        adamw: of the weights that are trained.
        schedule: of its rates.
        max_norm: the largest norm of all gradients together.
    """

    def __init__(
        self, adamw: torch.optim.Optimizer, schedule: LRScheduler, max_norm: float
    ) -> None:
        self._adamw, self._schedule, self._max_norm = adamw, schedule, max_norm
        self.weights: list[Tensor] = [
            weight for group in adamw.param_groups for weight in group["params"]
        ]

    def step(self) -> None:
        """Take one step and set the gradients to zero."""
        nn.utils.clip_grad_norm_(self.weights, self._max_norm)
        self._adamw.step()
        self._schedule.step()
        self._adamw.zero_grad(set_to_none=False)

    def state_dict(self) -> Tensors:
        """Return the weights, their moments, the rates and the number of steps."""
        rates = [group["lr"] for group in self._adamw.param_groups]
        state = {
            "steps": torch.tensor(self._schedule.last_epoch),
            "rates": torch.tensor(rates, dtype=torch.float64),
        }
        for number, weight in enumerate(self.weights):
            state[f"weight{number}"] = weight.detach()
            for name, moment in self._adamw.state[weight].items():
                state[f"moment{number}/{name}"] = moment
        return state

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `state_dict` returned."""
        self._schedule.last_epoch = int(state["steps"])
        for group, rate in zip(self._adamw.param_groups, state["rates"].tolist(), strict=True):
            group["lr"] = rate
        for number, weight in enumerate(self.weights):
            weight.copy_(state[f"weight{number}"])
            prefix = f"moment{number}/"
            self._adamw.state[weight] = {
                name.removeprefix(prefix): moment.to(weight.device)
                for name, moment in state.items()
                if name.startswith(prefix)
            }


Rates = Sequence[tuple[nn.Module, float]]
"""Modules whose learning rate is a multiple of the others'."""


def make_optimizer(model: nn.Module, lr: float, protocol: Protocol, rates: Rates = ()) -> Optimizer:
    """Return a protocol's optimizer of a model; biases and norms do not decay.

    Parameters become views of one vector for each decay and rate.
    """
    factors = {
        id(parameter): factor for module, factor in rates for parameter in module.parameters()
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            decay = protocol.weight_decay if parameter.ndim > 1 else 0.0
            key = (factors.get(id(parameter), 1.0), -decay)
            groups.setdefault(key, []).append(parameter)
    adamw = torch.optim.AdamW(
        [
            {"params": [_as_views_of_one(parameters)], "weight_decay": -decay, "lr": factor * lr}
            for (factor, decay), parameters in sorted(groups.items())
        ],
        lr=lr,
        fused=True,
    )
    return Optimizer(adamw, LambdaLR(adamw, rate_schedule(protocol)), protocol.max_grad_norm)


def rate_schedule(protocol: Protocol) -> Callable[[int], float]:
    """Return the learning rate's factor by updates done: warm-up, then constant or linear."""

    def factor(done: int) -> float:
        if done < protocol.warmup_steps:
            return done / protocol.warmup_steps
        if protocol.schedule == "constant":
            return 1.0
        return max(
            0.0, (protocol.max_steps - done) / max(1, protocol.max_steps - protocol.warmup_steps)
        )

    return factor


def _as_views_of_one(parameters: Sequence[nn.Parameter]) -> nn.Parameter:
    """Move parameters and their gradients into one vector each, and make them views of it.

    Clipping, the update and keeping the best checkpoint then walk one tensor instead of dozens of
    small ones, which on a small model take a fifth of a step.
    """
    vector = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    vector.grad = torch.zeros_like(vector)
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.data = vector.data[start:end].view_as(parameter)
        parameter.grad = vector.grad[start:end].view_as(parameter)
        start = end
    return vector
