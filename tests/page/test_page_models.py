"""What the page says of models: those of the package, and those that `models.toml` describes."""

from __future__ import annotations

import pytest

from fewbench.errors import BenchError
from fewbench.report.page.models import models_of, read_described

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
