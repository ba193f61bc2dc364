"""The cost of a trained model: its parameters, multiply-accumulates, memory and latency.

Everything is measured on `predict`, by which a model is tested, with texts already tokenised.

Axes: n examples.
"""

from __future__ import annotations

import hashlib
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from itertools import product
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
from fewbench.nn.int8 import Int8Linear
from fewbench.nn.rounding import FakeQuantizedLinear
from fewbench.nn.soft_prompt import SoftPromptModel
from fewbench.nn.task_model import TaskModel
from fewbench.types import Example

MIB = 1 << 20

Content = tuple[torch.dtype, torch.Size, bytes]
"""A tensor's type, its shape and the hash of its numbers."""


class Parameters(NamedTuple):
    """The numbers in a model: all, those of tensors that were trained, those of soft prompts."""

    total: int
    trained: int
    soft: int


class Products(NamedTuple):
    """The mean multiply-accumulates per example; `int8` counts those of integers among them."""

    total: float
    int8: float


class Timing(NamedTuple):
    """Milliseconds per example: median and quartiles over rounds, and the median processor time."""

    median: float
    low: float
    high: float
    processor: float


class Ratio(NamedTuple):
    """The ratio of two models' times in a round: medians and quartiles as in `Timing`."""

    median: float
    low: float
    high: float
    processor: float


def parameters(model: TaskModel, models: Models) -> Parameters:
    """Count a model's numbers: shared weights once, the scales of int8 weights not at all.

    A tensor is trained if it is neither one of the pretrained model's, nor one of them after the
    changes to the model's structure. So the count does not depend on how a model was trained.
    """
    tensors = _weights(model)
    untrained = _untrained(model, models)
    trained = [tensor for tensor in tensors if _content(tensor) not in untrained]
    soft = [module.soft for module in model.modules() if isinstance(module, SoftPromptModel)]
    return Parameters(_size(tensors), _size(trained), _size(soft))


def _weights(model: TaskModel) -> list[Tensor]:
    """Return a model's distinct tensors of numbers, without the scales of int8 weights."""
    scales = set()
    for name, module in model.named_modules():
        if isinstance(module, Int8Linear):
            scales.add(f"{name}.scale")
        elif isinstance(module, FakeQuantizedLinear):
            scales.add(f"{name}.input_range")
    state = {name: tensor for name, tensor in model.state_dict().items() if name not in scales}
    return [
        tensor
        for tensor in _distinct(state)
        if tensor.is_floating_point() or tensor.dtype == torch.int8
    ]


def _untrained(model: TaskModel, models: Models) -> set[Content]:
    """Return the contents of the pretrained tensors, before and after the model's changes."""
    ref = model.backbone.ref
    changed = models.fresh(ref)
    for change in model.backbone.changes:
        prune.apply(changed, change)
    contents = set()
    for pretrained in (models.pretrained(ref), changed):
        contents |= {_content(tensor) for tensor in pretrained.state_dict().values()}
    return contents


