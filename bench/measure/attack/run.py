"""Attack the test items of a stored run, block by block, and store the measurement."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
from fewbench.measure.attack.search import Assembly, SearchResult
from fewbench.nn.backbone import Backbone
from fewbench.nn.task_model import TaskModel
from fewbench.store import paths
from fewbench.store.measurement import Measurement, file_of, measured, measurements, write
from fewbench.store.parts import Environment
from fewbench.store.record import Record
from fewbench.store.store import Store
from fewbench.types import Example, Json, Predictor, Settings, Task

if TYPE_CHECKING:
    from fewbench.measure.attack.asking import Array

BLOCK = 32
"""Items attacked side by side.

Batches are made of a block's texts, so that its size affects the last bits of the outcome.
"""

CALIBRATED = 1000
"""Items that calibrate the sentence encoder, drawn as those attacked, however many these are."""

AGREED = 0.99
"""The least share of a kept model's answers that agree with its record.

Another machine's last bits may change one in a hundred.
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A stored run to attack: its trained model and all items it was tested on, with labels."""

    record: Record
    task: Task
    model: TaskModel
    items: tuple[Example, ...]

    def __post_init__(self) -> None:
        """Refuse tasks on which the attack is not defined.

        Raises:
            BenchError: the task is a regression, a choice or one of spans.
        """
        if self.task.kind not in ("single", "pair"):
            raise BenchError(
                f"{self.task.full_name} is a {self.task.kind}, but TextFooler changes the class "
                "of a text",
                allowed="tasks of one or two texts with classes",
            )


@dataclass(frozen=True, slots=True)
class PlannedAttack:
    """An attack on some items of a stored run.

    Attributes:
        name: of the measurement.
        settings: all that determines the outcome.
        drawn: the items, as the run was tested on them.
        block: the number of items attacked side by side.
        attack_from: yields the outcomes from an item on, given by its number, block by block.
    """

    name: str
    settings: Settings
    drawn: Sequence[Example]
    block: int
    attack_from: Callable[[int], Iterator[list[AttackOutcome]]]


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
    """Attack a stored run's items and store the measurement, or return a stored one.

    Args:
        store: of the run.
        target: the run.
        recipe: the attack.
        resources: neighbours of words, stop words, tagger.
        encoder: the backbone of the sentence encoder.
        limit: items attacked, drawn as `bench run --limit` draws them.
        environment: for the measurement.
        force: attack again, even if a measurement is stored.
        on_block: called with the number of items done and the number of all.

    Raises:
        ModelError: the model's probabilities are not finite.
        BenchError: the outcome cannot be stored, the items drawn have one class only, or the model
            is not that of the record.
    """
    drawn = draw_items(target, limit)
    items = [prepared(item, recipe) for item in drawn]
    calibrated = [prepared(item, recipe) for item in draw(target.items, CALIBRATED)]
    pooled = MeanPooled(encoder, [item.texts[-1] for item in calibrated])
    settings = _settings(target, recipe, resources, pooled, len(items))

    def attack_from(done: int) -> Iterator[list[AttackOutcome]]:
        on_block(done, len(items))
        for outcomes in blocks(recipe.assemble(resources), target.model, pooled, items[done:]):
            yield outcomes
            done += len(outcomes)
            on_block(done, len(items))

    planned = PlannedAttack(recipe.name, settings, drawn, BLOCK, attack_from)
    return carry_out(store, target, planned, environment, force=force)


def carry_out(
    store: Store,
    target: Target,
    planned: PlannedAttack,
    environment: Environment,
    *,
    force: bool,
) -> Measurement:
    """Carry out an attack from where it was killed, if it was, and store the measurement.

    Return a stored measurement of the same attack instead, unless `force` is set.
    """
    record, name, settings = target.record, planned.name, planned.settings
    if not force and (stored := stored_attack(store, record, name, settings)):
        return stored
    file = paths.measurement(file_of(store, record), f"attack-{name}", ".jsonl")
    if force:
        remove(file)
    clean = clean_accuracy(store, target, planned.drawn)
    key = {**settings, "run": record.run.key, "predictions": record.predictions}
    with AttackProgress(file, key, planned.block, len(planned.drawn)) as progress:
        for outcomes in planned.attack_from(len(progress.outcomes)):
            progress.add(outcomes)
        measurement = measured(
            record,
            "attack",
            name,
            settings=settings,
            scores={**summary(progress.outcomes, target.task.labels), "clean_accuracy": clean},
            environment=environment,
        )
        write(store, record, measurement, {".jsonl": lines_of(progress.outcomes)})
        remove(file)
    return measurement


def draw_items(target: Target, limit: int) -> tuple[Example, ...]:
    """Draw the items to attack from those the run was tested on, as `bench run --limit` does.

    Raises:
        BenchError: they have one class only, while the run's items have more.
    """
    drawn = draw(target.items, limit)
    if _count_classes(drawn) > 1 or _count_classes(target.items) == 1:
        return drawn
    enough = limit + 1
    while _count_classes(draw(target.items, enough)) < 2:
        enough += 1
    name = target.task.labels[int(drawn[0].label or 0)]
    raise BenchError(
        f"{target.task.full_name}: {len(drawn)} of {len(target.items)} test rows are drawn, "
        f"all of class '{name}'",
        allowed="a draw with more than one class",
        fix=f"--limit {enough}, or more",
    )


def _count_classes(items: Sequence[Example]) -> int:
    return len({item.label for item in items})


def drawn_by(target: Target) -> Json:
    """Return the draw's description for the measurement: its rule and the number of rows."""
    return {
        "rule": "without replacement, as bench run --limit",
        "seed": LIMIT_SEED,
        "of": len(target.items),
    }


