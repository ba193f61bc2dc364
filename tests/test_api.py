"""The Python functions: they do what the commands do, and refuse what would mix questions."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import fewbench
from fewbench.errors import BenchError
from fewbench.store.store import Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    """Return a folder of eight runs with their models: two methods, two K, two seeds."""
    results = tmp_path_factory.mktemp("api") / "results"
    given = {
        "student": str(tiny_model),
        "results": results,
        "offline": True,
        "limit": 8,
        "keep_models": True,
    }
    for k in (2, 4):
        records = fewbench.run(
            ["zero-shot", "prompt-ft:lr=1e-3"], "demo-sentiment", k=k, seeds=[13, 21], **given
        )
        assert [record.status for record in records] == ["ok"] * 4
    assert len(fewbench.run("zero-shot", "demo-sentiment", k=2, seeds=13, **given)) == 1
    both = "zero-shot,prompt-ft:lr=1e-3"
    assert len(fewbench.run(both, "demo-sentiment", k=2, seeds=13, **given)) == 2
    return results


def test_one_row_a_run(folder):
    frame = fewbench.results(folder)
    assert len(frame) == 8 and set(frame["k"]) == {2, 4} and set(frame["limit"]) == {8}
    stored = {
        record.run.key: 100 * record.scores["test"]["accuracy"]
        for record in Store(folder).records()
    }
    assert dict(zip(frame["key"], frame["score"], strict=True)) == stored
    assert fewbench.results(folder / "nothing").empty


def test_a_table_of_means(folder):
    frame = fewbench.results(folder)
    table = fewbench.table(frame, rows="method,k", columns="task")
    runs = frame[(frame["method"] == "zero-shot") & (frame["k"] == 2)]["score"]
    cell = table.loc[("zero-shot", 2), "demo-sentiment"]
    assert cell["mean"] == pytest.approx(runs.mean()) and cell["n"] == 2
    assert cell["std"] == pytest.approx(np.std(runs))  # ddof 0, as quick reports it
    assert [name[-1] for name in table.columns] == ["mean", "std", "n"]
    assert "demo-sentiment" in table.to_latex() and "zero-shot" in table.to_markdown()


def test_a_cell_holds_one_question(folder):
    frame = fewbench.results(folder)
    with pytest.raises(BenchError, match="holds runs of several k: 2, 4"):
        fewbench.table(frame, rows="method", columns="task")
    with pytest.raises(BenchError, match="no column 'metod'") as caught:
        fewbench.table(frame, rows="metod")
    assert "method" in caught.value.nearest
    twice = pd.concat([frame, frame[frame["k"] == 2].head(1)])
    with pytest.raises(BenchError, match="twice"):
        fewbench.table(twice, rows=["method", "k"])


def test_runs_of_earlier_constants_and_other_code_are_told_of(folder):
    frame = fewbench.results(folder)
    assert set(frame["earlier"]) == {""}
    frame = frame[frame["k"] == 2].assign(
        code=[f"{n % 2}" * 16 for n in range(4)], earlier="constants"
    )
    with pytest.warns() as told:
        fewbench.table(frame, rows="method")
    texts = [str(one.message) for one in told]
    assert texts[0] == "constants not of today: 4 of 4 runs"
    assert any("several versions of their method's code" in text for text in texts[1:])
    assert {one.filename for one in told} == {__file__}  # at the caller's line


def test_what_is_left_out_is_told_of(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("fewbench.runner.local.execute", lambda *given, **options: 0)
    given = {"student": str(tiny_model), "results": tmp_path, "offline": True, "k": 2, "seeds": 13}
    with pytest.warns(UserWarning, match="left out: ") as told:
        assert fewbench.run("all", "demo-similarity", **given) == []
    assert {one.filename for one in told} == {__file__}


def test_comparison(folder):
    found = fewbench.compare("prompt-ft", "zero-shot", results=folder, k=2, resamples=200)
    assert list(found["new"]) == ["prompt-ft:lr=0.001"] and list(found["verdict"]) == [
        "too few seeds"
    ]
    every = fewbench.compare("prompt-ft", "all", results=folder, k=2, resamples=200)
    assert every.equals(found)
    with pytest.raises(BenchError, match="no stored run has the method 'fit'"):
        fewbench.compare("fit", "zero-shot", results=folder)


def test_splits_and_tasks():
    split = fewbench.split("demo-sentiment", k=2, seed=13)
    assert len(split.train) == len(split.dev) == 4 and all(
        example.label is None for example in split.test
    )
    assert fewbench.load_task("demo-sentiment@demo").labels
    with pytest.raises(BenchError, match=r"'demo' names \d tasks"):
        fewbench.load_task("demo")


def test_a_kept_model_answers_as_it_did(folder, tiny_model):
    store = Store(folder)
    record = next(
        record
        for record in store.records()
        if record.run.method == "prompt-ft" and record.run.k == 2
    )
    model = fewbench.load_model(folder, record.run.key, models=[str(tiny_model)])
    test = {
        example.id: example
        for example in fewbench.split("demo-sentiment", k=2, seed=record.run.seed).test
    }
    stored = store.predictions(record)
    again = model.predict([test[name] for name in stored.ids])
    assert np.abs(again.array - stored.array).max() < 1e-5


def test_a_figure(folder):
    figure = fewbench.plot("k-scaling", results=folder)
    assert [axes.get_xlabel() for axes in figure.axes]
    with pytest.raises(BenchError, match="has the method 'promptft'") as caught:
        fewbench.plot("k-scaling", results=folder, methods="promptft")
    assert caught.value.nearest == ["prompt-ft"]
    with pytest.raises(BenchError, match="no figure 'k-scalin'"):
        fewbench.plot("k-scalin", results=folder)


def test_importing_it_loads_nothing_heavy():
    code = "import sys, fewbench; print(sorted({'torch', 'pandas', 'numpy', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
