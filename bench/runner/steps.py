"""Run a method: its `fit`, or its steps one after the other, starting at the trained teacher."""

from __future__ import annotations

from fewbench.nn.fit_context import FitContext
from fewbench.registry.methods import MethodInfo
from fewbench.registry.pipeline import settings_of
from fewbench.types import Predictor, Settings, Split, Task


def fit(
    method: MethodInfo, task: Task, split: Split, kit: FitContext, settings: Settings
) -> Predictor:
    """Fit a method with some settings."""
    if not method.steps:
        of_prepare = set(method.prepare_settings) - set(method.fit_settings)
        of_fit = {name: value for name, value in settings.items() if name not in of_prepare}
        predictor: Predictor = method.module().fit(task, split, kit, **of_fit)
        return predictor
    model = kit.source()
    for step in method.steps:
        of_step = settings_of(step, method, settings)
        model = step.module().transform(model, task, split, kit, **of_step)
    return model
