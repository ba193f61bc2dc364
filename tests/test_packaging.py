"""What the wheel contains, and that the folders and the package list agree."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from typing import Any

import pytest
from conftest import PROJECT

MAPPED = {
    "bench": "fewbench",
    "methods": "fewbench.methods",
    "tasks": "fewbench.tasks",
    "plots": "fewbench.plots",
    "results/published": "fewbench.published",
}


def test_every_folder_with_code_is_an_installed_package():
    for folder, package in MAPPED.items():
        for file in (PROJECT / folder).rglob("*.py"):
            inner = file.parent.relative_to(PROJECT / folder).parts
            assert importlib.util.find_spec(".".join([package, *inner])) is not None
            assert (file.parent / "__init__.py").is_file()


def test_few_modules_stand_outside_a_room():
    assert len([*(PROJECT / "bench").glob("*.py")]) <= 6


LIGHT = (
    "fewbench.cli",
    "fewbench.runner.local",
    "fewbench.runner.plan",
    "fewbench.report.tables.blocks",
    "fewbench.data.reader",
)


@pytest.mark.parametrize("module", LIGHT)
def test_the_core_loads_without_torch(module):
    code = f"import sys, {module}; print(sorted({{'torch', 'transformers', 'sklearn', 'pandas'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_is_longer_than_a_newcomer_reads():
    long = {
        str(file.relative_to(PROJECT)): lines
        for folder in MAPPED
        for file in (PROJECT / folder).rglob("*.py")
        if (lines := len(file.read_text("utf-8").splitlines())) > 400
    }
    assert not long


def test_a_wheel_names_the_repository_that_built_it_and_none_elsewhere(monkeypatch):
    tree = ast.parse((PROJECT / "setup.py").read_text("utf-8"))
    (made,) = [node for node in tree.body if getattr(node, "name", "") == "addresses"]
    names: dict[str, Any] = {"os": os}
    exec(compile(ast.Module([made], []), "setup.py", "exec"), names)
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://example.org")
    monkeypatch.setenv("GITHUB_REPOSITORY", "some/fork")
    assert names["addresses"]()["Issues"] == "https://example.org/some/fork/issues"
    monkeypatch.delenv("GITHUB_REPOSITORY")
    assert names["addresses"]() == {}
