"""Pretrained models by name: embedded, a folder, or the hub. Only files are read; no torch."""

from __future__ import annotations

import hashlib
import math
import os
from functools import lru_cache
from pathlib import Path

from fewbench.errors import BenchError, ModelError, NeedsNetwork
from fewbench.io.file_hash import file_hash
from fewbench.io.files import MIB, parse_json, read_file
from fewbench.types import BackboneKind, Json, ModelRef

EMBEDDED = Path(__file__).parent / "models"
CAUSAL = ("bloom", "gemma", "gpt2", "gpt_neo", "gpt_neox", "gptj", "llama", "mistral", "opt", "phi")
"""Model types that are read from left to right whatever class their checkpoint names."""
SENTINELS = ("t5", "mt5", "umt5", "longt5", "switch_transformers")
"""The types of encoder-decoders whose masks are T5's sentinels."""


def embedded_models() -> dict[str, Path]:
    """Return the models the package ships, by name."""
    return {
        folder.name: folder
        for folder in sorted(EMBEDDED.glob("*/"))
        if (folder / "config.json").is_file()
    }


def find_model(name: str, *, offline: bool = False) -> ModelRef:
    """Return the model a name stands for: an embedded name, else a folder, else a hub name.

    A hub name may be `NAME@REVISION`: a branch, a tag, a commit, or `refs/pr/N`. The commit that it
    stands for is the reference's revision.

    Raises:
        BenchError: no such model.
        ModelError: a folder without a configuration or without safetensors weights.
        NeedsNetwork: a hub name that is not in the hub's cache while offline.
    """
    embedded = embedded_models()
    if name in embedded:
        return ModelRef(name, str(embedded[name]), folder_hash(embedded[name]), embedded=True)
    folder = Path(name).expanduser()
    if folder.is_dir():
        check_folder(folder)
        return ModelRef(folder.resolve().name, str(folder.resolve()), folder_hash(folder))
    is_place = folder.is_absolute() or name.startswith((".", "~"))
    if is_place or name.partition("@")[0].count("/") > 1:
        raise BenchError(
            f"no model folder at {name}", allowed=embedded, given=name, fix="bench ls models"
        )
    return _from_hub(
        name,
        offline=offline
        or os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"),
    )


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds no configuration or no safetensors weights.

    Raises:
        ModelError: what is missing; a pickle is never read.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(
            "no config.json in this model folder", where=str(folder), fix="save_pretrained(folder)"
        )
    if not list(folder.glob("*.safetensors")):
        pickles = [file.name for file in folder.glob("*.bin")]
        raise ModelError(
            f"only pickled weights ({pickles[0]}): they can run code, and are not read"
            if pickles
            else "no weights",
            where=str(folder),
            allowed="*.safetensors",
            fix="model.save_pretrained(folder, safe_serialization=True); of a hub model "
            "NAME@refs/pr/N, if one of its pull requests adds safetensors",
        )


