"""The metrics of `binary` for many resamples at once: a resample is a row of multiplicities over the same pictures.

The pictures are sorted once and every resample is a cumulative sum, so a thousand resamples of 3,000 pictures take a
fraction of a second. With all multiplicities 1 each function equals its namesake in `binary`, and with integers it
equals that on repeated rows; tests hold both together. Every resample must keep what the metric needs (both classes,
as a rule).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tristream.metrics.binary import checked, probability_bin
from tristream.typing import Float64

# R resamples, N pictures, K thresholds, F fakes, G generators

Statistic = Callable[[Float64], Float64]
"""counts_RN, f64[R, N], how often each resample holds each picture -> f64[R] or f64[R, number of figures]."""


@dataclass(frozen=True)
class Ranked:
    """Cumulative counts at falling thresholds: column 0 lies above all scores, the last at the lowest.

    Thresholds at which a resample's ROC curve cannot bend are left out.
    """

    real_RK: Float64
    """f64[R, K + 1], reals at or above the threshold; the last column holds all."""
    fake_RK: Float64
    """f64[R, K + 1], fakes at or above the threshold; the last column holds all."""


class Ranking:
    """Scores sorted once; calling it with counts_RN, f64[R, N], gives the ROC counts of every resample."""

    def __init__(self, score_N: npt.ArrayLike, label_N: npt.ArrayLike) -> None:
        score, label = checked(score_N, label_N)
        self._order_N = np.argsort(-score, kind="stable")
        falling_N = score[self._order_N]
        self._is_fake_N = label[self._order_N].astype(np.float64)
        last = np.flatnonzero(np.append(falling_N[1:] != falling_N[:-1], True))
        has_fake = np.diff(self._is_fake_N.cumsum()[last], prepend=0) > 0
        self._last_K = last[has_fake | np.append(has_fake[1:], True)]  # between reals alone the ROC is a straight line

    def __call__(self, counts_RN: Float64) -> Ranked:
        counts = counts_RN[:, self._order_N]
        both_RK, fake_RK = (np.zeros((len(counts), self._last_K.size + 1)) for _ in range(2))
        both_RK[:, 1:] = counts.cumsum(axis=1)[:, self._last_K]
        fake_RK[:, 1:] = (counts * self._is_fake_N).cumsum(axis=1)[:, self._last_K]
        return Ranked(real_RK=both_RK - fake_RK, fake_RK=fake_RK)


def auroc(ranked: Ranked) -> Float64:
    """f64[R], area under each ROC curve by trapezoids, so ties count half."""
    width = np.diff(ranked.real_RK, axis=1)
    height = (ranked.fake_RK[:, 1:] + ranked.fake_RK[:, :-1]) / 2
    return np.asarray((width * height).sum(axis=1) / (ranked.real_RK[:, -1] * ranked.fake_RK[:, -1]))


def average_precision(ranked: Ranked) -> Float64:
    """f64[R], sum of precision x gain of recall."""
    gained, found = np.diff(ranked.fake_RK, axis=1), ranked.fake_RK[:, 1:]
    called = np.maximum(found + ranked.real_RK[:, 1:], 1)  # nothing called fake: nothing gained either
    return np.asarray((gained * found / called).sum(axis=1) / ranked.fake_RK[:, -1])


def equal_error_rate(ranked: Ranked) -> Float64:
    """f64[R], interpolated between the two ROC points that bracket the crossing."""
    false_alarm_RK = ranked.real_RK / ranked.real_RK[:, -1:]
    excess_RK = false_alarm_RK + ranked.fake_RK / ranked.fake_RK[:, -1:] - 1
    after_R = np.argmax(excess_RK >= 0, axis=1)
    row = np.arange(len(after_R))
    below, above = excess_RK[row, after_R - 1], excess_RK[row, after_R]
    low, high = false_alarm_RK[row, after_R - 1], false_alarm_RK[row, after_R]
    return np.asarray(low + below / (below - above) * (high - low))


def true_positive_rate_at(ranked: Ranked, false_positive_rate: float) -> Float64:
    """f64[R], largest share of fakes found with at most that share of reals called fake, each by its own threshold."""
    allowed = (false_positive_rate + 1e-12) * ranked.real_RK[:, -1:]
    last_R = (ranked.real_RK <= allowed).sum(axis=1) - 1
    return np.asarray(ranked.fake_RK[np.arange(len(last_R)), last_R] / ranked.fake_RK[:, -1])


def oracle_accuracy(ranked: Ranked) -> Float64:
    """f64[R], share of pictures on their own side of the threshold that is best for each resample."""
    right_R = (ranked.fake_RK - ranked.real_RK).max(axis=1) + ranked.real_RK[:, -1]
    return np.asarray(right_R / (ranked.real_RK[:, -1] + ranked.fake_RK[:, -1]))


@dataclass(frozen=True)
class Confusion:
    """Counts at one threshold, each f64[R]."""

    n_real_R: Float64
    n_fake_R: Float64
    false_alarms_R: Float64
    hits_R: Float64


def confusion(counts_RN: Float64, score_N: Float64, label_N: npt.ArrayLike, threshold: float) -> Confusion:
    """Counts of each resample where score >= threshold is called fake."""
    fake_N, called_N = np.asarray(label_N) == 1, np.asarray(score_N) >= threshold
    columns = np.stack([~fake_N, fake_N, ~fake_N & called_N, fake_N & called_N], axis=1).astype(np.float64)
    return Confusion(*(counts_RN @ columns).T)


def accuracy(c: Confusion) -> Float64:
    """f64[R], share of pictures on their own side."""
    return (c.hits_R + c.n_real_R - c.false_alarms_R) / (c.n_real_R + c.n_fake_R)


def real_accuracy(c: Confusion) -> Float64:
    """f64[R], share of the reals below the threshold."""
    return 1 - c.false_alarms_R / c.n_real_R


def fake_accuracy(c: Confusion) -> Float64:
    """f64[R], share of the fakes at or above the threshold."""
    return c.hits_R / c.n_fake_R


def balanced_accuracy(c: Confusion) -> Float64:
    """f64[R], mean of the accuracy on reals and on fakes."""
    return (real_accuracy(c) + fake_accuracy(c)) / 2


def f1(c: Confusion) -> Float64:
    """f64[R], harmonic mean of precision and recall of the class fake."""
    return 2 * c.hits_R / (c.hits_R + c.false_alarms_R + c.n_fake_R)


def median(counts_RN: Float64, value_N: Float64) -> Float64:
    """f64[R], median of values that each resample repeats so often; of two middle ones their mean, as in NumPy."""
    order_N = np.argsort(value_N, kind="stable")
    upto_RN = counts_RN[:, order_N].cumsum(axis=1)
    half_R1 = upto_RN[:, -1:] / 2
    low_R, high_R = (upto_RN >= half_R1).argmax(axis=1), (upto_RN > half_R1).argmax(axis=1)
    return np.asarray((value_N[order_N][low_R] + value_N[order_N][high_R]) / 2)


def even_odds(counts_RN: Float64, label_N: npt.ArrayLike) -> Float64:
    """f64[R, N], weights in which each class carries half of each resample's mass."""
    fake_N = np.asarray(label_N, np.float64)
    n_fake_R1, n_real_R1 = (counts_RN @ fake_N)[:, None], (counts_RN @ (1 - fake_N))[:, None]
    return counts_RN * np.where(fake_N == 1, 0.5 / n_fake_R1, 0.5 / n_real_R1)


