"""Attack stored runs one after another, with what all of them need read once."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.utils import logging

from fewbench.errors import BenchError
from fewbench.measure.attack.recipes import get_recipe
from fewbench.measure.attack.resources import read_resources
from fewbench.measure.attack.run import Target, attack
from fewbench.measure.stored import Locations, model_of, task_of, test_rows
from fewbench.nn.fit_context import Models
from fewbench.registry.pretrained import backbone_kind, find_model
from fewbench.runner.devices import choose_device
from fewbench.runner.environment import environment
from fewbench.runner.plan import TEACHER

if TYPE_CHECKING:
    from fewbench.store.measurement import Measurement
    from fewbench.store.record import Record

TEXTATTACK = "textattack:"
"""The prefix of TextAttack's own recipes."""

OnItems = Callable[[str, int, int], None]
"""Called with a run's title, the number of items attacked so far, and of all."""


@dataclass(frozen=True, slots=True)
class AttackConditions:
    """The conditions of attacks on runs.

    Args:
        recipe: a name; `textattack:NAME` for TextAttack's own.
        limit: items attacked at most.
        neighbours: a table or vectors of near words, if not those of the data folder.
        nltk_data: the folder with NLTK's tagger and stop words.
        encoder: the masked language model that compares sentences; None for the embedded one.
        device: as chosen by `choose_device`.
        threads: torch's.
        force: attack again what is stored.
    """

    recipe: str
    limit: int
    neighbours: Path | None = None
    nltk_data: Path | None = None
    encoder: str | None = None
    device: str = "auto"
    threads: int = 1
    force: bool = False


class Attacker:
    """Attacks stored runs. Everything that all runs need is read, or refused, at the start.

    Args:
        conditions: how.
        places: of the records, and what they only name.
        on_items: hears of progress.

    Raises:
        BenchError: no such recipe, or a resource that it needs is missing.
    """

    def __init__(self, conditions: AttackConditions, places: Locations, on_items: OnItems) -> None:
        self.conditions, self.places, self.on_items = conditions, places, on_items
        self.by_textattack = conditions.recipe.startswith(TEXTATTACK)
        if self.by_textattack:
            from fewbench.measure.attack.adapter import check_installed

            check_installed()
            if conditions.nltk_data is not None:
                os.environ["NLTK_DATA"] = str(conditions.nltk_data)  # read when TextAttack loads
        else:
            self.recipe = get_recipe(conditions.recipe)
            self.resources = read_resources(
                conditions.neighbours, conditions.nltk_data, places.data
            )
        self.device = choose_device(conditions.device)
        torch.set_num_threads(conditions.threads)
        logging.set_verbosity_error()
        self.models = Models(torch.device(self.device))
        if not self.by_textattack:
            self.encoder = _encoder(conditions.encoder, self.models, offline=places.offline)

    def attack(self, record: Record) -> tuple[Target, Measurement]:
        """Attack a run's kept model, and store the measurement beside its record.

        Raises:
            BenchError: its model was not kept, or its data are not available.
        """
        places = self.places
        task = task_of(record, places)
        model = model_of(record, task, self.models, places)
        target = Target(record, task, model, test_rows(record, task, places))
        title = f"{task.full_name} {record.run.method} s{record.run.seed}"
        options: dict[str, Any] = {
            "limit": self.conditions.limit,
            "environment": environment(self.device, self.conditions.threads),
            "force": self.conditions.force,
        }

        def on_progress(count: int, total: int) -> None:
            self.on_items(title, count, total)

        if self.by_textattack:
            from fewbench.measure.attack.adapter import attack_by_textattack

            name = self.conditions.recipe
            measurement = attack_by_textattack(
                places.store, target, name, **options, on_item=on_progress
            )
        else:
            measurement = attack(
                places.store,
                target,
                self.recipe,
                self.resources,
                self.encoder,
                **options,
                on_block=on_progress,
            )
        return target, measurement


def _encoder(name: str | None, models: Models, *, offline: bool) -> Any:
    """Return the backbone of the sentence encoder.

    Raises:
        BenchError: no such model, or not a masked one.
    """
    ref = find_model(name or TEACHER, offline=offline)
    kind = backbone_kind(ref)
    if kind != "masked":
        raise BenchError(
            f"--encoder {ref.name} is a {kind} model",
            allowed="masked language models",
            where=ref.path,
        )
    return models.fresh(ref)
