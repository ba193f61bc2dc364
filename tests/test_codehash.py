"""The hash of a method's code: what changes it, and what does not."""

from __future__ import annotations

import ast
import shutil
from collections import Counter
from textwrap import indent

import pytest

from fewbench.io import file_hash, files
from fewbench.registry import code_hash, kept_hashes
from fewbench.registry.code_pieces import written
from fewbench.registry.methods import methods
from fewbench.testing import toy_job

FIT = "def fit(task, split, kit, *, lr: float = 0.5):\n    return task\n"


@pytest.fixture(autouse=True)
def nothing_cached(monkeypatch):
    """Read every source anew: where imports lead hangs on the root, which tests move."""
    monkeypatch.setenv("FEWBENCH_CACHE", "off")
    code_hash._source.cache_clear()
    code_hash._known.clear()
    yield
    code_hash._source.cache_clear()
    code_hash._known.clear()


@pytest.fixture
def hashed(tmp_path, monkeypatch):
    """Return the hash of a method's text, beside shared modules by name: `nn/outer`, `metrics`."""
    ours = tmp_path / "bench"
    ours.mkdir()
    monkeypatch.setattr(code_hash, "ROOT", ours.resolve())

    def hashed(text, beside=None, **modules):
        files = {
            "user/mine": text,
            **{f"user/{name}": code for name, code in (beside or {}).items()},
        }
        files |= {f"bench/nn/{name}": code for name, code in modules.items()}
        files |= {f"bench/{name}": code for name, code in modules.items()}
        for name, code in files.items():
            file = tmp_path / f"{name}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code, "utf-8")
        return code_hash.code_hash(tmp_path / "user" / "mine.py")

    return hashed


def test_comments_and_docstrings_do_not_count(hashed):
    plain = hashed(FIT)
    assert len(plain) == 16
    assert (
        hashed('"""A method."""\n# why\n' + FIT.replace("return", '"""Fit."""\n    return'))
        == plain
    )
    assert hashed(FIT.replace("    return task", "\n    return task  # it")) == plain


NESTED = {
    "module": "",
    "class": "class Outer:\n",
    "class in a class": "class Outer:\n    class Middle:\n",
    "function": "def outer():\n",
    "async function": "async def outer():\n",
    "method": "class Outer:\n    def method(self):\n",
}


@pytest.mark.parametrize("place", NESTED)
@pytest.mark.parametrize("shared", [False, True])
def test_texts_in_a_class_body_do_not_count(hashed, place, shared):
    """Docstrings of classes and fields, at any depth; what a field holds does count."""

    def of_body(*lines):
        opening = NESTED[place]
        body = "".join(f"    {line}\n" for line in lines)
        code = opening + indent(f"class Inner:\n{body}", "    " * opening.count("\n"))
        if not shared:
            return hashed(code + FIT)
        use = FIT.replace("return task", "return Outer().method, outer, Inner")
        return hashed(f"from fewbench.nn.shared import Outer, outer, Inner\n{use}", shared=code)

    plain = of_body("x: int = 1", "y: int = 2")
    described = of_body('"""A."""', "x: int = 1", '"""The first."""', "y: int = 2", '"""B."""')
    assert described == plain
    assert of_body("x: int = 1", '"""The first."""', "y: int = 2") == plain
    assert of_body("x: int = 3", "y: int = 2") != plain


def test_a_class_of_texts_alone_is_an_empty_class(hashed):
    texts = 'class Inner:\n    """A class."""\n    """And a text."""\n'
    assert hashed(texts + FIT) == hashed("class Inner:\n    pass\n" + FIT)


def test_a_docstring_that_is_a_name_does_not_reach_code(hashed):
    method = "from fewbench.nn.shared import f\n" + FIT.replace(
        "return task", '"""g"""\n    return f()'
    )
    shared = "def f():\n    return 1\ndef g():\n    return {}\n"
    assert hashed(method, shared=shared.format(1)) == hashed(method, shared=shared.format(2))


