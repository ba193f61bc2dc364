"""Errors and entropies by layer of a kept early-exit run, worked by hand from its answers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from test_run_cost import run, world

from fewbench.errors import BenchError
from fewbench.measure.layers import layers
from fewbench.measure.stored import model_of, task_of, test_rows
from fewbench.nn.fit_context import Models
from fewbench.report.figures import Material, draw
from fewbench.store.measurement import measurements, write


def test_each_layer_is_measured_on_the_test_rows(tmp_path, tiny_model):
    store, record = run(tmp_path, tiny_model, keep=True, methods="pabee")
    here, models = world(store, tiny_model), Models(torch.device("cpu"))
    measurement = layers(record, here, models, 1)
    task = task_of(record, here)
    rows = test_rows(record, task, here)
    answers = model_of(record, task, models, here).answers(rows)
    assert measurement.settings == {"rows": len(rows)}
    for layer, by_row in enumerate(answers.tolist()):
        wrong = [
            max(range(len(answer)), key=answer.__getitem__) != row.label
            for answer, row in zip(by_row, rows, strict=True)
        ]
        entropies = [-math.fsum(p * math.log(p) for p in answer if p) for answer in by_row]
        assert measurement.scores["error"][layer] == pytest.approx(sum(wrong) / 12, abs=1e-6)
        entropy = math.fsum(entropies) / 12
        assert measurement.scores["entropy"][layer] == pytest.approx(entropy, abs=1e-5)
    write(store, record, measurement)
    (stored,) = measurements(store, record, "layers")
    assert stored.scores == measurement.scores
    figure = draw("error-entropy", Material([record], store))
    (error, entropy) = (axes.get_lines()[0].get_ydata() for axes in figure.axes)
    assert list(error) == pytest.approx([100 * value for value in stored.scores["error"]])
    assert list(entropy) == pytest.approx(stored.scores["entropy"])


def test_a_model_with_one_classifier_has_no_layers_to_measure(tmp_path, tiny_model):
    store, record = run(tmp_path, tiny_model, keep=True)
    here, models = world(store, tiny_model), Models(torch.device("cpu"))
    with pytest.raises(BenchError, match="one classifier"):
        layers(record, here, models, 1)
    with pytest.raises(BenchError, match="not kept"):
        layers(replace(record, method_code="0" * 16), here, models, 1)
