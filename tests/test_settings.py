"""Settings as typed: split, bound to a method's signature, refused with the nearest name."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from fewbench.errors import BenchError
from fewbench.registry.methods import methods, read_method
from fewbench.registry.settings import bind, choose_methods, split_list

SOURCE = '''"""A method with settings of every type."""

PAPER = "none"
NEEDS = ("student",)
SEARCH = ("lr",)
PRESETS = {"paper": {"lr": 0.5, "steps": 9}}

raise RuntimeError("binding runs no method")


def fit(
    task, split, kit, *, lr: float = 1e-5, steps: int = 4, names: tuple = ("a",), fast: bool = False,
    mode: str = "kl", limit: int | None = None, share: float | None = 0.5,
):
    return None
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_method.py"
    path.write_text(SOURCE, "utf-8")
    return path


@pytest.fixture
def method(file):
    return read_method(file)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("ft", ["ft"]),
        ("ft,prompt-ft", ["ft", "prompt-ft"]),
        (" ft , pkd ", ["ft", "pkd"]),
        ("a,b:x=1,y=[1,2],c", ["a", "b:x=1,y=[1,2]", "c"]),
        ("b:x=(1,2),y=3,c:z=4", ["b:x=(1,2),y=3", "c:z=4"]),
        ("a,,b,", ["a", "b"]),
        ("pkd:paper,ft", ["pkd:paper", "ft"]),
    ],
)
def test_split_list(text, pieces):
    assert split_list(text) == pieces


@pytest.mark.parametrize(
    "text", ["", ",", " , ", "ft[", "ft:x=[1,2", "ft)", "ft:x=[1,2)", "[", "](", "a,(,b"]
)
def test_what_is_no_list_is_refused(text):
    """A plan of nothing would be done at once, and nobody would hear of it."""
    with pytest.raises(BenchError, match=r"names nothing|a bracket without a partner"):
        split_list(text, "--methods")


@pytest.mark.parametrize(
    ("assignment", "settings"),
    [
        ("lr=0.25", {"lr": 0.25}),
        ("lr=1", {"lr": 1.0}),
        ("lr=1e-4", {"lr": 1e-4}),
        ("steps=7", {"steps": 7}),
        ("names=[1,2]", {"names": (1, 2)}),
        ("names=('x','y')", {"names": ("x", "y")}),
        ("fast=true", {"fast": True}),
        ("fast=False", {"fast": False}),
        ("mode=mse", {"mode": "mse"}),
        ("limit=3", {"limit": 3}),
        ("limit=none", {"limit": None}),
        ("share=None", {"share": None}),
        ("paper", {"lr": 0.5, "steps": 9}),
    ],
)
def test_bind(method, assignment, settings):
    bound = bind(method, [assignment])
    assert bound == settings
    assert [type(value) for value in bound.values()] == [type(value) for value in settings.values()]


def test_later_settings_win_and_are_sorted(method):
    assert list(bind(method, ["paper", "lr=0.1", "fast=true"]).items()) == [
        ("fast", True),
        ("lr", 0.1),
        ("steps", 9),
    ]


@pytest.mark.parametrize(
    "assignment",
    [
        "steps=1.5",
        "steps=many",
        "steps=true",
        "lr=fast",
        "lr=true",
        "fast=1",
        "names=1",
        "steps=none",
        "mode=3",
    ],
)
def test_a_value_of_another_type_is_refused(method, assignment):
    with pytest.raises(BenchError, match="does not fit my-method:") as caught:
        bind(method, [assignment])
    assert "default" in str(caught.value)


def test_an_unknown_setting_and_preset_name_the_nearest(method, file):
    with pytest.raises(BenchError, match="no setting 'step'") as caught:
        bind(method, ["step=3"])
    assert caught.value.nearest[0] == "steps" and str(file) in str(caught.value)
    with pytest.raises(BenchError, match="no preset 'papr'") as caught:
        bind(method, ["papr"])
    assert caught.value.nearest == ["paper"]


def test_choose_methods_by_name_all_path_and_settings(file):
    chosen = choose_methods(
        ["ft:lr=0.1,batch_size=4", "majority", str(file), f"{file}:names=[1,2],fast=true", "ft"]
    )
    assert [(c.method.name, c.settings) for c in chosen] == [
        ("ft", {"lr": 0.1, "batch_size": 4}),
        ("majority", {}),
        ("my-method", {}),
        ("my-method", {"names": (1, 2), "fast": True}),
        ("ft", {}),
    ]
    assert chosen[2].method.file == file
    everything = choose_methods(["all"])
    assert {"ft", "majority", "prompt-ft", "zero-shot"} <= {c.method.name for c in everything}


def test_the_same_request_twice_counts_once():
    assert len(choose_methods(["ft", "ft", "ft:lr=1e-5", "ft:lr=0.00001"])) == 2
    named = {c.method.name: c.named for c in choose_methods(["ft", "all", "majority"])}
    assert named.pop("ft") and named.pop("majority") and not any(named.values())


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(BenchError, match="unknown method 'promt-ft'") as caught:
        choose_methods(["promt-ft"])
    assert caught.value.nearest[0] == "prompt-ft"


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(BenchError, match="no such file"):
        choose_methods([str(tmp_path / "absent.py")])


def test_binding_imports_no_torch(file):
    import subprocess

    code = (
        "import sys; from fewbench.registry.settings import choose_methods;"
        f"choose_methods(['all', {str(file)!r} + ':lr=1']);"
        "sys.exit(bool({'torch', 'transformers', 'pandas', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_shipped_number_says_its_range():
    plain = {("theseus", "k")}  # a slope, of either sign
    for info in methods().values():
        for name, annotation in info.annotations.items():
            kinds = {kind.strip() for kind in annotation.split("|")}
            assert not kinds & {"int", "float"} or (info.name, name) in plain, f"{info.name}:{name}"


@pytest.mark.parametrize(
    ("name", "assignment"),
    [
        *(("ft", f"batch_size={value}") for value in ("-1", "0", "2.5", "true", "x")),
        *(("ft", f"lr={value}") for value in ("-1", "0", "1e999", "-1e999", "nan")),
        ("in-context", "demonstrations=-1"),
        ("head-prune", "share=1.5"),
        ("pabee", "patience=x"),
        ("truncate", "layers=1.5"),
        ("theseus", "k=[1]"),
        *(("ft", f"batch_size={value}") for value in (2**31, 10**25, 10**400, "9" * 5000)),
        *(("ft", f"lr={value}") for value in (10**400, "9" * 5000, "-" * 9000 + "1")),
        *(("ft", "lr=" + opened * 3000 + shut * 3000) for opened, shut in ("()", "[]")),
    ],
)
def test_values_out_of_range_are_refused(name, assignment):
    with pytest.raises(BenchError, match=f"does not fit {name}:") as refused:
        bind(methods()[name], [assignment])
    assert refused.value.allowed and len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "value", ["b'x'", "2j", "{1,2}", "{1:2}", "[1e999]", f"[[{10**400}]]", "(b'x',)", "..."]
)
@pytest.mark.parametrize("default", ["None", "(1, 2)"])
def test_what_no_record_can_hold_is_refused(tmp_path, value, default):
    file = tmp_path / "own.py"
    file.write_text(
        SOURCE.replace("names: tuple = ('a',)", "").replace(
            'names: tuple = ("a",)', f"names={default}"
        )
    )
    with pytest.raises(BenchError, match="does not fit own:names"):
        bind(read_method(file), [f"names={value}"])
    assert bind(read_method(file), ["names=(3, 'x', None, [0.5])"]) == {
        "names": (3, "x", None, [0.5])
    }


def test_every_default_and_preset_fits_what_is_declared():
    for info in methods().values():
        for given in (info.settings, *info.presets.values()):
            for name, value in given.items():
                if value is not None:
                    assert bind(info, [f"{name}={value}"]) == {name: value}, (info.name, name)


def test_settings_of_the_committed_runs_fit_what_is_declared():
    known, seen = methods(), set()
    for file in sorted((Path(__file__).parent.parent / "results" / "runs").rglob("*.json")):
        run = json.loads(file.read_text("utf-8")).get("run")
        if isinstance(run, dict) and run["method"] in known:
            seen.add((run["method"], *map(str, run["settings"].items())))
            for name, value in run["settings"].items():
                assert bind(known[run["method"]], [f"{name}={value}"]) == {name: value}, file
    assert len(seen) > 20
