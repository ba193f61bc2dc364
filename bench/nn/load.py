"""Load a language model and its tokenizer, complete or not at all; safetensors, no remote code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from fewbench.errors import ModelError
from fewbench.registry.pretrained import read_config
from fewbench.types import Json, ModelRef


class Pretrained(NamedTuple):
    """A model in evaluation mode, float32, and its fast tokenizer."""

    model: nn.Module
    tokenizer: Any


def load(ref: ModelRef, auto: str = "AutoModelForMaskedLM", *, masked: bool = True) -> Pretrained:
    """Load a language model, a masked one unless said otherwise.

    Args:
        ref: the model.
        auto: the class of transformers that reads its kind.
        masked: its tokenizer must have a mask token.

    Raises:
        ModelError: weights that are missing, truncated, of another shape or not finite; a tokenizer
            that has no mask token or more tokens than the model has embeddings.
    """
    return load_headless(ref, auto, masked=masked, headless=False)[0]


def load_headless(
    ref: ModelRef, auto: str, *, masked: bool, headless: bool = True
) -> tuple[Pretrained, bool]:
    """Load a language model whose checkpoint may lack its whole head; say whether it has one.

    MiniLM's and TinyBERT's lack it. A head that is missing is random: nothing may read it.
    Arguments and errors as in `load`; `headless=False` refuses a missing head.
    """
    import transformers

    folder = Path(ref.path)
    config = _check_configuration(folder)
    _check_type(config, folder, auto)
    _check_weights(folder)
    try:
        with torch.random.fork_rng():  # a missing head is drawn
            model, info = getattr(transformers, auto).from_pretrained(
                folder,
                dtype=torch.float32,
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except (
        Exception
    ) as error:  # tokenizers raises bare Exception, and transformers ImportError in its place
        reason = [*str(error).strip().splitlines(), type(error).__name__][0]
        raise ModelError(f"this model cannot be loaded: {reason}", where=ref.path) from error
    has_head = not (headless and _lacks_head(model, info))
    _check_complete(model, info, ref, has_head=has_head)
    _check_tokenizer(model, tokenizer, ref, masked)
    _read_whole(tokenizer)
    return Pretrained(model.eval(), tokenizer), has_head


def _check_configuration(folder: Path) -> Json:
    config = read_config(folder)
    if config.get("auto_map"):
        raise ModelError(
            "this model wants to run code of its own (auto_map), which is never done here",
            where=str(folder / "config.json"),
            allowed="models that transformers knows",
        )
    return config


TYPES = {
    "AutoModelForMaskedLM": ("masked", "MODEL_FOR_MASKED_LM_MAPPING_NAMES"),
    "AutoModelForCausalLM": ("causal", "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"),
    "AutoModelForSeq2SeqLM": ("encoder-decoder", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES"),
}
"""By class of transformers: the kind it reads, and the name of its table of model types."""


def _check_type(config: Json, folder: Path, auto: str) -> None:
    """Refuse a model type that transformers does not read, by its name in the configuration.

    The message of transformers would name classes of its own.
    """
    from transformers.models.auto import modeling_auto

    kind, table = TYPES[auto]
    known = getattr(modeling_auto, table)
    given = config.get("model_type")
    if given not in known:
        raise ModelError(
            f"language models of type '{given}' are not known here",
            where=str(folder / "config.json"),
            allowed=f"{kind}: {', '.join(known)}",
            given=str(given),
            fix="a newer version of transformers may know it",
        )


def _check_weights(folder: Path) -> None:
    from safetensors import SafetensorError, safe_open

    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, "pt") as opened:
                opened.keys()
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"damaged weights: {error}", where=str(file), fix="copy or download this file again"
            ) from error


def _missing(info: Json) -> list[str]:
    """Return the names of the weights that a checkpoint lacks and that are used here."""
    return sorted(
        key for key in info["missing_keys"] if "pooler" not in key and "position_ids" not in key
    )


def _lacks_head(model: nn.Module, info: Json) -> bool:
    """True if a checkpoint has nothing of the language head, but for weights tied to others."""
    base = f"{model.base_model_prefix}."
    weights = dict(model.named_parameters(remove_duplicate=False))
    missing = {id(weights.get(name)) for name in _missing(info)}
    head = [weight for name, weight in model.named_parameters() if not name.startswith(base)]
    return bool(head) and all(id(weight) in missing for weight in head)


def _check_complete(model: nn.Module, info: Json, ref: ModelRef, *, has_head: bool) -> None:
    base = f"{model.base_model_prefix}."
    missing = [key for key in _missing(info) if has_head or key.startswith(base)]
    if missing:
        raise ModelError(
            f"{len(missing)} weights are missing, {missing[0]} among them: they would be random",
            where=ref.path,
            fix="a checkpoint that was saved with its language-model head",
        )
    if beyond := _beyond(model, info.get("unexpected_keys") or ()):
        raise ModelError(
            f"{len(beyond)} weights are of layers that config.json does not count, "
            f"{beyond[0]} among them",
            where=ref.path,
            fix="the configuration that was saved with these weights; "
            "the method truncate cuts layers off",
        )
    if info.get("mismatched_keys"):
        raise ModelError(f"weights of another shape: {info['mismatched_keys'][0]}", where=ref.path)
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ModelError(f"the weight {name} holds numbers that are not finite", where=ref.path)


def _beyond(model: nn.Module, unexpected: Iterable[str]) -> list[str]:
    """Return the stored weights of layers beyond those that the model was made with."""
    known = {re.sub(r"\d+", "#", name) for name, _ in model.named_parameters()}
    return sorted(name for name in unexpected if re.sub(r"\d+", "#", name) in known)


def _read_whole(tokenizer: Any) -> None:
    """Turn off the truncation and padding that a tokenizer was saved with.

    What is cut here is cut by the task's `max_length`, at a text's end.
    """
    tokenizer.truncation_side = "right"
    if tokenizer.is_fast:
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()


def _check_tokenizer(model: nn.Module, tokenizer: Any, ref: ModelRef, masked: bool) -> None:
    for name in ("mask", "cls", "sep", "pad") if masked else ():
        if getattr(tokenizer, f"{name}_token_id") is None:
            raise ModelError(
                f"the tokenizer has no {name} token",
                where=ref.path,
                allowed="masked language models, whose tokenizers name mask_token, cls_token, "
                "sep_token and pad_token",
                fix=f'AutoTokenizer.from_pretrained(folder, {name}_token="…")'
                ".save_pretrained(folder)",
            )
    rows = model.get_input_embeddings().num_embeddings  # type: ignore[operator]
    tokens = max(len(tokenizer), *(number + 1 for number in tokenizer.get_vocab().values()))
    if tokens > rows:
        raise ModelError(
            f"the tokenizer has {tokens} tokens and the model {rows} embeddings",
            where=ref.path,
            fix="the tokenizer that the model was trained with",
        )