def test_code_is_written_the_same_on_every_python():
    """By hand: 3.10, 3.11 and 3.12 unparse this function in three ways, and dump it in two."""
    function = ast.parse("def f(x, *, y=None) -> 'é':\n    return x[1, 2], f'{y!r:>3}'").body[0]
    slots = (
        "Subscript(value=Name(id='x'), slice=Tuple(elts=[Constant(value=1), Constant(value=2)]))"
    )
    width = "JoinedStr(values=[Constant(value='>3')])"
    value = f"FormattedValue(value=Name(id='y'), conversion=114, format_spec={width})"
    returned = f"Return(value=Tuple(elts=[{slots}, JoinedStr(values=[{value}])]))"
    arguments = (
        "arguments(args=[arg(arg='x')], kwonlyargs=[arg(arg='y')], kw_defaults=[Constant()])"
    )
    annotation = "returns=Constant(value='\\xe9')"
    expected = f"FunctionDef(name='f', args={arguments}, body=[{returned}], {annotation})"
    assert written(function) == expected


def test_the_methods_own_file_counts(hashed):
    assert hashed(FIT.replace("0.5", "0.25")) != hashed(FIT)
    assert hashed(FIT.replace("return task", "return split")) != hashed(FIT)
    assert hashed(FIT + "UNUSED = 1\n") != hashed(FIT)


OUTER = "from fewbench.nn.inner import y\ndef x():\n    return y\n"


@pytest.mark.parametrize(
    ("line", "use"),
    [
        ("from fewbench.nn.outer import x\n", "x()"),
        ("from fewbench.nn.outer import x as other\n", "other()"),
        ("from fewbench.nn import outer\n", "outer.x()"),
        ("import fewbench.nn.outer\n", "fewbench.nn.outer.x()"),
        ("from fewbench.outer import x\n", "x()"),
        ("from fewbench import outer\n", "outer.x()"),
        ("import fewbench.outer as short\n", "short.x()"),
        ("from fewbench.outer import *\n", "x()"),
        ("import importlib\n", "importlib.import_module('fewbench.outer').x()"),
        ("", "(lambda: __import__('fewbench.outer').outer.x())()"),
    ],
)
def test_what_is_reached_of_a_part_counts(hashed, line, use):
    method = line + FIT.replace("return task", f"return {use}")
    before = hashed(method, outer=OUTER, inner="y = 1\n")
    assert (
        hashed(method, outer=OUTER + "def z():\n    return 1\n", inner="y = 1\nw = 2\n") == before
    )
    assert hashed(method, outer=OUTER, inner="y = 2\n") != before
    assert hashed(method, outer=OUTER.replace("return y", "return -y"), inner="y = 1\n") != before


CLASS = """
class Base:
    def shared(self):
        return self.given()
class Model(Base):
    size = 1
    def __init__(self):
        pass
    def predict(self):
        return self.shared()
    def given(self):
        return 1
    def other(self):
        return 1
"""


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("size = 1", "size = 2", True),
        ("pass", "self.x = 1", True),
        ("return self.shared()", "return -self.shared()", True),  # the runner calls predict
        ("return self.given()", "return -self.given()", True),  # by way of the base class
        ("def given(self):\n        return 1", "def given(self):\n        return 2", True),
        ("def other(self):\n        return 1", "def other(self):\n        return 2", False),
        ("def other", "def another", False),
    ],
)
def test_methods_of_a_class_count_where_they_are_called(hashed, old, new, counts):
    method = "from fewbench.nn.models import Model\n" + FIT.replace("return task", "return Model()")
    assert old in CLASS
    before = hashed(method, models=CLASS)
    assert (hashed(method, models=CLASS.replace(old, new)) != before) == counts


def test_a_lazy_import_counts_where_it_is_made(hashed):
    body = "        from fewbench.inner import y\n        return y\n"
    lazy = f"class Model:\n    def predict(self):\n{body}"
    method = "from fewbench.outer import Model\n" + FIT.replace("return task", "return Model()")
    assert hashed(method, outer=lazy, inner="y = 1\n") != hashed(
        method, outer=lazy, inner="y = 2\n"
    )


def test_a_module_that_nothing_reached_counts_for_nothing(hashed):
    idle = "from fewbench.inner import y\ndef x():\n    return 1\ndef other():\n    return y\n"
    method = "from fewbench.outer import x\n" + FIT.replace("return task", "return x()")
    assert hashed(method, outer=idle, inner="y = 1\n") == hashed(
        method, outer=idle, inner="y = 2\n"
    )


