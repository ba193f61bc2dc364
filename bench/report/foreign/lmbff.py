"""The result file of LM-BFF's code: `log`, to which each of its runs appends a dictionary.

https://github.com/princeton-nlp/LM-BFF: `run.py` writes it, and `tools/gather_result.py` takes of
each data split and seed the trial that is best on dev, then mean and std (ddof 0) over them, as is
done here. Lines hold values of Python that are no literals; those that are asked for are, and no
line is evaluated.
"""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fewbench.errors import BenchError
from fewbench.io.jsonl import decode, read_bytes
from fewbench.report.foreign.names import local_name, our_task
from fewbench.report.foreign.rows import ForeignRow
from fewbench.types import Json, Task

METHODS = {"prompt": "prompt-ft", "finetune": "ft", "prompt-demo": "lm-bff"}
"""Our methods, by `few_shot_type`."""

METRICS = {
    "acc": "accuracy",
    "f1": "f1",
    "mcc": "mcc",
    "pearson": "pearson",
    "spearmanr": "spearman",
    "mnli/acc": "accuracy",
    "mnli-mm/acc": "accuracy",
}
"""Our metrics, by theirs."""

SOURCES = ("lm-bff", "glue")
"""The sources of a task's data that are LM-BFF's, the first that there is."""

DEV_OF = {"mnli-mm": "mnli"}
"""Test sets that another task's dev set chooses for."""

NEEDED = ("task_name", "few_shot_type", "model_name_or_path", "seed", "data_dir", "num_k")


class LoggedTrial(NamedTuple):
    """A line of the log: its place, and the values that are literals."""

    place: str
    facts: Json

    def group(self, tested: str) -> tuple[str, str, str, str]:
        """Return the method, model, K and task that it counts for."""
        facts = self.facts
        kind = str(facts["few_shot_type"])
        method = "zero-shot" if facts.get("no_train") and kind == "prompt" else METHODS[kind]
        k = "" if facts.get("no_train") else str(facts["num_k"])
        return method, local_name(str(facts["model_name_or_path"])), k, tested


def read_log(
    file: Path, tasks: Mapping[str, Task], renames: Mapping[str, str], tag: str | None = None
) -> list[ForeignRow]:
    """Return the results of a log: the best trial of each split and seed, then means over these.

    Args:
        file: LM-BFF's `log`.
        tasks: those that are declared, by name.
        renames: our task, or nothing for leaving out, by their name.
        tag: of the runs that count; all have one tag if it is None.

    Raises:
        BenchError: a line that is no dictionary, lacks something, or is of several tags; a task or
            method that is not known.
    """
    trials = list(_trials(file))
    tags = sorted({str(trial.facts.get("tag", "")) for trial in trials})
    if tag is not None:
        trials = [trial for trial in trials if trial.facts.get("tag") == tag]
    elif len(tags) > 1:
        raise BenchError(
            "this log is of several experiments", where=str(file), allowed=tags, fix="--tag NAME"
        )
    groups: dict[tuple[str, str, str, str], list[LoggedTrial]] = {}
    for trial in trials:
        for tested in _tested(trial):
            groups.setdefault(trial.group(tested), []).append(trial)
    rows: list[ForeignRow] = []
    for (method, model, k, tested), members in groups.items():
        task = our_task(tested, tasks, renames, SOURCES, members[0].place)
        if task is not None:
            start = ForeignRow(members[0].place, method, task, model, k, "", 0.0)
            rows += _of_group(start, tested, members, tasks[task.partition("@")[0]])
    return rows


def _trials(file: Path) -> Iterator[LoggedTrial]:
    text = decode(read_bytes(file), str(file))
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _trial(line, f"{file}, line {number}")


def _trial(line: str, place: str) -> LoggedTrial:
    """Read a line without evaluating it."""
    try:
        tree = ast.parse(line.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        column = getattr(error, "offset", None) or 1
        raise BenchError(
            "this is no dictionary of Python", where=f"{place}, column {column}"
        ) from error
    if not isinstance(tree, ast.Dict):
        raise BenchError("this is no dictionary of Python", where=f"{place}, column 1")
    facts: Json = {}
    for key, value in zip(tree.keys, tree.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(value, ast.Constant | ast.UnaryOp):
            facts[str(key.value)] = ast.literal_eval(value)
    for name in NEEDED:
        if name not in facts:
            raise BenchError(f"this line has no '{name}'", where=place, allowed=", ".join(NEEDED))
    if facts["few_shot_type"] not in METHODS:
        raise BenchError(
            f"few_shot_type is '{facts['few_shot_type']}'", where=place, allowed=METHODS
        )
    return LoggedTrial(place, facts)


def _tested(trial: LoggedTrial) -> list[str]:
    """Return the test sets that a line has scores of: `mnli` has two."""
    names = [key.partition("_test_eval_")[0] for key in trial.facts if "_test_eval_" in key]
    return list(dict.fromkeys(names))


def _of_group(
    start: ForeignRow, tested: str, trials: Sequence[LoggedTrial], task: Task
) -> Iterator[ForeignRow]:
    """Yield the rows of one method, model and task: one for each metric that we have, too."""
    theirs = _metrics(tested, trials[0])
    if task.metric not in theirs:
        raise BenchError(
            f"the log has no {task.metric} of {tested}", where=start.place, allowed=theirs or "none"
        )
    dev = f"{DEV_OF.get(tested, tested)}_dev_eval_{_dev_metric(theirs[task.metric])}"
    best = _best(trials, dev)
    template = sorted({str(trial.facts.get("template")) for trial in best})
    note = f"best of {len(trials)} trials on dev; template {' | '.join(template)}"
    for metric in dict.fromkeys((task.metric, *task.metrics)):
        if metric not in theirs:
            continue
        key = f"{tested}_test_eval_{theirs[metric]}"
        scores = [100 * _score(trial, key) for trial in best]
        yield start._replace(
            metric=metric,
            value=statistics.fmean(scores),
            std=statistics.pstdev(scores) if len(scores) > 1 else None,
            n=len(scores),
            note=note[:200],
        )


def _dev_metric(name: str) -> str:
    return "mnli/acc" if name == "mnli-mm/acc" else name


def _metrics(tested: str, trial: LoggedTrial) -> dict[str, str]:
    """Return their metrics of a test set, by ours."""
    start = f"{tested}_test_eval_"
    names = [key.removeprefix(start) for key in trial.facts if key.startswith(start)]
    return {METRICS[name]: name for name in names if name in METRICS}


def _best(trials: Sequence[LoggedTrial], dev: str) -> list[LoggedTrial]:
    """Return the first best trial by dev score of each data split and seed."""
    best: dict[tuple[str, int], LoggedTrial] = {}
    for trial in trials:
        split = str(trial.facts["data_dir"]).rpartition("-")[2]
        place, score = (split, int(trial.facts["seed"])), _score(trial, dev)
        if place not in best or score > _score(best[place], dev):
            best[place] = trial
    return list(best.values())


def _score(trial: LoggedTrial, key: str) -> float:
    value = trial.facts.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BenchError(f"'{key}' is {value!r}, and no number", where=trial.place)
    return float(value)
