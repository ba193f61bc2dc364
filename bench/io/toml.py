"""Read TOML strictly: errors name the file, the table and the key."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from fewbench.errors import BenchError
from fewbench.io.files import read_file
from fewbench.types import Json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


REQUIRED: Any = object()
"""Marks a key without default."""

GUIDE = "see CONTRIBUTING.md, 'Add a task in one table'"


def load(path: Path) -> Json:
    """Read the tables of a TOML file.

    Raises:
        BenchError: the file cannot be read, is not UTF-8, or is not TOML.
    """
    try:
        return tomllib.loads(read_file(path).decode("utf-8-sig"))
    except OSError as error:
        raise BenchError(f"this file cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise BenchError(
            "this file is not UTF-8 text", where=f"{path}, byte {error.start}"
        ) from error
    except RecursionError as error:
        raise _not_toml(path, "nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError, or a number with too many digits
        raise _not_toml(path, error) from error


def _not_toml(path: Path, problem: object) -> BenchError:
    fix = "see https://toml.io for the syntax"
    return BenchError(f"not TOML: {problem}", where=str(path), fix=fix)


class TomlTable:
    """A TOML table whose keys are taken one by one; a key left at the end is an error.

    `guide` says where the keys are explained, to a user who has forgotten one.
    """

    def __init__(self, path: Path, name: str, content: Any, guide: str = GUIDE) -> None:
        self.path, self.name, self.guide = path, name, guide
        if not isinstance(content, dict):
            fix = f"write [{name}] on its own line and the keys below it"
            raise self.error("", "this is not a table", fix=fix)
        self._left = dict(content)
        self._known: list[str] = []

    def error(self, key: str, problem: str, **more: Any) -> BenchError:
        """Build an error that names the file, the table and the key."""
        return BenchError(problem, where=f"{self.path} [{self.name}] {key}".rstrip(), **more)

    def take(
        self,
        key: str,
        kind: type | tuple[type, ...],
        default: Any = REQUIRED,
        of: type | None = None,
    ) -> Any:
        """Take a key, checking the type of its value (and with `of`, of a list's members)."""
        self._known.append(key)
        if key not in self._left:
            if default is REQUIRED:
                raise self._missing(key)
            return default
        value = self._left.pop(key)
        self._check_type(key, value, kind, of)
        if isinstance(value, str) and not value.strip():
            raise self.error(key, f"'{key}' is empty")
        return value

    def _check_type(
        self, key: str, value: Any, kind: type | tuple[type, ...], of: type | None
    ) -> None:
        has_type = _has_type(value, kind)
        if has_type and of is not None:
            has_type = all(isinstance(member, of) for member in value)
        if has_type:
            return
        kinds = kind if isinstance(kind, tuple) else (kind,)
        allowed = "a " + " or ".join(kind.__name__ for kind in kinds)
        if of is not None:
            allowed += f" of {of.__name__}"
        raise self.error(key, f"'{key}' is {value!r}", allowed=allowed)

    def _missing(self, key: str) -> BenchError:
        problem = f"the key '{key}' is missing"
        similar = difflib.get_close_matches(key, self._left, 1)
        if similar:
            return self.error(key, f"{problem}; there is '{similar[0]}'", fix=f"{key} = …")
        return self.error(key, problem, fix=self.guide)

    def positive(self, key: str) -> int:
        """Take a key whose value is an integer of 1 or more."""
        value: int = self.take(key, int)
        if value < 1:
            raise self.error(key, f"'{key}' is {value}", allowed="1 or more")
        return value

    def inside(self, key: str, default: Any = REQUIRED) -> str:
        """Take a key whose value is a relative path that stays inside its folder."""
        value: str = self.take(key, str, default)
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value or "\0" in value:
            problem = f"'{key}' leads outside its folder: {value}"
            raise self.error(key, problem, allowed="a path inside the data folder")
        return value

    def has(self, key: str) -> bool:
        """Return True if the table has a key that has not been taken yet."""
        return key in self._left

    def finish(self) -> None:
        """Raise an error if a key is left that nothing has taken."""
        for key in self._left:
            raise self.error(key, f"unknown key '{key}'", allowed=self._known, given=key)


def _has_type(value: Any, kind: type | tuple[type, ...]) -> bool:
    if isinstance(value, bool):  # which is an int to isinstance
        return kind is bool
    return isinstance(value, kind)
