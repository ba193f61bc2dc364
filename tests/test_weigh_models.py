"""scripts/weigh_models.py: figures of training rows alone, against sklearn on rows made by hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from conftest import PROJECT

sys.path.insert(0, str(PROJECT / "scripts"))
from weigh_models import main, probe


def test_a_probe_is_tested_on_what_it_was_not_trained_on():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    told = np.where(labels, 1.0, -1.0)[:, None] + 0.1 * rng.standard_normal((400, 8))
    assert probe(told, labels, 16, 3) == 1
    assert probe(rng.standard_normal((400, 8)), labels, 16, 20) == pytest.approx(0.5, abs=0.05)


@pytest.fixture
def weigh(tmp_path, monkeypatch):
    """Run the script here, as the libraries are loaded: `weigh("fewbench-micro")`."""

    def weigh(*given):
        tasks = ("--tasks", "demo-sentiment,demo-inference", "--data", str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["weigh_models.py", *tasks, *given])
        main()

    return weigh


def test_the_figures_of_a_model(weigh, capsys):
    weigh("--rows", "80", "--k", "8", "--draws", "3", "fewbench-micro")
    printed = capsys.readouterr().out.splitlines()
    order, probed = (line.split() for line in printed if line.startswith("fewbench-micro"))
    assert 50 < float(order[1]) <= 100
    assert float(order[3]) == pytest.approx((float(order[1]) + float(order[2])) / 2, abs=0.1)
    assert 0 <= float(probed[1]) <= 100


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("fewbench-macro",), "fewbench-macro"),
        (("fewbench-micro", "--tasks", "sts-b"), "sts-b has no labels"),
    ],
)
def test_what_is_wrong_is_named(weigh, capsys, given, named):
    with pytest.raises(SystemExit) as ended:
        weigh(*given)
    assert ended.value.code == 2 and named in capsys.readouterr().err
