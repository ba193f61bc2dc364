"""Experiment trackers that show runs under way: TensorBoard, Weights & Biases, Trackio.

They hear what the progress bar hears, in the process of the command: no method sees them, and no
record changes. Each library is imported when it is asked for. One that fails is left alone, with a
warning, and the runs go on.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fewbench.errors import BenchError, shortened
from fewbench.runner.agenda import Outcome
from fewbench.runner.jobs import Job, Work
from fewbench.runner.watcher import Watcher
from fewbench.store import paths
from fewbench.store.progress import Progress
from fewbench.types import Json

Handle = Any
"""A run of a tracker, of whatever class its library has."""


class Tracker(Watcher):
    """A run of the tracker for each of ours, with its losses and scores.

    Args:
        place: the folder or the project.
    """

    LIBRARY = ""
    """The module to import."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._open: dict[str, Handle] = {}
        self._failed = False

    def begin(self, job: Job) -> Any:
        """Begin a run of the tracker, and return it."""
        raise NotImplementedError

    def log(self, run: Any, numbers: Mapping[str, float], step: int) -> None:
        """Add numbers to a run."""
        raise NotImplementedError

    def end(self, run: Any) -> None:
        """End a run."""
        run.finish()

    def started(self, work: Work) -> None:
        """Begin the run of a work; preparations have none."""
        if isinstance(work, Job) and work.key not in self._open:
            for run in self._tried(self.begin, work):
                self._open[work.key] = run

    def progressed(self, work: Work, progress: Progress) -> None:
        """Log the last loss and dev score, by the updates of all trials so far."""
        numbers = {"loss": progress.loss, "dev": progress.dev, "trial": progress.trial}
        known = {name: number for name, number in numbers.items() if number is not None}
        self._log(work, known, (progress.trial - 1) * progress.steps + progress.step)

    def done(self, work: Work, outcome: Outcome) -> None:
        """Log the scores of a run, and end it."""
        record = outcome.record
        if record is not None and isinstance(work, Job):
            numbers = {
                f"{part}/{metric}": float(score)
                for part, scores in record.scores.items()
                for metric, score in scores.items()
            }
            self._log(work, numbers, work.updates)
        self._end(work.key)

    def close(self) -> None:
        """End all runs."""
        for key in list(self._open):
            self._end(key)

    def _log(self, work: Work, numbers: Mapping[str, float], step: int) -> None:
        if work.key in self._open and numbers:
            list(self._tried(self.log, self._open[work.key], numbers, step))

    def _end(self, key: str) -> None:
        if key in self._open:
            list(self._tried(self.end, self._open.pop(key)))

    def _tried(self, call: Any, *given: Any) -> Iterator[Any]:
        """Yield what a call of the library returns; nothing once one has failed."""
        if self._failed:
            return
        try:
            with redirect_stdout(sys.stderr):  # stdout is for the command's data
                value = call(*given)
        except Exception as error:  # whatever it is, it is not the runs' failure
            self._failed = True
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            warnings.warn(f"{self.LIBRARY} failed, and is not used any more: {text}", stacklevel=2)
            return
        yield value


class TensorBoard(Tracker):
    """Event files in a folder, in one below it for each run."""

    LIBRARY = "tensorboard"

    def begin(self, job: Job) -> Any:
        """Open the event file of a run."""
        from torch.utils.tensorboard import SummaryWriter

        folder = paths.folder(Path(self.place), job.run) / Path(paths.names(job.run)[0]).stem
        return SummaryWriter(str(folder))

    def log(self, run: Any, numbers: Mapping[str, float], step: int) -> None:
        """Write numbers."""
        for name, number in numbers.items():
            run.add_scalar(name, number, step)

    def end(self, run: Any) -> None:
        """Close the file."""
        run.close()


class WeightsAndBiases(Tracker):
    """Runs of a W&B project; WANDB_MODE=offline keeps them on this machine."""

    LIBRARY = "wandb"

    def begin(self, job: Job) -> Any:
        """Begin a run beside those that are open."""
        library: Any = importlib.import_module("wandb")
        return library.init(
            project=self.place,
            name=job.title,
            group=job.task.full_name,
            config=facts_of(job),
            reinit="create_new",
            settings={"console": "off", "silent": True},
        )

    def log(self, run: Any, numbers: Mapping[str, float], step: int) -> None:
        """Log numbers."""
        run.log(dict(numbers), step=step)


class Trackio(Tracker):
    """Runs of a Trackio project, on this machine unless TRACKIO_SPACE_ID says where."""

    LIBRARY = "trackio"

    def begin(self, job: Job) -> Any:
        """Begin a run beside those that are open."""
        library: Any = importlib.import_module("trackio")
        return library.init(
            project=self.place,
            name=f"{job.title} {job.key[:8]}",
            group=job.task.full_name,
            config=facts_of(job),
            embed=False,
        )

    def log(self, run: Any, numbers: Mapping[str, float], step: int) -> None:
        """Log numbers."""
        run.log(dict(numbers), step=step)


TRACKERS: Mapping[str, type[Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "trackio": Trackio,
}


def facts_of(job: Job) -> Json:
    """Return the facts that a tracker may sort runs by."""
    run = job.run
    models = {"student": run.student, "teacher": run.teacher}
    return {
        "key": run.key,
        "task": job.task.full_name,
        "method": run.method,
        "k": run.k,
        "seed": run.seed,
        "protocol": run.protocol,
        **{role: ref.name for role, ref in models.items() if ref is not None},
        **{f"settings.{name}": value for name, value in run.settings.items()},
    }


def check_trackers(texts: Sequence[str]) -> None:
    """Refuse what `--track` names if it is no tracker, or not installed.

    Raises:
        BenchError: an unknown tracker, no folder or project, or a library that is missing.
    """
    for text in texts:
        name, _, place = text.partition(":")
        if name not in TRACKERS or not place.strip():
            raise BenchError(
                f"--track is '{shortened(text)}'",
                allowed="tensorboard:DIR, wandb:PROJECT, trackio:PROJECT",
                given=name,
                fix="--track tensorboard:logs",
            )
        if find_spec(TRACKERS[name].LIBRARY) is None:
            raise BenchError(
                f"--track {name} needs the package {TRACKERS[name].LIBRARY}",
                fix=f"pip install 'fewbench[{name}]'",
            )


def open_trackers(texts: Sequence[str]) -> list[Tracker]:
    """Return the trackers that `--track` names.

    Raises:
        BenchError: as `check_trackers`.
    """
    check_trackers(texts)
    parted = (text.partition(":") for text in texts)
    return [TRACKERS[name](place) for name, _, place in parted]
