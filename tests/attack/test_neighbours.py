"""Tables and vectors of near words, and the files that are neither."""

from __future__ import annotations

import pytest

from fewbench.errors import BenchError
from fewbench.measure.attack.moves import Swap, in_case
from fewbench.measure.attack.neighbours import read_neighbours
from fewbench.measure.attack.resources import read_resources
from fewbench.measure.attack.text import words


def test_a_table_gives_the_first_and_says_that_no_cosine_was_checked(neighbours):
    table = read_neighbours(neighbours)
    assert table.of("good", 2) == ["great", "well"]
    assert list(table.of("nowhere", 50)) == []
    assert table.describe()["cosine"].startswith("not checked")
    assert table.describe()["most"] == 4


def test_vectors_give_words_of_a_cosine_of_half_or_more(tmp_path):
    """Cosines to a: b 0.8, c 0.6, d 0.49, e 0.5, f -1."""
    rows = ("a 2 0", "d .49 .8717", "b .8 .6", "f -3 0", "e .5 .8660254", "c .6 .8")
    (file := tmp_path / "v.txt").write_text("\n".join(rows), "utf-8")
    vectors = read_neighbours(file)
    assert vectors.of("a", 50) == ["b", "c", "e"]
    assert vectors.of("a", 1) == ["b"]
    assert vectors.of("z", 50) == []
    assert vectors.describe()["cosine"] == "at least 0.5"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("n.json", "[1]", "it holds a list"),
        ("n.json", "{", "not JSON"),
        ("n.json", "{}", "it is empty"),
        ("n.json", '{"a": {"b": 0.5}}', "the value of 'a' is not a list of words"),
        ("n.json", '{"a": [["b", 0.5]]}', "the value of 'a'"),
        ("n.txt", "a 1 2\nb 1", "line 2"),
        ("n.txt", "a 1 2\nb x y", "line 2"),
        ("n.txt", "a 1 2\nb nan 1", "line 2"),
        ("n.txt", "a 0 0", "line 1"),
        ("n.txt", "", "it is empty"),
        ("n.npy", "x", "its name ends in '.npy'"),
    ],
)
def test_another_format_is_refused(tmp_path, name, content, says):
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(BenchError, match="not a table of neighbours") as error:
        read_neighbours(tmp_path / name)
    assert says in error.value.problem
    assert "--neighbours FILE" in str(error.value)


def test_resources_are_named(resources):
    named = resources.description
    assert named["neighbours"]["name"] == "near" and named["neighbours"]["words"] == 4
    assert named["stop_words"]["words"] == 5 and "Jin" in named["stop_words"]["stands_for"]
    assert len(named["tagger"]["revision"]) == 16


def test_nothing_is_left_out_for_want_of_a_resource(neighbours, nltk_data, tmp_path, monkeypatch):
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(BenchError, match="needs neighbours of words"):
        read_resources(None, nltk_data, tmp_path)
    with pytest.raises(BenchError, match="no such file of neighbours"):
        read_resources(tmp_path / "n.json", nltk_data, None)
    with pytest.raises(BenchError, match="needs a tagger and stop words"):
        read_resources(neighbours, None, None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match="stop words cannot be read"):
        read_resources(neighbours, tmp_path / "empty", None)


def test_a_word_is_swapped_for_its_neighbours_in_its_own_case(resources):
    swap = Swap(resources.neighbours, limit=3)
    assert [text.text for text in swap(words("A Good film"), 1)] == [
        "A Great film",
        "A Well film",
        "A Nice film",
    ]
    assert swap(words("A Good film"), 0) == []
    assert [in_case("word", like) for like in ("abc", "ABC", "Abc", "aBC", "A", "I'm")] == [
        "word", "WORD", "Word", "word", "word", "Word",
    ]  # fmt: skip
