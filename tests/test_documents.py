"""What the documents show works as written: the method and the task of CONTRIBUTING.md, the
commands of README.md.
"""

from __future__ import annotations

import json
import re

import pytest
from conftest import PROJECT

from fewbench.registry.methods import read_method
from fewbench.testing import check_method

CONTRIBUTING = (PROJECT / "CONTRIBUTING.md").read_text("utf-8")


def block(kind, name):
    return re.search(rf"<!-- test: {kind} {name} -->\n```\w+\n(.*?)```", CONTRIBUTING, re.S)[1]


def test_the_method_of_contributing_keeps_the_contract_and_runs(bench, tiny_model, tmp_path):
    file = tmp_path / "label_noise.py"
    file.write_text(block("method", "label_noise"))
    check_method(read_method(file), tiny_model)
    done = bench(
        *(
            "run",
            "--methods",
            f"{file}:smoothing=0.2,lr=1e-3,batch_size=4",
            "--tasks",
            "demo-sentiment",
            "--k",
            2,
        ),
        *(
            "--seeds",
            13,
            "--student",
            tiny_model,
            "--results",
            tmp_path / "results",
            "--offline",
            "--json",
        ),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["n"] == 1


def test_the_task_of_contributing_runs(bench, tmp_path):
    (tmp_path / "weather.toml").write_text(block("task", "weather"))
    (tmp_path / "weather").mkdir()
    for name in ("train", "test"):
        rows = [
            {"text": f"{name} {i} {'rain' if i % 2 else 'sun'}", "label": (i + 1) % 2}
            for i in range(12)
        ]
        (tmp_path / "weather" / f"{name}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows)
        )
    assert bench("validate", tmp_path / "weather.toml", "--k", 2).returncode == 0
    done = bench(
        "run",
        "--methods",
        "majority",
        "--tasks",
        tmp_path / "weather.toml",
        "--k",
        2,
        "--json",
        cwd=tmp_path,
    )
    assert done.returncode == 0 and json.loads(done.stdout)[0]["mean"] == 50.0


@pytest.mark.parametrize("name", ["README.md", "docs/commands.md"])
def test_every_bench_command_of_a_document_exists(bench, name):
    text = (PROJECT / name).read_text("utf-8")
    commands = set(re.findall(r"^bench (\w+)", text, re.M))
    listed = bench("--help").stdout
    assert commands and all(re.search(rf"^\W*{command}\b", listed, re.M) for command in commands)


@pytest.mark.parametrize(
    "name",
    ["README.md", "docs/commands.md", "docs/methods.md", "docs/python.md", "docs/layout.md"],
)
def test_links_of_a_document_lead_somewhere(name):
    file = PROJECT / name
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", file.read_text("utf-8"))
    missing = [link for link in links if not (file.parent / link).exists()]
    assert not [link for link in missing if not link.startswith("https://")]


def test_the_readme_is_short_and_shows_the_board():
    lines = (PROJECT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 70
    assert any("docs/figures/board.png" in line for line in lines)
    assert "python -m pytest -n auto" in lines
    assert "pip install -c constraints.txt '.[test]' && bench run" in lines
