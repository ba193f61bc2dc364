"""The pretraining loop: updates, measurements and checkpoints.

Every update is a function of the state and its number.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fewbench.errors import BenchError
from fewbench.nn.micro_batch import MicroBatches
from fewbench.pretrain.batches import Order, mask, tensors
from fewbench.pretrain.checkpoint import load_checkpoint, save_checkpoint
from fewbench.pretrain.context import Context
from fewbench.pretrain.masking import Choose, Vocabulary
from fewbench.pretrain.objective import Masked, Objective, states_at, vocabulary_scores
from fewbench.pretrain.packing import Rows
from fewbench.pretrain.recipe import Recipe

MEASURED_AT_ONCE = 50  # rows
FIX = "a smaller model, shorter rows (--length), or a device with more memory"
HELD_OUT_SHARE, HELD_OUT_SEED = 0.15, 1_000_003
"""Held-out text is always masked the same way: by this seed, 15% of the tokens at random, whatever
is trained.

Each of them is [MASK]: a token that is kept can be copied, and copying says nothing of what a model
knows."""


class TrainingText(NamedTuple):
    """The data to train and measure on: rows of each corpus, held-out rows, and the vocabulary.

    `context` looks up the words around a row, where the recipe wants them.
    """

    train: Sequence[Rows]
    held_out: Rows
    vocabulary: Vocabulary
    mask_id: int
    context: Context | None = None


@dataclass
class TrainingProgress:
    """The state of training. `curve` holds one point per measurement.

    `micro_batches` are (first update, rows) of the parts that a lack of memory led to.
    """

    update: int = 0
    seconds: float = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    micro_batches: list[tuple[int, int]] = field(default_factory=list)


class Watch(NamedTuple):
    """Callbacks: `on_update(update, terms)`, and `measure(model)` for more curve values."""

    on_update: Callable[[int, dict[str, float]], None] = lambda update, terms: None
    measure: Callable[[Any], dict[str, Any]] = lambda model: {}


def train(
    recipe: Recipe,
    model: Any,
    text: TrainingText,
    choose: Choose,
    objective: Objective,
    checkpoint: Path,
    watch: Watch,
) -> TrainingProgress:
    """Train a model in place, from its checkpoint if there is one.

    Args:
        recipe: how.
        model: a masked language model on its device, float32.
        text: rows and vocabulary.
        choose: the masking strategy.
        objective: the loss.
        checkpoint: the file to write now and then, and to go on from.
        watch: what is called on the way.

    Raises:
        BenchError: the loss is not finite any more, or memory is too small.
    """
    optimizer = make_optimizer(model, recipe)
    precision = Precision(recipe.precision, model)
    progress = TrainingProgress()
    if checkpoint.exists():
        state = load_checkpoint(checkpoint, model, optimizer)
        precision.scaler.load_state_dict(state.pop("scaler"))
        progress = TrainingProgress(**state)
    parts = MicroBatches(recipe.batch // recipe.accumulate, fix=FIX)
    parts.go_on(progress.micro_batches)
    progress.micro_batches = parts.changes
    order = Order(text.train, recipe.batch, recipe.seed)
    model.train()
    started = time.monotonic() - progress.seconds
    if not progress.curve:
        progress.curve.append(_measurement(model, text, recipe, progress, watch))
    while progress.update < recipe.updates:
        batch = _batch(recipe, progress.update, order, text, choose)
        terms = _update(
            recipe, progress.update, model, optimizer, precision, batch, objective, parts
        )
        if not math.isfinite(terms["loss"]):
            raise BenchError(
                f"the loss of update {progress.update + 1} is {terms['loss']}",
                fix="a smaller lr, or more warmup",
            )
        progress.update += 1
        progress.recent.append(terms["loss"])
        watch.on_update(progress.update, terms)
        last = progress.update == recipe.updates
        progress.seconds = time.monotonic() - started
        if last or progress.update % recipe.evaluate_every == 0:
            progress.curve.append(_measurement(model, text, recipe, progress, watch))
            progress.recent = []
        if last or progress.update % recipe.checkpoint_every == 0:
            state = {**vars(progress), "scaler": precision.scaler.state_dict()}
            save_checkpoint(checkpoint, model, optimizer, state)
    parts.warn()
    return progress


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return AdamW; biases and norms do not decay."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, recipe.optimizer_beta2), fused=True)


def learning_rate(recipe: Recipe, update: int) -> float:
    """Return the learning rate of an update (from 0): up linearly, then down linearly to 0."""
    warmup = max(1, round(recipe.warmup * recipe.updates))
    if update < warmup:
        return recipe.lr * (update + 1) / warmup
    return recipe.lr * (recipe.updates - update) / max(1, recipe.updates - warmup)


class Precision:
    """Mixed precision: products in a smaller type, float32 weights, float16 gradients scaled."""

    def __init__(self, name: str, model: nn.Module) -> None:
        self.device = next(model.parameters()).device
        if name == "auto":
            name = "bfloat16" if self.device.type == "cuda" or _multiplies_bfloat16() else "float32"
        self.name = name
        self._dtype = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=name == "float16")

    def compute(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which losses are computed."""
        if self._dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self._dtype)


