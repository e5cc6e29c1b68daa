"""Detectors against each other: DeLong's test, Holm's correction of many p-values, the spread over training seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from tristream.config import StrictModel
from tristream.errors import UndefinedMetricError
from tristream.metrics.binary import checked_classes
from tristream.typing import Float64

# N pictures: m fakes and n reals


class DeLong(StrictModel):
    """Difference of two AUROCs on the same pictures, by their asymptotic normal distribution."""

    difference: float
    standard_error: float
    low: float
    high: float
    level: float
    p_value: float | None
    """Two-sided; None where the areas differ without any variance, as those of perfect and of constant scores."""


def delong(
    score_a_N: npt.ArrayLike, score_b_N: npt.ArrayLike, label_N: npt.ArrayLike, *, level: float = 0.95
) -> DeLong:
    """AUROC of A minus that of B, tested without resampling (DeLong, DeLong & Clarke-Pearson 1988).

    Every picture has to be independent of every other: where a group holds several, use the group bootstrap. Equal
    areas without variance have a p-value of 1 and an interval of no width. Raises UndefinedMetricError
    below two pictures of either class, UsageError as `binary.checked`.
    """
    parts = [_placements(score, label_N) for score in (score_a_N, score_b_N)]
    (of_fakes_a, of_reals_a), (of_fakes_b, of_reals_b) = parts
    difference = float(of_fakes_a.mean() - of_fakes_b.mean())
    variance = sum(
        float(np.var(a - b, ddof=1)) / a.size for a, b in ((of_fakes_a, of_fakes_b), (of_reals_a, of_reals_b))
    )
    error = variance**0.5
    half = float(norm.ppf((1 + level) / 2)) * error
    return DeLong(
        difference=difference,
        standard_error=error,
        low=difference - half,
        high=difference + half,
        level=level,
        p_value=_two_sided(difference, error),
    )


def _two_sided(difference: float, error: float) -> float | None:
    if error > 1e-12:
        return float(2 * norm.sf(abs(difference) / error))
    return 1.0 if abs(difference) < 1e-12 else None


def _placements(score_N: npt.ArrayLike, label_N: npt.ArrayLike) -> tuple[Float64, Float64]:
    """f64[m], the share of reals below each fake, and f64[n], that of fakes above each real; ties count half."""
    score, label = checked_classes(score_N, label_N)
    fake_m, real_n = np.sort(score[label == 1]), np.sort(score[label == 0])
    if min(fake_m.size, real_n.size) < 2:
        raise UndefinedMetricError(
            f"DeLong's test needs two of each class, got {fake_m.size} fakes, {real_n.size} reals"
        )

    def below(values: Float64, others: Float64) -> Float64:
        halves = np.searchsorted(others, values, "left") + np.searchsorted(others, values, "right")
        return np.asarray(halves / (2 * others.size))

    return below(score[label == 1], real_n), 1 - below(score[label == 0], fake_m)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the given order (Holm 1979).

    The k-th smallest of m is multiplied by m - k + 1; the result never falls with rising p and is at most 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, position in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return adjusted


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) of one figure over training seeds with the splits fixed.

    Raises UndefinedMetricError below two seeds, of which no spread can be told.
    """
    if len(values) < 2:
        raise UndefinedMetricError(f"a spread over seeds needs two of them, got {len(values)}")
    return fmean(values), stdev(values)