def test_what_only_type_checkers_see_does_not_count(hashed):
    typed = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fewbench.outer import x\n"
    )
    assert hashed(typed + FIT, outer="def x():\n    return 1\n") == hashed(
        typed + FIT, outer="def x():\n    return 2\n"
    )
    assert hashed(typed + FIT) == hashed("from typing import TYPE_CHECKING\n" + FIT)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import loss\n", "loss"),
        ("from loss import smooth\n", "loss"),
        ("from . import loss\n", "loss"),
        ("from .loss import smooth\n", "loss"),
        ("import lab.loss\n", "lab/loss"),
        ("from lab import loss\n", "lab/loss"),
        ("from lab.deep.loss import smooth\n", "lab/deep/loss"),
        ("from lab import smooth\n", "lab/__init__"),
        ("import importlib\nloss = importlib.import_module('loss')\n", "loss"),
    ],
)
def test_modules_of_the_users_own_count_whole(hashed, line, name):
    around = {"lab/__init__": "", "lab/deep/__init__": ""}
    one = hashed(line + FIT, {**around, name: "def smooth():\n    return 1\n"})
    assert hashed(line + FIT, {**around, name: "def smooth():\n    return 2\n"}) != one
    assert hashed(line + FIT, {**around, name: "# why\ndef smooth():\n    return 1\n"}) == one


def test_modules_that_a_users_module_imports_count_too(hashed):
    both = {"loss": "from deep import y\n"}
    assert hashed("import loss\n" + FIT, {**both, "deep": "y = 1\n"}) != hashed(
        "import loss\n" + FIT, {**both, "deep": "y = 2\n"}
    )


def test_a_users_module_found_on_the_path(hashed, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.syspath_prepend(str(elsewhere))
    (elsewhere / "mylab_of_this_test.py").write_text("y = 1\n", "utf-8")
    method = "import mylab_of_this_test\n" + FIT
    before = hashed(method)
    (elsewhere / "mylab_of_this_test.py").write_text("y = 22\n", "utf-8")
    assert hashed(method) != before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "from torch.nn.functional import mse_loss as loss",
            "from torch.nn.functional import l1_loss as loss",
        ),
        ("from math import sqrt", "from cmath import sqrt"),
        ("import torch.nn.functional as loss", "import torch.nn.quantized as loss"),
        ("from fewbench.nn.outer import x as loss", "from fewbench.nn.outer import y as loss"),
    ],
)
def test_another_name_under_the_same_alias_is_other_code(hashed, one, other):
    """At the top of the file, inside a function, and in a shared module."""
    use = FIT.replace("return task", "return x(), y(), loss, sqrt")
    parts = {"outer": "def x():\n    return 1\ndef y():\n    return 2\n"}
    top = [
        hashed(f"from fewbench.nn.outer import x, y\n{line}\n{use}", **parts)
        for line in (one, other)
    ]
    inner = use.replace("    return", "    {line}\n    return")
    local = [
        hashed("from fewbench.nn.outer import x, y\n" + inner.format(line=line), **parts)
        for line in (one, other)
    ]
    assert len({*top}) == len({*local}) == 2
    shared = "from fewbench.nn.shared import f\n" + FIT.replace("return task", "return f()")
    given = [
        parts | {"shared": f"{line}\ndef f():\n    return loss, sqrt\n"} for line in (one, other)
    ]
    assert hashed(shared, **given[0]) != hashed(shared, **given[1])


def test_an_import_that_a_shared_module_uses_elsewhere_makes_nothing_older(hashed):
    method = "from fewbench.nn.shared import f\n" + FIT.replace(
        "return task", "return f(), split.replace"
    )
    shared = "def f():\n    return 1\n"
    more = "from dataclasses import replace\n" + shared + "def new(x):\n    return replace(x)\n"
    assert hashed(method, shared=shared) == hashed(method, shared=more)


def test_a_module_that_moves_makes_nothing_older(hashed):
    method = FIT.replace("return task", "from fewbench.{place}outer import x\n    return x()")
    outer = {"outer": "def x():\n    return 1\n"}
    assert hashed(method.format(place="nn."), **outer) == hashed(method.format(place=""), **outer)


def test_libraries_do_not_count(hashed):
    for line in ("import json\n", "import torch\n", "import numpy as np\n"):
        assert hashed(line + FIT) == hashed(FIT), line


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("data/template", "[:-1]", "[:-2]"),
        ("data/metrics", "(gold == answers)", "(gold != answers)"),
        ("registry/protocol", "score > best", "score >= best"),
        ("nn/trainer", "zero_grad", "zero_grad_"),
    ],
)
def test_a_change_of_what_is_shared_makes_methods_older(module, old, new, tmp_path, monkeypatch):
    """The shared modules that decide numbers count, in whatever folder of `fewbench` they stand."""
    files = {
        name: info.file
        for name, info in methods().items()
        if name in ("ft", "prompt-ft", "amulap", "kd")
    }
    copied = tmp_path / "bench"
    shutil.copytree(
        code_hash.ROOT, copied, ignore=shutil.ignore_patterns("models", "page", "__pycache__")
    )
    monkeypatch.setattr(code_hash, "ROOT", copied.resolve())
    before = {name: code_hash.code_hash(file) for name, file in files.items()}
    shared = copied / f"{module}.py"
    text = shared.read_text("utf-8")
    assert old in text
    shared.write_text(text.replace(old, new), "utf-8")
    after = {name: code_hash.code_hash(file) for name, file in files.items()}
    assert [name for name in files if before[name] == after[name]] == []


