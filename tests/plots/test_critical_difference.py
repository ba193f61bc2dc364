"""The critical-difference diagram: all methods, bars that do not overlap, reproducible bytes."""

from __future__ import annotations

import pytest

from fewbench.plots.critical_difference import _levels, save
from fewbench.report.statistics.ranks import Ranking, groups


def ranking(k, critical):
    ranks = tuple(1.0 + 0.97 * place for place in range(k))
    names = tuple(f"method-{place}:setting={place}" for place in range(k))
    return Ranking(names, ranks, 12, 0.01, critical, groups(ranks, critical))


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_thirty_methods_in_every_format_the_same_bytes(tmp_path, suffix):
    for name in "ab":
        save(ranking(30, 4.2), tmp_path / f"{name}.{suffix}")
    assert (tmp_path / f"a.{suffix}").stat().st_size > 5000
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_every_method_is_named_with_its_rank_and_the_difference_told(tmp_path):
    save(ranking(4, 1.5), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text("utf-8")
    for place in range(4):
        assert f"method-{place}:setting={place}" in text and f"{1 + 0.97 * place:.2f}" in text
    assert "<!-- critical difference 1.50 -->" in text


def test_a_difference_wider_than_the_line_says_so(tmp_path):
    save(ranking(2, 1.96), tmp_path / "a.svg")
    assert "critical difference 1.96, wider than the line" in (tmp_path / "a.svg").read_text(
        "utf-8"
    )


def test_bars_that_share_methods_lie_at_different_levels():
    found = _levels(((0, 2), (1, 3), (3, 5), (6, 8)))
    assert found == {(0, 2): 0, (1, 3): 1, (3, 5): 0, (6, 8): 0}
