"""Rows from the hub, at a pinned revision, through `datasets`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fewbench.errors import DataError, NeedsNetwork
from fewbench.types import Source


def load_split(source: Source, split: str) -> list[Mapping[str, Any]]:
    """Return a split's rows as the hub holds them at the source's revision.

    Raises:
        NeedsNetwork: the hub cannot be reached and the rows are not in its cache.
        DataError: the hub has no such data set, configuration, revision or split.
    """
    import datasets

    name = f"{source.path} {source.config}".strip()
    datasets.utils.logging.set_verbosity_error()
    datasets.utils.logging.disable_progress_bar()
    try:
        loaded = datasets.load_dataset(source.path, source.config or None, revision=source.revision, split=split)
    except (ConnectionError, TimeoutError, datasets.exceptions.DatasetNotFoundError) as error:
        if isinstance(error, datasets.exceptions.DatasetNotFoundError) and "offline" not in str(error).lower():
            raise DataError(f"the hub has no data set '{name}' at {source.revision}: {_first(error)}") from error
        raise _unreachable(name, source, split, error) from error
    except OSError as error:
        raise _unreachable(name, source, split, error) from error
    except ValueError as error:
        raise DataError(f"the hub's data set '{name}' has no such part: {_first(error)}") from error
    return [dict(row) for row in loaded]


def _unreachable(name: str, source: Source, split: str, error: Exception) -> NeedsNetwork:
    place = f"{source.path}/{source.config}/{split}.jsonl".replace("//", "/")
    return NeedsNetwork(
        f"the hub's data set '{name}' cannot be had: {_first(error)}",
        fix=f"go online, or --data DIR (or FEWBENCH_DATA) with {place}",
    )


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
