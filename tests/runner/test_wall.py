"""The wall around test labels: deliberate cheats, each tried as a run is, in a process of its own.

Each cheat that reads or patches is tried beside the labels first, in this process, where it works:
so it is a cheat. Those that cannot be stopped stand at the end, and in decision 016."""

from __future__ import annotations

import os
import textwrap

import numpy as np
import pytest
import torch
from runner.bad import write

from fewbench.data.metrics import Scorer
from fewbench.data.reader import read_rows
from fewbench.data.split import make_split
from fewbench.data.task_file import with_source
from fewbench.nn.fit_context import Models
from fewbench.registry.tasks import choose_tasks
from fewbench.runner.local import execute
from fewbench.runner.plan import Request, make_plan
from fewbench.runner.run import carry_out
from fewbench.store.store import Store
from fewbench.testing import toy_job

CHANCE = 1 / 3
"""Of the nine test rows of three classes, what equal shares answer right."""

KNOWING = """
class Knowing:
    def __init__(self, labels):
        self.labels = labels
    def predict(self, examples):
        tested = self.labels if examples[0].id.startswith("test-") else None
        if tested is not None and len(tested) == len(examples):
            return Predictions(tuple(e.id for e in examples), probabilities=shares(examples, tested))
        return Same().predict(examples)
"""
READING = {
    "the garbage collector, for the scorer": """
        from fewbench.data.metrics import Scorer
        asked = [e.texts for e in split.test]
        scorers = [thing for thing in gc.get_objects() if type(thing) is Scorer]
        scorers = [s for s in scorers if [s._examples[row].texts for row in s.order] == asked]
        labels = [[s._examples[row].label for row in s.order] for s in scorers]
        return Knowing(labels[-1]) if labels else Same()
        """,
    "the garbage collector, for the rows": """
        rows = [e for e in gc.get_objects() if type(e) is Example and type(e.label) is int]
        known = {e.texts: e.label for e in rows if e.label < len(task.labels)}
        labels = [known.get(e.texts) for e in split.test]
        return Same() if None in labels else Knowing(labels)
        """,
    "frames, for the job": """
        frame = sys._getframe()
        while frame:
            for thing in list(frame.f_locals.values()):
                scorer = getattr(thing, "scorer", None)
                if scorer is not None:
                    return Knowing([scorer._examples[row].label for row in scorer.order])
            frame = frame.f_back
        """,
    "frames of all threads": """
        for frame in sys._current_frames().values():
            while frame:
                for thing in list(frame.f_locals.values()):
                    for part in [thing, *(thing if isinstance(thing, (list, tuple)) else ())]:
                        scorer = getattr(part, "scorer", None)
                        if scorer is not None:
                            return Knowing([scorer._examples[row].label for row in scorer.order])
                frame = frame.f_back
        """,
    "a traceback, for the runner's frames": """
        try:
            raise ValueError
        except ValueError as error:
            frame = error.__traceback__.tb_frame
        import inspect
        for outer in inspect.getouterframes(frame):
            job = outer.frame.f_locals.get("job")
            if job is not None and job.scorer is not None:
                return Knowing([job.scorer._examples[row].label for row in job.scorer.order])
        """,
}
PATCHING = {
    "the metric": "import fewbench.data.metrics as m; m.METRICS['accuracy'] = lambda gold, answers: 1.0",
    "the scorer": "from fewbench.data.metrics import Scorer; Scorer.score = lambda self, p: {'accuracy': 1.0}",
    "how scores are looked up": "import fewbench.data.metrics as m; m._metric = lambda name: lambda gold, answers: 1.0",
    "what a comparison of arrays gives": """
        from fewbench.types import Predictions as P
        class All:
            def __eq__(self, other): return np.ones(9)
            def __req__(self, other): return np.ones(9)
            __array_ufunc__ = None
        P.answers = property(lambda self: All())
        """,
}


@pytest.fixture
def restored(monkeypatch):
    """Undo what a cheat patches in this process."""
    import fewbench.data.metrics
    from fewbench.types import Predictions

    monkeypatch.setitem(
        fewbench.data.metrics.METRICS, "accuracy", fewbench.data.metrics.METRICS["accuracy"]
    )
    monkeypatch.setattr(Scorer, "score", Scorer.score)
    monkeypatch.setattr(fewbench.data.metrics, "_metric", fewbench.data.metrics._metric)
    monkeypatch.setattr(Predictions, "answers", Predictions.__dict__["answers"])


def run(job, store):
    execute([[job]], store, workers=1, device="cpu", threads=1, on_done=lambda *_: None)
    record = store.get(job.run)
    assert record is not None
    return record