def _multiplies_bfloat16() -> bool:
    """True if torch reports that this processor has instructions for bfloat16 products."""
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(known.get(name) for name in ("avx512_bf16", "amx_bf16"))


class _Batch(NamedTuple):
    """The rows of an update: `ids`, and as the model sees them, `seen`, all [n, L].

    `chosen` [n, L] are the places to answer for, and `around` is that of `Masked`.
    """

    ids: NDArray[np.int64]
    seen: NDArray[np.int64]
    chosen: NDArray[np.bool_]
    around: NDArray[np.float32] | None

    def part(self, rows: Sequence[int], device: torch.device) -> Masked:
        """Return some of the rows, of which at least one place is masked, as tensors."""
        some = list(rows)
        around = None if self.around is None else self.around[some]
        given = self.ids[some], self.seen[some], self.chosen[some]
        return next(tensors(*given, 1, device, around))


def _batch(recipe: Recipe, number: int, order: Order, text: TrainingText, choose: Choose) -> _Batch:
    """Draw the rows and masks of an update."""
    rng = np.random.default_rng([recipe.seed, 1 << 20, number])
    ids = order.rows(number)
    seen, chosen = mask(ids, choose, text.vocabulary, text.mask_id, rng)
    if text.context is None:
        return _Batch(ids, seen, chosen, None)
    around = text.context.around(order.places(number)) * np.float32(recipe.context)
    return _Batch(ids, seen, chosen, around)


def _update(
    recipe: Recipe,
    number: int,
    model: Any,
    optimizer: torch.optim.Optimizer,
    precision: Precision,
    batch: _Batch,
    objective: Objective,
    parts: MicroBatches,
) -> dict[str, float]:
    """Do one optimizer update and return the mean of each term over its masked places."""
    counts = batch.chosen.sum(1).tolist()
    total = max(1, sum(counts))
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(recipe, number)
    sums: dict[str, float] = {}

    def loss_of(rows: Sequence[int]) -> Tensor:
        part = batch.part(rows, precision.device)
        with precision.compute():
            loss, terms = objective(model, part)
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + len(part.places) / total * value
        return precision.scaler.scale(loss)

    parts.gradient(
        model,
        loss_of,
        range(len(batch.ids)),
        [*model.parameters()],
        update=number + 1,
        counts=counts,
        undo=sums.clear,
    )
    precision.scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    precision.scaler.step(optimizer)
    precision.scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return sums or {"loss": 0.0}


def _measurement(
    model: Any, text: TrainingText, recipe: Recipe, progress: TrainingProgress, watch: Watch
) -> dict[str, Any]:
    model.eval()
    row = {
        "update": progress.update,
        "tokens": progress.update * recipe.batch * recipe.length,
        "seconds": round(progress.seconds, 1),
        "train_loss": round(float(np.mean(progress.recent)), 4) if progress.recent else None,
        **held_out(model, text),
        **watch.measure(model),
    }
    model.train()
    return row


@torch.no_grad()
def held_out(model: Any, text: TrainingText) -> dict[str, float]:
    """Return loss (nats per masked token) and accuracy on held-out text, with fixed masks."""
    device = next(model.parameters()).device
    rng = np.random.default_rng(HELD_OUT_SEED)
    loss = hits = places = 0.0
    for first in range(0, len(text.held_out), MEASURED_AT_ONCE):
        ids = np.asarray(text.held_out[first : first + MEASURED_AT_ONCE], np.int64)
        chosen = (rng.random(ids.shape) < HELD_OUT_SHARE) & ~text.vocabulary.special[ids]
        for rows in tensors(ids, np.where(chosen, text.mask_id, ids), chosen, 1, device):
            scores = vocabulary_scores(model, states_at(model, rows)).float()
            loss += float(nn.functional.cross_entropy(scores, rows.answers, reduction="sum"))
            hits += float((scores.argmax(-1) == rows.answers).sum())
            places += len(rows.answers)
    return {"held_out_loss": round(loss / places, 4), "held_out_accuracy": round(hits / places, 4)}
