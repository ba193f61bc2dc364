"""PABEE, early exit by patience: a classifier after every layer, a stop where predictions settle.

thesis, chapter 3: eq. 3.1 (layers), 3.2-3.3 (the patience counter), 3.4-3.6 (the joint loss). The
rule of exit is not part of training: `kit.train` keeps the checkpoint whose last classifier is best
on dev, and the patience (or the threshold or depth of the other rules) is then the one set, or else
the best on dev from one pass through all layers. With `min_speed_up` and `max_speed_up`, it is the
best of those whose speed-up on dev lies between (section 3.3.2), or nearest to that.

Presets: the thresholds of BranchyNet and Shallow-Deep on the same classifiers (Tables 3.1, 3.2,
3.5), between the speed-ups of the first nine layers (1.30) and the first six (1.96); DeeBERT; a
fixed depth of them, and the thesis's patience of 6. With `joint=False` only the classifier of
`depth` is trained, as in (AL)BERT-6L.

DeeBERT (Xin et al., 2020) trains in two stages: the model with its last classifier, as in
fine-tuning, and then the other classifiers on the frozen model.

Departs from the paper: classifiers read the first token's hidden state without BERT's pooler, which
masked language models lack (the reference implementation shares one among all layers); regression
is trained on values scaled to 0..1. Departs from the reference implementation: patience 0 exits at
the first layer, as eq. 3.2 has it, not at the last.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import one_hot

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.exit_rules import Depth, SpeedUps, rules_to_try
from fewbench.nn.exits import CHOICE, ExitModel, choose_rule, head_exits
from fewbench.nn.fit_context import FitContext
from fewbench.types import Count, Natural, Positive, Predictor, Split, Task, Weight

PAPER = "Zhou, Xu et al., 2020 (BERT Loses Patience); thesis, chapter 3"
NEEDS = ("student",)
SEARCH = ("lr", "batch_size")
PRESETS = {
    "thesis": {"patience": 6},
    "branchynet": {"rule": "entropy", "min_speed_up": 1.3, "max_speed_up": 1.96},
    "shallow-deep": {"rule": "confidence", "min_speed_up": 1.3, "max_speed_up": 1.96},
    "deebert": {
        "rule": "entropy",
        "two_stages": True,
        "min_speed_up": 1.3,
        "max_speed_up": 1.96,
    },
    "fixed-depth": {"rule": "depth"},
}


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    lr: Positive = 2e-5,
    batch_size: Count = 32,
    rule: str = "patience",
    patience: Natural | None = None,
    threshold: Weight | None = None,
    depth: Count | None = None,
    tau: Weight = 0.1,
    joint: bool = True,
    min_speed_up: Positive | None = None,
    max_speed_up: Positive | None = None,
    two_stages: bool = False,
) -> Predictor:
    """Train all classifiers together, then take the rule that is set or best on dev."""
    model = head_exits(kit.backbone("student"), task)
    layers = len(model.classifiers)
    rules = rules_to_try(
        task, layers, rule, patience=patience, threshold=threshold, depth=depth, tau=tau
    )
    if not joint and depth is not None:
        model.rule = Depth(depth)
        model.weights = one_hot(model.weights.long()[depth - 1] - 1, layers)
    if two_stages:
        model.weights = one_hot(torch.tensor(layers - 1), layers)
    kit.train(model, lr=lr, batch_size=batch_size, carries=())
    if two_stages:
        _train_lower_classifiers(model, kit, lr, batch_size)
    kit.notes["exits_on_dev"] = choose_rule(
        model, rules, split.dev, SpeedUps(min_speed_up, max_speed_up)
    )
    kit.notes["exit_chosen_by"] = CHOICE
    return model


def _train_lower_classifiers(model: ExitModel, kit: FitContext, lr: float, batch_size: int) -> None:
    """Train all classifiers but the last on the frozen model (DeeBERT's second stage).

    Their losses count the same. Dev scores are those of the deepest of them.
    """
    layers = len(model.classifiers)
    model.requires_grad_(False)
    for classifier in model.classifiers[:-1]:
        classifier.requires_grad_(True)
    model.weights = torch.ones(layers)
    model.weights[-1] = 0
    model.rule = Depth(layers - 1)
    kit.train(model, lr=lr, batch_size=batch_size, whole_vocabulary=True, carries=())
    model.requires_grad_(True)


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse an exit that the model or task cannot have.

    Raises:
        BenchError: a patience or depth beyond the layers, thresholds for a regression, a range of
            speed-ups that is empty, `joint=False` without a depth, or two stages without it or in
            a model of one layer.
    """
    exits = {name: settings[name] for name in ("rule", "patience", "threshold", "depth", "tau")}
    rules_to_try(task, len(student.layers), **exits)
    SpeedUps(settings["min_speed_up"], settings["max_speed_up"]).check()
    if settings["two_stages"] and (not settings["joint"] or len(student.layers) < 2):
        raise BenchError(
            "two_stages trains the last classifier, and then the others",
            allowed="joint=True, and a model of two layers or more",
        )
    if not settings["joint"] and settings["depth"] is None:
        raise BenchError(
            "joint=False trains the classifier of one depth", fix="rule=depth,depth=3,joint=False"
        )
