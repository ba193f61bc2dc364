"""What the page says of models: those of the package, and those that `models.toml` describes."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewbench.errors import BenchError
from fewbench.registry.pretrained import count_parameters
from fewbench.report.page.models import models_of, read_described

PROJECT = Path(__file__).resolve().parents[2]

TEXT = """
[tiny]
parameters = 1_234_567
what = "two layers"
"""


def test_described_models_and_those_of_the_package(tmp_path):
    assert read_described(tmp_path) == {}
    (tmp_path / "models.toml").write_text(TEXT, "utf-8")
    described = read_described(tmp_path)
    assert described == {"tiny": {"parameters": 1.23, "what": "two layers"}}
    found = models_of({"", "tiny", "fewbench-micro", "elsewhere"}, described)
    assert [*found] == ["fewbench-micro", "tiny"]
    assert found["fewbench-micro"]["parameters"] == 4.61
    assert found["fewbench-micro"]["what"].startswith("bert of 3 layers, 256 wide")


def test_the_projects_own_file_says_what_the_models_have(shared):
    described = read_described(PROJECT / "results")
    for name, facts in described.items():
        counted = count_parameters(shared / "models" / name)
        assert facts["parameters"] == round(counted / 1e6, 2), name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tiny]\nwhat = 'two layers'", "'parameters' is missing"),
        ("[tiny]\nparameters = 0\nwhat = 'two layers'", "'parameters' is 0"),
        ("[tiny]\nparameters = 5\nwhat = ''", "'what' is empty"),
        ("[tiny]\nparameters = 5\nwhat = 'x'\nsize = 1", "unknown key 'size'"),
        ("tiny = 5", "not a table"),
    ],
)
def test_a_mistake_in_the_file_is_refused(tmp_path, text, said):
    (tmp_path / "models.toml").write_text(text, "utf-8")
    with pytest.raises(BenchError, match=said):
        read_described(tmp_path)
