"""Catch the losses that a distilling method trains by, for students and teachers of two sizes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

from fewbench.data.metrics import Scorer
from fewbench.data.split import make_split
from fewbench.nn.fit_context import FitContext, Models
from fewbench.nn.task_model import TaskModel
from fewbench.nn.trainer import History
from fewbench.registry.methods import methods
from fewbench.registry.pretrained import find_model
from fewbench.runner.maker import JobData, JobMaker
from fewbench.runner.steps import fit
from fewbench.store.inputs import exact_hash, row_hashes
from fewbench.testing import run_job, toy_protocol, toy_rows, toy_task


class Lesson(NamedTuple):
    """One call of `kit.train`: the model, and its other arguments."""

    model: TaskModel
    given: dict[str, Any]

    def loss(self) -> torch.Tensor:
        """Return the loss of a batch of all train examples, without dropout."""
        return self.given["loss"](self.batch())

    def batch(self):
        encoded = self.model.encode(self.given["examples"])
        rows = [example._replace(row=row) for row, example in enumerate(encoded)]
        return self.model.collate(rows)


class CatchingKit(FitContext):
    """Trains nothing, and keeps what it was asked to train."""

    lessons: list[Lesson]

    def train(self, model, **given):
        self.lessons.append(Lesson(model.eval(), given | {"examples": self._split.train}))
        return History()


def wider(folder: Path, target: Path, **changes: int) -> Path:
    """Save a random BERT with the tokenizer of another, of three layers and a width of 24."""
    shutil.copytree(folder, target)
    config = json.loads((folder / "config.json").read_text())
    size = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2} | changes
    torch.manual_seed(7)
    model = transformers.BertForMaskedLM(transformers.BertConfig(**(config | size)))
    model.save_pretrained(target, safe_serialization=True)
    return target


def two_sized_job(method, student: Path, teacher: Path, kind="single", **settings):
    """Return a job whose student and teacher are two models."""
    task = toy_task(kind)
    rows = toy_rows(task)
    refs = [find_model(str(folder), offline=True) for folder in (student, teacher)]
    models = dict(zip(("student", "teacher"), refs, strict=True))
    maker = JobMaker(toy_protocol(), methods(), models, None)
    split = make_split(task, rows, 2, 13)
    return maker.job(
        JobData(
            task,
            split,
            Scorer(task, rows.test),
            row_hashes(rows),
            exact_hash([*split.train, *split.dev]),
        ),
        method,
        settings,
    )


def lessons_of(job, artifacts) -> tuple[list[Lesson], CatchingKit]:
    """Run a job, and once more to catch what it trains."""
    record, _ = run_job(job, artifacts)
    assert record.error is None, record.error
    refs = (job.run.student, job.run.teacher, None)
    models = Models(torch.device("cpu"))
    kit = CatchingKit(job.task, job.split, job.protocol, 1, models, *refs, job.supplies, artifacts)
    kit.lessons = []
    torch.manual_seed(1)
    fit(job.method, job.task, job.split, kit, {**job.run.settings, **job.trials[0]})
    return kit.lessons, kit
