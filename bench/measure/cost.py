"""What a trained model costs: its parameters, the products it computes, its memory, its time beside
another's.

Everything is counted or timed on `predict`, the path by which a model is tested, with token ids
made beforehand.

Axes: n examples.
"""

from __future__ import annotations

import hashlib
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, median, quantiles
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from fewbench.nn import prune
from fewbench.nn.backbone import Backbone
from fewbench.nn.exits import ExitModel
from fewbench.nn.fit_context import Models
from fewbench.nn.quantize import Int8Linear
from fewbench.nn.soft_prompt import SoftPromptModel
from fewbench.nn.task_model import TaskModel
from fewbench.types import Example

MIB = 1 << 20


class Parameters(NamedTuple):
    """Numbers held: all; those of tensors that are not the pretrained ones any more; those of soft
    prompts.
    """

    total: int
    trained: int
    soft: int


class Products(NamedTuple):
    """Multiply-accumulates of one example, on average; `int8` are those of them that are products
    of whole numbers.
    """

    total: float
    int8: float


class Timing(NamedTuple):
    """Milliseconds an example: the median over rounds of the clock, its quartiles, the median of
    processor time.
    """

    median: float
    low: float
    high: float
    processor: float


class Ratio(NamedTuple):
    """A time over another of the same round: median over rounds and quartiles, and the median by
    processor time.
    """

    median: float
    low: float
    high: float
    processor: float


def parameters(model: TaskModel, models: Models) -> Parameters:
    """Return a model's counts; weights shared by two layers count once, the scales of int8 weights
    not at all.

    A tensor is trained if it is neither one of the pretrained model's nor what the changes to its
    structure make of one: this sees everything that was done to a model, by whatever it was
    trained.
    """
    ref = model.backbone.ref
    changed = models.fresh(ref)
    for change in model.backbone.changes:
        prune.apply(changed, change)
    known = {
        _content(t)
        for whole in (models.pretrained(ref), changed)
        for t in whole.state_dict().values()
    }
    scales = {
        f"{name}.scale" for name, module in model.named_modules() if isinstance(module, Int8Linear)
    }
    state = {name: tensor for name, tensor in model.state_dict().items() if name not in scales}
    counted = [
        tensor
        for tensor in _once(state)
        if tensor.is_floating_point() or tensor.dtype == torch.int8
    ]
    return Parameters(
        total=sum(tensor.numel() for tensor in counted),
        trained=sum(tensor.numel() for tensor in counted if _content(tensor) not in known),
        soft=sum(
            module.soft.numel() for module in model.modules() if isinstance(module, SoftPromptModel)
        ),
    )


def _once(state: Mapping[str, Tensor]) -> list[Tensor]:
    """Return tensors, each memory once."""
    return list(
        {
            (tensor.data_ptr(), tensor.shape): tensor for tensor in state.values() if tensor.numel()
        }.values()
    )


def _content(tensor: Tensor) -> tuple[Any, ...]:
    flat = tensor.detach().cpu().contiguous()
    return (
        flat.dtype,
        flat.shape,
        hashlib.sha256(flat.view(-1).view(torch.uint8).numpy().tobytes()).digest(),
    )


def products(model: TaskModel, examples: Sequence[Example]) -> Products:
    """Return the multiply-accumulates of examples taken one by one, where no sequence is padded for
    another's sake.

    Those that are really run: the last layer of a packed encoder works for one position only, a
    model with exits stops. Matrix products and attention count; sums, norms and look-ups do not, as
    in torch's counter.
    """
    model.encode([example.without_label() for example in examples])
    whole = []
    for example in examples:
        with FlopCounterMode(display=False, custom_mapping=_MORE) as counter:
            model.predict([example])
        whole.append(
            {
                str(name): flops
                for name, flops in counter.get_flop_counts().get("Global", {}).items()
            }
        )
    return Products(
        total=mean(sum(counts.values()) for counts in whole) / 2,
        int8=mean(
            sum(flops for name, flops in counts.items() if "quantized" in name) for counts in whole
        )
        / 2,
    )


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _linear(states: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return int(2 * states.numel() * out_shape[-1])


_MORE: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32: _linear,
}
"""Operators of processors that torch's counter does not know."""


