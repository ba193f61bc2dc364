"""Every figure from stored records: its contents, distinct without colour, nothing overlapping."""

from __future__ import annotations

import importlib
import itertools
import shlex
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import synthetic
from conftest import PROJECT
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from fewbench.errors import BenchError
from fewbench.plots import seeds
from fewbench.plots._style import DASHES, MARKERS, line_look, point_look
from fewbench.plots.monte_carlo import LAYERS, needed_accuracy, patience_accuracy
from fewbench.plots.pareto import pareto_front
from fewbench.registry.methods import methods
from fewbench.registry.settings import choose_methods, split_list
from fewbench.registry.tasks import choose_tasks
from fewbench.report.figures import Material, draw, figures, save
from fewbench.report.published import read_published
from fewbench.report.tables.names import DIGITS
from fewbench.store.cell import label
from fewbench.store.store import Store

NAMES = (
    "curves",
    "distillation-settings",
    "error-entropy",
    "k-scaling",
    "loyalty-robustness",
    "masking",
    "masking-rates",
    "monte-carlo",
    "pareto",
    "patience",
    "seeds",
    "speed-accuracy",
    "sweep",
    "templates",
)
REQUESTS = {"monte-carlo": "monte-carlo:samples=200", "sweep": "sweep:setting=temperature"}


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("figures"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "os.fsync", lambda file: None
        )  # hundreds of files that nobody needs to survive a crash
        synthetic.everything(store)
    synthetic.pretrainings(store.root)
    synthetic.masking_rates(store.root)
    return Material(list(store.records()), store, read_published(PROJECT / "results" / "published"))


@pytest.fixture(scope="module")
def drawn(material):
    """Draw each figure once."""
    return cache(lambda name: draw(REQUESTS.get(name, name), material))


def test_all_figures_are_listed_and_say_what_they_are():
    known = figures()
    assert tuple(known) == NAMES
    assert all(figure.summary for figure in known.values())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_overlaps_and_nothing_is_cut(name, drawn, monkeypatch):
    figure = drawn(name)
    assert figure.get_figwidth() in (3.35, 6.9)
    boxes = _drawn(figure, monkeypatch)
    assert len(boxes) > 5
    for words, box in boxes:
        assert box.x0 >= -1, words
        assert box.y0 >= -1, words
        assert box.x1 <= figure.bbox.x1 + 1, words
        assert box.y1 <= figure.bbox.y1 + 1, words
    for (one, box), (other, beside) in itertools.combinations(boxes, 2):
        assert not box.padded(-0.75).overlaps(beside.padded(-0.75)), (one, other)


