"""A trained model as one ONNX graph, from token ids to the task's scores.

Axes: B sequences, T positions, C classes, N = B T tokens.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from fewbench.errors import BenchError
from fewbench.export.integers import use_integers
from fewbench.nn.batch import Batch
from fewbench.nn.prompt import PromptModel
from fewbench.nn.quantize import quantize
from fewbench.nn.serialize import duplicate
from fewbench.nn.task_model import TaskModel

NEEDED = ("onnx", "onnxscript", "onnxruntime")
OPSET = 20
"""The first version of ONNX's operators with GELU."""


def check_installed() -> None:
    """Refuse if a library is missing.

    Raises:
        BenchError: it is so.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise BenchError(
            f"ONNX needs {', '.join(missing)}, which is not installed",
            fix="pip install 'fewbench[onnx]'",
        )
    if not hasattr(torch.onnx, "ops"):
        raise BenchError(
            f"torch {torch.__version__} cannot write int8 as ONNX",
            allowed="2.8 or later",
            fix="pip install --upgrade torch",
        )


def write_onnx(model: TaskModel, file: Path, *, int8: bool = False) -> None:
    """Write a model as ONNX; the batch and the length of its inputs may be any.

    Args:
        model: stays as it is.
        file: the one file that is written.
        int8: quantise it as `ptq` does by default, if it is not in int8 already.
    """
    copy = duplicate(model).eval().requires_grad_(False)
    if isinstance(copy, PromptModel):
        _keep_label_rows(copy)
    if int8 and not in_int8(copy):
        quantize(copy.backbone)
    use_integers(copy)
    names = inputs_of(copy)
    batch = torch.export.Dim("batch")
    length = torch.export.Dim("length")
    # Example inputs of more than one sequence and one token: a size of 1 would be taken as fixed.
    example = {name: torch.ones(2, 3, dtype=torch.long) for name in names}
    if isinstance(copy, PromptModel):
        example["input_ids"][:, 1] = copy.backbone.tokenizer.mask_token_id
    with _quiet():
        program = torch.onnx.export(
            OnnxInputs(copy),
            kwargs=example,
            dynamo=True,
            opset_version=OPSET,
            input_names=names,
            output_names=["logits"],
            dynamic_shapes={name: {0: batch, 1: length} for name in names},
            external_data=False,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    for part in (proto, proto.graph, *proto.graph.node, *proto.graph.value_info):
        del part.metadata_props[:]  # stack traces, with paths of this machine
    file.write_bytes(proto.SerializeToString())


def in_int8(model: TaskModel) -> bool:
    """True if a model's layers are in int8, or rounded as if they were."""
    changes = {change["change"] for change in model.backbone.changes}
    return bool(changes & {"quantize", "fake_quantize"})


def inputs_of(model: TaskModel) -> list[str]:
    """Name the inputs of a model's graph, in order; prompts are one segment."""
    names = ["input_ids", "attention_mask"]
    segments = not isinstance(model, PromptModel) and has_segments(model)
    return [*names, "token_type_ids"] if segments else names


def has_segments(model: TaskModel) -> bool:
    """True if a model's backbone has embeddings of a second segment."""
    segments = model.backbone._embedder().segments
    return segments is not None and int(segments.num_embeddings) > 1  # type: ignore[arg-type]


class OnnxInputs(nn.Module):
    """A model that takes padded token ids, as ONNX Runtime is given them, for a packed batch.

    Padding is computed like any token, and not attended to: it stands at the end.
    """

    def __init__(self, model: TaskModel) -> None:
        super().__init__()
        self.model = model
        prompted = isinstance(model, PromptModel)
        self.mask: int | None = model.backbone.tokenizer.mask_token_id if prompted else None

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return scores [B, C], or values [B, 1] for regression, of token ids [B, T]."""
        scores = self.model(self._batch(input_ids, attention_mask, token_type_ids))
        return self.model.answer(scores)[:, None] if self.model.task.is_regression else scores

    def _batch(self, ids: Tensor, real: Tensor, segments: Tensor | None) -> Batch:
        count, length = ids.shape
        tokens = torch.arange(count * length)
        read = torch.arange(count) * length
        if self.mask is not None:
            read = read + (ids == self.mask).int().argmax(1)
        return Batch(
            ids=ids.flatten(),
            segments=torch.zeros_like(tokens) if segments is None else segments.flatten(),
            positions=torch.arange(length).repeat(count),
            grid=tokens.view(count, length),
            real=real.bool(),
            place=tokens,
            read=read,
            labels=tokens[:0],
            rows=tokens[:0],
        )


def _keep_label_rows(model: PromptModel) -> None:
    """Leave only the label words' rows of the projection to the vocabulary."""
    backbone, words = model.backbone, model.verbalizer.words
    decoder = backbone._family.decoder(backbone.model)
    rows, biases = backbone.word_rows(words)
    small = nn.Linear(rows.shape[1], rows.shape[0])
    small.weight, small.bias = nn.Parameter(rows.clone()), nn.Parameter(biases.clone())
    name = next(name for name, module in backbone.model.named_modules() if module is decoder)
    backbone.model.set_submodule(name, small.requires_grad_(False))
    model.verbalizer.words = torch.arange(len(words))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the exporter says of its own parts."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
