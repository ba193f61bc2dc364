"""The `bench run` command that makes the runs of a cell.

A record names a local model or corpus without its place: the command has it as `./NAME`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fewbench.io.checked_json import plain
from fewbench.refs import USUAL, CorpusRef, ModelRef
from fewbench.report.preset_names import with_preset
from fewbench.report.reproduce.commands import RunCommand
from fewbench.store.cell import label
from fewbench.store.record import Record
from fewbench.types import Arithmetic

COMMIT = re.compile("[0-9a-f]{40}")
"""A commit of the hub; a local folder's revision is shorter."""


def command(records: Sequence[Record]) -> str:
    """Return the command in one line. The records are of one cell."""
    run = records[0].run
    options = {
        "--k": str(run.k),
        "--seeds": ",".join(map(str, sorted({record.run.seed for record in records}))),
        "--protocol": run.protocol,
        "--template": run.template,
        "--student": _typed(run.student) if run.student else "",
        "--teacher": _typed(run.teacher) if run.teacher else "",
        "--corpus": f"./{_name(run.corpus)}" if run.corpus else "",
        "--limit": str(run.limit or ""),
    }
    options |= _arithmetic(run.arithmetic)
    given = tuple((name, value) for name, value in options.items() if value)
    method, task = with_preset(label(run.method, run.settings)), f"{run.task}@{run.source}"
    line = RunCommand((method,), (task,), given).line
    return f"{line} --drop-leaks" if run.drop_leaks else line


def _typed(model: ModelRef) -> str:
    """Return a model as `--student` takes it: embedded, of the hub with its commit, or a folder."""
    if model.embedded:
        return _name(model)
    is_of_hub = COMMIT.fullmatch(model.revision)
    return f"{_name(model)}@{model.revision}" if is_of_hub else f"./{_name(model)}"


def _name(ref: ModelRef | CorpusRef) -> str:
    """Return a name without the revision that tells it from others (`models_apart`)."""
    return ref.name.partition("@")[0]


def _arithmetic(asked: Arithmetic) -> dict[str, str]:
    """Return the options of an arithmetic that is not the usual one."""
    usual = plain(USUAL)
    return {f"--{name}": value for name, value in plain(asked).items() if value != usual[name]}
