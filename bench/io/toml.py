"""Read TOML on every supported Python, strictly: errors name the file, the table, the key and the
line.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from fewbench.errors import BenchError
from fewbench.io.files import read_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


REQUIRED: Any = object()
"""The default of a key that has none."""


def load(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        BenchError: no file that can be read, not UTF-8, or not TOML.
    """
    try:
        return tomllib.loads(read_file(path).decode("utf-8-sig"))
    except OSError as error:
        raise BenchError(f"this file cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise BenchError(
            "this file is not UTF-8 text", where=f"{path}, byte {error.start}"
        ) from error
    except (
        ValueError,
        RecursionError,
    ) as error:  # a number may be too long, and what is nested too deep
        problem = "nested too deeply" if isinstance(error, RecursionError) else error
        raise BenchError(
            f"not TOML: {problem}", where=str(path), fix="see https://toml.io for the syntax"
        ) from error


class TomlTable:
    """A TOML table whose keys are taken one by one; what is left at the end is a mistake."""

    def __init__(self, path: Path, name: str, content: Any) -> None:
        self.path, self.name = path, name
        if not isinstance(content, dict):
            raise self.error(
                "", "this is no table", fix=f"[{name}] on a line of its own, its keys below"
            )
        self._left = dict(content)
        self._known: list[str] = []

    def error(self, key: str, problem: str, **more: Any) -> BenchError:
        """Return an error that says where it is."""
        return BenchError(problem, where=f"{self.path} [{self.name}] {key}".rstrip(), **more)

    def take(
        self,
        key: str,
        kind: type | tuple[type, ...],
        default: Any = REQUIRED,
        of: type | None = None,
    ) -> Any:
        """Return the value of a key, of a type (and, for a list, its members')."""
        self._known.append(key)
        if key not in self._left:
            if default is REQUIRED:
                near = difflib.get_close_matches(key, self._left, 1)
                raise self.error(
                    key,
                    f"the key '{key}' is missing" + (f"; there is '{near[0]}'" if near else ""),
                    fix=f"{key} = …" if near else "see CONTRIBUTING.md, 'Add a task in one table'",
                )
            return default
        value = self._left.pop(key)
        wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        if wrong or (of is not None and not all(isinstance(member, of) for member in value)):
            names = " or ".join(t.__name__ for t in (kind if isinstance(kind, tuple) else (kind,)))
            raise self.error(
                key,
                f"'{key}' is {value!r}",
                allowed=f"a {names}" + (f" of {of.__name__}" if of else ""),
            )
        if isinstance(value, str) and not value.strip():
            raise self.error(key, f"'{key}' is empty")
        return value

    def positive(self, key: str) -> int:
        """Return the value of a key that is a whole number, 1 or more."""
        value: int = self.take(key, int)
        if value < 1:
            raise self.error(key, f"'{key}' is {value}", allowed="1 or more")
        return value

    def inside(self, key: str, default: Any = REQUIRED) -> str:
        """Return the value of a key that is a relative path and stays within its folder."""
        value: str = self.take(key, str, default)
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value or "\0" in value:
            raise self.error(
                key, f"'{key}' leaves its folder: {value}", allowed="a path within the data folder"
            )
        return value

    def has(self, key: str) -> bool:
        """Return whether the table has a key that was not taken yet."""
        return key in self._left

    def finish(self) -> None:
        """Refuse keys that nothing took."""
        for key in self._left:
            raise self.error(key, f"unknown key '{key}'", allowed=self._known, given=key)
