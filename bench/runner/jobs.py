"""What a plan is made of: runs, the shared preparations they need, and the order in which all of it
can be done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fewbench.data.blind import hidden
from fewbench.data.metrics import Scorer
from fewbench.errors import BenchError
from fewbench.io.checked_json import joint_hash
from fewbench.registry.methods import MethodInfo
from fewbench.registry.protocol import Protocol
from fewbench.store.artifacts import Artifacts, Built, Supplies
from fewbench.store.inputs import RowHashes, make_inputs, protocol_hash, trials_hash, trials_of
from fewbench.store.record import Record, run_key
from fewbench.types import CorpusRef, ModelRef, Run, Split, Task


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a method builds once and all its runs share: a student distilled on a corpus, a
    pretrained prompt.

    `kind` is one of those that the method's PREPARES names; `settings` are those of `prepare` that
    the user or the protocol fixed.
    """

    method: MethodInfo
    kind: str
    settings: Mapping[str, Any]
    student: ModelRef | None
    teacher: ModelRef | None
    corpus: CorpusRef | None
    protocol: Protocol

    @property
    def key(self) -> str:
        """What identifies it: its method's code, weights and corpus by their revisions, constants
        and settings.
        """
        refs = [ref and ref.revision for ref in (self.student, self.teacher, self.corpus)]
        constants = [protocol_hash(self.protocol), self.kind, dict(self.settings)]
        return joint_hash("prepared", self.method.name, self.method.code_hash(), refs, constants)

    @property
    def title(self) -> str:
        """What a person would call it."""
        corpus = f" on {self.corpus.name}" if self.corpus else ""
        settings = "".join(f" {name}={value}" for name, value in self.settings.items())
        return f"prepare {self.method.name} {self.kind}{settings}{corpus}"


@dataclass(frozen=True, slots=True)
class Job:
    """One run and all that carrying it out and scoring it takes; a worker is sent it without labels
    (`sent`).

    `protocol` has the updates that the task gets, and `trials` the settings of each trial.
    `teacher` is the job of the trained teacher and `preparation` the shared one, where the method
    asks for them. With `keep`, the trained model is stored as an artifact.
    """

    run: Run
    task: Task
    split: Split
    method: MethodInfo
    protocol: Protocol
    trials: tuple[Mapping[str, Any], ...]
    scorer: Scorer | None
    """Holds the test labels; it is None in every process that runs a method."""
    teacher: Job | None = None
    preparation: Preparation | None = None
    keep: bool = False

    @property
    def searched(self) -> tuple[str, ...]:
        """The settings that the trials may vary; none where nothing is trained."""
        return self.method.searched(self.run.settings)

    @property
    def key(self) -> str:
        """What identifies its run."""
        return self.run.key

    @property
    def model_key(self) -> str:
        """The key of its trained model: of its run, by its method's code of today."""
        return joint_hash("model", self.run.key, self.method.code_hash())

    @property
    def title(self) -> str:
        """What a person would call it."""
        return f"{self.task.full_name} {self.run.method} k{self.run.k} s{self.run.seed}"

    def sent(self) -> Job:
        """Return what the process that runs the method is handed.

        It has no scorer, and its test rows stand in the scorer's order under names that count in
        that order.
        """
        assert self.scorer is not None
        test = hidden(self.split.test, self.scorer.order, "test")
        return replace(
            self,
            scorer=None,
            split=replace(self.split, test=test),
            teacher=self.teacher and self.teacher.named(),
        )

    def named(self) -> Job:
        """Return it without scorer and unlabelled rows: what names it, and what a check is shown."""
        split = replace(self.split, test=(), unlabeled=())
        return replace(
            self, scorer=None, split=split, teacher=self.teacher and self.teacher.named()
        )

    @property
    def supplies(self) -> Supplies:
        """What it may fetch of what others built."""
        taught = self.teacher
        return Supplies(
            teacher=Built(taught.model_key, f"the teacher ({taught.title})") if taught else None,
            prepared=Built(self.preparation.key, self.preparation.title)
            if self.preparation
            else None,
            methods=taught.method.sources if taught else {},
        )


Work = Job | Preparation