def test_own_methods_depend_on_their_parts():
    hashes = {name: info.code_hash() for name, info in methods().items()}
    assert len(set(hashes.values())) == len(hashes)


def test_it_is_computed_again_once_a_file_that_counts_has_changed(tmp_path):
    (tmp_path / "beside.py").write_text("STEP = 1\n", "utf-8")
    file = tmp_path / "mine.py"
    file.write_text("from beside import STEP\n" + FIT, "utf-8")
    first = code_hash.code_hash(file)
    assert code_hash.code_hash(file) == first
    (tmp_path / "beside.py").write_text("STEP = 22\n", "utf-8")
    assert code_hash.code_hash(file) != first


@pytest.fixture
def ft(tmp_path, monkeypatch):
    """The file of the method `ft`, with an empty cache."""
    monkeypatch.setenv("FEWBENCH_CACHE", str(tmp_path / "cache"))
    return methods()["ft"].file


def hashed_anew(file, monkeypatch):
    """True if a new process would follow the code of a method, its hash not being kept."""
    code_hash._known.clear()
    followed = []
    monkeypatch.setattr(
        code_hash, "_Reach", lambda file, reach=code_hash._Reach: followed.append(1) or reach(file)
    )
    code_hash.code_hash(file)
    return bool(followed)


def test_a_hash_is_kept_for_the_same_code_of_the_project(ft, monkeypatch):
    first = code_hash.code_hash(ft)
    state = code_hash._known[ft]
    assert not hashed_anew(ft, monkeypatch)
    assert code_hash.code_hash(ft) == first
    assert sorted(code_hash._known[ft][1]) == sorted(state[1])
    project = kept_hashes._project_code()
    other = project._replace(digest="0" * 64)
    monkeypatch.setattr(kept_hashes, "_project_code", lambda: other)
    assert hashed_anew(ft, monkeypatch)


def test_a_kept_hash_is_of_no_file_that_has_changed_since_all_were_read(ft, monkeypatch):
    code_hash.code_hash(ft)
    project = kept_hashes._project_code()
    earlier = project._replace(files={**project.files, ft: (ft, 1, 1)})
    monkeypatch.setattr(kept_hashes, "_project_code", lambda: earlier)
    monkeypatch.setattr(kept_hashes.HASHES.__class__, "put", None)  # it is not kept as theirs
    assert hashed_anew(ft, monkeypatch)


def test_a_file_is_read_once_to_be_hashed_and_once_to_be_followed(ft, monkeypatch):
    pet, opened = methods()["pet"].file, Counter()
    kept_hashes._project_code.cache_clear()
    file_hash._hash.cache_clear()
    for module in (file_hash, files):
        monkeypatch.setattr(
            module, "open_file", lambda file, to=module.open_file: opened.update([file]) or to(file)
        )
    code_hash.code_hash(pet)
    code = {file: times for file, times in opened.items() if file.suffix == ".py"}
    followed = {file for file, _, _ in code_hash._known[pet][1]}
    assert code == {file: 1 + (file in followed) for file in kept_hashes._project_code().files}


def test_hashes_of_the_users_methods_are_not_kept(ft, hashed, monkeypatch):
    monkeypatch.setattr(kept_hashes.HASHES.__class__, "put", None)
    assert len(hashed(FIT)) == 16


def test_a_job_is_sent_with_the_hashes_of_its_method_and_its_teachers(tiny_model, monkeypatch):
    job = toy_job(methods()["vanilla-kd"], tiny_model)
    sent = job.sent()
    wanted = job.model_key, job.supplies
    assert job.teacher and wanted[1].teacher
    monkeypatch.delattr(code_hash, "_Reach")
    monkeypatch.delattr(code_hash, "find_hash")
    monkeypatch.setattr(code_hash, "_known", {})
    assert (sent.model_key, sent.supplies) == wanted
