"""Scores against a setting, and dev scores by update: which runs a point stands for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import synthetic
from matplotlib.axes import Axes

from fewbench.errors import BenchError
from fewbench.plots._curves import _rows, label_some
from fewbench.plots._style import MOST_ROWS, stack
from fewbench.plots.seeds import _wrapped
from fewbench.registry.methods import methods
from fewbench.report.figures import Material, draw
from fewbench.store.inputs import settings_hash
from fewbench.store.parts import Selection, Trial
from fewbench.store.store import Store
from fewbench.types import Inputs, ModelRef


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda file: None)
    return Store(tmp_path)


def lines(figure):
    """Return the points of each line, by its name, of a figure of one panel."""
    (axes,) = figure.findobj(Axes)
    return {line.get_label(): [*map(tuple, line.get_xydata())] for line in axes.get_lines()}


def kd(store, score, seed=13, of_today=True, **settings):
    """Store a run of vanilla-kd that says which settings it was made with."""
    hashed = settings_hash(methods()["vanilla-kd"], settings) if of_today else "9" * 16
    inputs = Inputs("a" * 16, "b" * 16, "c" * 16, "d" * 16, settings=hashed)
    return synthetic.make(
        store, "vanilla-kd", score, seed=seed, settings=settings, inputs=inputs, teacher=None
    )


def sweep(store, request="sweep:setting=alpha"):
    return draw(request, Material(list(store.records()), store))


def test_a_point_is_the_mean_over_seeds_and_the_default_is_a_value_too(store):
    for seed, more in ((13, 0.0), (21, 0.1)):
        kd(store, 0.5 + more, seed, alpha=0.2)
        kd(store, 0.6 + more, seed)  # the default is 0.5
        kd(store, 0.7 + more, seed, alpha=0.9, temperature=2.0)
        kd(store, 0.8 + more, seed, alpha=0.7, temperature=2.0)
    found = lines(sweep(store))
    assert found["vanilla-kd"] == [(0.2, pytest.approx(55)), (0.5, pytest.approx(65))]
    assert found["vanilla-kd:temperature=2.0"] == [
        (0.7, pytest.approx(85)), (0.9, pytest.approx(75))
    ]  # fmt: skip


def test_a_default_that_is_not_todays_is_no_value(store):
    kd(store, 0.5, alpha=0.2)
    kd(store, 0.6, of_today=False)
    with pytest.raises(BenchError, match="two or more values of 'alpha'") as error:
        sweep(store)
    assert "alpha" in error.value.allowed


def test_runs_of_other_defaults_are_another_line(store):
    for alpha in (0.2, 0.8):
        kd(store, alpha, alpha=alpha)
        kd(store, alpha / 2, of_today=False, alpha=alpha)
    found = lines(sweep(store))
    assert [[y for _, y in line] for line in found.values()] == [
        [pytest.approx(20), pytest.approx(80)], [pytest.approx(10), pytest.approx(40)]
    ] and len(found) == 2  # fmt: skip


def test_words_stand_side_by_side(store):
    kd(store, 0.5, kd="logits")
    kd(store, 0.6)
    (axes,) = sweep(store, "sweep:setting=kd").findobj(Axes)
    words = [tick.get_text() for tick in axes.get_xticklabels()]
    assert len(words) == 2 and "logits" in words and axes.get_xlabel() == "kd"


def test_a_searched_constant_has_the_best_dev_score_of_its_trials(store):
    made = synthetic.make(store, "ft", 0.9)
    trials = [
        Trial({"lr": lr, "batch_size": size}, {"accuracy": dev}, 13)
        for lr, size, dev in ((1e-5, 2, 0.5), (1e-5, 4, 0.6), (1e-3, 2, 0.7))
    ]
    chosen = Selection("accuracy", settings={"lr": 1e-3, "batch_size": 2}, trials=tuple(trials))
    record = replace(made, selection=chosen)
    figure = draw("sweep:setting=lr", Material([record], store))
    (axes,) = figure.findobj(Axes)
    assert axes.get_xscale() == "log" and axes.get_ylabel() == "best dev accuracy (%)"
    assert lines(figure) == {"ft": [(1e-5, pytest.approx(60)), (1e-3, pytest.approx(70))]}


def test_a_sweep_without_a_setting_says_which_there_are(store):
    kd(store, 0.5, alpha=0.2)
    with pytest.raises(BenchError, match="name of a setting") as error:
        sweep(store, "sweep")
    assert "alpha" in error.value.allowed


def test_labels_too_near_to_another_are_left_out():
    shown = []

    class Line:
        def set_xticks(self, places, words):
            shown.extend(words)

    label_some(Line(), [1, 2, 50, 100])
    assert shown == ["1", "50", "100"]


def test_a_task_has_no_panel_for_methods_it_lacks():
    curve = {20.0: [50.0]}
    curves = {"sst-2": {"ft": curve, "kd": curve, "pkd": curve}, "mr": {"ft": curve, "pkd": curve}}
    rows = _rows(curves, [["ft", "kd"], ["ft", "pkd"]])
    assert [[slot.panel for slot in row] for row in rows] == [["sst-2"], ["sst-2", "mr"]]
    alone = _rows({"sst-2": {"ft": curve}, "mr": {"kd": curve}}, [["ft", "kd"]])
    assert [[slot.panel for slot in row] for row in alone] == [["sst-2", "mr"]]


def test_a_figure_of_too_many_rows_is_refused_before_it_is_laid_out():
    _, parts = stack([()] * MOST_ROWS, 1)
    assert len(parts) == MOST_ROWS
    with pytest.raises(BenchError, match="25 rows of panels, and 24 are the most") as error:
        stack([()] * (MOST_ROWS + 1), 1)
    assert "--tasks" in error.value.fix


def test_a_long_title_is_broken_between_its_parts():
    assert _wrapped("sst-2 · K=16") == "sst-2 · K=16"
    assert _wrapped("trec · K=16 · quick (not recorded)") == "trec · K=16\nquick (not recorded)"
    assert _wrapped("a-name-of-more-than-24-characters · K=4") == (
        "a-name-of-more-than-24-characters\nK=4"
    )


def test_curves_are_means_over_seeds_as_far_as_all_went_with_their_teachers(store):
    for seed, last in ((13, [[20, 0.5], [40, 0.6], [60, 0.9]]), (21, [[20, 0.7], [40, 0.8]])):
        teacher = synthetic.make(
            store, "ft", 0.9, seed=seed, details={"curve": [[20, 0.6], [40, 0.9]]},
            student=ModelRef("big", "", "1" * 16),
        )  # fmt: skip
        taught = {"teacher": {"run": teacher.run.key, "code": teacher.method_code}, "curve": last}
        synthetic.make(store, "pkd", 0.8, seed=seed, details=taught)
    synthetic.make(store, "zero-shot", 0.5)
    students = [record for record in store.records() if record.run.method == "pkd"]
    found = lines(draw("curves", Material(students, store)))
    assert {name.partition(" ")[0]: line for name, line in found.items()} == {
        "ft": [(20, pytest.approx(60)), (40, pytest.approx(90))],
        "pkd": [(20, pytest.approx(60)), (40, pytest.approx(70))],
    }
    assert [name for name in found if name.endswith(", teacher")] == ["ft (big), teacher"]


def test_a_teacher_that_learns_on_has_a_line_of_its_own(store):
    curves = {"curve": [[20, 0.5], [40, 0.6]], "teacher_curve": [[20, 0.9], [40, 0.7]]}
    record = synthetic.make(store, "metadistil", 0.8, details=curves)
    found = lines(draw("curves", Material([record], store)))
    ends = {name.endswith(", its teacher"): line[-1] for name, line in found.items()}
    assert ends == {False: (40, pytest.approx(60)), True: (40, pytest.approx(70))}
