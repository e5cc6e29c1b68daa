"""Bootstrap intervals over groups: pictures of one video, person, prompt or author are drawn together or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tristream.config import StrictModel
from tristream.errors import UsageError
from tristream.metrics import resampled
from tristream.typing import Float64

# R resamples, N pictures, G groups or generators


LEAST_GROUPS = 5
LEAST_PICTURES = 10
UNANIMOUS = "no interval: every resample gives the same value"
"""Why a figure has no interval, although there are enough pictures."""
"""Fewer groups or pictures of a class than these, and no interval is given: a bootstrap of so few promises what it
cannot keep."""
LEAST_GENERATORS = 5
_BLOCK_CELLS = 400_000  # counts of a block of resamples: 3 MB, stays in the processor's cache


class Interval(StrictModel):
    """A bootstrap interval of one number."""

    low: float
    high: float
    level: float
    resamples: int

    def holding(self, value: float) -> Interval:
        """Widened where it does not hold the value that it is of: few pictures bias resamples of some metrics."""
        return self.model_copy(update={"low": min(self.low, value), "high": max(self.high, value)})


class PairedDifference(StrictModel):
    """Metric of detector A minus metric of detector B over the same resamples of the same pictures."""

    difference: float
    interval: Interval | None
    p_value: float
    """Two-sided: twice the share of resamples on the far side of 0; not below 2/(resamples + 1)."""


def too_few(label_N: npt.ArrayLike, group_N: npt.ArrayLike) -> str | None:
    """Why no interval can be given for these pictures, or None. Looks at each class that is present."""
    label, group = np.asarray(label_N), np.asarray(group_N)
    for value, name in ((0, "real"), (1, "fake")):
        pictures, groups = int((label == value).sum()), np.unique(group[label == value]).size
        if pictures and (pictures < LEAST_PICTURES or groups < LEAST_GROUPS):
            return (
                f"no interval: {pictures} {name} pictures in {groups} groups, "
                f"it takes {LEAST_PICTURES} pictures in {LEAST_GROUPS} groups"
            )
    return None if label.size else "no pictures"


def resampled_counts(
    label_N: npt.ArrayLike, group_N: npt.ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> Iterator[Float64]:
    """Yield blocks of counts_RN, f64[R, N]: how often each resample holds each picture; `resamples` rows in all.

    Groups of reals, groups of fakes and groups that hold both are three strata; each is resampled with replacement to
    its own number of groups, so no resample loses a class. Does not depend on the order of the pictures.
    """
    label = np.asarray(label_N)
    names, group = np.unique(np.asarray(group_N), return_inverse=True)
    has_fake_G = np.bincount(group, label == 1, minlength=names.size) > 0
    has_real_G = np.bincount(group, label == 0, minlength=names.size) > 0
    strata = [np.flatnonzero(s) for s in (has_real_G & ~has_fake_G, has_fake_G & ~has_real_G, has_real_G & has_fake_G)]
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK_CELLS // max(1, label.size))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        counts_RG = np.zeros((rows, names.size))
        for stratum in strata:
            size = stratum.size
            if size:
                drawn = random.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
                counts_RG[:, stratum] = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
        yield counts_RG[:, group]


def bootstrap_values(
    statistic: resampled.Statistic,
    label_N: npt.ArrayLike,
    group_N: npt.ArrayLike,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Float64:
    """f64[resamples] or f64[resamples, figures], the statistic of each resample."""
    blocks = resampled_counts(label_N, group_N, resamples=resamples, seed=seed)
    return np.concatenate([statistic(counts_RN) for counts_RN in blocks])


def percentile_interval(value_R: Float64, level: float = 0.95) -> Interval | None:
    """The middle `level` of the resampled values; None when all are equal, for that says nothing about the width."""
    if not 0 < level < 1:
        raise UsageError(f"the level of an interval lies between 0 and 1, got {level}")
    if np.ptp(value_R) < 1e-12:
        return None
    low, high = np.quantile(value_R, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high), level=level, resamples=value_R.size)


def reflected_interval(value_R: Float64, value: float, level: float = 0.95) -> Interval | None:
    """Basic bootstrap interval of a number >= 0 that few pictures bias upwards, such as a calibration error.

    A resample overshoots the sample as the sample overshoots the truth, so the percentiles are reflected at `value`
    (Davison & Hinkley 1997, eq. 5.6), cut at 0 and widened to hold `value` itself. None when all resampled values are
    equal.
    """
    plain = percentile_interval(value_R, level)
    if plain is None:
        return None
    low, high = max(0.0, 2 * value - plain.high), max(0.0, 2 * value - plain.low)
    return plain.model_copy(update={"low": low, "high": high}).holding(value)


def unanimous_interval(value: float, groups: int, level: float = 0.95) -> Interval:
    """Clopper-Pearson interval of a rate that is 0 or 1 in every group, where no resample can differ; a group is one
    trial."""
    bound = ((1 - level) / 2) ** (1 / groups)
    low, high = (0.0, 1 - bound) if value < 0.5 else (bound, 1.0)
    return Interval(low=low, high=high, level=level, resamples=0)


def group_bootstrap(
    statistic: resampled.Statistic,
    label_N: npt.ArrayLike,
    group_N: npt.ArrayLike,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Percentile interval of a metric of the pictures, by resampling whole groups.

    statistic: counts_RN -> f64[R], from `resampled`; label_N: i64[N]; group_N: [N], strings or integers.
    None below LEAST_GROUPS groups or LEAST_PICTURES pictures of a class that is present, and when all resamples agree.

    >>> logits, labels = np.random.default_rng(1).normal(size=60), np.arange(60) % 2
    >>> ranking = resampled.Ranking(logits + labels, labels)
    >>> interval = group_bootstrap(lambda counts_RN: resampled.auroc(ranking(counts_RN)), labels, np.arange(60))
    >>> interval is not None and interval.low < 0.76 < interval.high  # the area between normals one deviation apart
    True
    """
    if too_few(label_N, group_N):
        return None
    return percentile_interval(bootstrap_values(statistic, label_N, group_N, resamples=resamples, seed=seed), level)


