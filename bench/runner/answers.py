"""Answers that this project's own checks gave before, kept in the user's cache.

To ask them again takes a process that loads torch, transformers and every model. An answer counts
for the same question alone: the same task with all its prompts, settings, numbers of rows and
models (by name, revision, and the state of each of their files), the same code of the whole project
and the same versions of the libraries. Checks of other methods are asked each time, and answers
that something broke down are not kept.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fewbench.errors import NeedsNetwork
from fewbench.io.kept import Kept, key_of, project_hash
from fewbench.registry.named_inputs import NamedInput
from fewbench.runner.jobs import Job, Preparation
from fewbench.runner.preflight import MODELS, Check, CheckBroke, ErrorFields
from fewbench.types import Settings

MOST = 20_000
"""The most answers that are kept: those given last."""

LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "sentencepiece", "numpy")

_kept = Kept("checks", most=4, most_bytes=64 << 20)

Answer = ErrorFields | None


class Answers:
    """The answers of one version of the code and the libraries, read once."""

    def __init__(self) -> None:
        self._key = _maker()
        kept = _kept.get(self._key)
        known = kept if isinstance(kept, dict) else {}
        self._known = {key: answer for key, answer in known.items() if _is_answer(answer)}
        self._folders: dict[str, str] = {}

    def find(self, checks: Iterable[Check]) -> dict[int, Answer]:
        """Return the answers that are known, by the identity of the question."""
        keys = ((check, self._question(check)) for check in checks if check.is_ours)
        return {id(check): self._known[key] for check, key in keys if key in self._known}

    def keep(self, answers: Iterable[tuple[Check, Answer]]) -> None:
        """Keep new answers of our own code, without those that may soon be different."""
        new = {
            self._question(check): answer
            for check, answer in answers
            if check.is_ours and _lasts(check, answer)
        }
        if new:
            whole = [*self._known.items(), *new.items()]
            self._known = dict(whole[-MOST:])
            _kept.put(self._key, self._known)

    def _question(self, check: Check) -> str:
        work = check.work
        of_work: Callable[[Any], Iterator[object]] = _job
        if check.asks == MODELS:
            of_work = _models_of
        elif isinstance(work, Preparation):
            of_work = _preparation
        return key_of(check.asks, *of_work(work), *self._models(check))

    def _models(self, check: Check) -> Iterator[str]:
        """Yield the state of each model of a work, and of each that a setting names."""
        work = check.work
        of = work if isinstance(work, Preparation) else work.run
        for ref in (of.student, of.teacher):
            yield "" if ref is None else f"{ref!r} {self._state(ref.path)}"
        for value in () if check.asks == MODELS else of.settings.values():
            if isinstance(value, NamedInput):
                yield self._state(value.path)

    def _state(self, place: str) -> str:
        if place not in self._folders:
            self._folders[place] = _state(Path(place))
        return self._folders[place]


def _models_of(job: Job) -> Iterator[object]:
    """Yield what decides whether models fit a job's task, besides themselves."""
    yield job.task
    yield [need in job.method.needs for need in ("words", "long-words", "template")]


def _job(job: Job) -> Iterator[object]:
    """Yield what decides the answer of a job's method, besides its models."""
    method = job.method
    yield from (method.name, str(method.file), method.needs)
    yield job.task
    yield _settings(job.run.settings)
    yield tuple(job.split_sizes) if method.split_checks else None


def _preparation(preparation: Preparation) -> Iterator[object]:
    """Yield what decides the answer to a question on a preparation, besides its models."""
    yield preparation.key
    yield from (preparation.method.name, str(preparation.method.file), preparation.kind)
    yield _settings(preparation.settings)
    yield from (preparation.corpus, preparation.labelled)


def _settings(settings: Settings) -> list[tuple[str, object]]:
    """Return settings by name; one that names a model or a file with its place."""
    values = ((name, value, getattr(value, "path", None)) for name, value in settings.items())
    return sorted((name, (value, place)) for name, value, place in values)


def _state(place: Path) -> str:
    """Return a text that changes when a file does, or one in a folder."""
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    state = []
    for file in files:
        with contextlib.suppress(OSError):
            stat = file.stat()
            times = stat.st_mtime_ns, stat.st_ctime_ns
            state.append((str(file), stat.st_size, *times, stat.st_ino))
    return repr(state)


def _lasts(check: Check, answer: Answer) -> bool:
    """True for an answer that the same question will have again.

    That models do not fit ends the command, and is said of the method that was asked for.
    """
    if answer is None or check.asks == MODELS:
        return answer is None
    return answer["kind"] not in (NeedsNetwork.__name__, CheckBroke.__name__)


def _is_answer(answer: object) -> bool:
    """True for the form of an answer."""
    return answer is None or (isinstance(answer, dict) and answer.keys() == _FIELDS)


_FIELDS = ErrorFields.__required_keys__


@lru_cache
def _maker() -> str:
    """Return a hash of all code of the project and of the libraries' versions."""
    versions = [platform.python_version(), platform.machine(), *map(_version, LIBRARIES)]
    return key_of(versions, project_hash())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