def cheat(tmp_path, tiny_model, fit, head="", **options):
    return toy_job(write(tmp_path, "cheat", fit, head=KNOWING + head), tiny_model, **options)


@pytest.mark.parametrize("fit", READING.values(), ids=READING)
def test_labels_are_read_from_nowhere_in_the_process(store, tmp_path, tiny_model, fit):
    job = cheat(tmp_path, tiny_model, fit)
    beside, _ = carry_out(job, Models(torch.device("cpu")), 1)
    assert beside.scores["test"] == {"accuracy": 1.0}, beside.error
    assert run(job, store).scores["test"] == {"accuracy": pytest.approx(CHANCE)}


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("fit", PATCHING.values(), ids=PATCHING)
def test_what_is_patched_decides_nothing(store, tmp_path, tiny_model, fit):
    job = cheat(tmp_path, tiny_model, fit)
    apart = run(job, store)
    beside, _ = carry_out(job, Models(torch.device("cpu")), 1)
    assert beside.scores["test"] == {"accuracy": 1.0}, beside.error
    assert apart.scores["test"] == apart.scores["dev"] == {"accuracy": pytest.approx(CHANCE)}, (
        apart.error
    )


LYING = {
    "a subclass of Predictions": """
        class Lying(Predictions):
            @property
            def answers(self): return Yes.of(super().answers)
            @property
            def array(self): return Yes.of(self.probabilities)
        """,
    "a subclass of ndarray": """
        class Lying(Predictions):
            def __post_init__(self): object.__setattr__(self, "probabilities", Yes.of(self.probabilities))
        """,
    "no Predictions at all": """
        class Lying:
            def __init__(self, ids, probabilities):
                self.ids, self.probabilities, self.values, self.extras = ids, Yes.of(probabilities), None, {}
        """,
}
YES = """
class Yes(np.ndarray):
    @classmethod
    def of(cls, array): return np.asarray(array).view(cls)
    def __eq__(self, other): return np.ones(len(self), bool)
    def argmax(self, *a, **k): return Yes.of(np.zeros(len(self), int))
class Liar:
    def predict(self, examples):
        return Lying(tuple(e.id for e in examples), probabilities=shares(examples))
"""


@pytest.mark.parametrize("head", LYING.values(), ids=LYING)
def test_only_the_numbers_of_what_is_returned_count(store, tmp_path, tiny_model, head):
    record = run(
        cheat(tmp_path, tiny_model, "return Liar()", head=YES + textwrap.dedent(head)), store
    )
    assert record.scores["test"] == {"accuracy": pytest.approx(CHANCE)}, record.error


def test_what_changes_after_it_was_answered_changes_nothing(store, tmp_path, tiny_model):
    head = """
class Turning:
    def predict(self, examples):
        made = shares(examples)
        threading.Thread(target=lambda: [made.fill(n) for n in range(9)]).start()
        threading.Timer(0.01, made.fill, [0.0]).start()
        return Predictions(tuple(e.id for e in examples), probabilities=made)
"""
    job = cheat(tmp_path, tiny_model, "return Turning()", head=head)
    record = run(job, store)
    if (
        record.status == "ok"
    ):  # else it changed them before they were copied, and they were no answers
        assert record.scores["test"] == job.scorer.score(store.predictions(record))
    else:
        assert "add up to" in record.error


ODD = {
    "other ids": (
        "tuple(e.id for e in examples)[::-1]",
        "shares(examples)",
        "not for the examples asked for",
    ),
    "ids of the source": (
        "tuple(f'test-{9 - n}' for n in range(9))",
        "shares(examples)",
        "not for the examples",
    ),
    "more rows": (
        "tuple(e.id for e in examples)",
        "np.full((99, 3), 1 / 3, 'f4')",
        "shape (99, 3)",
    ),
    "fewer rows": ("tuple(e.id for e in examples)", "shares(examples)[1:]", "predictions of shape"),
    "more classes": (
        "tuple(e.id for e in examples)",
        "np.full((len(examples), 4), 1 / 4, 'f4')",
        "shape (",
    ),
    "a row of rows": ("tuple(e.id for e in examples)", "shares(examples)[None]", "shape (1,"),
    "no number": ("tuple(e.id for e in examples)", "shares(examples) * np.nan", "not finite"),
    "an infinite number": ("tuple(e.id for e in examples)", "shares(examples) / 0", "not finite"),
    "below 0": (
        "tuple(e.id for e in examples)",
        "shares(examples) + np.array([1, -1, 0], 'f4')",
        "below 0",
    ),
    "not adding to 1": ("tuple(e.id for e in examples)", "shares(examples) * 2", "add up to 2"),
    "just not adding to 1": (
        "tuple(e.id for e in examples)",
        "shares(examples) * 1.01",
        "add up to 1.01",
    ),
    "texts": (
        "tuple(e.id for e in examples)",
        "shares(examples).astype(str).astype('U9') + 'x'",
        "Error",
    ),
    "objects": (
        "tuple(e.id for e in examples)",
        "np.array([[print, 1, 2]] * len(examples))",
        "Error",
    ),
}