def expected_calibration_error(
    counts_RN: Float64, probability_N: Float64, label_N: npt.ArrayLike, bins: int = 15
) -> Float64:
    """f64[R], as in `binary` with even_odds."""
    gap_NB = np.eye(bins)[probability_bin(probability_N, bins)] * (probability_N - np.asarray(label_N))[:, None]
    return np.asarray(np.abs(even_odds(counts_RN, label_N) @ gap_NB).sum(axis=1))


def brier(counts_RN: Float64, probability_N: Float64, label_N: npt.ArrayLike) -> Float64:
    """f64[R], as in `binary` with even_odds."""
    return np.asarray(even_odds(counts_RN, label_N) @ (probability_N - np.asarray(label_N)) ** 2)


class GeneratorAurocs:
    """AUROC of each generator's fakes against all reals; within a resample the reals are the same for all generators.

    Calling it with counts_RN, f64[R, N], gives f64[R, G]; NaN for a generator that a resample has lost.
    """

    def __init__(self, score_N: npt.ArrayLike, label_N: npt.ArrayLike, generator_N: npt.ArrayLike) -> None:
        score, label = checked(score_N, label_N)
        self._fake_F = np.flatnonzero(label == 1)
        reals = np.flatnonzero(label == 0)
        self._real = reals[np.argsort(score[reals], kind="stable")]
        self._below_F = np.searchsorted(score[self._real], score[self._fake_F], side="left")
        self._to_F = np.searchsorted(score[self._real], score[self._fake_F], side="right")
        self.names, code_F = np.unique(np.asarray(generator_N)[self._fake_F], return_inverse=True)
        self._member_FG = np.eye(len(self.names))[code_F]

    def __call__(self, counts_RN: Float64) -> Float64:
        upto = np.pad(counts_RN[:, self._real].cumsum(axis=1), ((0, 0), (1, 0)))
        beaten_RF = (upto[:, self._below_F] + upto[:, self._to_F]) / (2 * upto[:, -1:])
        count_RF = counts_RN[:, self._fake_F]
        with np.errstate(invalid="ignore"):
            return np.asarray((count_RF * beaten_RF) @ self._member_FG / (count_RF @ self._member_FG))
