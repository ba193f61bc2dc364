"""Load rows from the hub at a pinned revision, through `datasets`."""

from __future__ import annotations

import os
import socket
import sys
from functools import lru_cache
from urllib.parse import urlsplit
from urllib.request import getproxies

from fewbench.errors import BenchError, DataError, NeedsNetwork
from fewbench.types import Json, Source


def place_of(source: Source, split: str, extension: str = "") -> str:
    """Return the path of a split, on the hub and as a file in a data folder."""
    return "/".join(part for part in (source.path, source.config, f"{split}{extension}") if part)


def go_offline() -> None:
    """Keep the hub's libraries off the network, in this process and its children."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"


PATIENCE = 5.0
"""Seconds that the hub has for taking a connection."""


@lru_cache
def meet_hub() -> str | None:
    """Go offline if the hub takes no connection, and return why; None if it does, or is off.

    Its library tries six times in half a minute, with a line for each, which cannot be set. Here
    one attempt decides, once; what is in the caches is still found.
    """
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return None
    reason = _no_way_to(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    if reason is None:
        return None
    go_offline()
    for module, name in (
        ("huggingface_hub.constants", "HF_HUB_OFFLINE"),
        ("datasets.config", "HF_HUB_OFFLINE"),
    ):
        if module in sys.modules:  # the variables are read when they are imported
            setattr(sys.modules[module], name, True)
    return reason


def _no_way_to(endpoint: str) -> str | None:
    """Return why a server takes no connection; None if it does, or a proxy stands between."""
    url = urlsplit(endpoint)
    if url.scheme in getproxies():
        return None
    port = url.port or (80 if url.scheme == "http" else 443)
    try:
        socket.create_connection((url.hostname or "", port), PATIENCE).close()
    except OSError as error:
        return f"{url.hostname} cannot be reached ({error.strerror or error})"
    return None


def load_split(source: Source, split: str) -> list[Json]:
    """Load a split's rows with the columns they have on the hub, at the source's revision.

    Raises:
        NeedsNetwork: the hub cannot be reached, and the rows are not in its cache.
        DataError: the hub has no such data set, configuration, revision or split.
    """
    unreachable = meet_hub()
    import datasets
    import huggingface_hub

    huggingface_hub.utils.logging.set_verbosity_error()
    datasets.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        builder = datasets.load_dataset_builder(
            source.path, source.config or None, revision=source.revision
        )
        _check_revision(source, builder.hash)
        builder.download_and_prepare()
        return [dict(row) for row in builder.as_dataset(split=split)]
    except BenchError:
        raise
    except Exception as error:  # those of the HTTP libraries below share no base class
        raise _explain(source, split, error, unreachable) from error


def _check_revision(source: Source, loaded: str | None) -> None:
    """Refuse another revision: offline, `datasets` loads whichever one its cache holds."""
    if loaded != source.revision:
        raise NeedsNetwork(
            f"the cache of the hub holds {source.path} at revision {loaded}",
            allowed=f"revision {source.revision}",
            fix="go online once, or give the rows as files with --data",
        )


def _explain(
    source: Source, split: str, error: Exception, unreachable: str | None = None
) -> BenchError:
    """Tell a data set that the hub does not have from a hub that cannot be reached."""
    import datasets

    place = place_of(source, split)
    summary = unreachable or (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, datasets.exceptions.DatasetsError):
        answered = True
    else:
        answered = isinstance(error, (ValueError, RuntimeError)) and not isinstance(error, OSError)
    if answered and not datasets.config.HF_HUB_OFFLINE and "cache" not in summary:
        return DataError(f"the hub has no {place} at revision {source.revision}: {summary}")
    file = place_of(source, split, ".jsonl")
    return NeedsNetwork(
        f"{place} cannot be loaded from the hub: {summary}",
        fix=f"go online, or use --data DIR (or FEWBENCH_DATA) with {file} in it",
    )
