"""scripts/weigh_models.py: figures of training rows alone, against sklearn on rows made by hand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT

sys.path.insert(0, str(PROJECT / "scripts"))
from weigh_models import probe


def test_a_probe_is_tested_on_what_it_was_not_trained_on():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    told = np.where(labels, 1.0, -1.0)[:, None] + 0.1 * rng.standard_normal((400, 8))
    assert probe(told, labels, 16, 3) == 1
    assert probe(rng.standard_normal((400, 8)), labels, 16, 20) == pytest.approx(0.5, abs=0.05)


def test_the_figures_of_a_model_and_an_unknown_one(tmp_path):
    command = [
        sys.executable,
        str(PROJECT / "scripts" / "weigh_models.py"),
        "--rows",
        "80",
        "--k",
        "8",
        "--draws",
        "3",
    ]
    command += ["--data", str(tmp_path), "--tasks", "demo-sentiment,demo-inference"]
    done = subprocess.run(
        [*command, "fewbench-micro"], capture_output=True, text=True, check=True, timeout=300
    )
    order, probed = (
        line.split() for line in done.stdout.splitlines() if line.startswith("fewbench-micro")
    )
    assert 50 < float(order[1]) <= 100
    assert float(order[3]) == pytest.approx((float(order[1]) + float(order[2])) / 2, abs=0.1)
    assert 0 <= float(probed[1]) <= 100
    for wrong, named in (
        ([*command, "fewbench-macro"], "fewbench-macro"),
        ([*command, "fewbench-micro", "--tasks", "sts-b"], "sts-b has no labels"),
    ):
        refused = subprocess.run(wrong, capture_output=True, text=True, check=False, timeout=300)
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr and named in refused.stderr
