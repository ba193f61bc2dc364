"""How the code is laid out: what a reader could trip over is counted, and does not come back."""

from __future__ import annotations

import ast
import re
from itertools import chain

import pytest
from conftest import PROJECT

ROOMS = ("bench", "methods", "plots")
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
OPEN = re.compile(r"(?:dict|Mapping|MutableMapping)\[str, (?:Any|object)\]")
VAGUE = re.compile(
    r"(?:Return (?:what|whether|how|which|where|who)|Whether|What|How|Where|Which)\b"
)
"""How a summary begins that lacks the noun for what it speaks of."""


def files():
    return sorted(chain.from_iterable((PROJECT / room).rglob("*.py") for room in ROOMS))


@pytest.fixture(scope="module")
def trees():
    """The syntax tree of every file, by its path in the project."""
    return {file.relative_to(PROJECT): ast.parse(file.read_text("utf-8")) for file in files()}


def test_no_comprehension_holds_another(trees):
    nested = [
        f"{file}:{node.lineno}"
        for file, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, COMPREHENSIONS)
        and sum(isinstance(inner, COMPREHENSIONS) for inner in ast.walk(node)) > 1
    ]
    assert not nested


def test_few_dictionaries_hold_anything():
    found = [
        f"{file.relative_to(PROJECT)}: {line.strip()}"
        for file in files()
        for line in file.read_text("utf-8").splitlines()
        if OPEN.search(line)
    ]
    assert len(found) <= 29, found


def test_every_docstring_begins_with_one_line_that_says_what_it_is(trees):
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    unclear = []
    for file, tree in trees.items():
        for node in filter(lambda node: isinstance(node, documented), ast.walk(tree)):
            lines = (ast.get_docstring(node) or "").split("\n")
            if VAGUE.match(lines[0]) or (len(lines) > 1 and lines[1]):
                unclear.append(f"{file}:{getattr(node, 'lineno', 1)}: {lines[0]}")
    assert not unclear


def test_few_modules_lie_loose_in_the_root():
    loose = [file.name for file in (PROJECT / "bench").glob("*.py") if file.stem[:2] != "__"]
    assert len(loose) <= 6, loose


ARITHMETIC = re.compile(
    r"\bautocast\b|allow_tf32|set_float32_matmul_precision|set_default_dtype|fp32_precision"
)
SETS_ARITHMETIC = ("bench/runner/child.py", "bench/runner/devices.py", "bench/pretrain/train.py")


def test_the_runner_alone_sets_the_arithmetic_of_a_run(trees):
    found = [
        f"{file}:{node.lineno}"
        for file, tree in trees.items()
        if file.as_posix() not in SETS_ARITHMETIC
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ARITHMETIC.search(node.attr)
    ]
    assert not found
