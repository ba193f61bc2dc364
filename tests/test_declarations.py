"""What a method declares, as plain data."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import PROJECT

from fewbench.registry.methods import methods, read_method
from fewbench.report.declarations import declaration, declarations, spelt


def test_a_method_declares_all_that_its_page_says():
    found = declaration(methods()["prompt-kd"])
    assert found.summary.startswith("Prompt-KD: prompt-based fine-tuning on labels")
    assert found.paragraphs[0].startswith("L = L_MLM + lambda1 L_KD: prompt-distiller, eq. 2 and 3")
    assert [paper.cited for paper in found.papers] == ["prompt-distiller"]
    assert found.file == "methods/prompt_kd.py"
    assert (found.teacher, found.groups) == ("prompt-ft", ("distillation",))
    assert found.command == "bench run --methods prompt-kd --tasks demo"
    settings = {setting.name: setting for setting in found.settings}
    assert settings["soften"].allowed == "both, teacher"
    assert settings["temperature"].default == "10.0"
    assert settings["temperature"].searched == "10.0, 2.0"
    assert settings["lr"].searched == "by the protocol's grid"
    assert settings["batch_size"].allowed == "a whole number, 1 or more"


def test_presets_are_written_as_they_are_typed():
    presets = {preset.typed: preset.settings for preset in declaration(methods()["pabee"]).presets}
    assert presets["pabee:deebert"].startswith("rule=entropy, two_stages=true")


@pytest.mark.parametrize("found", declarations(methods()), ids=lambda found: found.name)
def test_every_method_is_whole(found):
    assert found.summary and found.papers and found.command
    assert (PROJECT / found.file).is_file()
    assert all(setting.allowed and setting.default for setting in found.settings)


def test_a_method_of_the_user_has_its_file_by_name(tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text('"""Mine."""\n\n\ndef fit(task, split, kit, *, x: int = 1):\n    pass\n')
    found = declaration(read_method(file))
    assert (found.file, found.papers, found.paragraphs) == ("mine.py", (), ())


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), (True, "true"), (1e-05, "1e-05"), ((1, 3), "[1,3]"), ("last", "last")],
)
def test_values_are_written_as_they_are_typed(value, text):
    assert spelt(value) == text
