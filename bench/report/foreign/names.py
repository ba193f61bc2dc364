"""Our names for the tasks and models of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fewbench.errors import BenchError
from fewbench.types import Task


def our_task(
    name: str,
    tasks: Mapping[str, Task],
    renames: Mapping[str, str],
    sources: Sequence[str],
    where: str,
) -> str | None:
    """Return our task, with its source where that is known, for a name of theirs.

    None if it is to be left out.

    Args:
        name: theirs.
        tasks: those that are declared, by name.
        renames: our task, or nothing for leaving out, by their name.
        sources: names of sources that are theirs, the first that a task has.
        where: the place of the name.

    Raises:
        BenchError: there is no such task.
    """
    if name in renames:
        return renames[name] or None
    ours = name.replace("_", "-").lower()
    if ours not in tasks:
        raise BenchError(
            f"there is no task '{name}'",
            where=where,
            allowed=tasks,
            given=ours,
            fix=f"--rename {name}=TASK@SOURCE, or --rename {name}= to leave it out",
        )
    known = {source.name for source in tasks[ours].sources}
    source = next((source for source in sources if source in known), "")
    return f"{ours}@{source}" if source else ours


def local_name(model: str) -> str:
    """Return the last part of a model's name or folder: `roberta-large`."""
    return model.rstrip("/\\").replace("\\", "/").rpartition("/")[2]


def renames_of(given: Sequence[str]) -> dict[str, str]:
    """Return our task by their name, of options `THEIRS=TASK`; an empty task leaves it out.

    Raises:
        BenchError: an option without a sign of equality.
    """
    pairs = {}
    for text in given:
        theirs, equals, ours = text.partition("=")
        if not equals or not theirs:
            raise BenchError(
                f"--rename is '{text}'", allowed="THEIRS=TASK@SOURCE", fix="--rename sst5=sst-5"
            )
        pairs[theirs] = ours
    return pairs
