"""The parts of a plan: runs, the preparations that they share, and the order to do them in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from fewbench.data.blind import hidden
from fewbench.data.labelled import LabelledRows
from fewbench.data.metrics import Scorer
from fewbench.io.checked_json import joint_hash
from fewbench.refs import USUAL
from fewbench.registry.methods import MethodInfo
from fewbench.registry.protocol import Protocol
from fewbench.store.artifacts import Artifacts, Built, Supplies
from fewbench.store.cell import named
from fewbench.store.inputs import protocol_hash
from fewbench.store.record import Record
from fewbench.store.store import Stamp
from fewbench.types import Arithmetic, CorpusRef, ModelRef, Run, Settings, Split, SplitSizes, Task


@dataclass(frozen=True, slots=True)
class Preparation:
    """A thing that a method builds once for all its runs: a pretrained prompt, for example.

    `kind` is one of those in the method's PREPARES; `settings` are those of `prepare` that the user
    or the protocol fixed.
    """

    method: MethodInfo
    kind: str
    settings: Settings
    student: ModelRef | None
    teacher: ModelRef | None
    corpus: CorpusRef | None
    protocol: Protocol
    labelled: LabelledRows | None = None
    """The rows of another task that it reads."""

    arithmetic: Arithmetic = USUAL

    @property
    def key(self) -> str:
        """A hash of the method's code, the models, the data, the constants and the settings."""
        refs = [ref and ref.revision for ref in (self.student, self.teacher, self.corpus)]
        if self.labelled is not None:
            refs.append(self.labelled.revision)
        constants = [protocol_hash(self.protocol), self.kind, dict(self.settings)]
        if self.arithmetic.name:
            constants.append(self.arithmetic.name)
        return joint_hash("prepared", self.method.name, self.method.code_hash(), refs, constants)

    @property
    def title(self) -> str:
        """The name to show a person."""
        settings = [f"{name}={value}" for name, value in self.settings.items()]
        corpus = [f"on {self.corpus.name}"] if self.corpus else []
        rows = [f"and {self.labelled.task.full_name}"] if self.labelled else []
        how = [f"in {self.arithmetic.name}"] if self.arithmetic.name else []
        return " ".join(["prepare", self.method.name, self.kind, *settings, *corpus, *rows, *how])

    @property
    def needs(self) -> tuple[Work, ...]:
        """The works that must be done before it: none."""
        return ()


@dataclass(frozen=True, slots=True)
class Job:
    """One run with everything that it takes to carry it out and to score it.

    `protocol` has the updates that the task gets, and `trials` the settings of each trial.
    `teacher` is the job of the trained teacher, and `preparation` the shared one, where the method
    needs them. With `keep`, the trained model is stored as an artifact. With `teaches`, the run is
    there for another, with a backbone of its own. `code` is, in a job as sent, the hash of the
    method's code, which no worker has to make again.
    """

    run: Run
    task: Task
    split: Split
    method: MethodInfo
    protocol: Protocol
    trials: tuple[Settings, ...]
    scorer: Scorer | None
    """Holds the test labels; None in every process that runs a method."""
    teacher: Job | None = None
    preparation: Preparation | None = None
    keep: bool = False
    sizes: SplitSizes | None = None
    """The rows of its split where the rows themselves are left out (`named`)."""
    teaches: bool = False
    code: str = ""

    @property
    def lineage(self) -> tuple[Job, ...]:
        """The job, that of its trained teacher, that of the teacher's own, and so on."""
        return (self, *(self.teacher.lineage if self.teacher else ()))

    @property
    def searched(self) -> tuple[str, ...]:
        """The settings that trials may vary; none where nothing is trained."""
        return self.method.searched(self.run.settings)

    @property
    def updates(self) -> int:
        """The optimizer updates of all its trials, if none is stopped early."""
        if not self.searched:
            return 0
        total = 0
        for trial in self.trials:
            settings = {**self.method.settings, **self.run.settings, **trial}
            batch_size = int(settings.get("batch_size", 1))
            total += self.protocol.in_updates(len(self.split.train), batch_size).max_steps
        return total

    @property
    def key(self) -> str:
        """The key of its run."""
        return self.run.key

    @property
    def model_key(self) -> str:
        """The key of its trained model: a hash of the run and of the method's present code."""
        return joint_hash("model", self.run.key, self.code or self.method.code_hash())

    @property
    def title(self) -> str:
        """The name to show a person."""
        method = named(self.method, self.run.settings)
        backbone = self.run.student if self.teaches else None
        on = f" on {backbone.name}" if backbone else ""
        return f"{self.task.full_name} {method}{on} k{self.run.k} s{self.run.seed}"

    @property
    def needs(self) -> tuple[Work, ...]:
        """The works that must be done before it: its teacher's run, and its preparation."""
        return tuple(work for work in (self.teacher, self.preparation) if work is not None)

    def sent(self) -> Job:
        """Return the job as a worker gets it: without labels, test rows in the scorer's order."""
        assert self.scorer is not None
        test = hidden(self.split.test, self.scorer.order, "test")
        teacher = self.teacher
        return replace(
            self,
            scorer=None,
            split=replace(self.split, test=test, unlabeled=tuple(self.split.unlabeled)),
            teacher=teacher and replace(teacher.named(), code=teacher.method.code_hash()),
            code=self.method.code_hash(),
        )

    def named(self) -> Job:
        """Return the job as a method's check gets it: without rows."""
        split = replace(self.split, train=(), dev=(), test=(), unlabeled=())
        sizes = self.split_sizes
        teacher = self.teacher and self.teacher.named()
        return replace(self, scorer=None, split=split, sizes=sizes, teacher=teacher)

    @property
    def split_sizes(self) -> SplitSizes:
        """The rows that its method gets."""
        split = self.split
        return self.sizes or SplitSizes(len(split.train), len(split.dev), len(split.unlabeled))

    @property
    def supplies(self) -> Supplies:
        """The artifacts of other works that it may fetch."""
        teacher = prepared = None
        methods: dict[str, MethodInfo] = {}
        if self.teacher is not None:
            run = self.teacher.run
            title = f"{self.teacher.task.full_name} {run.method} k{run.k} s{run.seed}"
            teacher = Built(self.teacher.model_key, f"the teacher ({title})")
            methods = self.teacher.method.sources
        if self.preparation is not None:
            prepared = Built(self.preparation.key, self.preparation.title)
        return Supplies(teacher=teacher, prepared=prepared, methods=methods)


