"""The splits of LM-BFF, byte for byte: its published MD5 sums, from its own files (needs the real
data).
"""

from __future__ import annotations

import csv
import hashlib
import io

import pytest

from fewbench.data.reader import read_rows
from fewbench.data.split import make_split
from fewbench.data.task_file import declared, with_source
from fewbench.registry.methods import task_files

FILES = {  # task: LM-BFF's folder, its training file's name, and whether that has a header
    "sst-2": ("SST-2", "train.tsv", True),
    "sst-5": ("sst-5", "train.csv", False),
    "trec": ("trec", "train.csv", False),
    "sts-b": ("STS-B", "train.tsv", True),
    "rte": ("RTE", "train.tsv", True),
}
SEEDS = (13, 21, 42, 87, 100)


@pytest.fixture(scope="module")
def published(shared):
    lines = (shared / "data/lm-bff/checksum").read_text().splitlines()
    return {path: md5 for md5, path in (line.split() for line in lines)}


def split_of(name, seed, shared):
    task = with_source(declared(task_files()).tasks[name], "lm-bff")
    return make_split(task, read_rows(task, shared / "data", offline=True), 16, seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FILES)
def test_train_and_dev_have_the_published_checksums(name, seed, shared, published):
    folder, file, header = FILES[name]
    raw = (shared / "data/lm-bff/original" / folder / file).read_bytes()
    split = split_of(name, seed, shared)
    for part, examples in (("train", split.train), ("dev", split.dev)):
        rows = [int(example.id.rpartition("-")[2]) for example in examples]
        rebuilt = tsv(raw, rows) if header else as_pandas_writes(raw, rows)
        path = f"{folder}/16-{seed}/{part}{file[-4:]}"
        assert hashlib.md5(rebuilt).hexdigest() == published[path], path


def tsv(raw, rows):
    lines = raw.split(b"\n")
    return b"\n".join([lines[0], *(lines[row + 1] for row in rows)]) + b"\n"


def as_pandas_writes(raw, rows):
    import pandas as pd

    with io.StringIO(raw.decode(), newline="") as text:
        cells = list(csv.reader(text, strict=True))
    frame = pd.DataFrame([cells[row] for row in rows])
    return frame.to_csv(header=False, index=False).encode()


@pytest.mark.parametrize("part", ["train", "dev"])
def test_sst2_from_texts_and_labels_alone(part, shared, published):
    examples = getattr(split_of("sst-2", 13, shared), part)
    rows = "".join(f"{example.texts[0]}\t{example.label}\n" for example in examples)
    assert (
        hashlib.md5(f"sentence\tlabel\n{rows}".encode()).hexdigest()
        == published[f"SST-2/16-13/{part}.tsv"]
    )


def test_sst2_from_the_command_line_alone(bench, shared, published):
    import json

    done = bench("split", "sst-2", "--k", 16, "--seed", 13, "--data", shared / "data", "--json")
    split = json.loads(done.stdout)
    for part in ("train", "dev"):
        rows = "".join(f"{row['texts'][0]}\t{row['label']}\n" for row in split[part])
        assert (
            hashlib.md5(f"sentence\tlabel\n{rows}".encode()).hexdigest()
            == published[f"SST-2/16-13/{part}.tsv"]
        )
