"""Language models that read from left to right: the next token takes the place of a mask.

Axes: S sequences.
"""

from __future__ import annotations

from torch import Tensor

from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded, Tokens
from fewbench.nn.general import GeneralBackbone, last_places
from fewbench.nn.prompt import PromptModel
from fewbench.types import Task


class CausalBackbone(GeneralBackbone):
    """A causal language model seen as a masked one: what follows its last token is scored.

    A head reads the last token too: it alone has seen the others.
    """

    between = "\n"

    def _read_places(self, batch: Batch) -> Tensor:
        return last_places(batch)


class CausalPromptModel(PromptModel):
    """A prompt up to its mask, whose label words are scored as the next token.

    Raises:
        BenchError: the template has a text or options after the mask, which the model could not
            read.
    """

    def __init__(self, backbone: Backbone, task: Task) -> None:
        super().__init__(backbone, task)
        place = next(index for index, piece in enumerate(self.pieces) if piece.kind == "mask")
        if any(piece.kind != "literal" for piece in self.pieces[place + 1 :]):
            raise BenchError(
                f"{task.full_name}: a model that reads from left to right cannot read what follows "
                f"the mask of the template '{task.template}'",
                where=f"{task.file} [{task.name}] template",
                allowed="the mask after all texts and options",
                fix="--template with another prompt of the task, or a masked language model",
            )

    def _join(self, parts: list[list[int]]) -> Encoded:
        whole = super()._join(parts)
        (tokens,) = whole.sequences  # one at each end belongs to masked models
        ids = (*opening(self.backbone), *tokens.ids[1 : tokens.read])
        return Encoded((Tokens(ids, (0,) * len(ids), len(ids) - 1),), None, whole.truncated)


def opening(backbone: Backbone) -> tuple[int, ...]:
    """Return the tokens before every text: a beginning-of-text token, or none."""
    begin = backbone.tokenizer.bos_token_id
    return (
        (begin,) if begin is not None and backbone.tokenizer("")["input_ids"][:1] == [begin] else ()
    )