def paired_group_bootstrap(
    statistic_a: resampled.Statistic,
    statistic_b: resampled.Statistic,
    label_N: npt.ArrayLike,
    group_N: npt.ArrayLike,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> PairedDifference | None:
    """Difference a - b of one metric for two detectors on the same pictures, every resample being the same for both.

    Arguments and None as in `group_bootstrap`; detectors that never differ have a difference, a p-value of 1 and no
    interval.
    """
    if too_few(label_N, group_N):
        return None

    def difference(counts_RN: Float64) -> Float64:
        return statistic_a(counts_RN) - statistic_b(counts_RN)

    value_R = bootstrap_values(difference, label_N, group_N, resamples=resamples, seed=seed)
    far = min(int((value_R <= 1e-12).sum()), int((value_R >= -1e-12).sum()))
    return PairedDifference(
        difference=float(difference(np.ones((1, np.asarray(label_N).size)))[0]),
        interval=percentile_interval(value_R, level),
        p_value=min(1.0, 2 * (far + 1) / (resamples + 1)),
    )


def generator_mean_bootstrap(
    statistic: resampled.Statistic,
    label_N: npt.ArrayLike,
    group_N: npt.ArrayLike,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Interval of the mean of a metric over generators, generators and groups being resampled.

    Each resample draws groups as `group_bootstrap` does, then as many generators, with replacement, as there are; one
    that lost its last picture counts for nothing in that resample. statistic: counts_RN -> f64[R, G], a generator's
    own, NaN where it is lost. None as `too_few` and `too_few_generators` say.
    """
    value_RG = statistic(np.ones((1, np.asarray(label_N).size)))
    if too_few(label_N, group_N) or too_few_generators(value_RG.shape[1]):
        return None
    value_RG = bootstrap_values(statistic, label_N, group_N, resamples=resamples, seed=seed)
    return percentile_interval(_means_over_generators(value_RG, seed), level)


def too_few_generators(count: int) -> str | None:
    """Why the mean over so many generators can have no interval, or None."""
    return f"no interval: {count} generators, it takes {LEAST_GENERATORS}" if count < LEAST_GENERATORS else None


def _means_over_generators(value_RG: Float64, seed: int) -> Float64:
    """f64[at most R], the mean over as many generators as there are, drawn with replacement for each resample.

    value_RG: of each generator in each resample; NaN, for one that a resample has lost, counts for nothing.
    """
    resamples, generators = value_RG.shape
    drawn_RG = np.random.default_rng([seed, 1]).multinomial(
        generators, np.full(generators, 1 / generators), size=resamples
    )
    drawn_RG = np.where(np.isnan(value_RG), 0, drawn_RG)
    kept_R = drawn_RG.sum(axis=1) > 0
    mean_R = (np.nan_to_num(value_RG) * drawn_RG).sum(axis=1)[kept_R] / drawn_RG.sum(axis=1)[kept_R]
    return np.asarray(mean_R)
