"""Read TOML on every supported Python, with an error that names the file and the line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fewbench.errors import BenchError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def load(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        BenchError: not UTF-8, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise BenchError("this file is not UTF-8 text", where=f"{path}, byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise BenchError(f"not TOML: {error}", where=str(path), fix="see https://toml.io for the syntax") from error