@pytest.mark.parametrize(
    ("ending", "magic"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")]
)
def test_formats(ending, magic, drawn, tmp_path):
    save(drawn("patience"), tmp_path / f"a{ending}")
    assert (tmp_path / f"a{ending}").read_bytes().startswith(magic)


def _drawn(figure, monkeypatch):
    """Return the words that are drawn, each with its box in pixels."""
    drawn = {}
    plain = Text.draw

    def draw_and_tell(text, renderer):
        if text.get_visible() and text.get_text().strip():
            drawn[text] = text.get_window_extent(renderer)
        plain(text, renderer)

    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", draw_and_tell)
        FigureCanvasAgg(figure).draw()
    return [(text.get_text(), box) for text, box in drawn.items()]


@pytest.mark.parametrize("name", ["k-scaling", "seeds", "pareto"])
def test_all_thirty_methods_are_named(name, drawn, monkeypatch):
    assert {*synthetic.THIRTY} <= {words for words, _ in _drawn(drawn(name), monkeypatch)}


def test_the_same_records_give_the_same_bytes(material, tmp_path):
    for file in ("a.svg", "b.svg"):
        save(draw("patience", material), tmp_path / file)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_thirty_lines_and_points_differ_in_more_than_colour():
    lines = {(repr(line_look(n)["linestyle"]), line_look(n)["marker"]) for n in range(30)}
    points = {(point_look(n)["fillstyle"], point_look(n)["marker"]) for n in range(30)}
    assert len(lines) == len(points) == 30
    assert np.gcd(len(DASHES), len(MARKERS)) == 1


def test_means_and_bands_are_those_of_the_records(material, drawn):
    axes = next(axes for axes in drawn("k-scaling").findobj(Axes) if axes.get_title() == "sst-2")
    line = next(line for line in axes.get_lines() if line.get_label() == "ft")
    runs = [r for r in material.records if (r.run.task, r.run.method) == ("sst-2", "ft")]
    for k, shown in zip(*line.get_data(), strict=True):
        assert shown == pytest.approx(
            np.mean([100 * r.scores["test"]["accuracy"] for r in runs if r.run.k == k])
        )
    assert "all data, roberta-large (thesis 6.2)" in [text.get_text() for text in axes.texts]


def test_a_method_at_one_k_has_no_curve(material):
    some = [
        r
        for r in material.records
        if r.run.task == "sst-2" and (r.run.method == "ft" or r.run.k == 16)
    ]
    (axes,) = draw("k-scaling", replace(material, records=some, published=())).findobj(Axes)
    assert [line.get_label() for line in axes.get_lines()] == ["ft"]


def test_loyalty_and_attack_are_paired_by_run(drawn):
    (axes,) = drawn("loyalty-robustness").findobj(Axes)
    (x,), (y,) = next(
        line for line in axes.get_lines() if line.get_label() == "zero-shot"
    ).get_data()
    assert y == pytest.approx(100 * 0.07)  # the third of the thirty
    assert 85 < x < 100  # a twentieth of its answers are not the teacher's


@pytest.mark.parametrize("name", [name for name in NAMES if name != "monte-carlo"])
def test_what_is_missing_is_said_with_the_command_that_makes_it(name, tmp_path):
    with pytest.raises(BenchError) as error:
        draw(name, Material([], Store(tmp_path)))
    assert "bench run" in error.value.fix or "python scripts/" in error.value.fix


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("k-scalign", "there is no figure 'k-scalign'"),
        ("pareto:price=3", "has no setting 'price=3'"),
        ("pareto:cost=price", "no cost is called 'price'"),
        ("monte-carlo:samples=many", "samples=many is no int"),
    ],
)
def test_bad_requests(request_, said, tmp_path):
    with pytest.raises(BenchError, match=said):
        draw(request_, Material([], Store(tmp_path)))


def test_another_ending_is_refused_before_anything_is_read(bench, tmp_path):
    done = bench("plot", "seeds", "--out", tmp_path / "a.gif", "--results", tmp_path / "nothing")
    assert done.returncode == 2
    assert "allowed: .pdf, .png, .svg" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_committed_records_give_a_figure(bench, tmp_path):
    """Runs by two versions of a protocol's constants stand apart, and are told apart."""
    out, results = tmp_path / "seeds.svg", PROJECT / "results"
    given = ("--tasks", "sst-2,mr", "--k", 16, "--out", out, "--results", results)
    done = bench("plot", "seeds", *given)
    assert done.returncode == 0, done.stderr
    shown = out.read_text("utf-8")
    versions: dict[str, set[str]] = {}
    for record in Store(results).records():
        run = record.run
        if run.task in ("sst-2", "mr") and run.k == 16 and run.inputs and run.inputs.protocol:
            asked = f">{run.task} · {run.protocol}"
            versions.setdefault(asked, set()).add(run.inputs.protocol[:DIGITS])
    assert {">sst-2 · quick", ">mr · quick"} <= versions.keys()
    for asked, marks in versions.items():
        endings = {f" #{mark}<" for mark in marks} if len(marks) > 1 else {"<"}
        assert all(asked + ending in shown for ending in endings), (asked, endings)


def test_a_figure_dropped_in_is_listed(monkeypatch):
    import fewbench.report.figures as module

    plain = module.figure_files()
    extra = Path(synthetic.__file__).with_name("dropped_in.py")
    monkeypatch.setattr(module, "figure_files", lambda: [*plain, extra])
    assert figures()["dropped-in"].summary == "A figure from a file of its own."


