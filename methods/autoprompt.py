"""AutoPrompt: find discrete trigger tokens and label tokens by gradients; the model is frozen.

Shin et al., 2020. All triggers begin as the mask. Each step draws a batch, takes the `candidates`
tokens w with the largest -w . grad at one trigger drawn at random (section 2.2; grad is that of the
loss with respect to the trigger's embedding), and on a second batch keeps the best of them if its
loss is below that of the trigger there is. The loss is -log of the label's tokens' summed
probability over the vocabulary (equation 1). The triggers of the best dev score win. A class's
label tokens are the likeliest ones, by a logistic regression on the masks' states, of all rows of
the projection (section 2.3); `words` takes the task's instead.

Read into the paper: a step is one of the protocol's updates, and the triggers stand together,
before the mask if it comes last, else after it. The regression begins at zero, on all examples.
Special tokens are neither triggers nor labels, and label tokens are no triggers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewbench.data.metrics import score
from fewbench.data.template import parse_template, without_words
from fewbench.nn.backbone import Backbone
from fewbench.nn.batch import Batch, Encoded, Shuffled
from fewbench.nn.distil import read_states
from fewbench.nn.fit_context import FitContext
from fewbench.nn.micro_batch import MicroBatches
from fewbench.nn.placed_prompt import PlacedPromptModel, Places
from fewbench.nn.soft_prompt import behind
from fewbench.nn.verbalizer import SumVerbalizer, word_ids
from fewbench.registry.protocol import better
from fewbench.types import Count, Json, Predictor, Split, Task

if TYPE_CHECKING:
    from typing_extensions import Self

Labels = tuple[tuple[int, ...], ...]
"""The label tokens of each class."""

PAPER = "Shin et al., 2020 (AutoPrompt)"
NEEDS = ("student", "words")
KINDS = ("single", "pair", "choice")
PRESETS = {"words": {"labels": "words"}}
REGRESSION_STEPS = 500
REGRESSION_LR = 3e-4


def fit(
    task: Task,
    split: Split,
    kit: FitContext,
    *,
    tokens: Count = 3,
    labels: Literal["found", "words"] = "found",
    label_tokens: Count = 3,
    candidates: Count = 10,
    batch_size: Count = 24,
) -> Predictor:
    """Find label tokens, then triggers, and keep those of the best dev score."""
    backbone = kit.backbone("student").requires_grad_(False)
    read, places = placed(task, tokens)
    model = TriggerModel(backbone, read, places, word_ids(task, backbone.tokenizer)).eval()
    if labels == "found":
        states = backbone.projected(read_states(model, split.train)[:, 0, -1])
        gold = torch.tensor([int(e.label) for e in split.train if e.label is not None])
        model.use(find_labels(model, states, gold.to(states.device), label_tokens))
    _search(model, split, kit, candidates, batch_size)
    return model


class Triggers(nn.Module):
    """Own tokens that are words: their ids [P], and their embeddings [P, E] in the last pass."""

    ids: Tensor

    def __init__(self, words: nn.Module, ids: Tensor) -> None:
        super().__init__()
        self._words = (words,)  # not a submodule: it is the backbone's
        self.register_buffer("ids", ids)
        self.last: Tensor | None = None

    def forward(self) -> Tensor:
        """Return the embeddings, [P, E]."""
        rows: Tensor = self._words[0](self.ids).detach()
        self.last = rows.requires_grad_(torch.is_grad_enabled())
        return self.last


class TriggerModel(PlacedPromptModel):
    """Classifies by the summed probabilities of a class's label tokens behind trigger tokens.

    Args:
        backbone: a masked model.
        task: its template, which is left without words.
        places: of the triggers.
        labels: the label tokens.
    """

    def __init__(self, backbone: Backbone, task: Task, places: Places, labels: Labels) -> None:
        words: nn.Module = backbone.model.get_input_embeddings()  # type: ignore[operator]
        ids = torch.full((places.total,), backbone.tokenizer.mask_token_id)
        super().__init__(backbone, task, places, Triggers(words, ids))
        self.use(labels)

    @property
    def prompt(self) -> Triggers:
        """The triggers."""
        assert isinstance(self.backbone.prompt, Triggers)
        return self.backbone.prompt

    def use(self, labels: Labels) -> None:
        """Set the label tokens."""
        self.labels = labels
        self.verbalizer = SumVerbalizer(labels).to(self.backbone.device)

    def log_likelihood(self, batch: Batch) -> Tensor:
        """Return the mean log of the label's tokens' summed probability: equation 1."""
        scores, total = self.scores_and_total(batch)
        return -F.nll_loss(scores - total[:, None], batch.labels)

    def describe(self) -> Json:
        """Return the triggers and each class's label tokens, as tokens."""
        name = self.backbone.tokenizer.convert_ids_to_tokens
        found = [name(list(ids)) for ids in self.labels]
        return super().describe() | {
            "triggers": name(self.prompt.ids.tolist()),
            "label_words": dict(zip(self.task.labels, found, strict=True)),
        }

    def blueprint(self) -> Json:
        """Return the places, the template and the label tokens."""
        return super().blueprint() | {"labels": self.labels}

    @classmethod
    def _empty(cls, backbone: Backbone, task: Task, places: Places, *, labels: Any = ()) -> Self:
        return cls(backbone, task, places, tuple(map(tuple, labels)))


