"""Parquet as the strict reader takes it: its types, and each row or file it refuses."""

from __future__ import annotations

import pytest
from rows import REGRESSION, TASK, folder  # noqa: F401

from fewbench.data.reader import read_rows
from fewbench.errors import DataError


def write_parquet(file, columns):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), file)


def test_parquet(folder, tmp_path):
    write_parquet(folder / "train.parquet", {"text": ["NA", "007"], "label": [1, 0]})
    assert [(e.texts[0], e.label) for e in read_rows(TASK, tmp_path, offline=True).train] == [
        ("NA", 1),
        ("007", 0),
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a", None], "label": [1, 0]}, "'text' is None"),
        ({"text": ["a", "b"], "label": [1.0, 0.0]}, "the label is 1.0"),
        ({"text": ["a", "b"], "label": [1, -1]}, "row 2"),
    ],
)
def test_parquet_rows_that_are_refused(columns, message, folder, tmp_path):
    write_parquet(folder / "train.parquet", columns)
    with pytest.raises(DataError) as caught:
        read_rows(TASK, tmp_path, offline=True)
    assert message in str(caught.value)
    assert "train.parquet, row" in str(caught.value)


def test_parquet_holds_nan_and_it_is_refused(folder, tmp_path):
    write_parquet(folder / "train.parquet", {"text": ["a"], "label": [float("nan")]})
    with pytest.raises(DataError, match="the value is nan"):
        read_rows(REGRESSION, tmp_path, offline=True)


def test_parquet_cut_short_is_refused(folder, tmp_path):
    file = folder / "train.parquet"
    write_parquet(file, {"text": ["a" * 50] * 2000, "label": [1] * 2000})
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-1], b"PAR1", b""):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match="not Parquet, or cut short"):
            read_rows(TASK, tmp_path, offline=True)


def test_parquet_texts_are_utf8(folder, tmp_path):
    import pyarrow as pa

    write_parquet(
        folder / "train.parquet", {"text": pa.array([b"caf\xe9"]).view(pa.string()), "label": [1]}
    )
    with pytest.raises(DataError, match=r"not Parquet, or cut short: .*utf-8"):
        read_rows(TASK, tmp_path, offline=True)
