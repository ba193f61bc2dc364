"""Train a teacher by second derivatives, through its student's trial update (torch.func).

The trial update is a function of weights and touches no model: there is nothing to copy and nothing
to restore. A quiz set is cut from train for it, so that dev stays for selection alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import mean

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.lr_scheduler import LinearLR

from fewbench.data.split import stratum
from fewbench.errors import BenchError
from fewbench.nn.optimizer import Optimizer
from fewbench.registry.protocol import Protocol
from fewbench.types import Example, Split, Task

Weights = dict[str, Tensor]


def inner_update(loss: Callable[[Weights], Tensor], weights: Weights, lr: float) -> Weights:
    """Return theta - lambda d loss / d theta, differentiable again: thesis eq. 5.2."""
    slopes = grad(loss)(weights)
    return {name: weight - lr * slopes[name] for name, weight in weights.items()}


def meta_gradient(
    lesson: Callable[[Weights, Weights], Tensor],
    quiz: Callable[[Weights], Tensor],
    student: Weights,
    teacher: Weights,
    lr: float,
) -> tuple[Weights, Tensor]:
    """Return the teacher's gradient of the quiz loss after one lesson, and that loss: eq. 5.3.

    Args:
        lesson: the student's loss L_S by the student's and the teacher's weights.
        quiz: the task's loss on quiz examples by the student's weights.
        student: theta_S.
        teacher: theta_T.
        lr: lambda, of the student's update.
    """

    def quiz_loss(meta: Weights) -> Tensor:
        return quiz(inner_update(lambda weights: lesson(weights, meta), student, lr))

    gradient, loss = grad_and_value(quiz_loss)(teacher)
    return gradient, loss


class MetaTeacher:
    """A teacher trained on its student's quiz after one lesson: thesis Algorithm 1, lines 3-6.

    Args:
        teacher: trained in place where it requires gradients, in evaluation mode as in the
            reference implementation.
        student: read, never changed.
        lr: mu, the teacher's learning rate at the start: AdamW, clipped, falling to 0 (the
            reference implementation).
        inner_lr: lambda, that of the student's trial update, which is plain gradient descent (eq.
            5.2).
        steps: the number of updates.
    """

    def __init__(
        self, teacher: nn.Module, student: nn.Module, *, lr: float, inner_lr: float, steps: int
    ) -> None:
        self._trained = {
            f"teacher.{name}": p for name, p in teacher.named_parameters() if p.requires_grad
        }
        teacher.requires_grad_(False).eval()  # a lesson outside `update` is the student's alone
        self.student = student
        self.inner_lr = inner_lr
        self._both = _Both(teacher, student)
        adamw = torch.optim.AdamW(self._trained.values(), lr=lr, weight_decay=0.0, fused=True)
        self._optimizer = Optimizer(adamw, LinearLR(adamw, 1.0, 0.0, steps), max_norm=1.0)
        self._losses: list[Tensor] = []
        self._scores: list[tuple[float, float]] = []

    def update(self, lesson: Callable[[], Tensor], quiz: Callable[[], Tensor]) -> None:
        """Update the teacher once; the student stays as it is.

        Args:
            lesson: the student's loss, by the two models.
            quiz: the student's loss on quiz examples; it is run without dropout.
        """
        slopes, loss = self.slopes(lesson, quiz)
        for name, weight in self._trained.items():
            weight.grad = slopes[name]
        self._optimizer.step()
        self._losses.append(loss.detach())

    def score(self, evaluate: Callable[[], float], protocol: Protocol) -> None:
        """Score the teacher on dev after the updates at which its student is scored."""
        step = len(self._losses)
        if step % protocol.eval_every == 0 or step == protocol.max_steps:
            self._scores.append((step, evaluate()))

    def state_dict(self) -> Weights:
        """Return the teacher's weights, the optimizer's moments, quiz losses and dev scores."""
        losses = torch.stack(self._losses) if self._losses else torch.zeros(0)
        scores = torch.tensor(self._scores, dtype=torch.float64).reshape(-1, 2)
        return self._optimizer.state_dict() | {"losses": losses, "scores": scores}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `state_dict` returned."""
        self._losses = list(state["losses"].unbind())
        self._scores = [(step, score) for step, score in state["scores"].tolist()]
        self._optimizer.load_state_dict(state)

    def curve(self) -> list[list[float]]:
        """Return the teacher's dev score by update, as a student's curve is in its record."""
        return [[int(step), round(score, 6)] for step, score in self._scores]

    def quiz_losses(self) -> dict[str, float]:
        """Return the mean quiz losses of the first and last tenth of the updates (at least one)."""
        losses = torch.stack(self._losses).tolist()
        tenth = -(-len(losses) // 10)
        return {
            "first_loss": round(mean(losses[:tenth]), 6),
            "last_loss": round(mean(losses[-tenth:]), 6),
        }

    def slopes(
        self, lesson: Callable[[], Tensor], quiz: Callable[[], Tensor]
    ) -> tuple[Weights, Tensor]:
        """Return the meta-gradient by `teacher.NAME`, and the quiz loss; see `update`."""
        both = self._both
        parameters = both.student.named_parameters()
        student = {f"student.{n}": p.detach() for n, p in parameters if p.requires_grad}
        teacher = {name: weight.detach() for name, weight in self._trained.items()}
        with sdpa_kernel(SDPBackend.MATH):  # the fast attention has no second derivative
            return meta_gradient(
                lambda weights, meta: functional_call(both, (weights, meta), (lesson,)),
                lambda weights: functional_call(both, weights, (lambda: self._evaluate(quiz),)),
                student,
                teacher,
                self.inner_lr,
            )

    def _evaluate(self, quiz: Callable[[], Tensor]) -> Tensor:
        was_training = self.student.training
        self.student.eval()
        try:
            return quiz()
        finally:
            self.student.train(was_training)


class _Both(nn.Module):
    """Two models as one module, so that a function of both can be run with other weights."""

    def __init__(self, teacher: nn.Module, student: nn.Module) -> None:
        super().__init__()
        self.teacher, self.student = teacher, student

    def forward(self, run: Callable[[], Tensor]) -> Tensor:
        return run()


def cut_quiz(task: Task, split: Split, share: float) -> tuple[Split, tuple[Example, ...]]:
    """Cut a share of the train examples out of a split at random; return the rest and those.

    The split's seed draws them. Each label (each half of the bounds) gives its share, rounded, and
    at least one unless it has only one.

    Raises:
        BenchError: no label has two examples.
    """
    rng = np.random.default_rng(split.seed)
    groups: dict[int, list[int]] = {}
    for row in rng.permutation(len(split.train)):
        groups.setdefault(stratum(task, split.train[row]), []).append(int(row))
    counts = {
        label: min(max(1, round(share * len(rows))), len(rows) - 1)
        for label, rows in groups.items()
    }
    quiz: set[int] = set()
    for label, rows in groups.items():
        quiz.update(rows[: counts[label]])
    if not quiz:
        raise BenchError(
            f"{split.task}: no label has an example to spare for a quiz",
            fix="K of 2 or more: --k 16",
        )
    rest = tuple(example for row, example in enumerate(split.train) if row not in quiz)
    return replace(split, train=rest), tuple(split.train[row] for row in sorted(quiz))


def check_quiz(share: float) -> None:
    """Refuse a quiz of no example or of all."""
    if not 0 < share < 1:
        raise BenchError(
            f"quiz={share}", allowed="a share of train between 0 and 1", fix="quiz=0.1"
        )
