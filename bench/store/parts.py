"""The typed parts of a record: the choice among trials, the split, the machine, the times.

Fields may be missing: a failed run has chosen nothing, and older versions recorded less. A missing
field is None and is not written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_origin, get_type_hints

from fewbench.types import Json, Settings

if TYPE_CHECKING:
    from typing_extensions import Self


def _json_types(hint: Any) -> type | tuple[type, ...]:
    """Return the types of JSON values that fit `int | None`, `Mapping[str, float]` and the like."""
    options = get_args(hint) if NoneType in get_args(hint) else (hint,)
    (option,) = (option for option in options if option is not NoneType)
    origin = get_origin(option) or option
    if origin is float:
        return (float, int)
    return dict if origin is Mapping else origin


class RecordPart:
    """A part of a record that reads and writes its own JSON object.

    Subclasses are frozen dataclasses with a field `extra`, for names that this version does not
    know.
    """

    extra: Settings
    _types: ClassVar[Mapping[str, type | tuple[type, ...]]]
    """By field: the types that its JSON value may have."""

    _required: ClassVar[frozenset[str]]
    """The fields that may not be missing."""

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls)
        names = [name for name in cls.__annotations__ if name != "extra"]
        cls._types = {name: _json_types(hints[name]) for name in names}
        cls._required = frozenset(name for name in names if NoneType not in get_args(hints[name]))

    @classmethod
    def from_json(cls, payload: Json) -> Self:
        """Return the part that a JSON object holds.

        Raises:
            KeyError: a field is missing that may not be.
            TypeError: a field is of another type.
        """
        extra: Json = {}
        types = cls._types
        for name, value in payload.items():
            if not isinstance(value, types.get(name, ())):
                payload, extra = cls._split(payload)
                break
        if len(payload) < len(types) and (missing := cls._required - payload.keys()):
            raise KeyError(min(missing))
        # The constructor of a frozen dataclass would slow down the loading of large stores.
        part = object.__new__(cls)
        part.__dict__.update(payload, extra=extra)
        return part

    @classmethod
    def _split(cls, payload: Json) -> tuple[Json, Json]:
        """Return the known fields of a JSON object, without nulls, and its unknown names."""
        known: Json = {}
        extra: Json = {}
        for name, value in payload.items():
            if name not in cls._types:
                extra[name] = value
            elif isinstance(value, cls._types[name]):
                known[name] = value
            elif value is not None:
                raise TypeError(f"{name} is {value!r}")
        return known, extra

    def to_json(self) -> Json:
        """Return the part as a JSON object, without the fields that are missing."""
        values = {name: getattr(self, name) for name in self._types}
        present = {name: value for name, value in values.items() if value is not None}
        return {**present, **self.extra}


@dataclass(frozen=True)
class Trial(RecordPart):
    """A row of the trial table: settings that were tried, and the dev scores they gave.

    `step` is the update whose weights were kept, or None where a method keeps no checkpoints.
    """

    settings: Settings
    dev: Mapping[str, float]
    seed: int
    step: int | None = None
    extra: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Selection(RecordPart):
    """The choice among a run's trials by their dev scores.

    `metric` is the headline metric, and `positive` the class it is of where it is of one class.
    `settings` are those of the chosen trial, `trial` its number. `trial_tie` and `checkpoint_tie`
    are the protocol's rules among equals, `tied_best` the number of trials with the best score.
    """

    metric: str | None = None
    positive: str | None = None
    settings: Settings | None = None
    trial: int | None = None
    trials: tuple[Trial, ...] | None = None
    trial_tie: str | None = None
    checkpoint_tie: str | None = None
    tied_best: int | None = None
    extra: Settings = field(default_factory=dict)

    @classmethod
    def from_json(cls, payload: Json) -> Self:
        """Return the selection that a JSON object holds, its trials among it."""
        if "trials" in payload:
            payload = {**payload, "trials": tuple(map(Trial.from_json, payload["trials"]))}
        return super().from_json(payload)

    def to_json(self) -> Json:
        """Return the selection as a JSON object. A trial without a step says so: it writes null."""
        payload = super().to_json()
        if self.trials is not None:
            payload["trials"] = [{"step": None, **trial.to_json()} for trial in self.trials]
        return payload


@dataclass(frozen=True)
class SplitFacts(RecordPart):
    """The sizes of a run's split, and the test rows that also stand in train or dev.

    `leaks` counts those rows by how they are equal. Where they were left out of test, `dropped` is
    their number and `whole_test_fingerprint` that of test with them. Where a limit drew test rows,
    `drawn_of` is the number it drew from, by `draw_seed`.
    """

    n_train: int | None = None
    n_dev: int | None = None
    n_test: int | None = None
    leaks: Mapping[str, int] | None = None
    drawn_of: int | None = None
    draw_seed: int | None = None
    dropped: int | None = None
    whole_test_fingerprint: str | None = None
    extra: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Environment(RecordPart):
    """The machine and the software that something was made with.

    `packages` holds versions by name, None for what is not installed. `load` is the machine's load
    average of one minute. `commit` is that of the checkout, and `dirty` is true if its files differ
    from it; both are missing where the package is installed. `submitter` is who made it, where they
    want to be named (`FEWBENCH_SUBMITTER`).
    """

    python: str | None = None
    packages: Mapping[str, str | None] | None = None
    device: str | None = None
    threads: int | None = None
    cores: int | None = None
    load: float | None = None
    system: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    submitter: str | None = None
    extra: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class RunTiming(RecordPart):
    """The seconds that a run took, its peak memory in MiB, and when its record was made.

    Search is all trials with their dev scores; its processor seconds are of all threads. A run that
    was killed counts from its checkpoint, and an older one from when it went on. `finished` is in
    UTC, as in `2026-11-28T15:04:13Z`; records of before it do not say.
    """

    search_seconds: float | None = None
    search_processor_seconds: float | None = None
    trial_seconds: tuple[float, ...] | None = None
    test_seconds: float | None = None
    total_seconds: float | None = None
    peak_memory_mib: float | None = None
    finished: str | None = None
    extra: Settings = field(default_factory=dict)

    @classmethod
    def from_json(cls, payload: Json) -> Self:
        """Return the times that a JSON object holds."""
        if "trial_seconds" in payload:
            payload = {**payload, "trial_seconds": tuple(payload["trial_seconds"])}
        return super().from_json(payload)