@dataclass(frozen=True, slots=True)
class Plan:
    """The runs asked for, in order, what is stored of them, what has been built, and why some have
    no run.

    `records` are those that the runs and their trained teachers have, by key. `unnamed` are the
    keys of runs whose method came with `all`.
    """

    jobs: tuple[Job, ...]
    records: Mapping[str, Record]
    artifacts: Artifacts
    left_out: tuple[str, ...] = ()
    unnamed: frozenset[str] = frozenset()

    def todo(self, *, force: bool = False, retry_failed: bool = False) -> list[Job]:
        """Return the runs to carry out: without a record, a model to keep, of a named file's
        earlier code, or all.
        """
        return [job for job in self.jobs if force or self._is_open(job, retry_failed)]

    def is_older(self, job: Job) -> bool:
        """True if a run has a record, and that was made by other code of its method than today's."""
        record = self.records.get(job.run.key)
        return record is not None and record.method_code != job.method.code_hash()

    def stages(self, todo: Iterable[Job]) -> list[list[Work]]:
        """Return some runs and all they need that is not built yet, each in a stage after what it
        needs itself.

        Raises:
            StoreDamaged: an artifact that they need is damaged.
        """
        depths: dict[str, tuple[int, Work]] = {}
        for job in todo:
            self._place(job, depths)
        count = max((depth for depth, _ in depths.values()), default=-1) + 1
        return [
            [work for depth, work in depths.values() if depth == stage] for stage in range(count)
        ]

    def _is_open(self, job: Job, retry_failed: bool) -> bool:
        record = self.records.get(job.run.key)
        if record is None or (job.method.by_path and self.is_older(job)):
            return True
        if record.status == "failed":
            return retry_failed
        return job.keep and not self.artifacts.has(job.model_key)

    def _is_built(self, teacher: Job) -> bool:
        """Whether a teacher's run is stored, and its model too: a death may have come between the
        two.
        """
        record = self.records.get(teacher.key)
        if (
            record is None
            or record.status != "ok"
            or record.method_code != teacher.method.code_hash()
        ):
            return False
        return self.artifacts.has(teacher.model_key)

    def _place(self, work: Work, depths: dict[str, tuple[int, Work]]) -> int:
        """Enter a piece of work after what it needs; return its stage. A run that is also a teacher
        keeps its model.
        """
        depth = 0
        if isinstance(work, Job):
            if work.teacher is not None and (
                work.teacher.key in depths or not self._is_built(work.teacher)
            ):
                depth = 1 + self._place(work.teacher, depths)
            if work.preparation is not None and not self.artifacts.has(work.preparation.key):
                depth = max(depth, 1 + self._place(work.preparation, depths))
        before = depths.get(work.key)
        if before is None or (isinstance(work, Job) and work.keep):
            depths[work.key] = (depth, work)
        return depth


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes jobs of one request: the models, the corpus and the protocol are the same for all."""

    protocol: Protocol
    known: Mapping[str, MethodInfo]
    refs: Mapping[str, ModelRef | None]
    corpus: CorpusRef | None
    limit: int | None = None
    drop_leaks: bool = False

    def job(
        self,
        task: Task,
        split: Split,
        rows: RowHashes,
        scorer: Scorer,
        method: MethodInfo,
        settings: Mapping[str, Any],
        *,
        keep: bool = False,
        backbone: ModelRef | None = None,
    ) -> Job:
        """Return the job of one run, and with it those that it needs.

        `rows` are of what the split was drawn from. `backbone` takes the student's place for a
        trained teacher.
        """
        teacher = self._trained_teacher(task, split, rows, scorer, method, settings)
        protocol, trials = trials_of(self.protocol, task, method, settings)
        inputs = make_inputs(
            task,
            rows,
            split,
            self.protocol,
            trials_hash(protocol, trials),
            method,
            settings,
            teacher=teacher.key if teacher else "",
        )
        refs = {role: ref if role in method.needs else None for role, ref in self.refs.items()}
        if backbone is not None and "student" in method.needs:
            refs["student"] = backbone
        run = Run(
            task=task.name,
            task_version=task.version,
            source=task.source.name,
            method=method.name,
            settings=settings,
            student=refs["student"],
            teacher=refs["teacher"],
            k=split.k,
            seed=split.seed,
            protocol=self.protocol.name,
            fingerprint=split.fingerprint,
            test_fingerprint=split.test_fingerprint,
            limit=self.limit,
            template=task.prompt,
            corpus=self.corpus if "corpus" in method.needs else None,
            drop_leaks=self.drop_leaks,
            inputs=inputs,
        )
        # The pool can be large, and few methods ask for it.
        given = split if "unlabeled" in method.needs else replace(split, unlabeled=())
        return Job(
            run=replace(run, key=run_key(run)),
            task=task,
            split=given,
            method=method,
            protocol=protocol,
            trials=trials,
            scorer=scorer,
            teacher=teacher,
            preparation=self._preparation(run, task, method),
            keep=keep and bool(refs["student"] or method.steps),
        )

    def _trained_teacher(
        self,
        task: Task,
        split: Split,
        rows: RowHashes,
        scorer: Scorer,
        method: MethodInfo,
        settings: Mapping[str, Any],
    ) -> Job | None:
        if method.trained_by is None:
            return None
        name = settings.get(method.trained_by, method.settings[method.trained_by])
        if (
            name not in self.known
            or "student" not in self.known[name].needs
            or self.known[name].trained_by
        ):
            able = [
                other.name
                for other in self.known.values()
                if "student" in other.needs and not other.trained_by
            ]
            raise BenchError(
                f"'{name}' cannot train the teacher of {method.name}",
                allowed=able,
                given=str(name),
                fix=f"--methods {method.name}:{method.trained_by}={able[0]}",
            )
        method, backbone = self.known[name], self.refs["teacher"]
        return self.job(task, split, rows, scorer, method, {}, keep=True, backbone=backbone)

    def _preparation(self, run: Run, task: Task, method: MethodInfo) -> Preparation | None:
        kind = method.prepared_kind(task.format, run.settings)
        if kind is None:
            return None
        given = {**self.protocol.prepare, **run.settings}
        settings = {name: given[name] for name in sorted(given) if name in method.prepare_settings}
        return Preparation(
            method, kind, settings, run.student, run.teacher, run.corpus, self.protocol
        )
