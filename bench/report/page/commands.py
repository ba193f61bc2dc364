"""The `bench run` command that makes the runs of a cell."""

from __future__ import annotations

from collections.abc import Sequence

from fewbench.io.checked_json import plain
from fewbench.refs import USUAL
from fewbench.report.reproduce.commands import RunCommand
from fewbench.store.cell import label
from fewbench.store.record import Record
from fewbench.types import Arithmetic


def command(records: Sequence[Record]) -> str:
    """Return the command in one line. The records are of one cell."""
    run = records[0].run
    options = {
        "--k": str(run.k),
        "--seeds": ",".join(map(str, sorted({record.run.seed for record in records}))),
        "--protocol": run.protocol,
        "--template": run.template,
        "--student": run.student.name if run.student else "",
        "--teacher": run.teacher.name if run.teacher else "",
        "--corpus": run.corpus.name if run.corpus else "",
        "--limit": str(run.limit or ""),
    }
    options |= _arithmetic(run.arithmetic)
    given = tuple((name, value) for name, value in options.items() if value)
    method, task = label(run.method, run.settings), f"{run.task}@{run.source}"
    line = RunCommand((method,), (task,), given).line
    return f"{line} --drop-leaks" if run.drop_leaks else line


def _arithmetic(asked: Arithmetic) -> dict[str, str]:
    """Return the options of an arithmetic that is not the usual one."""
    usual = plain(USUAL)
    return {f"--{name}": value for name, value in plain(asked).items() if value != usual[name]}