def _size(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def _distinct(state: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the tensors of a state, without those that share the memory of another."""
    by_memory = {}
    for tensor in state.values():
        if tensor.numel():
            by_memory[tensor.data_ptr(), tensor.shape] = tensor
    return list(by_memory.values())


def _content(tensor: Tensor) -> Content:
    flat = tensor.detach().cpu().contiguous()
    content = flat.view(-1).view(torch.uint8).numpy().tobytes()
    return flat.dtype, flat.shape, hashlib.sha256(content).digest()


def products(model: TaskModel, examples: Sequence[Example]) -> Products:
    """Return the mean multiply-accumulates of examples that are predicted one by one, unpadded.

    Those that are really run count: the last layer of a packed encoder computes one position only,
    and a model with exits stops early. As in torch's counter, matrix products and attention count;
    sums, norms and look-ups do not.
    """
    model.encode([example.without_label() for example in examples])
    totals, int8 = [], []
    for example in examples:
        with FlopCounterMode(display=False, custom_mapping=_MORE) as counter:
            model.predict([example])
        flops = counter.get_flop_counts().get("Global", {})
        totals.append(sum(flops.values()))
        int8.append(sum(count for name, count in flops.items() if "quantized" in str(name)))
    return Products(mean(totals) / 2, mean(int8) / 2)


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _linear(states: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return int(2 * states.numel() * out_shape[-1])


_MORE: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32: _linear,
}
"""CPU operators that torch's counter does not know."""


def layers(backbone: Backbone) -> int:
    """Count a model's Transformer layers, those of encoder and decoder together."""
    names = ("num_hidden_layers", "num_decoder_layers")
    return sum(getattr(backbone.config, name, None) or 0 for name in names)


def layers_run(model: TaskModel, examples: Sequence[Example]) -> float:
    """Return the mean number of layers run per example: all, but for a model with exits."""
    if not isinstance(model, ExitModel):
        return layers(model.backbone)
    return float(model.predict(examples).extras["exits"].mean())


def peak_memory(model: TaskModel, examples: Sequence[Example]) -> float:
    """Return the peak memory of a model's weights and the tensors of one `predict`, in MiB.

    A kernel's own workspace is not seen.
    """
    model.encode([example.without_label() for example in examples])
    weights = sum(tensor.nbytes for tensor in _distinct(model.state_dict()))
    with Live([*model.parameters(), *model.buffers()]) as live:
        model.predict(examples)
    return float(weights + live.peak) / MIB


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the memory of tensors that are made in this context, while they live.

    Args:
        known: tensors that exist already.

    Attributes:
        now: bytes alive.
        peak: the maximum of `now`.
    """

    def __init__(self, known: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._alive = {tensor.untyped_storage()._cdata for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator, and count the memory of the new tensors among its results."""
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._count(tensor)
        return out

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        name, size = storage._cdata, storage.nbytes()
        if name in self._alive:
            return
        self._alive.add(name)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._freed, name, size)

    def _freed(self, name: int, size: int) -> None:
        self._alive.discard(name)
        self.now -= size


def interleaved(
    sides: Mapping[str, TaskModel], examples: Sequence[Example], *, batch: int, rounds: int
) -> tuple[dict[str, Timing], dict[str, Ratio]]:
    """Time several models in one process, in turn, batch by batch.

    Each model first predicts all batches without being timed. Then, in each round and for each
    batch, the models take turns, in reverse order for every other batch, so that the machine's
    other load affects all of them.

    Args:
        sides: models by name; ratios are to the first.
        examples: split into batches in their order; they are tokenised before the clock starts.
        batch: examples per call.
        rounds: timed; at least 2.

    Returns:
        The times of each model, and the first model's time over each model's.
    """
    batches = [list(examples[start : start + batch]) for start in range(0, len(examples), batch)]
    for model in sides.values():
        _warm_up(model, batches)
    seconds = {name: [_Seconds(0.0, 0.0)] * rounds for name in sides}
    for number, count in product(range(rounds), range(len(batches))):
        order = -1 if (count + number) % 2 else 1
        for name in list(sides)[::order]:
            taken = _seconds(sides[name], batches[count])
            seconds[name][number] = seconds[name][number].plus(taken)
    first = seconds[next(iter(sides))]
    scale = 1000 / len(examples)
    timings, ratios = {}, {}
    for name, rounds_taken in seconds.items():
        timings[name] = Timing(*_spread([taken.times(scale) for taken in rounds_taken]))
        pairs = zip(first, rounds_taken, strict=True)
        ratios[name] = Ratio(*_spread([other.over(taken) for other, taken in pairs]))
    return timings, ratios


def _warm_up(model: TaskModel, batches: Sequence[Sequence[Example]]) -> None:
    model.eval()
    for batch in batches:
        model.predict(batch)


class _Seconds(NamedTuple):
    """A duration by the clock and in processor time."""

    wall: float
    processor: float

    def plus(self, other: _Seconds) -> _Seconds:
        return _Seconds(self.wall + other.wall, self.processor + other.processor)

    def times(self, factor: float) -> _Seconds:
        return _Seconds(self.wall * factor, self.processor * factor)

    def over(self, other: _Seconds) -> _Seconds:
        return _Seconds(self.wall / other.wall, self.processor / other.processor)


def _seconds(model: nn.Module, examples: Sequence[Example]) -> _Seconds:
    """Time one call of `predict`; processor time is that of all threads."""
    cuda = next(model.parameters()).is_cuda
    if cuda:
        torch.cuda.synchronize()
    wall, processor = time.perf_counter(), time.process_time()
    model.predict(examples)  # type: ignore[operator]
    if cuda:
        torch.cuda.synchronize()
    return _Seconds(time.perf_counter() - wall, time.process_time() - processor)


def _spread(rows: Sequence[_Seconds]) -> tuple[float, float, float, float]:
    walls, processors = zip(*rows, strict=True)
    low, _, high = quantiles(walls, n=4, method="inclusive")
    return median(walls), low, high, median(processors)
