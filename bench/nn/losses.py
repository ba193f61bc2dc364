"""Losses as pure functions of tensors, each with its equation. Axes: B batch, C classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, stack


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Compute the mean of -log softmax(scores)[label]; prompt-distiller, eq. 1-2, smash, 3.1.

    Args:
        scores: [B, C], any real numbers.
        labels: [B], class indices.
    """
    return F.cross_entropy(scores, labels)


def interpolation_kl(scores: Tensor, values: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Compute regression's KL loss, interpolated between two opposing words; smash, section 3.1.

    p_pred = softmax(scores), p_gold = [(u - y) / (u - l), (y - l) / (u - l)]; the loss is the mean
    over the batch of sum p_gold log(p_gold / p_pred). The paper writes KL(p_pred | p_gold); read
    with p_pred in front it is infinite at y = l and y = u, so gold stands in front here, as in
    LM-BFF.

    Args:
        scores: [B, 2], for the lower and the upper word.
        values: [B], within the bounds.
        bounds: l and u.
    """
    lower, upper = bounds
    share = ((values - lower) / (upper - lower)).to(scores.dtype)
    return F.kl_div(scores.log_softmax(-1), stack([1 - share, share], -1), reduction="batchmean")


def bounded_mse(outputs: Tensor, values: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Compute the mean squared error of `outputs` [B] to `values` [B] scaled to 0..1."""
    lower, upper = bounds
    return F.mse_loss(outputs, ((values - lower) / (upper - lower)).to(outputs.dtype))


def weighted_average(each: Tensor, weights: Tensor) -> Tensor:
    """Return sum_j w_j L_j / sum_j w_j for losses and weights [L]; thesis, eq. 3.6 has w_j = j."""
    weights = weights.to(each)
    return (weights * each).sum() / weights.sum()


def soft_cross_entropy(scores: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the cross-entropy to a softened teacher; smash, eq. 1, prompt-distiller, eq. 3-4.

    q = softmax(targets / T), s = softmax(scores); the mean over the batch of -sum_c q_c log s_c.
    The student is not softened.

    Args:
        scores: [B, C], the student's.
        targets: [B, C], the teacher's: logits, or log-probabilities, which differ from them by a
            constant a row.
        temperature: T.
    """
    return F.cross_entropy(scores, (targets / temperature).softmax(-1))


def distillation_kl(scores: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
    """Compute T^2 KL(softmax(targets / T) || softmax(scores / T)) (Hinton et al., 2015).

    The mean over the batch; T^2 keeps the gradient's size when T changes. thesis, eq. 4.2 has T =
    1.

    Args:
        scores: [B, C], the student's.
        targets: [B, C], the teacher's logits or log-probabilities.
        temperature: T.
    """
    given, wanted = (scores / temperature).log_softmax(-1), (targets / temperature).log_softmax(-1)
    return temperature**2 * F.kl_div(given, wanted, reduction="batchmean", log_target=True)


def softened_mse(scores: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
    """Compute T^2 MSE(softmax(scores / T), softmax(targets / T)), both of [B, C].

    MetaDistil's soft loss in its reference implementation; arguments as in `distillation_kl`.
    """
    return temperature**2 * F.mse_loss(
        (scores / temperature).softmax(-1), (targets / temperature).softmax(-1)
    )


def logit_mse(scores: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
    """Compute MSE(scores, targets), both logits of [B, C]; thesis, section 5.3.1.

    Kim et al., 2021, eq. 3. T^2 MSE(scores / T, targets / T) is the same for every T: the
    temperature cancels, and is taken only so that the arguments are those of `distillation_kl`.
    """
    return F.mse_loss(scores, targets)


def patient_mse(states: Tensor, wanted: Tensor) -> Tensor:
    """Compute the mean squared difference of normalised hidden states [..., d] (Sun et al., 2019).

    The paper adds up ||h_s / |h_s| - h_t / |h_t| ||^2 over examples and layers; its code takes the
    mean over all numbers, and the weights of 10 to 1000 that it searches are meant for that: so
    here.
    """
    return F.mse_loss(F.normalize(states, dim=-1), F.normalize(wanted, dim=-1))


def contrastive(own: Tensor, wanted: Tensor, labels: Tensor, *, log: bool, crossed: bool) -> Tensor:
    """Return the contrastive loss of two models' probabilities; prompt-distiller, eq. 5-7.

    The matching score of a student's and a teacher's probabilities is f(s, t) = exp(s . t): with s
    and t each the mean over a model's probes, that is eq. 5. An example's negatives N(x) are those
    of the batch with another label; one without negatives adds nothing, and the loss is the mean
    over the others of -f(s_x, t_x) / sum_N f, or of -log of that ratio.

    Args:
        own: s, [B, C].
        wanted: t, [B, C].
        labels: [B], given or guessed.
        log: whether the logarithm is taken, as in contrastive predictive coding, on which the paper
            builds; in print eq. 6 has none.
        crossed: a negative x' counts f(s_x, t_x'), the student on x against the teacher on x';
            otherwise f(s_x', t_x'), as printed.
    """
    scores = own @ wanted.T
    negative = labels[:, None] != labels[None, :]
    some = negative.any(1)
    if not some.any():
        return scores.sum() * 0
    matched = scores.diagonal()
    others = scores if crossed else matched.expand_as(scores)
    ratio = matched[some] - others[some].masked_fill(~negative[some], float("-inf")).logsumexp(1)
    return -(ratio if log else ratio.exp()).mean()


def hidden_mse(states: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Return sum_m MSE(H_m, H_g(m)) over the embeddings and all layers; smash, eq. 3.

    g(m) = m M_tea / M_stu, rounded down where that is no whole number.

    Args:
        states: the student's, M_stu + 1 of [N, d]; those of the embeddings first.
        wanted: the teacher's, M_tea + 1 of them.
    """
    ours, theirs = len(states) - 1, len(wanted) - 1
    return stack(
        [F.mse_loss(own, wanted[m * theirs // ours]) for m, own in enumerate(states)]
    ).sum()


def attention_mse(maps: Sequence[Tensor], wanted: Sequence[Tensor], real: Tensor) -> Tensor:
    """Compute sum_m sum_h MSE(A_mh, A_g(m)h), with g as in `hidden_mse`; smash, eq. 4.

    The mean is over the pairs of tokens of the batch's sequences: padding counts for nothing.

    Args:
        maps: the student's attention probabilities, M_stu of [S, h, T, T].
        wanted: the teacher's, M_tea of them.
        real: [S, T], false where a place is padding.
    """
    ours, theirs = len(maps), len(wanted)
    pairs = (real[:, :, None] & real[:, None, :])[:, None]
    gaps = [own - wanted[m * theirs // ours - 1] for m, own in enumerate(maps, 1)]
    return stack([(gap.square() * pairs).sum() for gap in gaps]).sum() / pairs.sum()


def masked_distillation(
    scores: Tensor, targets: Tensor, answers: Tensor, states: Tensor, wanted: Tensor
) -> Tensor:
    """Compute 5 L_ce + 2 L_mlm + L_cos of masked words (Sanh et al., 2019; smash, A.1).

    It is the fifth setting of smash, section 4.3.

    L_ce softens both sides at temperature 2 and L_cos is 1 - cos(h_s, h_t), as DistilBERT's code
    has them.

    Args:
        scores: [M, V], the student's at M masked places.
        targets: [M, V], the teacher's logits.
        answers: [M], the words that stood there.
        states: [M, d], the student's last hidden states.
        wanted: [M, d], the teacher's.
    """
    cosine = F.cosine_similarity(states, wanted, dim=-1).mean()
    return (
        5 * distillation_kl(scores, targets, 2.0)
        + 2 * cross_entropy(scores, answers)
        + (1 - cosine)
    )
