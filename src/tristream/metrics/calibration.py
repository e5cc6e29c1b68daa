"""Calibration: logits become probabilities at even odds, and thresholds with a stated error rate are read from ranks.

The light runtime imports this file: at module level it needs numpy and pydantic only.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from tristream.config import StrictModel
from tristream.errors import MissingExtraError, UndefinedMetricError, UsageError

# N pictures

Float64 = npt.NDArray[np.float64]


class Calibration(StrictModel):
    """What a detector learned from reserved pictures, of photo sources and generators that nothing was trained on."""

    slope: float = Field(gt=0)
    """P(fake) = sigmoid(slope * logit + intercept) for a picture that is as likely real as fake."""
    intercept: float
    balanced_accuracy_threshold: float
    """Logit at or above which a picture counts as fake in metrics: best balanced accuracy on the reserved pictures."""
    real_logits: tuple[float, ...] = Field(min_length=1)
    """Logits of the reserved reals, ascending."""
    fake_logits: tuple[float, ...] = Field(min_length=1)
    """Logits of the reserved fakes, ascending."""
    source: str
    """In words: which pictures, of how many photo sources and generators."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        for name, logits in (("real_logits", self.real_logits), ("fake_logits", self.fake_logits)):
            if list(logits) != sorted(logits):
                raise ValueError(f"{name} are not in ascending order")
        return self

    def probability(self, logits: npt.ArrayLike) -> Float64:
        """P(fake) at even odds, in [0, 1], of the same shape as `logits`."""
        return np.asarray(0.5 + 0.5 * np.tanh((self.slope * np.asarray(logits, np.float64) + self.intercept) / 2))

    def fake_threshold(self, false_alarm_rate: float) -> float:
        """Logit that a real exceeds with a chance of at most `false_alarm_rate`; call fake what lies strictly above it.

        The ceil((n + 1)(1 - rate))-th of the n reserved reals, ascending (split conformal prediction; Vovk et al.
        2005): it holds for a new real that is exchangeable with them. Raises UsageError for a rate outside (0, 1) or
        below 1/(n + 1).
        """
        return self.real_logits[_rank(false_alarm_rate, len(self.real_logits), "false-alarm rate", "reals") - 1]

    def real_threshold(self, miss_rate: float) -> float:
        """Logit that a fake falls short of with a chance of at most `miss_rate`; call real what lies strictly below it.

        The mirror of `fake_threshold` on the reserved fakes. It can lie above `fake_threshold`: between the two, both
        hold and neither verdict is supported. Raises UsageError for a rate outside (0, 1) or below 1/(n + 1).
        """
        return self.fake_logits[-_rank(miss_rate, len(self.fake_logits), "miss rate", "fakes")]


def _rank(rate: float, n: int, name: str, pictures: str) -> int:
    """Conservative rank, 1..n, of the order statistic that at most `rate` of new draws exceed."""
    if not 0 < rate < 1:
        raise UsageError(f"a {name} lies between 0 and 1, got {rate}")
    rank = max(1, math.ceil((n + 1) * (1 - rate) - 1e-9))  # 20 * (1 - 0.05) must not round up to 20
    if rank > n:
        raise UsageError(
            f"a {name} of {rate:g} cannot be promised from {n} reserved {pictures}: the smallest possible is "
            f"{math.ceil(1e6 / (n + 1)) / 1e6:g}; ask for that or calibrate on more pictures"
        )
    return rank


def fit_calibration(logit_N: npt.ArrayLike, label_N: npt.ArrayLike, *, source: str) -> Calibration:
    """Calibrate on reserved pictures.

    logit_N: f64[N]; label_N: i64[N], 0 real, 1 fake; source: in words, which pictures these are.
    Platt scaling (Platt 1999) with his smoothed targets, so that separable logits give a finite slope. What we
    changed: each class carries half of the mass, so the probability is stated at even odds whatever the corpus's
    share of fakes. Raises UndefinedMetricError for one class, UsageError where fakes do not score above reals,
    MissingExtraError without the data extra.
    """
    try:
        from scipy.optimize import minimize

        from tristream.metrics.binary import best_balanced_accuracy_threshold, checked
    except ImportError:
        raise MissingExtraError("calibration", "data") from None
    logit, label = checked(logit_N, label_N)
    n_real, n_fake = int((label == 0).sum()), int((label == 1).sum())
    if not n_real or not n_fake:
        raise UndefinedMetricError(f"calibration needs both classes, got {n_real} reals and {n_fake} fakes")
    weight = np.where(label == 1, 0.5 / n_fake, 0.5 / n_real)
    target = np.where(label == 1, (n_fake + 1) / (n_fake + 2), 1 / (n_real + 2))
    centre, spread = float(logit.mean()), float(logit.std()) or 1.0
    standard = (logit - centre) / spread

    def cross_entropy(parameters: Float64) -> tuple[float, Float64]:
        z = parameters[0] * standard + parameters[1]
        error = weight * (0.5 + 0.5 * np.tanh(z / 2) - target)
        return float((weight * (np.logaddexp(0, z) - target * z)).sum()), np.array(
            [(error * standard).sum(), error.sum()]
        )

    slope, intercept = minimize(cross_entropy, np.zeros(2), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    if slope <= 1e-6:
        raise UsageError(
            f"the detector does not score these fakes above these reals (slope {slope / spread:.3g}): "
            "it cannot be calibrated on them"
        )
    return Calibration(
        slope=float(slope / spread),
        intercept=float(intercept - slope * centre / spread),
        balanced_accuracy_threshold=best_balanced_accuracy_threshold(logit, label),
        real_logits=tuple(np.sort(logit[label == 0]).tolist()),
        fake_logits=tuple(np.sort(logit[label == 1]).tolist()),
        source=source,
    )