def clean_accuracy(store: Store, target: Target, drawn: Sequence[Example]) -> float:
    """Return the accuracy of the kept model on unprepared items.

    All items of the run are predicted, in its order, so that the batches are those of the run.

    Raises:
        BenchError: the model's answers do not agree with the record's predictions.
    """
    predictions = target.model.predict([item.without_label() for item in target.items])
    forget(target.model)
    ids = [item.id for item in target.items]
    answers = dict(zip(ids, predictions.answers.tolist(), strict=True))
    if target.record.predictions is not None:
        _expect_agreement(store, target, answers)
    right = sum(int(answers[item.id] == item.label) for item in drawn)
    return right / len(drawn)


def _expect_agreement(store: Store, target: Target, answers: Mapping[str, int]) -> None:
    stored = store.predictions(target.record)
    pairs = zip(stored.ids, stored.answers.tolist(), strict=True)
    same = sum(answers.get(name) == answer for name, answer in pairs)
    if same >= AGREED * len(answers):
        return
    run = target.record.run
    raise BenchError(
        f"the model kept of run {run.key[:8]} is not that of the record: "
        f"{same} of {len(answers)} answers are equal",
        where=f"{target.task.full_name} {run.method} s{run.seed}",
        fix="the same bench run with --keep-models --force",
    )


def prepared(item: Example, recipe: AttackRecipe) -> Example:
    """Return an item with its texts prepared for the recipe."""
    texts = tuple(text.lower() for text in item.texts) if recipe.lower else item.texts
    return Example(item.id, texts, item.label)


def blocks(
    assembly: Assembly,
    model: Predictor,
    encoder: Callable[[Sequence[str]], Array],
    items: Sequence[Example],
) -> Iterator[list[AttackOutcome]]:
    """Yield the outcomes of items, block by block; of a pair the second text is attacked.

    Within a block every text is answered once. Nothing is cached from one block to the next, so
    that a block's batches do not depend on the blocks before it.
    """
    for start in range(0, len(items), BLOCK):
        block = items[start : start + BLOCK]
        yield _block(assembly, model, encoder, block)
        forget(model)


def forget(model: Predictor) -> None:
    """Clear a model's cache of encodings, whose texts will not come again."""
    backbone = getattr(model, "backbone", None)
    for view in backbone.encodings.values() if backbone is not None else ():
        view.clear()


def _block(
    assembly: Assembly,
    model: Predictor,
    encoder: Callable[[Sequence[str]], Array],
    block: Sequence[Example],
) -> list[AttackOutcome]:
    predictions = Remembered(lambda keys: probabilities(model, keys))
    vectors = Remembered(lambda keys: encoder([key[0] for key in keys]))

    def predict(asked: Sequence[tuple[int, str]]) -> Array:
        return predictions([(*block[number].texts[:-1], text) for number, text in asked])

    def encode(asked: Sequence[tuple[int, str]]) -> Array:
        return vectors([(text,) for _, text in asked])

    searches = [assembly(item.texts[-1], int(item.label or 0)) for item in block]
    results = answer_together(searches, {"model": predict, "encoder": encode})
    outcomes = []
    for item, (result, queries) in zip(block, results, strict=True):
        outcomes.append(_outcome(item, result, queries))
    return outcomes


def _outcome(item: Example, result: SearchResult, queries: int) -> AttackOutcome:
    return AttackOutcome(
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


def probabilities(model: Predictor, texts: Sequence[tuple[str, ...]]) -> Array:
    """Return a model's probabilities [n, C] for the texts of n items.

    Raises:
        ModelError: they are not finite.
    """
    examples = [Example(f"query-{number}", item) for number, item in enumerate(texts)]
    try:
        rows = model.predict(examples).probabilities
    except ValueError as error:
        raise ModelError(f"the attacked model gives no probabilities: {error}") from error
    assert rows is not None  # a Target is not a regression
    return np.asarray(rows)


def _settings(
    target: Target, recipe: AttackRecipe, resources: Resources, encoder: MeanPooled, items: int
) -> Json:
    """Return the settings that determine the outcome, in the types of JSON."""
    is_pair = target.task.format == "pair"
    settings = {
        "recipe": recipe.name,
        **recipe.description,
        "lower_case": recipe.lower,
        "attacked": "the second text; the first is fixed" if is_pair else "the text",
        "items": items,
        "drawn": drawn_by(target),
        "block": BLOCK,
        "resources": {**resources.description, "encoder": encoder.describe()},
    }
    plain: Json = json.loads(json.dumps(settings))
    return plain


def stored_attack(
    store: Store, record: Record, name: str, settings: Settings
) -> Measurement | None:
    """Return the stored measurement of the same attack, if there is one."""
    for measurement in measurements(store, record, "attack"):
        if measurement.name == name and measurement.settings == settings:
            return measurement
    return None