def placed(task: Task, tokens: int) -> tuple[Task, Places]:
    """Return the task with a template without words, and the places of its triggers."""
    read = replace(task, template=without_words(task.template))
    pieces = [*parse_template(read.template)]
    mask = next(number for number, piece in enumerate(pieces) if piece.kind == "mask")
    place = mask if mask == len(pieces) - 1 else mask + 1
    return read, Places(
        tuple(tokens * (number == place) for number in range(len(pieces) + 1)), words=False
    )


def find_labels(model: TriggerModel, states: Tensor, gold: Tensor, count: int) -> Labels:
    """Return the tokens that a logistic regression on states [n, E] ascribes to each class."""
    backbone = model.backbone
    classes = len(model.task.labels)
    classifier = nn.Linear(states.shape[1], classes).to(states.device)
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=REGRESSION_LR)
    with torch.enable_grad():
        for _ in range(REGRESSION_STEPS):
            optimizer.zero_grad()
            F.cross_entropy(classifier(states), gold).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    words = torch.arange(len(backbone.tokenizer), device=states.device)
    rows, _ = backbone.word_rows(words)
    with torch.no_grad():
        scores = classifier(rows).softmax(-1)
    scores[backbone.tokenizer.all_special_ids] = -1.0
    best = scores.topk(min(count, len(words)), dim=0).indices.T
    return tuple(tuple(ids) for ids in best.tolist())


def flips(gradient: Tensor, embeddings: Tensor, banned: Tensor, count: int) -> list[int]:
    """Return the tokens that lower the loss most, to first order.

    Args:
        gradient: of the loss, at one trigger, [E].
        embeddings: of all words, [V, E].
        banned: ids that are no triggers.
        count: of tokens.
    """
    gain = -(embeddings @ gradient)
    gain[banned] = float("-inf")
    return list(gain.topk(count).indices.tolist())


def _search(
    model: TriggerModel, split: Split, kit: FitContext, candidates: int, batch_size: int
) -> None:
    """Exchange triggers for as many steps as the protocol has updates, and keep the best."""
    encoded = model.encode(split.train)
    order = Shuffled(len(encoded), batch_size, kit.seed)
    places = torch.Generator().manual_seed(kit.seed)
    parts = MicroBatches()
    best, best_score = model.prompt.ids.clone(), _dev_score(model, split)
    curve: list[tuple[int, float]] = [(0, round(best_score, 6))]
    for step in range(1, kit.updates(batch_size) + 1):
        place = int(torch.randint(model.places.total, (), generator=places))
        first = [encoded[number] for number in next(order)]
        second = [encoded[number] for number in next(order)]
        if not exchange(model, first, second, place, candidates, parts, step):
            continue
        dev = _dev_score(model, split)
        curve.append((step, round(dev, 6)))
        if better(dev, best_score, kit.protocol.checkpoint_tie):
            best, best_score = model.prompt.ids.clone(), dev
    model.prompt.ids.copy_(best)
    parts.warn()
    kit.notes |= {"curve": curve, **parts.notes()}


def exchange(
    model: TriggerModel,
    first: Sequence[Encoded],
    second: Sequence[Encoded],
    place: int,
    count: int,
    parts: MicroBatches,
    step: int,
) -> bool:
    """Put the best candidate at a place if it is better than what is there; True if it is.

    Args:
        model: its triggers are changed.
        first: the batch whose gradient names the candidates.
        second: the batch that they are compared on.
        place: of the trigger, from 0.
        count: of candidates.
        parts: of both batches, where memory is short.
        step: its number, from 1.
    """
    backbone, ids = model.backbone, model.prompt.ids
    gradient = parts.total(lambda rows, share: share * slopes(model, rows), first, update=step)
    vocabulary = len(backbone.tokenizer)
    embeddings = backbone.model.get_input_embeddings().weight[:vocabulary]  # type: ignore[operator]
    banned = {*backbone.tokenizer.all_special_ids, *model.verbalizer.words.tolist()}
    count = min(count, vocabulary - len(banned))
    tokens = flips(gradient[place], embeddings, torch.tensor(sorted(banned)).to(ids.device), count)
    before = int(ids[place])
    tried = (before, *tokens)

    @torch.no_grad()
    def likelihoods(rows: Sequence[Encoded], share: float) -> Tensor:
        batch = model.collate(rows)
        found = []
        for token in tried:
            ids[place] = token
            found.append(model.log_likelihood(batch))
        return share * torch.stack(found)

    found = parts.total(likelihoods, second, update=step).tolist()
    scores = dict(zip(tried, found, strict=True))
    ids[place] = max(scores, key=lambda token: scores[token])
    return int(ids[place]) != before


def slopes(model: TriggerModel, examples: Sequence[Encoded]) -> Tensor:
    """Return the gradient of the mean loss with respect to the triggers' embeddings, [P, E]."""
    with torch.enable_grad():
        loss = -model.log_likelihood(model.collate(examples))
        assert model.prompt.last is not None
        (gradient,) = torch.autograd.grad(loss, model.prompt.last)
    return gradient


def _dev_score(model: TriggerModel, split: Split) -> float:
    labels = [example.label for example in split.dev if example.label is not None]
    return score(model.task, labels, model.predict(split.dev))[model.task.metric]


def check(task: Task, student: Backbone, teacher: Backbone | None, **settings: Any) -> None:
    """Refuse more triggers than the model holds."""
    behind(student, task, placed(task, settings["tokens"])[1].total)