@pytest.mark.parametrize(("ids", "array", "reason"), ODD.values(), ids=ODD)
def test_numbers_that_are_no_answers_fail_the_run(store, tmp_path, tiny_model, ids, array, reason):
    """Made without the checks of `Predictions`, which a method can go around."""
    head = f"""
class Odd:
    def predict(self, examples):
        made = object.__new__(Predictions)
        with np.errstate(all="ignore"):
            given = dict(ids={ids}, probabilities={array}, values=None, extras={{}})
        for name, value in given.items():
            object.__setattr__(made, name, value)
        return made
"""
    record = run(cheat(tmp_path, tiny_model, "return Odd()", head=head), store)
    assert record.status == "failed" and reason in record.error, record.error


def test_altering_what_it_was_given_moves_nothing(store, tmp_path, tiny_model):
    fit = """
        for n, example in enumerate(split.test):
            object.__setattr__(example, "id", f"test-{len(split.test) - n}")
        for example in split.dev:
            object.__setattr__(example, "label", 0)
        """
    record = run(cheat(tmp_path, tiny_model, fit), store)
    assert record.scores == {
        "dev": {"accuracy": pytest.approx(CHANCE)},
        "test": {"accuracy": pytest.approx(CHANCE)},
    }
    assert record.warnings == ("this method changed the split it was given",)


def test_the_process_is_no_child_of_the_command_and_holds_nothing_of_it(
    store, tmp_path, tiny_model
):
    """Neither forked from it, so that no memory is shared, nor handed a scorer or its rows by any
    other way.
    """
    fit = """
        kit.notes["parent"] = os.getppid()
        kit.notes["scorers"] = sum(type(thing).__name__ == "Scorer" for thing in gc.get_objects())
        kit.notes["rows"] = sum(type(e) is Example and e.label is not None for e in gc.get_objects())
        kit.notes["argv"] = " ".join(sys.argv)
        """
    job = cheat(tmp_path, tiny_model, fit)
    details = run(job, store).details
    assert details["parent"] != os.getpid()
    assert details["scorers"] == 0
    assert details["rows"] == len(job.split.train) + len(job.split.dev)


def by_place(split):
    """Return the answer of a method that sees only ids and places: the first half is of the first
    class.
    """
    return np.eye(2, dtype=np.float32)[
        [int(2 * n >= len(split.test)) for n in range(len(split.test))]
    ]


SORTED = {"mr": 98, "cr": 70, "mpqa": 73}
"""Whole points that the ids alone scored, in the order of the files."""


@pytest.mark.parametrize("name", SORTED)
def test_ids_and_places_tell_nothing_where_files_are_sorted_by_label(shared, name):
    task = with_source(choose_tasks([name])[0], "lm-bff")
    rows = read_rows(task, shared / "data", offline=True)
    split = make_split(task, rows, 16, 13)
    scorer = Scorer(task, rows.test)
    labels = np.array([e.label for e in rows.test])
    chosen = {e.texts: e.label for e in rows.test}
    best = max(
        float((labels == by_place(split).argmax(1)).mean()),
        float((labels != by_place(split).argmax(1)).mean()),
    )
    assert int(100 * best) >= SORTED[name] - 10  # what it was about in the order of the files
    job = make_plan(
        Request(
            methods=("majority",),
            tasks=(task.full_name,),
            seeds=(13,),
            data=shared / "data",
            offline=True,
        ),
        Store(shared / "nowhere"),
    ).jobs[0]
    asked = job.sent().split.test
    assert [e.id for e in asked] == [f"test-{n}" for n in range(len(asked))]
    right = np.array([chosen[e.texts] for e in asked]) == by_place(split).argmax(1)
    share = max((labels == 0).mean(), (labels == 1).mean())
    assert abs(right.mean() - 0.5) < 0.03 + (share - 0.5)
    assert len({e.id for e in split.unlabeled} & {e.id for e in rows.train}) == 0
    assert scorer.order == job.scorer.order
