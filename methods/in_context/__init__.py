"""In-context learning: training examples stand before each query, and nothing is trained.

Brown et al., 2020; the baseline of thesis, section 6.4 (Table 6.2, setting 1) and of LM-BFF, whose
32 demonstrations are the default: as many of them as the model's positions hold, balanced over the
classes. Masked models read the label words at the query's mask, causal ones as the next token;
regression interpolates between its two words.

Neither paper says what happens to demonstrations that do not fit. Here all queries share one set, a
demonstration is cut to an equal share of the room, and a class never has more of them than another.

With `calibration`, what the model answers to inputs without content behind the same demonstrations
is taken out of its answers, as in `zero-shot`.
"""

from __future__ import annotations

from typing import Any, Literal

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.fit_context import FitContext
from fewbench.types import Natural, Predictor, Split, Task

from .demonstrations import InContextModel, demonstrate

PAPER = "Brown et al., 2020; thesis, section 6.4"
NEEDS = ("student", "words")
BACKBONES = ("masked", "causal")
PRESETS = {"calibrated": {"calibration": "contextual"}, "pmi": {"calibration": "pmi"}}


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse fewer demonstrations than classes: each class gets equally many, so none would fit."""
    classes, most = len(task.words), settings["demonstrations"]
    if 0 < most < classes:
        raise BenchError(
            f"{most} demonstrations are fewer than the {classes} classes of {task.full_name}",
            allowed=f"{classes} or more, or 0 for none",
            fix=f"--methods in-context:demonstrations={classes}, or --methods zero-shot",
        )


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    demonstrations: Natural = 32,
    calibration: Literal["off", "contextual", "pmi"] = "off",
) -> Predictor:
    """Choose and order the demonstrations by the seed, without looking at dev.

    Raises:
        BenchError: one of each class does not fit beside a query.
    """
    backbone = kit.backbone("student")
    chosen = demonstrate(backbone, task, split.train, demonstrations, kit.seed)
    if demonstrations and not chosen:  # its scores would be zero-shot's under another name
        raise BenchError(
            f"{task.full_name}: one demonstration of each of {len(task.words)} classes does not "
            f"fit beside a query in the {backbone.places} tokens that {backbone.ref.name} reads",
            fix="a model that reads more, a task with a smaller max_length, or --methods zero-shot",
        )
    rule = None if calibration == "off" else calibration
    return InContextModel(backbone, task, chosen, len(split.train), rule)
