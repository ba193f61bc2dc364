"""The things that a method is given: backbones, training, randomness, and a place for notes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, TypeVar, cast

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from fewbench.data.documents import Document, documents
from fewbench.data.metrics import score_on
from fewbench.errors import BenchError
from fewbench.nn.backbone import Backbone
from fewbench.nn.checkpoint import Checkpoints, Stateful
from fewbench.nn.kinds import open_backbone
from fewbench.nn.optimizer import Rates
from fewbench.nn.serialize import duplicate, unpack
from fewbench.nn.task_model import TaskModel
from fewbench.nn.trainer import History, Loss, train
from fewbench.registry.named_inputs import NamedInput
from fewbench.registry.protocol import Protocol
from fewbench.store.artifacts import Artifacts, Built, Supplies
from fewbench.types import CorpusRef, Json, ModelRef, Split, Task

SharedResult = TypeVar("SharedResult")


class Models:
    """Pretrained models by reference: read once a process, copied for each trial."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._loaded: dict[str, Backbone] = {}
        self._shared: tuple[str, TaskModel] | None = None

    def pretrained(self, ref: ModelRef) -> Backbone:
        """Return the pretrained model itself, on the CPU; it is not to be changed."""
        if ref.path not in self._loaded:
            self._loaded[ref.path] = open_backbone(ref)
        return self._loaded[ref.path]

    def fresh(self, ref: ModelRef) -> Backbone:
        """Copy the pretrained model, on the device; copies share their tokenizer and encodings."""
        original = self.pretrained(ref)
        model = copy.deepcopy(original.model).to(self.device)
        return type(original)(model, original.tokenizer, ref, original.encodings, original.has_head)

    def shared(self, key: str, read: Callable[[], TaskModel]) -> TaskModel:
        """Return the trained model of a key; the last one is cached for all trials of a run."""
        if self._shared is None or self._shared[0] != key:
            self._shared = (key, read())
        return self._shared[1]


class PrepareContext:
    """The context of a method's `prepare`: the models and the corpus, but no task.

    Args:
        models: reads and copies pretrained models.
        protocol: the constants of the comparison.
        seed: of dropout, new weights, the order of examples.
        student: the student backbone, if the method needs one.
        teacher: the teacher backbone, likewise.
        corpus: unlabelled documents, likewise.
    """

    def __init__(
        self,
        models: Models,
        protocol: Protocol,
        seed: int,
        student: ModelRef | None = None,
        teacher: ModelRef | None = None,
        corpus: CorpusRef | None = None,
    ) -> None:
        self.protocol = protocol
        self.seed = seed
        self.notes: Json = {}
        self._models = models
        self._refs: Mapping[str, ModelRef | CorpusRef | None] = {
            "student": student,
            "teacher": teacher,
            "corpus": corpus,
        }

    @property
    def device(self) -> torch.device:
        """The device of the models."""
        return self._models.device

    def backbone(self, role: Literal["student", "teacher"] = "student") -> Backbone:
        """Return a fresh copy of the student's or the teacher's pretrained model.

        Raises:
            BenchError: the method does not name the role in its NEEDS.
        """
        ref = self._asked(role)
        assert isinstance(ref, ModelRef)
        return self._models.fresh(ref)

    def named_backbone(self, named: NamedInput) -> Backbone:
        """Return a fresh copy of the pretrained model that a setting names."""
        return self._models.fresh(named.model)

    def documents(self) -> Iterator[Document]:
        """Yield the corpus's documents, each a list of sentences.

        Raises:
            BenchError: the method does not name `corpus` in its NEEDS.
        """
        return documents(self._asked("corpus").path)

    def _asked(self, role: str) -> ModelRef | CorpusRef:
        ref = self._refs[role]
        if ref is None:
            raise BenchError(
                f"this method asked for a {role} it does not name in NEEDS",
                fix=f'NEEDS = ("{role}",)',
            )
        return ref


