"""The curves of pretrainings: what is drawn, told apart without colour."""

from __future__ import annotations

from fewbench.plots.pretraining import save_curves


def curve(start):
    return [
        {"tokens": t * 10**6, "held_out_loss": start - t, "train_loss": None, "mrr": 0.01 * t}
        for t in range(3)
    ]


def test_six_runs_and_two_measures(tmp_path):
    names = [f"run-{number}" for number in range(6)]
    save_curves(
        {name: curve(9) for name in names}, tmp_path / "c.svg", measures=("held_out_loss", "mrr")
    )
    text = (tmp_path / "c.svg").read_text("utf-8")
    for label in (*names, "masked-word loss (nats)", "LAMA MRR (macro)", "tokens (millions)"):
        assert f"<!-- {label} -->" in text
    assert text.count("stroke-dasharray") >= 10


def test_a_measure_that_was_never_taken_is_an_empty_panel(tmp_path):
    save_curves(
        {"one": [{"tokens": 0, "held_out_loss": 1.0, "mrr": None}]},
        tmp_path / "c.svg",
        measures=("mrr",),
    )
    assert (tmp_path / "c.svg").stat().st_size > 1000
