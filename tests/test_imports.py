"""A user's method that imports what is not here is refused before anything runs."""

from __future__ import annotations

import pytest

from fewbench.errors import BenchError
from fewbench.registry.imports import check_imports

FIT = "\n\ndef fit(task, split, kit):\n    ...\n"

REFUSED = {
    "a module": ("import nowhere", "nowhere", 3),
    "a part of one": ("import json\n\nimport nowhere.inside as there", "nowhere", 5),
    "the second of a line": ("import json, nowhere", "nowhere", 3),
    "a name of one": ("from nowhere.inside import name", "nowhere", 3),
}

FINE = (
    "import torch, fewbench.nn\nfrom numpy import array",
    "from . import helper",
    "try:\n    import nowhere\nexcept ImportError:\n    nowhere = None",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nowhere",
    "def load():\n    import nowhere",
    "import __main__, _io",
)


def written(folder, imports):
    file = folder / "mine.py"
    file.write_text(f'"""Mine."""\n\n{imports}\n{FIT}', "utf-8")
    return file


@pytest.mark.parametrize(("imports", "module", "line"), REFUSED.values(), ids=[*REFUSED])
def test_what_is_not_here_is_named_with_its_line(tmp_path, imports, module, line):
    file = written(tmp_path, imports)
    with pytest.raises(
        BenchError, match=f"it imports '{module}', which Python does not find"
    ) as caught:
        check_imports(file)
    assert caught.value.where == f"{file}, line {line}"
    assert caught.value.fix == f"pip install the package that has {module}"


@pytest.mark.parametrize("imports", FINE)
def test_what_is_here_or_the_authors_own_care_is_not_refused(tmp_path, imports):
    check_imports(written(tmp_path, imports))


@pytest.mark.parametrize("beside", ["helper.py", "helper"])
def test_of_a_module_beside_it_the_fix_says_how_it_is_found(tmp_path, beside):
    place = tmp_path / beside
    place.touch() if place.suffix else place.mkdir()
    with pytest.raises(BenchError) as caught:
        check_imports(written(tmp_path, "from helper import help_me"))
    assert "from .helper import" in str(caught.value.fix)


def test_a_folder_finds_what_is_in_it(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Mine."""\nfrom .helper import NEEDS\n' + FIT, "utf-8")
    (folder / "helper.py").write_text("NEEDS = ()\n", "utf-8")
    check_imports(folder / "__init__.py")


@pytest.mark.parametrize(
    "command", [("run", "--dry-run", "--methods"), ("run", "--methods"), ("validate",)]
)
def test_the_plan_and_its_check_refuse_what_the_run_would_fail_at(bench, tmp_path, command):
    file = written(tmp_path, "import nowhere")
    where = () if command[0] == "validate" else ("--tasks", "demo-sentiment", "--results", tmp_path)
    done = bench(*command, file, *where)
    assert done.returncode == 2 and "it imports 'nowhere'" in done.stdout + done.stderr
    assert f"{file}, line 3" in done.stdout + done.stderr
    assert not (tmp_path / "runs").exists()