Work = Job | Preparation


@dataclass(frozen=True, slots=True)
class Plan:
    """The runs asked for, in order, and what is stored of them.

    `records` are those of the runs and of the runs that train their teachers, by key. `left_out`
    says why some have no run. `unnamed` are the keys of runs whose method came with `all`. `stamps`
    tell whether a record has been written again since.
    """

    jobs: tuple[Job, ...]
    records: Mapping[str, Record]
    artifacts: Artifacts
    left_out: tuple[str, ...] = ()
    unnamed: frozenset[str] = frozenset()
    stamps: Mapping[str, Stamp] = field(default_factory=dict)

    def todo(self, *, force: bool = False, retry_failed: bool = False) -> list[Job]:
        """List the runs to carry out: those without a record, or all with `force`.

        Runs without the model that is to be kept are among them, and runs made by earlier code of a
        method that was named by its file.
        """
        return [job for job in self.jobs if force or self._is_open(job, retry_failed)]

    def is_older(self, job: Job) -> bool:
        """True if a run has a record made by other code of its method than the present."""
        record = self.records.get(job.run.key)
        return record is not None and record.method_code != job.method.code_hash()

    def older_jobs(self) -> list[Job]:
        """List the runs that have a record made by other code of their methods than the present."""
        records = ((job, self.records.get(job.run.key)) for job in self.jobs)
        done = [(job, record) for job, record in records if record is not None]
        methods = {job.method.name: job.method for job, _ in done}
        code = {name: method.code_hash() for name, method in methods.items()}
        return [job for job, record in done if record.method_code != code[job.method.name]]

    def stages(self, todo: Iterable[Job]) -> list[list[Work]]:
        """Order some runs, and what they need that is not built yet, into stages.

        Each work stands in a later stage than those it needs.

        Raises:
            StoreDamaged: an artifact that they need is damaged.
        """
        placed: dict[str, _Placed] = {}
        for job in todo:
            self._place(job, placed)
        stages: list[list[Work]] = []
        for depth, work in placed.values():
            while len(stages) <= depth:
                stages.append([])
            stages[depth].append(work)
        return stages

    def _is_open(self, job: Job, retry_failed: bool) -> bool:
        record = self.records.get(job.run.key)
        if record is None or (job.method.by_path and self.is_older(job)):
            return True
        if record.status == "failed":
            return retry_failed
        return job.keep and not self.artifacts.has(job.model_key)

    def _is_built(self, teacher: Job) -> bool:
        """True if a teacher's run and its model are stored: a kill may have come between them."""
        record = self.records.get(teacher.key)
        if record is None or record.status != "ok" or self.is_older(teacher):
            return False
        return self.artifacts.has(teacher.model_key)

    def _place(self, work: Work, placed: dict[str, _Placed]) -> int:
        """Insert a work after those it needs; return its depth.

        A run that is also a teacher keeps its model.
        """
        depth = 0
        for needed in self._needed(work, placed):
            depth = max(depth, 1 + self._place(needed, placed))
        if work.key not in placed or (isinstance(work, Job) and work.keep):
            placed[work.key] = _Placed(depth, work)
        return depth

    def _needed(self, work: Work, placed: Mapping[str, _Placed]) -> list[Work]:
        """List the works that another waits for: those not built, or about to be built again."""
        if isinstance(work, Preparation):
            return []
        needed: list[Work] = []
        teacher, preparation = work.teacher, work.preparation
        if teacher is not None and (teacher.key in placed or not self._is_built(teacher)):
            needed.append(teacher)
        if preparation is not None and not self.artifacts.has(preparation.key):
            needed.append(preparation)
        return needed


class _Placed(NamedTuple):
    """A work and the number of its stage."""

    depth: int
    work: Work
