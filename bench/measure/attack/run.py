"""Attacks the test items of a stored run, block by block, and stores what came out beside its
record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fewbench.data.split import LIMIT_SEED, draw
from fewbench.errors import BenchError, ModelError
from fewbench.io.atomic import remove
from fewbench.measure.attack.asking import Remembered, answer_together
from fewbench.measure.attack.encoder import MeanPooled
from fewbench.measure.attack.progress import AttackProgress, lines_of
from fewbench.measure.attack.recipes import AttackRecipe
from fewbench.measure.attack.report import AttackOutcome, summary
from fewbench.measure.attack.resources import Resources
from fewbench.measure.attack.search import Assembly
from fewbench.nn.backbone import Backbone
from fewbench.nn.task_model import TaskModel
from fewbench.store import paths
from fewbench.store.measurement import Measurement, file_of, measured, measurements, write
from fewbench.store.parts import Environment
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Example, Predictor, Task

if TYPE_CHECKING:
    from fewbench.measure.attack.asking import Array

BLOCK = 32
"""Items attacked side by side. Part of what determines the last bits: batches are made of a block's
texts.
"""

CALIBRATED = 1000
"""Items, drawn as those attacked are, by which the sentence encoder is calibrated, however many are
attacked.
"""

AGREED = 0.99
"""Of the answers of a kept model and those in its record. Another machine's last bits may turn one
in a hundred.
"""


@dataclass(frozen=True, slots=True)
class Target:
    """What is attacked: a stored run, its trained model, and all items it was tested on, labels
    included.
    """

    record: Record
    task: Task
    model: TaskModel
    items: tuple[Example, ...]

    def __post_init__(self) -> None:
        """Refuse what no attack of this kind is defined on.

        Raises:
            BenchError: a regression or a choice.
        """
        if self.task.is_regression or self.task.format == "choice":
            raise BenchError(
                f"{self.task.full_name} is a {self.task.kind}: TextFooler turns the class of a text",
                allowed="tasks of one or two texts with classes",
            )


def attack(
    store: Store,
    target: Target,
    recipe: AttackRecipe,
    resources: Resources,
    encoder: Backbone,
    *,
    limit: int,
    environment: Environment,
    force: bool = False,
    on_block: Callable[[int, int], None] = lambda done, total: None,
) -> Measurement:
    """Attack a stored run's items and store the measurement; one that is there already is returned.

    Args:
        store: of the run.
        target: the run.
        recipe: how it is attacked.
        resources: near words, stop words, tagger.
        encoder: makes the sentence encoder.
        limit: items attacked, drawn as `bench run --limit` draws them.
        environment: what the measurement says of the machine.
        force: attack again, whatever is stored.
        on_block: hears how many items are done, of how many.

    Raises:
        ModelError: the model gave numbers that are not finite.
        BenchError: the outcome cannot be stored, the items drawn are of one class alone, or the
            model is not that of the record.
    """
    drawn = draw_items(target, limit)
    items = [prepared(item, recipe) for item in drawn]
    calibrated = [prepared(item, recipe) for item in draw(target.items, CALIBRATED)]
    pooled = MeanPooled(encoder, [item.texts[-1] for item in calibrated])
    settings = _settings(target, recipe, resources, pooled, len(items))
    if not force and (stored := stored_attack(store, target.record, recipe.name, settings)):
        return stored
    file = paths.measurement(file_of(store, target.record), f"attack-{recipe.name}", ".jsonl")
    if force:
        remove(file)
    clean = clean_accuracy(store, target, drawn)
    key = {**settings, "run": target.record.run.key, "predictions": target.record.predictions}
    with AttackProgress(file, key, BLOCK, len(items)) as progress:
        on_block(len(progress.outcomes), len(items))
        for outcomes in blocks(
            recipe.assemble(resources), target.model, pooled, items[len(progress.outcomes) :]
        ):
            progress.add(outcomes)
            on_block(len(progress.outcomes), len(items))
        measurement = measured(
            target.record,
            "attack",
            recipe.name,
            settings=settings,
            scores={**summary(progress.outcomes, target.task.labels), "clean_accuracy": clean},
            environment=environment,
        )
        write(store, target.record, measurement, {".jsonl": lines_of(progress.outcomes)})
        remove(file)
    return measurement


def draw_items(target: Target, limit: int) -> tuple[Example, ...]:
    """Return the items to attack: a draw of those the run was tested on, as `bench run --limit`
    makes it.

    Raises:
        BenchError: they are of one class alone, and the items of the run are not.
    """
    drawn = draw(target.items, limit)
    if len({item.label for item in drawn}) > 1 or len({item.label for item in target.items}) == 1:
        return drawn
    enough = next(
        n for n in range(limit + 1, len(target.items) + 1) if _classes(draw(target.items, n)) > 1
    )
    raise BenchError(
        f"{target.task.full_name}: {len(drawn)} of {len(target.items)} test rows are drawn, all of class "
        f"'{target.task.labels[int(drawn[0].label or 0)]}'",
        allowed="a draw with more than one class",
        fix=f"--limit {enough}, or more",
    )


def _classes(items: Sequence[Example]) -> int:
    return len({item.label for item in items})


def drawn_by(target: Target) -> dict[str, Any]:
    """Return what a measurement says of the draw: its rule, and of how many rows it is."""
    return {
        "rule": "without replacement, as bench run --limit",
        "seed": LIMIT_SEED,
        "of": len(target.items),
    }


def clean_accuracy(store: Store, target: Target, drawn: Sequence[Example]) -> float:
    """Return the accuracy of the kept model on items as they stand.

    All items of the run are asked, in its order, so that batches are what they were.

    Raises:
        BenchError: the model does not answer as the record's predictions do.
    """
    answers = target.model.predict([item.without_label() for item in target.items]).answers.tolist()
    forget(target.model)
    found = {item.id: answer for item, answer in zip(target.items, answers, strict=True)}
    if target.record.predictions is not None:
        stored = store.predictions(target.record)
        pairs = zip(stored.ids, stored.answers.tolist(), strict=True)
        same = sum(found.get(name) == answer for name, answer in pairs)
        if same < AGREED * len(found):
            run = target.record.run
            raise BenchError(
                f"the model kept of run {run.key[:8]} is not that of the record: "
                f"it answers {same} of {len(found)} test rows alike",
                where=f"{target.task.full_name} {run.method} s{run.seed}",
                fix="the same bench run with --keep-models --force",
            )
    right = sum(int(found[item.id] == item.label) for item in drawn)
    return right / len(drawn)


def prepared(item: Example, recipe: AttackRecipe) -> Example:
    """Return an item with its texts as the recipe reads them."""
    texts = tuple(text.lower() for text in item.texts) if recipe.lower else item.texts
    return Example(item.id, texts, item.label)


def blocks(
    assembly: Assembly,
    model: Predictor,
    encoder: Callable[[Sequence[str]], Array],
    items: Sequence[Example],
) -> Iterator[list[AttackOutcome]]:
    """Yield the outcomes of items, block by block; of a pair the second text is attacked, and the
    first one fixed.

    Within a block every text is answered once. Nothing is remembered from one block to the next, so
    that a block's batches hang on nothing that came before it.
    """
    for start in range(0, len(items), BLOCK):
        block = items[start : start + BLOCK]
        yield _block(assembly, model, encoder, block)
        forget(model)


def forget(model: Predictor) -> None:
    """Drop the encodings of what a model was asked: it remembers all it reads, and these texts
    never come again.
    """
    backbone = getattr(model, "backbone", None)
    for view in backbone.encodings.values() if backbone is not None else ():
        view.clear()


def _block(
    assembly: Assembly,
    model: Predictor,
    encoder: Callable[[Sequence[str]], Array],
    block: Sequence[Example],
) -> list[AttackOutcome]:
    scored = Remembered(lambda keys: probabilities(model, keys))
    encoded = Remembered(lambda keys: encoder([key[0] for key in keys]))
    found = answer_together(
        [assembly(item.texts[-1], int(item.label or 0)) for item in block],
        {
            "model": lambda asked: scored(
                [(*block[number].texts[:-1], text) for number, text in asked]
            ),
            "encoder": lambda asked: encoded([(text,) for _, text in asked]),
        },
    )
    return [
        AttackOutcome(
            id=item.id,
            status=result.status,
            label=int(item.label or 0),
            texts=item.texts,
            adversarial=(*item.texts[:-1], result.text),
            before=tuple(round(value, 6) for value in result.before),
            after=tuple(round(value, 6) for value in result.after),
            queries=queries,
            changed=result.changed,
            words=result.words,
        )
        for item, (result, queries) in zip(block, found, strict=True)
    ]


def probabilities(model: Predictor, texts: Sequence[tuple[str, ...]]) -> Array:
    """Return a model's probabilities [n, C] for the texts of n items.

    Raises:
        ModelError: they are not finite.
    """
    try:
        found = model.predict(
            [Example(f"query-{number}", own) for number, own in enumerate(texts)]
        ).probabilities
    except ValueError as error:
        raise ModelError(f"the attacked model gives no probabilities: {error}") from error
    assert found is not None  # a Target is no regression
    return np.asarray(found)


def _settings(
    target: Target, recipe: AttackRecipe, resources: Resources, encoder: MeanPooled, items: int
) -> dict[str, Any]:
    """Return what determines the outcome, as JSON holds it."""
    settings = {
        "recipe": recipe.name,
        **recipe.says,
        "lower_case": recipe.lower,
        "attacked": "the second text; the first is fixed"
        if target.task.format == "pair"
        else "the text",
        "items": items,
        "drawn": drawn_by(target),
        "block": BLOCK,
        "resources": {**resources.named, "encoder": encoder.describe()},
    }
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def stored_attack(
    store: Store, record: Record, name: str, settings: dict[str, Any]
) -> Measurement | None:
    """Return the measurement of the same attack that is stored, if there is one."""
    of_kind = (other for other in measurements(store, record, "attack") if other.name == name)
    return next((other for other in of_kind if other.settings == settings), None)
