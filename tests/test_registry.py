"""The file-name registry: what is read from a source, what is refused, and the hash of a method's
code.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from fewbench.errors import BenchError
from fewbench.registry.methods import methods, read_method, task_files
from fewbench.types import USUAL_KINDS

FIT = "def fit(task, split, kit, *, lr: float = 0.5):\n    return task\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.py"):
        file = tmp_path / name
        file.write_text(text, "utf-8")
        return file

    return write


def test_own_methods_are_listed_without_torch():
    code = (
        "import sys; from fewbench.registry.methods import methods, task_files; found = methods(); task_files();"
        "assert {'ft', 'majority', 'prompt-ft', 'zero-shot'} <= set(found), found;"
        "heavy = {'torch', 'transformers', 'numpy', 'fewbench.methods.ft'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_read_from_a_source():
    info = methods()["prompt-ft"]
    assert info.file.name == "prompt_ft.py"
    assert info.summary.startswith("Prompt-based fine-tuning")
    assert "Gao" in info.paper
    assert info.needs == ("student", "words", "long-words")
    assert info.settings == {"lr": 1e-5, "batch_size": 8}
    assert info.annotations == {"lr": "Positive", "batch_size": "Count"}
    assert info.search == ("lr", "batch_size")
    assert all(method.summary and method.paper for method in methods().values())


def test_a_method_by_path(write):
    file = write('"""Mine."""\nPRESETS: dict = {"big": {"lr": 2.0}}\n' + FIT, "my_own.py")
    info = methods([file])["my-own"]
    assert (info.summary, info.needs, info.paper, info.presets) == (
        "Mine.",
        (),
        "",
        {"big": {"lr": 2.0}},
    )
    assert info.module().fit("x", None, None) == "x"
    assert "my-own" not in methods()


def test_the_same_file_twice_is_one_method(write):
    file = write(FIT)
    assert "mine" in methods([file, file.parent / "." / file.name])


def test_two_methods_of_one_name_are_both_named(write):
    with pytest.raises(BenchError, match="two methods are called 'ft'") as caught:
        methods([write(FIT, "ft.py")])
    assert caught.value.where is not None
    assert str(methods()["ft"].file) in caught.value.where and "mine" not in caught.value.where


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("X = 1\n", "must define fit"),
        ("class A:\n    def fit(self): ...\n", "must define fit"),
        ("def fit(task, split, kit, *, lr): ...\n", "the setting 'lr' has no default"),
        (
            "def fit(task, split, kit, *, n: int = 1): ...\ndef prepare(kind, world, *, n: int = 2): ...\n",
            "the setting 'n' has one default in fit and another in prepare",
        ),
        (
            "from math import pi\ndef fit(task, split, kit, *, lr=pi): ...\n",
            "'lr' must be a literal",
        ),
        ("NEEDS = tuple('a')\n" + FIT, "'NEEDS' must be a literal"),
        ("def fit(:\n", "not Python"),
    ],
)
def test_files_that_are_no_method(write, text, problem):
    file = write(text)
    with pytest.raises(BenchError, match=problem) as caught:
        read_method(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["My.py", "a__b.py", "a b.py"])
def test_file_names_that_are_no_method_name(write, name):
    with pytest.raises(BenchError, match="is no method name"):
        read_method(write(FIT, name))


def test_task_files_are_named_once(write):
    file = write("", "mine.toml")
    assert task_files([file, file]).count(file.resolve()) == 1


def test_what_a_method_takes_and_searches(write):
    given = 'KINDS = ("pair",)\nBACKBONES = ("causal",)\nGRID = {"k": (2, 1)}\nSEARCH = ("k",)\nSEARCH_IF = {"on": True}\n'
    info = read_method(write(given + "def fit(task, split, kit, *, k=1, on=False): ...\n"))
    assert (info.kinds, info.backbones, info.grid) == (("pair",), ("causal",), {"k": (2, 1)})
    assert info.searched({}) == () and info.searched({"on": True}) == ("k",)
    plain = read_method(write(FIT, "plain.py"))
    assert (plain.kinds, plain.backbones) == (USUAL_KINDS, ("masked",))


@pytest.mark.parametrize("line", ['KINDS = ("pairs",)', "KINDS = ()", 'BACKBONES = ("seq2seq",)'])
def test_kinds_that_there_are_not(write, line):
    with pytest.raises(BenchError, match=r"(KINDS|BACKBONES) is"):
        read_method(write(f"{line}\n{FIT}"))
