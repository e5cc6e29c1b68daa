"""Calibration: logits become probabilities at even odds, and thresholds with a stated error rate are read from ranks.

A detector meets new photo sources and new generators, so these are the units that a promise has to rest on: pictures of
one source resemble each other. Where the reserved sources are too few for a rate, the threshold is what was measured on
the reserved pictures, and `guaranteed` says so. The light runtime imports this file: at module level it needs numpy and
pydantic only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from tristream.config import StrictModel
from tristream.errors import MissingExtraError, UndefinedMetricError, UsageError
from tristream.metrics.answers import answers
from tristream.metrics.reserved import GroupVerdicts, ReservedVerdicts
from tristream.typing import Float64

# N pictures, S sources or generators

Claim = Literal["likely_fake", "likely_real"]


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
    real_sources: tuple[str, ...] = ()
    """Photo source of each of `real_logits`; empty where it was not recorded."""
    fake_generators: tuple[str, ...] = ()
    """Generator of each of `fake_logits`; empty where it was not recorded."""
    shared: tuple[str, ...] | None = None
    """Those of the photo sources and generators that other splits hold, too; None where it was not recorded."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, logits in (("real_logits", self.real_logits), ("fake_logits", self.fake_logits)):
            if list(logits) != sorted(logits):
                raise ValueError(f"{name} are not in ascending order")
        for name, groups, logits in (
            ("real_sources", self.real_sources, self.real_logits),
            ("fake_generators", self.fake_generators, self.fake_logits),
        ):
            if len(groups) not in (0, len(logits)):
                raise ValueError(f"{name}: {len(groups)} names for {len(logits)} logits")
        return self

    @property
    def n_sources(self) -> int | None:
        """Number of photo sources among the reserved reals; None where it was not recorded."""
        return len(set(self.real_sources)) or None

    @property
    def n_generators(self) -> int | None:
        """Number of generators among the reserved fakes; None where it was not recorded."""
        return len(set(self.fake_generators)) or None

    def probability(self, logits: npt.ArrayLike) -> Float64:
        """P(fake) at even odds, in [0, 1], of the same shape as `logits`."""
        return np.asarray(0.5 + 0.5 * np.tanh((self.slope * np.asarray(logits, np.float64) + self.intercept) / 2))

    def fake_threshold(self, false_alarm_rate: float) -> float:
        """Logit that a real exceeds with a chance of at most `false_alarm_rate`; call fake what lies strictly above it.

        For whom that holds, `guaranteed` says. With S photo sources and a rate of 1/(S + 1) or more, for a picture of
        a new photo source that is exchangeable with them (hierarchical conformal prediction; Lee, Barber & Willett
        2023): each source has the same mass, and one more stands for the new one, whose pictures may score anything.
        Else the ceil((n + 1)(1 - rate))-th of the n reserved reals, ascending (split conformal prediction; Vovk et
        al. 2005), which holds for a new picture of the same sources. Raises UsageError for a rate outside (0, 1) or
        below 1/(n + 1).
        """
        return _threshold(self.real_logits, self.real_sources, false_alarm_rate, "false-alarm rate", "reals")

    def real_threshold(self, miss_rate: float) -> float:
        """Logit that a fake falls short of with a chance of at most `miss_rate`; call real what lies strictly below it.

        The mirror of `fake_threshold` on the reserved fakes and their generators. It can lie above `fake_threshold`:
        between the two, both hold and neither verdict is supported. Raises UsageError as `fake_threshold` does.
        """
        mirrored = tuple(-logit for logit in reversed(self.fake_logits))
        return -_threshold(mirrored, self.fake_generators[::-1], miss_rate, "miss rate", "fakes")

    def guaranteed(self, claim: Claim, rate: float) -> bool:
        """Whether the rate is promised for a new photo source (of `likely_fake`) or a new generator (`likely_real`).

        False: it was measured on the reserved pictures, and a new source or generator can be worse.
        """
        return _enough(self.n_sources if claim == "likely_fake" else self.n_generators, rate)

    def reals_as_high(self, logit: float) -> int:
        """How many of the reserved reals score `logit` or more."""
        return len(self.real_logits) - int(np.searchsorted(self.real_logits, logit, "left"))

    def fakes_as_low(self, logit: float) -> int:
        """How many of the reserved fakes score `logit` or less."""
        return int(np.searchsorted(self.fake_logits, logit, "right"))

    def verdicts(self, fake_threshold: float, real_threshold: float) -> ReservedVerdicts:
        """What the reserved pictures would be called at these thresholds, by the score alone."""
        return ReservedVerdicts(
            reals=_called(self.real_logits, self.real_sources, fake_threshold, real_threshold),
            fakes=_called(self.fake_logits, self.fake_generators, fake_threshold, real_threshold),
        )


def _threshold(logits: Sequence[float], groups: Sequence[str], rate: float, name: str, pictures: str) -> float:
    """The least of `logits`, ascending, that at most `rate` of new draws exceed, by groups where these are enough."""
    rank = _rank(rate, len(logits), name, pictures)
    sizes = Counter(groups)
    if not _enough(len(sizes), rate):
        return logits[rank - 1]
    mass = np.cumsum([1 / ((len(sizes) + 1) * sizes[group]) for group in groups])
    return logits[int(np.searchsorted(mass, 1 - rate - 1e-9))]


def _enough(groups: int | None, rate: float) -> bool:
    """Whether so many exchangeable groups can promise `rate` for a new one."""
    return bool(groups) and rate * ((groups or 0) + 1) >= 1 - 1e-9


def _called(logits: Sequence[float], groups: Sequence[str], fake: float, real: float) -> tuple[GroupVerdicts, ...]:
    """Verdicts per group, by name; one nameless group where groups were not recorded."""
    called, group = answers(logits, fake, real), np.asarray(groups or [""] * len(logits))
    return tuple(
        GroupVerdicts(
            name=str(name),
            pictures=int((group == name).sum()),
            likely_fake=int(((called == 1) & (group == name)).sum()),
            likely_real=int(((called == 0) & (group == name)).sum()),
        )
        for name in np.unique(group)
    )


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


def fit_calibration(
    logit_N: npt.ArrayLike,
    label_N: npt.ArrayLike,
    *,
    source: str,
    group_N: Sequence[str] | None = None,
    shared: Sequence[str] | None = None,
) -> Calibration:
    """Calibrate on reserved pictures.

    logit_N: f64[N]; label_N: i64[N], 0 real, 1 fake; source: in words, which pictures these are; group_N: the photo
    source of each real and the generator of each fake; shared: those of them that other splits hold, too.
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
    order = np.argsort(logit, kind="stable")
    real, fake = order[label[order] == 0], order[label[order] == 1]
    return Calibration(
        slope=float(slope / spread),
        intercept=float(intercept - slope * centre / spread),
        balanced_accuracy_threshold=best_balanced_accuracy_threshold(logit, label),
        real_logits=tuple(logit[real].tolist()),
        fake_logits=tuple(logit[fake].tolist()),
        source=source,
        real_sources=() if group_N is None else tuple(str(group_N[i]) for i in real),
        fake_generators=() if group_N is None else tuple(str(group_N[i]) for i in fake),
        shared=None if shared is None else tuple(shared),
    )
