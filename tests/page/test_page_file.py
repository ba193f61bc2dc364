"""`bench leaderboard`: what it writes, and what it does not write over."""

from __future__ import annotations

import json

import pytest
from page_records import make, store_of, usual

from fewbench.errors import BenchError
from fewbench.report.page.write import check, save, to_html


def test_the_command_writes_one_file_and_says_what_is_in_it(tmp_path, bench):
    root, out = usual(tmp_path / "results"), tmp_path / "page.html"
    done = bench("leaderboard", "--results", root, "--out", out, "--title", "A <b> title", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {"file": str(out), "bytes": out.stat().st_size, "runs": 18, "published": 1}
    text = out.read_text("utf-8")
    assert "<title>A &lt;b&gt; title</title>" in text and str(tmp_path) not in text
    again = bench("leaderboard", "--results", root, "--out", out, "--title", "A <b> title")
    assert (again.returncode, again.stdout) == (0, "")
    assert out.read_text("utf-8") == text


def test_a_damaged_record_is_left_out_named_and_told_by_the_exit_code(tmp_path, bench):
    root = store_of(tmp_path / "results", make(seed=13), make(seed=21))
    file = sorted(root.glob("runs/**/*.json"))[0]
    file.write_text(file.read_text("utf-8")[:-9], "utf-8")
    done = bench("leaderboard", "--results", root, "--out", tmp_path / "page.html")
    assert done.returncode == 3
    assert file.name in done.stderr and file.name in (tmp_path / "page.html").read_text("utf-8")


def test_nothing_but_a_page_is_written_over(tmp_path, bench):
    root = store_of(tmp_path / "results", make())
    record = next(root.glob("runs/**/*.json"))
    before = record.read_bytes()
    done = bench("leaderboard", "--results", root, "--out", record)
    assert done.returncode == 2 and "not a leaderboard page" in done.stderr
    assert record.read_bytes() == before


def test_a_folder_is_no_page(tmp_path):
    with pytest.raises(BenchError, match="folder"):
        check(tmp_path)


def test_an_empty_file_and_a_missing_folder_may_become_a_page(tmp_path):
    (tmp_path / "empty.html").touch()
    for file in (tmp_path / "empty.html", tmp_path / "new" / "page.html"):
        save(to_html({}, "t"), file)
        assert file.read_text("utf-8").startswith("<!doctype html>")


def test_a_page_that_cannot_be_written_is_an_error_without_traceback(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot write"):
        save(to_html({}, "t"), tmp_path / "file" / "page.html")
