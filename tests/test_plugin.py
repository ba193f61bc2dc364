"""Another package's method and task, installed beside fewbench as pip installs them."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fewbench.registry.methods import read_method
from fewbench.testing import check_method

PLUGIN = Path(__file__).parent / "plugin"


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """The environment of a process that sees the plug-in installed."""
    if importlib.util.find_spec("setuptools") is None or importlib.util.find_spec("pip") is None:
        pytest.skip("building the plug-in offline needs pip and setuptools in this environment")
    place = tmp_path_factory.mktemp("plugin")
    shutil.copytree(
        PLUGIN,
        place / "source",
        ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"),
    )
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    command += [
        "--disable-pip-version-check",
        "--target",
        str(place / "site"),
        str(place / "source"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return os.environ | {"PYTHONPATH": str(place / "site")}


def python(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_registry_finds_both_without_importing_them(environment):
    code = """
import json, sys
from fewbench.registry.tasks import choose_tasks
from fewbench.data.reader import read_rows
from fewbench.registry.methods import methods
(task,) = choose_tasks(["plugin-task"])
rows = read_rows(task, None, offline=True)
assert choose_tasks(["plugin"]) == [task]
print(json.dumps([methods()["plugin-method"].settings, task.full_name, len(rows.train), len(rows.test)]))
assert not {"torch", "fewbench_plugin.plugin_method"} & set(sys.modules)
"""
    assert json.loads(python(code, environment)) == [{"sharpness": 4.0}, "plugin-task@own", 20, 8]


def test_the_plugins_method_keeps_the_contract(tiny_model):
    check_method(read_method(PLUGIN / "fewbench_plugin" / "plugin_method.py"), tiny_model)


def test_it_is_listed(environment, bench):
    done = bench("ls", "methods", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    assert "plugin-method" in [method["name"] for method in json.loads(done.stdout)]
    assert "plugin-method" not in bench("ls", "methods", "--json").stdout


def test_it_is_run(environment, bench, tmp_path):
    arguments = [
        "run",
        "--methods",
        "plugin-method:sharpness=2",
        "--tasks",
        "plugin-task",
        "--k",
        "4",
        "--seeds",
        "13",
    ]
    done = bench(*arguments, "--results", tmp_path / "results", env=environment)
    assert done.returncode == 0, done.stderr + done.stdout
    (file,) = (tmp_path / "results" / "runs").rglob("*.json")
    record = json.loads(file.read_text("utf-8"))
    assert record["status"] == "ok"
    assert record["run"]["settings"] == {"sharpness": 2.0}
    assert record["scores"]["test"]["accuracy"] > 0.5
