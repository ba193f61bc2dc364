"""Train only the embeddings in use, in methods whose losses read more than the loop knows."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from fewbench.nn.task_model import TaskModel
from fewbench.registry.protocol import Protocol
from fewbench.types import Example


def focus_on(
    model: TaskModel, protocol: Protocol, *read: Iterable[Example]
) -> AbstractContextManager[None]:
    """Train, inside the block, only the embeddings of some examples' tokens and of its words.

    The result is the same at a fraction of the cost (`Backbone.focused`), and `whole_vocabulary` is
    to be given to `kit.train`. Not with weight decay, which would move the other embeddings: then
    nothing happens.

    Args:
        model: trained inside the block.
        protocol: of the training.
        read: all examples that the model is given inside the block: train, dev, and what else the
            loss reads.
    """
    if protocol.weight_decay:
        return nullcontext()
    encoded = [example for examples in read for example in model.encode(list(examples))]
    seen = {token for example in encoded for tokens in example.sequences for token in tokens.ids}
    return model.backbone.focused(seen | set(model.extra_tokens()))
