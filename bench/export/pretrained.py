"""A trained model as a model of transformers' own classes.

Fine-tuning's head is linear on the first token's state (smash, section 3.1), while the
classes `…ForSequenceClassification` have a layer with an activation before their output. That layer
is set so that it changes nothing. Axes: C classes, d width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.classifier import HeadModel
from fewbench.nn.task_model import TaskModel
from fewbench.types import Task

SMALL = 2.0**-16
"""tanh(x) = x for numbers of floating point as small as hidden states times this."""


def to_transformers(model: TaskModel) -> Any:
    """Return a model for sequence classification (a head), or a masked language model (a prompt).

    Removed heads are there again as zeros: no configuration of transformers 5 can say otherwise.

    Raises:
        BenchError: the family's classifier is too narrow for so many classes.
    """
    import transformers

    config = copy.deepcopy(model.backbone.config)
    name_labels(config, model.task)
    state = full_state(model.backbone)
    with torch.random.fork_rng():  # what is drawn is replaced
        if not isinstance(model, HeadModel):
            whole = transformers.AutoModelForMaskedLM.from_config(config)
            whole.load_state_dict(state)
            whole.tie_weights()
            return whole.eval()
        classifier = transformers.AutoModelForSequenceClassification.from_config(config)
    base = f"{classifier.base_model_prefix}."
    encoder = {name: tensor for name, tensor in state.items() if name.startswith(base)}
    missing, unexpected = classifier.load_state_dict(encoder, strict=False)
    assert not unexpected, unexpected
    assert not [name for name in missing if name.startswith(base) and "pooler" not in name], missing
    with torch.no_grad():
        _set_head(classifier, *_head(model))
    return classifier.eval()


def name_labels(config: Any, task: Task) -> None:
    """Put a task's labels into a configuration; regression has one, its value."""
    labels = ("value",) if task.is_regression else task.labels
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}
    kind = "regression" if task.is_regression else "single_label_classification"
    config.problem_type = kind


def full_state(backbone: Backbone) -> dict[str, Tensor]:
    """Return the weights of a backbone's model; removed heads are rows and columns of zeros."""
    state: dict[str, Tensor] = dict(backbone.model.state_dict())
    names = {id(module): name for name, module in backbone.model.named_modules()}
    for layer, kept in zip(backbone.layers, heads_kept(backbone), strict=True):
        size = layer.query.out_features // len(kept)
        units = torch.tensor([head * size + unit for head in kept for unit in range(size)])
        width = size * int(backbone.config.num_attention_heads)
        for linear in (layer.query, layer.key, layer.value):
            for part in ("weight", "bias"):
                name = f"{names[id(linear)]}.{part}"
                state[name] = _spread(state[name], units, width, 0)
        name = f"{names[id(layer.output)]}.weight"
        state[name] = _spread(state[name], units, width, 1)
    return state


def heads_kept(backbone: Backbone) -> list[list[int]]:
    """Return for each layer the numbers of its heads among those that it once had, from 0."""
    whole = list(range(int(backbone.config.num_attention_heads)))
    kept = [whole for _ in range(_layers_once(backbone))]
    for change in backbone.changes:
        if change["change"] == "truncate":
            kept = [kept[number] for number in change["layers"]]
        elif change["change"] == "prune_heads":
            for number, gone in change["heads"].items():
                there = kept[int(number)]
                left = [head for place, head in enumerate(there) if place not in gone]
                kept[int(number)] = left
    return kept


def _layers_once(backbone: Backbone) -> int:
    """Return the number of layers before any were taken; more does no harm."""
    truncated = [change["layers"] for change in backbone.changes if change["change"] == "truncate"]
    return 1 + max(truncated[0]) if truncated else len(backbone.layers)


def _spread(values: Tensor, places: Tensor, width: int, axis: int) -> Tensor:
    """Return zeros with `values` at some places of an axis."""
    if len(places) == width:
        return values
    shape = [width if number == axis else size for number, size in enumerate(values.shape)]
    return values.new_zeros(shape).index_copy(axis, places, values)


def _head(model: HeadModel) -> tuple[Tensor, Tensor]:
    """Return the head's weights [C, d] and biases [C]; those of regression give the value itself.

    A regression is trained on values scaled to 0..1.
    """
    weight, bias = model.output.weight, model.output.bias
    if model.task.bounds is None:
        return weight, bias
    lower, upper = model.task.bounds
    return weight * (upper - lower), bias * (upper - lower) + lower


def _set_head(classifier: Any, weight: Tensor, bias: Tensor) -> None:
    head = HEADS[classifier.config.model_type]
    dense, output = map(classifier.get_submodule, (head.dense, head.output))
    dense.weight.zero_()
    dense.bias.zero_()
    output.weight.zero_()
    output.bias.copy_(bias)
    head.fill(dense, output, weight)


def _through_tanh(dense: nn.Linear, output: nn.Linear, weight: Tensor) -> None:
    """Fill two layers with tanh between: tanh(s h) / s = h for a small s, a power of 2."""
    dense.weight.fill_diagonal_(SMALL)
    output.weight.copy_(weight / SMALL)


def _through_signs(dense: nn.Linear, output: nn.Linear, weight: Tensor) -> None:
    """Fill two layers with f between, ReLU or GELU: f(x) - f(-x) = x.

    Raises:
        BenchError: more than d/2 classes.
    """
    classes = len(weight)
    if 2 * classes > dense.out_features:
        raise BenchError(
            f"{classes} classes do not pass through the classifier of this family",
            allowed=f"{dense.out_features // 2} at a width of {dense.out_features}",
            fix="--onnx",
        )
    dense.weight[:classes] = weight
    dense.weight[classes : 2 * classes] = -weight
    output.weight[:, :classes].fill_diagonal_(1)
    output.weight[:, classes : 2 * classes].fill_diagonal_(-1)


class Head(NamedTuple):
    """The two last layers of a classifier of transformers, by name, and a way to fill them.

    `fill` takes the two and the weights [C, d] that they shall amount to.
    """

    dense: str
    output: str
    fill: Callable[[nn.Linear, nn.Linear, Tensor], None]


_ROBERTA = Head("classifier.dense", "classifier.out_proj", _through_tanh)
HEADS = {
    "bert": Head("bert.pooler.dense", "classifier", _through_tanh),
    "albert": Head("albert.pooler", "classifier", _through_tanh),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": Head("pre_classifier", "classifier", _through_signs),
    "electra": Head("classifier.dense", "classifier.out_proj", _through_signs),
}
"""By model type."""
