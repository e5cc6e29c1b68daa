"""Selective prediction: how much is answered, and how often the answers are wrong, for a detector that may abstain.

As in `resampled`, a row of multiplicities counts_RN is a resample of the pictures; a row of ones is the pictures
themselves. Coverage and error are at even odds: each class carries half of the mass, as in the calibrated probability,
so at full coverage the error is 1 - balanced accuracy, and it stays defined where one class is never answered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tristream.metrics.answers import answers
from tristream.metrics.binary import checked_classes, probability_bin
from tristream.metrics.resampled import even_odds
from tristream.typing import Float64

# R resamples, N pictures, K steps of the curve, B bins


@dataclass(frozen=True)
class AnswerRates:
    """Shares of each class by what it is called, and what follows from them, each f64[R] in [0, 1].

    The rest of a class is `unsure`.
    """

    real_called_fake_R: Float64
    real_called_real_R: Float64
    fake_called_fake_R: Float64
    fake_called_real_R: Float64

    @property
    def false_alarm_rate(self) -> Float64:
        """Reals called fake, of all reals: those that are abstained on count as no alarm."""
        return self.real_called_fake_R

    @property
    def miss_rate(self) -> Float64:
        """Fakes called real, of all fakes: those that are abstained on count as no miss."""
        return self.fake_called_real_R

    @property
    def coverage(self) -> Float64:
        """Share of pictures that are answered, at even odds."""
        return (self.real_coverage + self.fake_coverage) / 2

    @property
    def real_coverage(self) -> Float64:
        """Share of the reals that are answered."""
        return self.real_called_fake_R + self.real_called_real_R

    @property
    def fake_coverage(self) -> Float64:
        """Share of the fakes that are answered."""
        return self.fake_called_fake_R + self.fake_called_real_R

    @property
    def selective_error(self) -> Float64:
        """Share of wrong answers among the answers, at even odds; NaN where nothing is answered."""
        return _ratio(self.real_called_fake_R + self.fake_called_real_R, 2 * self.coverage)


def confidence(logit_N: npt.ArrayLike, threshold: float, far_N: npt.ArrayLike) -> Float64:
    """f64[N]: distance of the logit from the threshold; those of far pictures, bool[N], lie below all others.

    >>> confidence([-3.0, 1.0, 2.0], 0.0, [True, False, False]).tolist()
    [-1.0, 1.0, 2.0]
    """
    gap_N = np.abs(np.asarray(logit_N, np.float64) - threshold)
    return np.asarray(gap_N - np.asarray(far_N, np.bool_) * (gap_N.max(initial=0) + 1))


def answer_rates(
    counts_RN: Float64,
    logit_N: npt.ArrayLike,
    label_N: npt.ArrayLike,
    fake_threshold: float,
    real_threshold: float,
    far_N: npt.ArrayLike | None = None,
) -> AnswerRates:
    """What each class is called at two logit thresholds, in every resample; nothing that is far, bool[N], is answered.

    Raises UndefinedMetricError when only one class is present.
    """
    logit, label = checked_classes(logit_N, label_N)
    called_N = answers(logit, fake_threshold, real_threshold, far_N)
    columns = np.stack([(label == truth) & (called_N == call) for truth, call in ((0, 1), (0, 0), (1, 1), (1, 0))])
    size_R = {truth: counts_RN @ (label == truth) for truth in (0, 1)}
    found = counts_RN @ columns.T.astype(np.float64)
    return AnswerRates(
        found[:, 0] / size_R[0], found[:, 1] / size_R[0], found[:, 2] / size_R[1], found[:, 3] / size_R[1]
    )


@dataclass(frozen=True)
class Reliability:
    """Pictures in bins of equal width over P(fake), at even odds."""

    mass_RB: Float64
    """f64[R, B], share of all pictures that lie in the bin and are answered."""
    probability_RB: Float64
    """f64[R, B], their mean P(fake); NaN in an empty bin."""
    fake_RB: Float64
    """f64[R, B], the share of fakes among them; NaN in an empty bin."""

    @property
    def calibration_error(self) -> Float64:
        """f64[R], expected calibration error of the answered pictures; NaN where nothing is answered."""
        gap_RB = np.nan_to_num(np.abs(self.probability_RB - self.fake_RB))
        answered_R = self.mass_RB.sum(axis=1)
        return _ratio((gap_RB * self.mass_RB).sum(axis=1), answered_R)


def reliability(
    counts_RN: Float64,
    probability_N: npt.ArrayLike,
    label_N: npt.ArrayLike,
    answered_N: npt.ArrayLike | None = None,
    *,
    bins: int = 15,
) -> Reliability:
    """What a reliability diagram shows of the answered pictures (of all where answered_N, bool[N], is None).

    With all answered, the calibration error is that of `binary.expected_calibration_error` at even odds. Raises
    UndefinedMetricError when only one class is present.
    """
    probability, label = checked_classes(probability_N, label_N)
    answered = np.ones(label.size) if answered_N is None else np.asarray(answered_N, np.float64)
    in_bin_NB = np.eye(bins)[probability_bin(probability, bins)] * answered[:, None]
    weights_RN = even_odds(counts_RN, label)
    mass_RB = weights_RN @ in_bin_NB
    return Reliability(
        mass_RB=mass_RB,
        probability_RB=_ratio((weights_RN * probability) @ in_bin_NB, mass_RB),
        fake_RB=_ratio((weights_RN * label) @ in_bin_NB, mass_RB),
    )


def _ratio(part: Float64, whole: Float64) -> Float64:
    """NaN where the whole is empty."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


