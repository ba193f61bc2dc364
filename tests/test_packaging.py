"""What the wheel contains, and that the folders and the package list agree."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from conftest import PROJECT

MAPPED = {"bench": "fewbench", "methods": "fewbench.methods", "tasks": "fewbench.tasks", "plots": "fewbench.plots"}


def test_every_folder_with_code_is_a_listed_package():
    listed = set(
        re.search(r"^packages = \[(.*?)\]", (PROJECT / "pyproject.toml").read_text(), re.M | re.S)[1].split(",")
    )
    listed = {name.strip().strip('"') for name in listed}
    found = set()
    for folder, package in MAPPED.items():
        for file in (PROJECT / folder).rglob("__init__.py"):
            found.add(".".join([package, *file.parent.relative_to(PROJECT / folder).parts]))
    assert found == listed


@pytest.mark.parametrize("module", ["fewbench.cli", "fewbench.plan", "fewbench.tables.blocks", "fewbench.reader"])
def test_the_core_loads_without_torch(module):
    code = f"import sys, {module}; print(sorted({{'torch', 'transformers', 'sklearn', 'pandas'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_is_longer_than_a_newcomer_reads():
    long = {
        str(file.relative_to(PROJECT)): lines
        for folder in MAPPED
        for file in (PROJECT / folder).rglob("*.py")
        if (lines := len(file.read_text("utf-8").splitlines())) > 300
    }
    assert not long
