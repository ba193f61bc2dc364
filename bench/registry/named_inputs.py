"""Models and files that settings of methods name, such as `auto-t:generator=FOLDER`.

A run's identity has their name and the hash of their content, and not their place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from fewbench.errors import BenchError
from fewbench.io.file_hash import file_hash
from fewbench.registry.pretrained import find_model
from fewbench.types import ModelRef

DIGITS = 16


class NamedInput(str):
    """The value of a setting that names a model or a file: as text, `name@hash of its content`.

    The text alone is compared, recorded and part of a run's key. `path` is the place on this
    machine.
    """

    name: str
    revision: str
    path: str

    def __new__(cls, name: str, revision: str, path: str) -> NamedInput:
        """Make the text, and keep its parts."""
        made = super().__new__(cls, f"{name}@{revision}")
        made.name, made.revision, made.path = name, revision, path
        return made

    @property
    def parts(self) -> tuple[str, str, str]:
        """Its name, revision and path, of which it can be made again."""
        return self.name, self.revision, self.path

    def __getnewargs__(self) -> tuple[str, str, str]:  # type: ignore[override]
        """Pickle all parts: a job is sent to a process of its own."""
        return self.parts

    @property
    def model(self) -> ModelRef:
        """The model that it names."""
        return ModelRef(self.name, self.path, self.revision)


def named_model(text: str) -> NamedInput:
    """Return the model that a text names: embedded, a folder, or of the hub.

    Raises:
        BenchError: there is no such model.
    """
    ref = find_model(text)
    return NamedInput(ref.name, ref.revision, ref.path)


def named_file(text: str) -> NamedInput:
    """Return the file at a path.

    Raises:
        BenchError: there is none that can be read.
    """
    path = Path(text).expanduser()
    try:
        digest = file_hash(path).hex()[:DIGITS]
    except FileNotFoundError as error:
        raise BenchError(f"no such file: {path}") from error
    except OSError as error:
        problem = f"this file cannot be read: {error.strerror}"
        raise BenchError(problem, where=str(path)) from error
    return NamedInput(path.name, digest, str(path.absolute()))


INPUTS: Mapping[str, Callable[[str], NamedInput]] = {
    "ModelName": named_model,
    "DataFile": named_file,
}
"""The input of a setting, by the name in its annotation (`fewbench.types`)."""


def names_input(annotation: str) -> bool:
    """True if an annotation is that of a setting which names a model or a file."""
    return any(kind.strip() in INPUTS for kind in annotation.split("|"))
