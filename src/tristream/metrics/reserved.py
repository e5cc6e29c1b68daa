"""What a verdict means where few or many pictures are fake, from the verdicts on a calibration's reserved pictures.

All pictures are in the denominator, those that are called `unsure`, too. The light runtime imports this file: it needs
numpy and pydantic only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tristream.config import StrictModel
from tristream.errors import UsageError
from tristream.typing import Float64

# R resamples, G photo sources or generators


FAKE_SHARES = (0.01, 0.10, 0.50)
"""Where 1, 10 or 50 of 100 pictures are fake."""
LEAST_GROUPS = 5
"""Fewer photo sources or generators, and no interval is given: a bootstrap of so few promises what it cannot keep."""
RESAMPLES = 1000


class GroupVerdicts(StrictModel):
    """Verdicts on the reserved pictures of one photo source or generator."""

    name: str
    """Empty where the calibration does not tell the groups apart."""
    pictures: int
    likely_fake: int
    likely_real: int


class Share(StrictModel):
    """Of the pictures that are called so, the share that is the opposite, where `fake_share` of all pictures are fake.

    `wrong` is None when no reserved picture is called so, the interval when the groups are too few.
    """

    fake_share: float
    wrong: float | None
    interval: tuple[float, float] | None
    """95 %, by bootstrap over photo sources and generators."""


class ReservedVerdicts(StrictModel):
    """Verdicts on reserved reals by photo source and on reserved fakes by generator."""

    reals: tuple[GroupVerdicts, ...]
    fakes: tuple[GroupVerdicts, ...]

    @property
    def n_real(self) -> int:
        return sum(group.pictures for group in self.reals)

    @property
    def n_fake(self) -> int:
        return sum(group.pictures for group in self.fakes)

    @property
    def false_alarms(self) -> int:
        """Reals that are called likely_fake."""
        return sum(group.likely_fake for group in self.reals)

    @property
    def misses(self) -> int:
        """Fakes that are called likely_real."""
        return sum(group.likely_real for group in self.fakes)

    def real_among_likely_fake(self, fake_share: float) -> Share:
        """Of the pictures called likely_fake, how many are real. fake_share: in (0, 1), of all pictures.

        P(likely_fake | real) counts as (false alarms + 1)/(n + 1), the least that n exchangeable pictures can promise,
        so that none seen does not mean none; P(likely_fake | fake) as measured. Raises UsageError for another share.
        """
        return _share(
            _column(self.reals, "likely_fake"), _column(self.fakes, "likely_fake"), fake_share, 1 - fake_share
        )

    def fake_among_likely_real(self, fake_share: float) -> Share:
        """Of the pictures called likely_real, how many are fake; the mirror of `real_among_likely_fake`."""
        return _share(_column(self.fakes, "likely_real"), _column(self.reals, "likely_real"), fake_share, fake_share)


def _column(groups: Sequence[GroupVerdicts], verdict: str) -> Float64:
    """f64[G, 2]: pictures of each group, and how many of them are called so."""
    return np.array([[group.pictures, getattr(group, verdict)] for group in groups], np.float64)


def _share(wrong_G2: Float64, right_G2: Float64, fake_share: float, wrong_share: float) -> Share:
    """Bayes' rule. wrong_share: how many of all pictures belong to the class that is not meant."""
    if not 0 < fake_share < 1:
        raise UsageError(f"a share of fake pictures lies between 0 and 1, got {fake_share}")

    def of(wrong_2R: Float64, right_2R: Float64) -> Float64:
        wrong = wrong_share * (wrong_2R[1] + 1) / (wrong_2R[0] + 1)
        return np.asarray(wrong / (wrong + (1 - wrong_share) * right_2R[1] / right_2R[0]))

    if not wrong_G2[:, 1].sum() + right_G2[:, 1].sum():
        return Share(fake_share=fake_share, wrong=None, interval=None)
    value = float(of(wrong_G2.sum(0), right_G2.sum(0)))
    if min(len(wrong_G2), len(right_G2)) < LEAST_GROUPS:
        return Share(fake_share=fake_share, wrong=value, interval=None)
    random = np.random.default_rng(0)
    values_R = of(_resampled(wrong_G2, random), _resampled(right_G2, random))
    low, high = np.quantile(values_R, [0.025, 0.975])
    return Share(fake_share=fake_share, wrong=value, interval=(float(low), float(high)))


def _resampled(group_G2: Float64, random: np.random.Generator) -> Float64:
    """f64[2, R]: sums over groups drawn with replacement."""
    drawn_RG = random.integers(len(group_G2), size=(RESAMPLES, len(group_G2)))
    return np.asarray(group_G2[drawn_RG].sum(1).T)
