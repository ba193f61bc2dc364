"""A step: quantise weights and activations to 8 bits, without training.

The Q8-PTQ of thesis, Table 4.1. By default the linear layers of every Transformer layer multiply in
int8 on a processor, with activations rounded at run time (`fewbench.nn.int8`): scales are by
output of a weight matrix and by token of an activation, activations have 7 bits, embeddings stay in
floating point, and nothing may follow.

With `static` it is Q8BERT's scheme (Zafrir et al., 2019): 8 bits of activations too, with ranges
that stay as they are at test time, exponential moving averages (EMA) over the training texts; and
embeddings are rounded. The preset `q8bert` is that with one scale a weight matrix (`per_channel`
takes one an output). It is computed in floating point, which saves no time, for processors without
VNNI have no products of 8 bits by 8; so steps that train the model may follow (thesis, Table 4.2,
"Q8-PTQ +Finetune" and "+KD"), and then rounding takes part in training (as in `qat`).

Departs from Q8BERT: the task's head and the language head stay in floating point, and so do outputs
of linear layers, some of which its implementation rounds. Neither paper says how ranges are found
without training.
"""

from __future__ import annotations

from fewbench.nn.fit_context import FitContext
from fewbench.nn.quantize import fake_quantize, observed_ranges, quantize
from fewbench.nn.task_model import TaskModel
from fewbench.types import Share, Split, Task

PAPER = "Zafrir et al., 2019 (Q8BERT); thesis section 4.4"
NEEDS = ("teacher",)
BACKBONES = ("masked", "causal", "encoder-decoder")
PRESETS = {"q8bert": {"per_channel": False, "static": True}}
PIPELINES = ("ptq",)
LAST_IF = {"static": False}


def transform(
    model: TaskModel,
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    teacher: str = "ft",
    per_channel: bool = True,
    static: bool = False,
    decay: Share = 0.99,
) -> TaskModel:
    """Quantise the model's layers; static ranges are those of the training texts."""
    if static:
        fake_quantize(model.backbone, per_channel, decay)
        with observed_ranges(model.backbone):
            model.predict(split.train)
        kit.notes["int8"] = "rounded in floating point: static ranges of 8 bits"
        return model
    quantize(model.backbone, per_channel)
    device = model.backbone.device
    kit.notes["int8"] = "int8 products"
    if device.type != "cpu":
        kit.notes["int8"] = f"rounded in floating point: no int8 on {device}"
    return model
