"""The result files of SetFit's scripts: `DATASET/train-K-SPLIT/results.json` below a folder.

https://github.com/huggingface/setfit: `scripts/setfit/run_fewshot.py` writes them,
`{"score": 92.3, "measure": "accuracy"}`, a score in hundredths; and
`scripts/create_summary_table.py` takes mean and std (ddof 0) over the splits, as is done here.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.io.files import parse_json
from fewbench.io.jsonl import decode, read_bytes
from fewbench.report.foreign.names import our_task
from fewbench.report.foreign.rows import ForeignRow
from fewbench.types import Task

TASKS = {"sst2": "sst-2", "sst5": "sst-5", "SentEval-CR": "cr", "ag_news": "ag-news"}
"""Our tasks, by their data sets; others by `--rename`."""

METRICS = {"accuracy": "accuracy", "matthews_correlation": "mcc", "f1": "f1"}
"""Our metrics, by theirs."""

_SPLIT = re.compile(r"train-(\d+)-(\d+)")
_MODEL = re.compile(r"(.+?)-[A-Za-z]*Loss-.+")
"""The name of a folder of results: the model, the loss, and settings."""


class SetFitResult(NamedTuple):
    """One results.json."""

    file: Path
    measure: str
    score: float


def read_folder(
    folder: Path, tasks: Mapping[str, Task], renames: Mapping[str, str], model: str | None = None
) -> list[ForeignRow]:
    """Return the results in a folder: means over the splits of each data set and K.

    Args:
        folder: of one model, with a folder for each data set.
        tasks: those that are declared, by name.
        renames: our task, or nothing for leaving out, by their data set.
        model: the model; if it is None, what the folder's name says.

    Raises:
        BenchError: there are no results, a file is not one, or model or task are not known.
    """
    groups: dict[tuple[str, int], list[SetFitResult]] = {}
    for file in sorted(folder.glob("*/train-*-*/results.json")):
        split = _SPLIT.fullmatch(file.parent.name)
        if split is not None:
            place = file.parent.parent.name, int(split[1])
            groups.setdefault(place, []).append(_read(file))
    if not groups:
        raise BenchError(
            "there are no results here",
            where=str(folder),
            allowed="DATASET/train-K-SPLIT/results.json",
            fix="name the folder of one model, below SetFit's results/",
        )
    backbone = model or _model(folder)
    return list(_rows(groups, tasks, {**TASKS, **renames}, backbone))


def _rows(
    groups: Mapping[tuple[str, int], Sequence[SetFitResult]],
    tasks: Mapping[str, Task],
    renames: Mapping[str, str],
    backbone: str,
) -> Iterator[ForeignRow]:
    for (dataset, k), results in groups.items():
        first = results[0]
        task = our_task(dataset, tasks, renames, (), str(first.file))
        if task is None:
            continue
        if other := next((one for one in results if one.measure != first.measure), None):
            raise BenchError(
                f"the splits of {dataset} have several measures",
                where=str(other.file),
                allowed=first.measure,
            )
        scores = [result.score for result in results]
        yield ForeignRow(
            place=str(first.file),
            method="setfit",
            task=task,
            backbone=backbone,
            k=str(k),
            metric=METRICS[first.measure],
            value=statistics.fmean(scores),
            std=statistics.pstdev(scores) if len(scores) > 1 else None,
            n=len(scores),
            note=f"SetFit's data set {dataset}",
        )


def _model(folder: Path) -> str:
    name = folder.absolute().name
    found = _MODEL.fullmatch(name)
    if found is None:
        raise BenchError(
            f"the name of this folder does not say the model: '{name}'",
            where=str(folder),
            fix="--student paraphrase-mpnet-base-v2",
        )
    return found[1]


def _read(file: Path) -> SetFitResult:
    text = decode(read_bytes(file), str(file))
    try:
        payload = parse_json(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        column = getattr(error, "colno", 1)
        where = f"{file}, line {line}, column {column}"
        raise BenchError(f"this is no JSON: {error}", where=where) from error
    score = payload.get("score") if isinstance(payload, dict) else None
    measure = payload.get("measure") if isinstance(payload, dict) else None
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise BenchError(f"its score is {score!r}", where=f"{file} (score)", allowed="a number")
    if measure not in METRICS:
        raise BenchError(f"its measure is '{measure}'", where=f"{file} (measure)", allowed=METRICS)
    return SetFitResult(file, measure, float(score))
