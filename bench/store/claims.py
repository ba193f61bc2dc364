"""Claims: leases on works under way, so that commands on one results folder do nothing twice.

A claim is a file, `<results>/claims/<key>.<generation>.json`, made by a call that fails if it is
there. It names its holder, which renews it every few seconds. A claim is broken if its holder was a
process of this machine and has ended, or if for `PATIENCE` renewals the file was seen not to
change: no clocks of two machines are compared. Whoever breaks it makes the next generation, by the
same call, so that one of several wins; then the old file must still be the one that was judged.

A claim is never the truth about a run: that is its whole record, and it is looked for again once a
claim is held. A lost claim can cost work done twice, and no result.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from fewbench.io.atomic import make_folder, remove, unwritable
from fewbench.io.files import parse_json, read_file
from fewbench.store.holder import Holder, holder_from, this_process
from fewbench.store.progress import Progress, progress_from, progress_json
from fewbench.types import Json

BEAT = 5.0
"""Seconds between two renewals of a claim."""

PATIENCE = 24
"""Renewals after whose absence a claim's holder counts as dead.

Together two minutes: a network file system may show another machine's writes a minute late.
"""

SIZE = 4096
"""Bytes of a claim: all its states have one size, so that one write replaces another."""

LONGEST_TITLE = 200

_NAME = re.compile(r"(?P<key>[0-9a-f]{32})\.(?P<generation>\d{1,9})\.json")


class Claim(NamedTuple):
    """A claim as anybody reads it; without a holder its content is not (yet) one."""

    key: str
    file: Path
    title: str = ""
    holder: Holder | None = None
    since: str = ""
    every: float | None = None
    progress: Progress | None = None
    renewed: float = 0.0
    """When it was last written, by the clock of the file system: for people alone."""

    @property
    def by(self) -> str:
        """The holder for people."""
        return self.holder.title if self.holder else "unknown"


class _Seen(NamedTuple):
    """A state of a claim's file, and when this process saw it first by a clock of its own."""

    state: tuple[int, int, bytes]
    at: float


@dataclass(slots=True)
class _Held:
    """A claim of this process: its open file, which nobody else's can be mistaken for."""

    number: int
    file: Path
    content: Json


