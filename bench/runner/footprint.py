"""Estimates of a GPU's memory that works take, by their models' files: no model is loaded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from fewbench.io.files import MIB
from fewbench.refs import ModelRef
from fewbench.registry.pretrained import count_parameters, read_config
from fewbench.runner.jobs import Job, Work

CONTEXT = 700 * MIB
"""The bytes that CUDA and its libraries hold in each process: assumed, not measured."""

TRAINED = 20
"""Bytes per parameter in training: the weight, its gradient, two moments, and the best weights."""

SAVED = 100
"""Bytes that one layer saves for the backward pass, per token and unit of width.

98 were measured for the packed encoder on a CPU, where dropout saves numbers and not bits; by
Korthikanti et al. (2022) they are 34 in half precision, so at most 68 here.
"""

SCORES = 10
"""Bytes that a layer saves per head and pair of tokens where attention is not fused.

7 were measured; by the same paper they are 5 in half precision.
"""

PER_WORD = 12
"""Bytes per masked place and word of the vocabulary: scores, their softmax, and its gradient."""

LONGEST = 128
"""The tokens of a preparation's inputs: how long its own are is not known here."""

LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "encoder_layers", "num_layers")
DECODER_LAYERS = ("decoder_layers", "num_decoder_layers")
WIDTH = ("hidden_size", "d_model", "n_embd", "dim")
HEADS = ("num_attention_heads", "n_head", "n_heads", "encoder_attention_heads", "num_heads")
"""The names that families have for these sizes."""


class _Shape(NamedTuple):
    """The sizes of a model, as its configuration states them."""

    layers: int
    width: int
    heads: int
    words: int


def gpu_bytes(work: Work) -> int:
    """Return the bytes of a GPU that a work takes, at most or nearly so.

    Each of its models may be trained, in single precision, with inputs as long as the task's may
    be. Methods that put examples into inputs (`lm-bff`) take more. A work without a model takes
    what CUDA itself does.

    Args:
        work: a run, or a preparation.
    """
    run = work.run if isinstance(work, Job) else work
    refs = {ref.path: ref for ref in (run.student, run.teacher) if ref is not None}
    rows, tokens = _batch(work)
    need = sum(_bytes_of(ref, rows, tokens) for ref in refs.values())
    return CONTEXT + need


def _batch(work: Work) -> tuple[int, int]:
    """Return the sequences that a model gets at once in training, and the most tokens of each."""
    if not isinstance(work, Job):
        settings = {**work.method.settings, **work.settings}
        return int(settings.get("pretrain_batch", 1)), LONGEST
    chosen = [{**work.method.settings, **work.run.settings, **trial} for trial in work.trials]
    batch = max((int(settings.get("batch_size", 1)) for settings in chosen), default=1)
    rows = min(batch, work.protocol.micro_batch or batch)
    options = len(work.task.labels) if work.task.format == "choice" else 1
    return rows * options, work.task.max_length


def _bytes_of(ref: ModelRef, rows: int, tokens: int) -> int:
    shape = _shape_of(Path(ref.path))
    layer = rows * tokens * (SAVED * shape.width + SCORES * shape.heads * tokens)
    words = rows * PER_WORD * shape.words
    return TRAINED * count_parameters(Path(ref.path)) + shape.layers * layer + words


@lru_cache
def _shape_of(folder: Path) -> _Shape:
    config = read_config(folder)
    config = config.get("text_config", config)

    def first(names: tuple[str, ...], default: int) -> int:
        return next((int(config[name]) for name in names if config.get(name)), default)

    encoder = first(LAYERS, 12)
    decoder = first(DECODER_LAYERS, encoder if config.get("is_encoder_decoder") else 0)
    words = int(config.get("vocab_size", 0))
    return _Shape(encoder + decoder, first(WIDTH, 768), first(HEADS, 12), words)
