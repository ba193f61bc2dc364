"""docs/label-words.md is what scripts/label_words.py writes, and its order is worked by hand."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from conftest import PROJECT
from stored import a_record

SCRIPTS = PROJECT / "scripts"


def test_the_document_holds_what_the_script_writes(tmp_path):
    command = [sys.executable, str(SCRIPTS / "label_words.py"), "--out", str(tmp_path / "words.md")]
    subprocess.run([*command, "--results", str(PROJECT / "results")], timeout=300, check=True)
    written = (tmp_path / "words.md").read_text("utf-8")
    assert written == (PROJECT / "docs" / "label-words.md").read_text("utf-8")


def test_words_of_more_splits_come_first_then_those_of_better_places(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from label_words import ranked

    def run(**details):
        return replace(a_record(), details=details)

    pairs = [["bad", "fine"], ["poor", "fine"], ["bad", "great"]]
    runs = [
        run(label_words={"negative": ["bad"], "positive": ["great", "fun", "fine"]}),
        run(label_words={"negative": ["bad"], "positive": ["fine"]}, assignments=pairs),
        run(label_words={"negative": ["poor"], "positive": ["fun"]}),
    ]
    found = [tuple(one) for one in ranked(runs, "positive")]
    assert found == [("fun", 2, 0.5), ("great", 2, 0.5), ("fine", 2, 1.0)]
    assert [one.word for one in ranked(runs, "negative")] == ["bad", "poor"]