def read_config(folder: Path) -> Json:
    """Return a model's configuration.

    Raises:
        ModelError: no file that can be read, or no JSON object.
    """
    file = folder / "config.json"
    try:
        config = parse_json(read_file(file).decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ModelError(f"config.json cannot be read: {error}", where=str(file)) from error
    if not isinstance(config, dict):
        raise ModelError(
            f"config.json holds no object but a {type(config).__name__}", where=str(file)
        )
    return config


@lru_cache
def backbone_kind(ref: ModelRef) -> BackboneKind:
    """Return a language model's kind by its configuration; an unknown one counts as masked."""
    try:
        config = read_config(Path(ref.path))
    except ModelError:  # said where it is loaded
        return "masked"
    if config.get("is_encoder_decoder"):
        return "encoder-decoder"
    saved_as = map(str, config.get("architectures") or ())
    causal = config.get("model_type") in CAUSAL or any(map(_is_causal, saved_as))
    return "causal" if causal else "masked"


def _is_causal(architecture: str) -> bool:
    """True for a class of transformers that is read from left to right, and for nothing else."""
    return architecture.endswith("ForCausalLM") and not architecture.startswith(BOTH_WAYS)


BOTH_WAYS = (
    "Albert", "Bert", "BigBird", "Camembert", "ConvBert", "Data2Vec", "DistilBert", "Electra",
    "Ernie", "MegatronBert", "RemBert", "RoCBert", "RoFormer", "Roberta", "XLMRoberta", "Xmod",
)  # fmt: skip
"""Families of masked models that transformers runs from left to right, too."""


def model_type(ref: ModelRef) -> str:
    """Return the model type in a model's configuration, empty where it cannot be read."""
    try:
        return str(read_config(Path(ref.path)).get("model_type", ""))
    except ModelError:  # said where it is loaded
        return ""


DECISIVE = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
"""The files of a model's folder that may decide its answers: weights, configuration, all that a
tokenizer is read from.

What the hub is asked for (`_from_hub`) is the same.
"""
NOT_DECISIVE = (
    "README.txt",
    "LICENSE.txt",
    "training.json",
    "trainer_state.json",
    "all_results.json",
)
"""Files with such endings that no model or tokenizer is read from."""


def folder_hash(folder: Path) -> str:
    """Hash names and bytes of the files that may decide a model's answers (16 hex digits)."""
    digest = hashlib.sha256()
    for file in decisive_files(folder):
        digest.update(file.name.encode() + b"\0")
        digest.update(file_hash(file))
    return digest.hexdigest()[:16]


def decisive_files(folder: Path) -> list[Path]:
    """Return the files of a model's folder that may decide its answers, by name."""
    found = {file for pattern in DECISIVE for file in folder.glob(pattern) if file.is_file()}
    return sorted(file for file in found if file.name not in NOT_DECISIVE)


def _from_hub(name: str, *, offline: bool) -> ModelRef:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repository, _, revision = name.partition("@")
    asked = {"allow_patterns": list(DECISIVE), "local_files_only": offline}
    try:
        path = Path(snapshot_download(repository, revision=revision or None, **asked))
    except GatedRepoError as error:
        raise BenchError(
            f"the model '{repository}' is gated: its owners ask who reads it",
            where=f"https://huggingface.co/{repository}",
            fix="accept its terms on that page, then hf auth login, or HF_TOKEN=… bench run …",
        ) from error
    except RevisionNotFoundError as error:
        raise BenchError(
            f"the model '{repository}' has no revision '{revision}'",
            allowed="a branch, a tag, a whole commit, or refs/pr/N",
            fix=f"https://huggingface.co/{repository}/commits/main lists them",
        ) from error
    except LocalEntryNotFoundError as error:
        if older := _in_older_cache(repository, revision):
            return ModelRef(repository, str(older), older.name)
        raise NeedsNetwork(
            f"the model '{name}' is not on this machine and the hub cannot be reached",
            allowed=[*embedded_models(), "a local folder"],
            given=name,
            fix="an embedded name or a folder, or once online: bench run … without --offline",
        ) from error
    except (RepositoryNotFoundError, HfHubHTTPError, ValueError) as error:
        first = str(error).strip().split("\n")[0]
        raise BenchError(
            f"the hub has no model '{name}': {first}",
            allowed=embedded_models(),
            given=name,
            fix="bench ls models; a private model needs hf auth login, or HF_TOKEN=… bench run …",
        ) from error
    check_folder(path)
    return ModelRef(repository, str(path), path.name)


def _in_older_cache(repository: str, revision: str) -> Path | None:
    """Return a model's snapshot in the cache that TRANSFORMERS_CACHE names, if it is there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    cache = os.environ.get("TRANSFORMERS_CACHE")
    if not cache:
        return None
    asked = {"cache_dir": cache, "revision": revision or None, "local_files_only": True}
    try:
        path = Path(snapshot_download(repository, **asked))
    except LocalEntryNotFoundError:
        return None
    check_folder(path)
    return path


@lru_cache
def count_parameters(folder: Path) -> int:
    """Count a model's parameters by the headers of its weights' files; shared ones count once."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header = parse_json(stream.read(min(size, 100 * MIB)))
        for name, tensor in header.items():
            if name != "__metadata__":
                total += math.prod(tensor["shape"])
    return total


def describe(folder: Path) -> Json:
    """Return the model type, layers, width and vocabulary that a folder's configuration states."""
    config = read_config(folder)
    names = {
        "type": "model_type",
        "layers": "num_hidden_layers",
        "width": "hidden_size",
        "vocabulary": "vocab_size",
    }
    return {short: config.get(long) for short, long in names.items()}
