"""The commands that the documents of the site show were run, and print what stands beneath them."""

from __future__ import annotations

import os
import sys

import pytest
from conftest import PROJECT

sys.path.insert(0, str(PROJECT / "scripts" / "documentation"))

from consoles import carried_out, is_exact, shown, words

DOCUMENTS = [
    file
    for file in sorted((PROJECT / "docs").glob("*.md"))
    if "```console\n" in file.read_text("utf-8")
]


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_commands_print_what_the_document_shows(bench, tmp_path, file):
    environment = {**os.environ, "COLUMNS": "80"}
    environment.pop("FEWBENCH_RESULTS", None)
    environment.pop("FEWBENCH_DATA", None)
    text = file.read_text("utf-8")
    here = carried_out(
        text, tmp_path, lambda arguments, folder: bench(*arguments, cwd=folder, env=environment)
    )
    for before, now in zip(shown(text), shown(here), strict=True):
        fix = f"python scripts/documentation/consoles.py docs/{file.name}"
        if is_exact(before.command):
            assert now.output == before.output, fix
        else:
            assert words(now.output) == words(before.output), fix


def test_numbers_and_the_order_of_rows_may_differ():
    first = "method    accuracy\n───────\nft 50.1 ±2.0\nprompt-ft 60.0 ±1.0\n<.001\n"
    second = "method  accuracy\n────\nprompt-ft  49.0 ±3.0\nft  50.0 ±2.5\n.031\n"
    assert words(first) == words(second) == {"method", "accuracy", "ft", "prompt-ft"}
    assert words(first) != words(first + "failed\n")


def test_the_first_look_is_the_one_of_the_readme():
    readme = (PROJECT / "README.md").read_text("utf-8")
    start = (PROJECT / "docs" / "index.md").read_text("utf-8")
    table = readme[readme.index("Accuracy with") :].split("```")[0]
    assert f"```text\n{table}```" in start
