"""Runs a method: its `fit`, or its steps one after the other, from the trained teacher on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fewbench.nn.fit_context import FitContext
from fewbench.registry.methods import MethodInfo
from fewbench.registry.pipeline import settings_of
from fewbench.types import Predictor, Split, Task


def fit(
    method: MethodInfo, task: Task, split: Split, kit: FitContext, settings: Mapping[str, Any]
) -> Predictor:
    """Return the predictor that a method makes with some settings."""
    if not method.steps:
        spent = set(method.prepare_settings) - set(method.fit_settings)
        own = {name: value for name, value in settings.items() if name not in spent}
        predictor: Predictor = method.module().fit(task, split, kit, **own)
        return predictor
    model = kit.source()
    for step in method.steps:
        model = step.module().transform(
            model, task, split, kit, **settings_of(step, method, settings)
        )
    return model