class Claims:
    """The claims of a results folder, as one process takes and sees them.

    Args:
        root: their folder; the first claim makes it.
        beat: seconds between two renewals.
        patience: renewals that a holder may miss.
    """

    def __init__(self, root: Path, beat: float = BEAT, patience: int = PATIENCE) -> None:
        self.root = root
        self._beat, self._patience = beat, patience
        self._held: dict[str, _Held] = {}
        self._seen: dict[str, _Seen] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, key: str, title: str) -> Claim | None:
        """Claim a work; return None, or the claim of the process that has it.

        Raises:
            StoreUnwritable: the claim cannot be written.
            StoreFull: the same, for lack of space.
        """
        if key in self._held:
            return None
        older = self._files(key)
        if not older:
            return None if self._make(key, 1, title) else self._other(key)
        generation, last = max(older)
        claim = self._read(last)
        if claim is not None and not self._is_dead(claim):
            return claim
        if not self._make(key, generation + 1, title):
            return self._other(key)
        if claim is not None and self._state(last) != self._seen[last.name].state:
            self.release(key)  # another process has broken it before, and perhaps ended since
            return self._other(key)
        self._forget(older)
        return None

    def release(self, key: str) -> None:
        """Give a claim up; nothing happens if it is not held."""
        with self._lock:
            held = self._held.pop(key, None)
        if held is None:
            return
        with contextlib.suppress(OSError):
            ours, there = os.fstat(held.number), held.file.stat()
            if (ours.st_ino, ours.st_dev) == (there.st_ino, there.st_dev):
                held.file.unlink()
        with contextlib.suppress(OSError):
            os.close(held.number)

    def note(self, key: str, progress: Progress) -> None:
        """Tell others how far a claimed work is, with the next renewal."""
        held = self._held.get(key)
        if held is not None:
            held.content["progress"] = progress_json(progress)

    def close(self) -> None:
        """Give all claims up."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for key in list(self._held):
            self.release(key)

    def all(self) -> list[Claim]:
        """Return the claims of all processes, the latest generation of each, by title."""
        latest: dict[str, tuple[int, Path]] = {}
        for key, generation, file in self._listed():
            latest[key] = max(latest.get(key, (0, file)), (generation, file))
        claims = (self._read(file) for _, file in latest.values())
        return sorted(
            (claim for claim in claims if claim is not None), key=lambda claim: claim.title
        )

    def strangers(self) -> list[Path]:
        """List the files of the folder that are no claims, by name."""
        return sorted(self.root / name for name in self._names() if _NAME.fullmatch(name) is None)

    def is_silent(self, claim: Claim) -> bool:
        """True if a claim was last renewed too long ago by this machine's clock: for people."""
        return time.time() - claim.renewed > self._allowed(claim)

    def _listed(self) -> Iterator[tuple[str, int, Path]]:
        for name in self._names():
            match = _NAME.fullmatch(name)
            if match:
                yield match["key"], int(match["generation"]), self.root / name

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.root)  # noqa: PTH208 (names alone)
        except OSError:
            return []

    def _files(self, key: str) -> list[tuple[int, Path]]:
        return [(number, file) for other, number, file in self._listed() if other == key]

    def _forget(self, older: Sequence[tuple[int, Path]]) -> None:
        """Remove the claims that this process has broken."""
        for _, file in older:
            remove(file)
            self._seen.pop(file.name, None)

    def _other(self, key: str) -> Claim:
        """Return the claim of the process that was first; it may be gone by now."""
        files = self._files(key)
        claim = self._read(max(files)[1]) if files else None
        return claim or Claim(key, self.root)

    def _make(self, key: str, generation: int, title: str) -> bool:
        """Make a claim's file and hold it; False if it is there."""
        file = self.root / f"{key}.{generation}.json"
        number = self._create(file)
        if number is None:
            return False
        held = _Held(number, file, _content(title, self._beat))
        try:
            _write(held)
        except OSError as error:
            os.close(number)
            remove(file)
            raise unwritable(file, error, "nothing was begun") from error
        with self._lock:
            self._held[key] = held
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._renew, name="claims", daemon=True)
            self._thread.start()
        return True

    def _create(self, file: Path) -> int | None:
        """Create a file that nobody else creates; return its descriptor, or None if it is there."""
        try:
            make_folder(self.root)
        except OSError as error:
            raise unwritable(self.root, error, "nothing was begun") from error
        try:
            return os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        except FileExistsError:
            return None
        except OSError as error:
            raise unwritable(file, error, "nothing was begun") from error

    def _renew(self) -> None:
        """Write all claims again and again. A full disk, or a claim that was lost, ends no run."""
        while not self._stop.wait(self._beat):
            with self._lock:
                for held in self._held.values():
                    held.content["beat"] += 1
                    with contextlib.suppress(OSError):
                        _write(held)

    def _read(self, file: Path) -> Claim | None:
        """Return the claim in a file; None if the file is gone."""
        match = _NAME.fullmatch(file.name)
        state = self._state(file)
        if match is None or state is None:
            return None
        seen = self._seen.get(file.name)
        if seen is None or seen.state != state:
            self._seen[file.name] = _Seen(state, time.monotonic())
        return _claim(match["key"], file, state)

    def _state(self, file: Path) -> tuple[int, int, bytes] | None:
        """Return a file's number, time of change and bytes; None if it is gone.

        Opening it makes a network file system ask the server.
        """
        try:
            content = read_file(file, SIZE)
            status = file.stat()
        except FileNotFoundError:
            return None
        except OSError:  # no file of ours, or not readable: whatever it is, it stands still
            return (0, 0, b"")
        return (status.st_ino, status.st_mtime_ns, content)

    def _is_dead(self, claim: Claim) -> bool:
        """True if a claim's holder has ended, or was silent for as long as this process watches."""
        if claim.holder is not None and claim.holder.is_gone:
            return True
        seen = self._seen[claim.file.name]
        return time.monotonic() - seen.at > self._allowed(claim)

    def _allowed(self, claim: Claim) -> float:
        """Return the seconds for which a holder may be silent, by the pace its claim states."""
        return (claim.every or self._beat) * self._patience


def _content(title: str, beat: float) -> Json:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    return {
        "title": title[:LONGEST_TITLE],
        **this_process()._asdict(),
        "since": now.isoformat(),
        "every": beat,
        "beat": 0,
        "progress": None,
    }


def _write(held: _Held) -> None:
    """Write a claim in the place of its former state, in one call."""
    content = json.dumps(held.content, separators=(",", ":")).encode()
    os.pwrite(held.number, content.ljust(SIZE - 1)[: SIZE - 1] + b"\n", 0)
    os.fsync(held.number)


def _claim(key: str, file: Path, state: tuple[int, int, bytes]) -> Claim:
    renewed = state[1] / 1e9
    try:
        content = parse_json(state[2])
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return Claim(key, file, renewed=renewed)
    every = content.get("every")
    usual = isinstance(every, int | float) and not isinstance(every, bool) and 0 < every < 3600
    return Claim(
        key,
        file,
        title=str(content.get("title") or ""),
        holder=holder_from(content),
        since=str(content.get("since") or ""),
        every=float(every) if isinstance(every, int | float) and usual else None,
        progress=progress_from(content.get("progress")),
        renewed=renewed,
    )
