"""A sentence encoder from another folder, such as Sentence-BERT's, for whole texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fewbench.errors import BenchError, ModelError
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Encoded, Tokens
from fewbench.nn.kinds import open_backbone
from fewbench.registry.named_inputs import NamedInput
from fewbench.registry.pretrained import backbone_kind, folder_hash
from fewbench.types import Example

LONGEST = 256
"""Tokens of a text that are read at most."""


def check_encoder(named: NamedInput) -> None:
    """Refuse an encoder that is no model of the families known here.

    Raises:
        BenchError: it reads from left to right, or has a decoder.
    """
    kind = backbone_kind(named.model)
    if kind != "masked":
        raise BenchError(
            f"the sentence encoder '{named.name}' is of the kind {kind}",
            allowed="encoders of masked language models, with or without their head",
            fix="--methods lm-bff:encoder=FOLDER",
        )


def open_encoder(named: NamedInput) -> Backbone:
    """Load an encoder, in evaluation mode, if its folder still holds what it did.

    Raises:
        ModelError: it is gone, or holds other files.
    """
    folder = Path(named.path)
    unchanged = folder.is_dir() and named.revision in (folder.name, folder_hash(folder))
    if not unchanged:
        raise ModelError(
            f"the sentence encoder {named} is no longer there",
            where=named.path,
            fix="put its folder back, or run again with another",
        )
    return open_backbone(named.model).requires_grad_(False).eval()


def encode_sentences(encoder: Backbone, examples: Sequence[Example]) -> list[Encoded]:
    """Return texts as the encoder reads them; two texts are read as one, with a space between."""
    texts = [" ".join(example.texts).strip() for example in examples]
    longest = min(LONGEST, encoder.places)
    read = encoder.tokenizer(texts, truncation=True, max_length=longest)["input_ids"]
    return [Encoded((Tokens(tuple(ids), (0,) * len(ids)),), None) for ids in read]