class RiskCoverage:
    """The curve of the error among the most confident pictures over the share that they are (El-Yaniv & Wiener 2010).

    Both at even odds. Pictures of equal confidence are answered together or not at all.
    """

    def __init__(
        self,
        logit_N: npt.ArrayLike,
        label_N: npt.ArrayLike,
        threshold: float,
        confidence_N: npt.ArrayLike | None = None,
    ) -> None:
        """threshold: a logit at or above it is called fake; confidence_N: f64[N], by default its distance from there.

        Raises UndefinedMetricError when only one class is present.
        """
        logit, self._label_N = checked_classes(logit_N, label_N)
        confidence = np.abs(logit - threshold) if confidence_N is None else np.asarray(confidence_N, np.float64)
        self._wrong_N = ((logit >= threshold) != self._label_N).astype(np.float64)
        self._order_N = np.argsort(-confidence, kind="stable")
        falling_N = confidence[self._order_N]
        self._last_K = np.flatnonzero(np.append(falling_N[1:] != falling_N[:-1], True))

    def __call__(self, counts_RN: Float64) -> tuple[Float64, Float64]:
        """Coverage and error, each f64[R, K] in [0, 1], from the most confident pictures to all."""
        mass_RN = even_odds(counts_RN, self._label_N)
        coverage_RK = mass_RN[:, self._order_N].cumsum(axis=1)[:, self._last_K]
        wrong_RK = (mass_RN * self._wrong_N)[:, self._order_N].cumsum(axis=1)[:, self._last_K]
        error_RK = np.divide(wrong_RK, coverage_RK, out=np.zeros_like(wrong_RK), where=coverage_RK > 0)
        return coverage_RK, error_RK

    def curve(self) -> tuple[Float64, Float64]:
        """Coverage and error, each f64[K], of the pictures themselves."""
        coverage_RK, error_RK = self(np.ones((1, self._label_N.size)))
        return coverage_RK[0], error_RK[0]

    def area(self, counts_RN: Float64) -> Float64:
        """f64[R], AURC: the error averaged over the coverages that can be had (Geifman et al. 2019). In [0, 1].

        0 when nothing is wrong; the error at full coverage where confidence says nothing; lower is better.
        """
        coverage_RK, error_RK = self(counts_RN)
        return np.asarray((np.diff(coverage_RK, axis=1, prepend=0) * error_RK).sum(axis=1))
