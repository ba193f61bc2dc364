"""Make the jobs of a request: a run, the run of its trained teacher, its shared preparation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from fewbench.data.labelled import LabelledRows
from fewbench.data.metrics import Scorer
from fewbench.errors import BenchError
from fewbench.refs import USUAL
from fewbench.registry.methods import MethodInfo
from fewbench.registry.needs import ROWS, needing, rows_of
from fewbench.registry.pretrained import count_parameters
from fewbench.registry.protocol import Protocol
from fewbench.registry.settings import Chosen
from fewbench.registry.teachers import lineage, returned
from fewbench.runner.jobs import Job, Preparation
from fewbench.store.inputs import RowHashes, make_inputs, protocol_hash, trials_hash, trials_of
from fewbench.store.record import run_key
from fewbench.types import Arithmetic, CorpusRef, Inputs, K, ModelRef, Run, Settings, Split, Task


class JobData(NamedTuple):
    """The data of a job: task and split, the test labels, and hashes.

    `rows` are those of all rows of the source; `drawn` is that of the split's train and dev rows
    (`fewbench.store.inputs.exact_hash`).
    """

    task: Task
    split: Split
    scorer: Scorer
    rows: RowHashes
    drawn: str


class CommonParts(NamedTuple):
    """The parts that the jobs of a method on a task at one K have in common, for all seeds.

    `inputs` lacks the split and the teacher, which are of one seed; `task` is as the method reads
    it, and `teachers` are those that are trained first, one after another.
    """

    method: MethodInfo
    teachers: Sequence[Chosen]
    models: Mapping[str, ModelRef | None]
    labelled: LabelledRows | None
    protocol: Protocol
    trials: tuple[Settings, ...]
    task: Task
    inputs: Inputs


@dataclass(frozen=True)
class JobMaker:
    """Makes jobs of one request: models, corpus and protocol are the same for all of them.

    `methods` are all that are known, for a trained teacher is made by another method. `labelled`
    holds the rows of other tasks that preparations read, by the task's name as typed.
    """

    protocol: Protocol
    methods: Mapping[str, MethodInfo]
    models: Mapping[str, ModelRef | None]
    corpus: CorpusRef | None
    limit: int | None = None
    drop_leaks: bool = False
    arithmetic: Arithmetic = USUAL
    labelled: Mapping[str, LabelledRows] = field(default_factory=dict)
    # By the ids of what the parts were made from; that is kept too, or an id could be used again.
    _common: dict[tuple[int, ...], tuple[CommonParts, object]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def job(
        self,
        data: JobData,
        method: MethodInfo,
        settings: Settings,
        *,
        keep: bool = False,
        backbone: ModelRef | None = None,
    ) -> Job:
        """Make the job of one run, and with it those that it needs.

        Args:
            data: task, split and test labels.
            method: of the run.
            settings: those that the user fixed.
            keep: store the trained model.
            backbone: takes the student's place, for a trained teacher.

        Raises:
            BenchError: a method that cannot train the teacher.
        """
        common = self._common_parts(data, method, settings, backbone)
        method = common.method
        teacher = self._trained_teacher(data, method, common.teachers)
        run = Run(
            task=data.task.name,
            task_version=data.task.version,
            source=data.task.source.name,
            method=method.name,
            settings=settings,
            student=common.models["student"],
            teacher=common.models["teacher"],
            k=data.split.k,
            seed=data.split.seed,
            protocol=self.protocol.name,
            fingerprint=data.split.fingerprint,
            test_fingerprint=data.split.test_fingerprint,
            limit=self.limit,
            template=data.task.prompt,
            corpus=self.corpus if "corpus" in method.needs else None,
            drop_leaks=self.drop_leaks,
            inputs=replace(common.inputs, split=data.drawn, teacher=teacher.key if teacher else ""),
            arithmetic=self.arithmetic,
        )
        return Job(
            run=replace(run, key=run_key(run)),
            task=common.task,
            split=_needed(data.split, method),
            method=method,
            protocol=common.protocol,
            trials=common.trials,
            scorer=data.scorer,
            teacher=teacher,
            preparation=self._preparation(run, data.task, method, common.labelled),
            keep=keep and bool(run.student or method.steps),
            teaches=backbone is not None,
        )

    def _common_parts(
        self, data: JobData, method: MethodInfo, settings: Settings, backbone: ModelRef | None
    ) -> CommonParts:
        """Return the parts of a job that all seeds have in common, made once."""
        asked = (data.task, data.rows, data.split.k, method, settings, backbone)
        key = tuple(map(id, asked))
        if key not in self._common:
            self._common[key] = self._make_common(*asked), asked
        return self._common[key][0]

    def _make_common(
        self,
        task: Task,
        rows: RowHashes,
        k: K,
        method: MethodInfo,
        settings: Settings,
        backbone: ModelRef | None,
    ) -> CommonParts:
        method = needing(method, settings)
        models = self._models_of(method, backbone)
        sized = self._sized(models["student"] or models["teacher"])
        labelled = self._labelled(task, method, settings)
        protocol, trials = trials_of(sized, task, k, method, settings)
        inputs = make_inputs(
            task,
            rows,
            self._constants,
            trials_hash(protocol, trials),
            method,
            settings,
            labelled=labelled.revision if labelled else "",
        )
        return CommonParts(
            method=method,
            teachers=lineage(method, settings, self.methods),
            models=models,
            labelled=labelled,
            protocol=protocol,
            trials=trials,
            task=_read_by(method, self.protocol.fitted(task)),
            inputs=inputs,
        )

    @cached_property
    def _constants(self) -> str:
        return protocol_hash(self.protocol)

    def _models_of(
        self, method: MethodInfo, backbone: ModelRef | None
    ) -> dict[str, ModelRef | None]:
        """Return the models of a run by role, those of its needs alone."""
        models = {
            role: model if role in method.needs else None for role, model in self.models.items()
        }
        if backbone is not None and "student" in method.needs:
            models["student"] = backbone
        return models

    def _sized(self, model: ModelRef | None) -> Protocol:
        """Return the protocol with the learning rates for a model, if they depend on its size."""
        if model is None or not self.protocol.sizes:
            return self.protocol
        return self.protocol.of_size(count_parameters(Path(model.path)))

    def _trained_teacher(
        self, data: JobData, method: MethodInfo, teachers: Sequence[Chosen]
    ) -> Job | None:
        if not teachers:
            return None
        taught = teachers[0]
        if data.task.kind not in taught.method.kinds:
            raise BenchError(
                f"'{taught.method.name}' trains no teacher of {method.name} on {data.task.name}: "
                f"it takes no {data.task.kind} task",
                allowed=taught.method.kinds,
                fix=f"another {method.trained_by}, or another task",
            )
        own = returned(taught.method, taught.settings) == "student"
        backbone = self.models["teacher"] if own else None
        return self.job(data, taught.method, taught.settings, keep=True, backbone=backbone)

    def _labelled(self, task: Task, method: MethodInfo, settings: Settings) -> LabelledRows | None:
        """Return the rows of another task that the method's preparation reads, if any.

        Raises:
            BenchError: the run's own task, whose rows would be more than the run's shots.
        """
        name = rows_of(method, settings)
        if not name:
            return None
        labelled = self.labelled[name]
        if labelled.task.name == task.name:
            raise BenchError(
                f"{method.name} would read all labelled rows of {task.name}, the task itself",
                allowed="rows of another task",
                given=name,
                fix=f"--methods {method.name}:{ROWS}=TASK",
            )
        return labelled

    def _preparation(
        self, run: Run, task: Task, method: MethodInfo, labelled: LabelledRows | None
    ) -> Preparation | None:
        kind = method.prepared_kind(task.format, run.settings)
        if kind is None:
            return None
        fixed = {**self.protocol.prepare, **run.settings}
        settings = {name: fixed[name] for name in sorted(fixed) if name in method.prepare_settings}
        return Preparation(
            method,
            kind,
            settings,
            run.student,
            run.teacher,
            run.corpus,
            self.protocol,
            labelled,
            run.arithmetic,
        )


def _read_by(method: MethodInfo, task: Task) -> Task:
    """Return a task without its other prompts, unless a method names `prompts` in its NEEDS."""
    return task if "prompts" in method.needs else replace(task, prompts=())


def _needed(split: Split, method: MethodInfo) -> Split:
    """Return a split without the parts that a method does not name in its NEEDS.

    The unlabelled pool can be large, and few methods ask for it.
    """
    return replace(
        split,
        unlabeled=split.unlabeled if "unlabeled" in method.needs else (),
        label_counts=split.label_counts if "label_counts" in method.needs else (),
    )