def test_patience_simulated_is_patience_counted():
    """All 4096 outcomes of twelve classifiers, weighted: the counter of thesis eq. 3.2 by hand."""
    outcomes = np.array(list(itertools.product([False, True], repeat=LAYERS)))
    by_hand = []
    for t in range(1, LAYERS):
        answers = []
        for row in outcomes:
            count, answer = 0, row[-1]
            for before, after in itertools.pairwise(row):
                count = count + 1 if before == after else 0
                if count == t:
                    answer = after
                    break
            answers.append(answer)
        by_hand.append(np.array(answers))
    assert patience_accuracy(outcomes) == pytest.approx([answers.mean() for answers in by_hand])
    chance = 0.7
    weights = chance ** outcomes.sum(1) * (1 - chance) ** (LAYERS - outcomes.sum(1))
    exact = np.array([weights[answers].sum() for answers in by_hand])
    drawn = np.random.default_rng(0).random((20_000, LAYERS)) < chance
    assert patience_accuracy(drawn) == pytest.approx(exact, abs=0.01)
    needed = needed_accuracy(exact, samples=20_000, seed=1)
    assert [needed[t, t] for t in range(LAYERS - 1)] == pytest.approx(
        [chance] * (LAYERS - 1), abs=0.01
    )


def test_the_front_is_what_nothing_beats():
    assert pareto_front([(3, 9), (1, 5), (2, 5), (2, 7), (4, 8), (1, 4)]) == [
        (1, 5),
        (2, 7),
        (3, 9),
    ]


def test_every_run_is_a_dot_where_panels_have_other_students(tmp_path):
    store = Store(tmp_path)
    other = replace(synthetic.MODEL, name="other")
    records = [synthetic.make(store, "ft", 0.5, seed=seed) for seed in synthetic.SEEDS]
    records += [
        synthetic.make(store, "ft", 0.6, seed=seed, task="mr", student=other)
        for seed in synthetic.SEEDS
    ]
    figure = seeds.draw(Material(records, store))
    dots = [
        len(line.get_xdata())
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() == "o"
    ]
    assert dots == [3, 3]


def test_the_runs_that_figures_are_tested_with_could_have_been_made(material):
    registered = methods()
    for record in material.records:
        if record.run.method in registered and record.run.settings:
            choose_methods([label(record.run.method, record.run.settings)])


@pytest.mark.parametrize(
    "module", ["distillation_settings", "k_scaling", "patience", "speed_accuracy", "templates"]
)
def test_the_command_that_a_figure_advises_can_be_typed(module):
    words = shlex.split(importlib.import_module(f"fewbench.plots.{module}").MAKE)
    assert words[:2] == ["bench", "run"]
    given = dict(zip(words[2::2], words[3::2], strict=True))
    assert given.keys() <= {"--methods", "--tasks", "--k", "--template", "--corpus"}
    assert choose_methods(split_list(given["--methods"]))
    assert choose_tasks(split_list(given["--tasks"]))


def test_a_method_at_one_step_of_distilling_is_no_curve(tmp_path):
    store = Store(tmp_path)
    one_step = {"pretrain_steps": 500}
    make = synthetic.make
    make(store, "smash", 0.5, task="rte", seed=13, settings=one_step, teacher=synthetic.MODEL)
    with pytest.raises(BenchError, match="no method has them stored"):
        draw("distillation-settings", Material(list(store.records()), store, ()))
    for steps in (100, 200):
        make(store, "ppt", steps / 400, task="rte", seed=13, settings={"pretrain_steps": steps})
    for method in ("ft", "prompt-ft", "zero-shot"):
        make(store, method, 0.6, task="rte", seed=13)
    figure = draw("distillation-settings", Material(list(store.records()), store, ()))
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert set(lines) == {
        "ppt, teacher large",
        "ft",
        "prompt-ft",
        "zero-shot",
    }  # one dot of smash is left out
    looks = {
        (line.get_linestyle(), line.get_color(), str(line._unscaled_dash_pattern))
        for line in lines.values()
    }
    assert len(looks) == 4


def test_levels_of_nine_models_all_look_different(monkeypatch):
    module = importlib.import_module("fewbench.plots.distillation_settings")
    models = [f"model-{number}" for number in range(9)]
    looks = [
        module._level_look(
            SimpleNamespace(run=SimpleNamespace(method=method, student=SimpleNamespace(name=name))),
            models,
        )
        for method in module.LEVELS
        for name in models
    ]
    assert len({tuple(look.items()) for look in looks}) == 27


def test_masking_is_drawn_of_a_folder_that_is_known(material):
    with pytest.raises(BenchError, match="has none of 'elsewhere'"):
        draw("masking:of=elsewhere", material)
    with pytest.raises(BenchError, match="none are stored"):
        draw("masking:of=repetition", material)