def layers(backbone: Backbone) -> int:
    """Return how many Transformer layers a model has, those of encoder and decoder together."""
    names = ("num_hidden_layers", "num_decoder_layers")
    return sum(getattr(backbone.config, name, None) or 0 for name in names)


def layers_run(model: TaskModel, examples: Sequence[Example]) -> float:
    """Return how many layers the examples go through on average: all, but for a model with exits."""
    if not isinstance(model, ExitModel):
        return layers(model.backbone)
    return float(model.predict(examples).extras["exits"].mean())


def peak_memory(model: TaskModel, examples: Sequence[Example]) -> float:
    """Return the most MiB that a model's weights and the tensors of one call of `predict` hold at a
    time.

    What a kernel needs for itself while it runs is not seen.
    """
    model.encode([example.without_label() for example in examples])
    weights = sum(tensor.nbytes for tensor in _once(model.state_dict()))
    with Live([*model.parameters(), *model.buffers()]) as live:
        model.predict(examples)
    return float(weights + live.peak) / MIB


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the memory of tensors that come into being inside, as long as they live.

    Args:
        known: tensors that were there before.

    Attributes:
        now: bytes alive.
        peak: the most there were.
    """

    def __init__(self, known: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._alive = {tensor.untyped_storage()._cdata for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator, and count the memory of what it returns if that is new."""
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                name, size = storage._cdata, storage.nbytes()
                if name not in self._alive:
                    self._alive.add(name)
                    self.now += size
                    self.peak = max(self.peak, self.now)
                    weakref.finalize(storage, self._gone, name, size)
        return out

    def _gone(self, name: int, size: int) -> None:
        self._alive.discard(name)
        self.now -= size


def interleaved(
    sides: Mapping[str, TaskModel], examples: Sequence[Example], *, batch: int, rounds: int
) -> tuple[dict[str, Timing], dict[str, Ratio]]:
    """Time several models in one process, in turn, batch by batch.

    Every side goes through all batches once unmeasured. Then, in each round and at each batch, one
    after another, every other batch in reverse order, so that what else the machine does falls on
    all of them.

    Args:
        sides: models by name; ratios are to the first.
        examples: in batches as they come; token ids are made before the clock starts.
        batch: examples a call.
        rounds: measured; at least 2.

    Returns:
        Times of each side, and for each side the first one's time over its own.
    """
    batches = [list(examples[start : start + batch]) for start in range(0, len(examples), batch)]
    taken = {name: [(0.0, 0.0)] * rounds for name in sides}
    for model in sides.values():
        model.eval()
        for part in batches:
            model.predict(part)
    for number in range(rounds):
        for count, part in enumerate(batches):
            for name in list(sides)[:: -1 if (count + number) % 2 else 1]:
                wall, processor = _seconds(sides[name], part)
                before = taken[name][number]
                taken[name][number] = (before[0] + wall, before[1] + processor)
    first = taken[next(iter(sides))]
    each = 1000 / len(examples)
    timings = {
        name: Timing(*_spread([(w * each, p * each) for w, p in rows]))
        for name, rows in taken.items()
    }
    ratios = {
        name: Ratio(*_spread([(a / w, b / p) for (a, b), (w, p) in zip(first, rows, strict=True)]))
        for name, rows in taken.items()
    }
    return timings, ratios


def _seconds(model: nn.Module, examples: Sequence[Example]) -> tuple[float, float]:
    """Return what one call of `predict` takes, by the clock and by the processor (all its threads)."""
    cuda = next(model.parameters()).is_cuda
    if cuda:
        torch.cuda.synchronize()
    wall, processor = time.perf_counter(), time.process_time()
    model.predict(examples)  # type: ignore[operator]
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - processor


def _spread(rows: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    walls, processors = zip(*rows, strict=True)
    low, _, high = quantiles(walls, n=4, method="inclusive")
    return median(walls), low, high, median(processors)