class FitContext(PrepareContext):
    """The context of a method's `fit`, besides task and split.

    Args:
        task: the run's task.
        split: the run's split.
        protocol: the run's protocol.
        seed: of training: dropout, new weights, the order of examples.
        models: reads and copies pretrained models.
        student: the run's student backbone, if the method needs one.
        teacher: its teacher backbone, likewise.
        corpus: its corpus, likewise.
        supplies: what it may fetch of what has been built.
        artifacts: where that is.
        checkpoints: where the state of trainings is kept while they run.
    """

    def __init__(
        self,
        task: Task,
        split: Split,
        protocol: Protocol,
        seed: int,
        models: Models,
        student: ModelRef | None = None,
        teacher: ModelRef | None = None,
        corpus: CorpusRef | None = None,
        supplies: Supplies | None = None,
        artifacts: Artifacts | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        super().__init__(models, protocol, seed, student, teacher, corpus)
        self._task, self._split = task, split
        self._supplies = supplies or Supplies()
        self._artifacts = artifacts
        self._checkpoints = checkpoints

    def teacher(self) -> TaskModel:
        """Return the trained teacher of this split, frozen; all trials of a run share it.

        Raises:
            BenchError: the method has no setting `teacher`, or that run failed.
        """
        wanted, ref = self._supplies.teacher, self._refs["teacher"]
        if wanted is None or not isinstance(ref, ModelRef):
            raise BenchError(
                "this method asked for a trained teacher",
                fix='NEEDS = ("teacher",), teacher: str = "ft"',
            )

        def read() -> TaskModel:
            manifest, tensors = self._fetch(wanted)
            with (
                torch.random.fork_rng()
            ):  # rebuilding draws numbers, and only the first trial to ask rebuilds
                model = unpack(
                    manifest, tensors, self._task, ref, self._models, self._supplies.methods
                )
            return model.requires_grad_(False)

        return self._models.shared(wanted.key, read)

    def source(self) -> TaskModel:
        """Copy the trained teacher, to be trained and changed: a pipeline starts from it."""
        return duplicate(self.teacher())

    def with_split(self, split: Split) -> FitContext:
        """Return a kit for another split of the run's examples; notes go to the same place."""
        other = copy.copy(self)
        other._split = split
        return other

    def prepared(self) -> dict[str, Tensor]:
        """Return the tensors that the method's `prepare` built for this task's format, on the CPU.

        The record names them.

        Raises:
            BenchError: PREPARES has nothing for the format, or `prepare` failed.
        """
        wanted = self._supplies.prepared
        if wanted is None:
            raise BenchError(
                f"nothing is prepared for tasks of the format '{self._task.format}'",
                fix="PREPARES = {…}",
            )
        manifest, tensors = self._fetch(wanted)
        notes = {name: value for name, value in manifest.items() if name != "seconds"}
        self.notes["prepared"] = notes
        return load_tensors(tensors)

    def _fetch(self, wanted: Built) -> tuple[Json, bytes]:
        assert self._artifacts is not None
        try:
            return self._artifacts.read(wanted.key)
        except FileNotFoundError as error:
            raise BenchError(
                f"{wanted.title} was not built: it failed", fix="bench run … --retry-failed"
            ) from error

    def once(self, what: str, compute: Callable[[], SharedResult]) -> SharedResult:
        """Compute a value once for all trials of a run, when the first asks.

        A run that goes on after a kill computes it again, so the result may depend on nothing but
        task, split, student, protocol and seed, and must leave global generators as they were.
        Its trainings keep no checkpoints.

        Args:
            what: its name, with the settings that it depends on.
            compute: is called if it is not there.
        """
        parts = (what, self._task, self._split.fingerprint, self.protocol, self.seed)
        key = "\n".join(map(repr, (*parts, self._refs["student"])))

        def alone() -> TaskModel:
            # A trial that does not compute it must count the same trainings.
            kept, self._checkpoints = self._checkpoints, None
            try:
                return cast("TaskModel", compute())
            finally:
                self._checkpoints = kept

        # The cache of trained teachers holds one thing of any kind.
        return cast("SharedResult", self._models.shared(key, alone))

    def updates(self, batch_size: int) -> int:
        """Return the number of updates of a training that is not stopped early."""
        return self.protocol.in_updates(len(self._split.train), batch_size).max_steps

    def in_proportion(self, most: int, batch_size: int) -> int:
        """Return `most`, or where a training has fewer than 1,000 updates, as much less; 2 or more.

        For what a paper repeats `most` times beside LM-BFF's 1,000 updates, and would take longer
        than all else in a short protocol.
        """
        return min(most, max(2, most * self.updates(batch_size) // 1000))

    def train(
        self,
        model: TaskModel,
        *,
        lr: float,
        batch_size: int,
        loss: Loss | None = None,
        whole_vocabulary: bool = False,
        carries: Sequence[Stateful] | None = None,
        beside: nn.Module | None = None,
        keep_last: bool = False,
        rates: Rates = (),
    ) -> History:
        """Train on the split's train part by the protocol, and keep the best dev checkpoint.

        See `fewbench.nn.trainer.train`; a batch's `rows` are the examples' numbers in
        `split.train`. The curve goes into the record. A killed run goes on within the training if
        `carries` lists what model and loss change from update to update besides weights, buffers
        and the global generators (nothing: an empty list). If that is not said, the training starts
        again. With a list of something each batch goes through the model as a whole, for `loss`
        is to be called once an update; others go in the parts of the protocol's `micro_batch`, or
        with an empty list in smaller ones where memory is short.
        `rates` names modules whose learning rate is a multiple of `lr`. With `keep_last` the
        last update is kept and dev is not asked: what is trained gives no predictions yet.
        """
        checkpoint = None
        if self._checkpoints is not None and carries is not None:
            checkpoint = self._checkpoints.next_training()
        protocol = replace(self.protocol, checkpoint_tie="last") if keep_last else self.protocol
        history = train(
            model,
            [
                example._replace(row=row)
                for row, example in enumerate(model.encode(self._split.train))
            ],
            also_read=model.encode(self._split.dev),
            evaluate=(lambda: 0.0) if keep_last else partial(self._dev_score, model),
            protocol=protocol,
            lr=lr,
            batch_size=batch_size,
            seed=self.seed,
            loss=self._watched(model, loss, self.updates(batch_size)),
            whole_vocabulary=whole_vocabulary,
            carries=carries,
            checkpoint=checkpoint,
            beside=beside,
            rates=rates,
            on_update=self._updated,
        )
        if history.micro_batches:
            self.notes["micro_batches"] = [list(pair) for pair in history.micro_batches]
        self.notes["best_step"] = history.best_step
        self.notes["curve"] = [[step, round(dev, 6)] for step, dev in history.curve]
        self.notes["losses"] = [round(value, 6) for value in history.losses]
        return history

    def _watched(self, model: TaskModel, loss: Loss | None, updates: int) -> Loss:
        """Return the loss to train by, the model's own unless given; a watched kit looks at it."""
        return loss or model.loss

    def _updated(self, step: int) -> None:
        """Nothing: a kit that is watched tells of it."""

    def _dev_score(self, model: TaskModel) -> float:
        dev = self._split.dev
        model.settle(dev)
        return score_on(self._task, dev, model.predict(dev))[self._task.metric]
