"""Metrics of a binary detector (0 real, 1 fake): arrays in, floats out; undefined is an error, never a number.

A score is a logit or a probability, the higher the more likely fake; score >= threshold is called fake.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from tristream.errors import UndefinedMetricError, UsageError
from tristream.typing import Float64, Int64

# N pictures, K points of the ROC curve


REALS_ABOVE_THRESHOLD = 10
"""A false-positive rate needs so many reals above its threshold to mean anything: 1,000 reals at 1 %, 200 at 5 %."""


def checked(score_N: npt.ArrayLike, label_N: npt.ArrayLike) -> tuple[Float64, Int64]:
    """The columns as f64[N] and i64[N].

    Raises UsageError for unequal lengths, for labels other than 0 and 1, and for scores that are not finite.
    """
    score, label = np.asarray(score_N, dtype=np.float64), np.asarray(label_N)
    if score.ndim != 1 or score.shape != label.shape:
        raise UsageError(f"expected two columns of one length, got shapes {score.shape} and {label.shape}")
    if not np.isin(label, (0, 1)).all():
        raise UsageError(f"labels are 0 (real) and 1 (fake), got {sorted(set(label.tolist()) - {0, 1})[:5]}")
    if not np.isfinite(score).all():
        raise UsageError(f"{np.count_nonzero(~np.isfinite(score))} of {score.size} scores are not finite")
    return score, label.astype(np.int64)


def checked_classes(
    score_N: npt.ArrayLike, label_N: npt.ArrayLike, need: tuple[int, ...] = (0, 1)
) -> tuple[Float64, Int64]:
    """The columns as `checked` gives them. Raises UndefinedMetricError for a needed class without pictures."""
    score, label = checked(score_N, label_N)
    for value in need:
        if not (label == value).any():
            raise UndefinedMetricError(f"no {('real', 'fake')[value]} pictures")
    return score, label


def auroc(score_N: npt.ArrayLike, label_N: npt.ArrayLike) -> float:
    """Area under the ROC curve: the chance that a random fake scores above a random real, ties counted half. In [0, 1].

    Raises UndefinedMetricError when only one class is present.
    """
    score, label = checked_classes(score_N, label_N)
    return float(roc_auc_score(label, score))


def average_precision(score_N: npt.ArrayLike, label_N: npt.ArrayLike) -> float:
    """Average precision: the sum of precision x gain of recall, without interpolation. In [0, 1].

    A random detector gets the share of fakes. Raises UndefinedMetricError when only one class is present.
    """
    score, label = checked_classes(score_N, label_N)
    return float(average_precision_score(label, score))


def accuracy(score_N: npt.ArrayLike, label_N: npt.ArrayLike, threshold: float) -> float:
    """Share of pictures on their own side of the threshold. In [0, 1]. Raises UndefinedMetricError for no pictures."""
    score, label = checked(score_N, label_N)
    if not score.size:
        raise UndefinedMetricError("no pictures")
    return float(((score >= threshold) == label).mean())


def real_accuracy(score_N: npt.ArrayLike, label_N: npt.ArrayLike, threshold: float) -> float:
    """Share of the reals below the threshold: specificity, r_acc of ForenSynths. UndefinedMetricError without reals."""
    score, label = checked_classes(score_N, label_N, (0,))
    return float((score[label == 0] < threshold).mean())


def fake_accuracy(score_N: npt.ArrayLike, label_N: npt.ArrayLike, threshold: float) -> float:
    """Share of the fakes at or above it: recall, f_acc of ForenSynths. Raises UndefinedMetricError without fakes."""
    score, label = checked_classes(score_N, label_N, (1,))
    return float((score[label == 1] >= threshold).mean())


def balanced_accuracy(score_N: npt.ArrayLike, label_N: npt.ArrayLike, threshold: float) -> float:
    """Mean of the accuracy on reals and the accuracy on fakes. In [0, 1]. Raises UndefinedMetricError for one class."""
    return (real_accuracy(score_N, label_N, threshold) + fake_accuracy(score_N, label_N, threshold)) / 2


def f1(score_N: npt.ArrayLike, label_N: npt.ArrayLike, threshold: float) -> float:
    """Harmonic mean of precision and recall of the class fake; depends on the share of fakes. In [0, 1].

    Raises UndefinedMetricError when only one class is present: without reals, precision would be 1 whatever the
    detector does.
    """
    score, label = checked_classes(score_N, label_N)
    called_fake = score >= threshold
    return float(2 * (called_fake & (label == 1)).sum() / (called_fake.sum() + (label == 1).sum()))


def equal_error_rate(score_N: npt.ArrayLike, label_N: npt.ArrayLike) -> float:
    """Rate at which false alarms on reals equal misses on fakes. In [0, 1].

    Interpolates on the straight line between the two ROC points that bracket the crossing.
    Raises UndefinedMetricError when only one class is present.
    """
    score, label = checked_classes(score_N, label_N)
    false_alarm_K, hit_K, _ = roc_curve(label, score, drop_intermediate=False)
    excess_K = false_alarm_K - (1 - hit_K)  # from -1 at the strictest threshold up to 1
    after = int(np.argmax(excess_K >= 0))
    part = excess_K[after - 1] / (excess_K[after - 1] - excess_K[after])
    return float(false_alarm_K[after - 1] + part * (false_alarm_K[after] - false_alarm_K[after - 1]))


def true_positive_rate_at(score_N: npt.ArrayLike, label_N: npt.ArrayLike, false_positive_rate: float) -> float:
    """Largest share of fakes found while at most `false_positive_rate` of the reals are called fake. In [0, 1].

    A point of the ROC curve of these pictures, not interpolated, and no promise for other pictures.
    Raises UndefinedMetricError for one class and for fewer than REALS_ABOVE_THRESHOLD / rate reals; UsageError for a
    rate outside (0, 1).
    """
    if not 0 < false_positive_rate < 1:
        raise UsageError(f"a false-positive rate lies between 0 and 1, got {false_positive_rate}")
    score, label = checked_classes(score_N, label_N)
    n_real, needed = int((label == 0).sum()), math.ceil(REALS_ABOVE_THRESHOLD / false_positive_rate - 1e-9)
    if n_real < needed:
        raise UndefinedMetricError(
            f"a false-positive rate of {false_positive_rate:.3g} needs at least {needed} reals, there are {n_real}"
        )
    false_alarm_K, hit_K, _ = roc_curve(label, score, drop_intermediate=False)
    return float(hit_K[false_alarm_K <= false_positive_rate + 1e-12].max())


def best_balanced_accuracy_threshold(score_N: npt.ArrayLike, label_N: npt.ArrayLike) -> float:
    """Threshold of the best balanced accuracy on these pictures, midway between two neighbouring scores.

    Of several equally good ones, the one whose two error rates differ least. Choose it on validation or reserved
    pictures; chosen on the pictures that it is reported for, it is an oracle. Raises UndefinedMetricError when only
    one class is present.
    """
    score, label = checked_classes(score_N, label_N)
    false_alarm_K, hit_K, threshold_K = (column[1:] for column in roc_curve(label, score, drop_intermediate=False))
    balanced_K = np.round(hit_K - false_alarm_K, 12)
    best = int(np.lexsort((np.abs(hit_K + false_alarm_K - 1), -balanced_K))[0])
    upper = float(threshold_K[best])
    middle = (upper + float(threshold_K[best + 1])) / 2 if best + 1 < threshold_K.size else upper
    return middle if best + 1 < threshold_K.size and middle > threshold_K[best + 1] else upper


def oracle_accuracy(score_N: npt.ArrayLike, label_N: npt.ArrayLike) -> float:
    """Accuracy at the threshold that is best on these very pictures: an upper bound, and never a detector's accuracy.

    Source: Ojha et al., CVPR 2023, whose tables have it beside the accuracy at 0.5. Raises UndefinedMetricError below
    one picture of either class.
    """
    score, label = checked_classes(score_N, label_N)
    order = np.argsort(-score, kind="stable")
    found = np.append(0, np.cumsum(2 * label[order] - 1))
    is_between = np.concatenate([[True], np.diff(score[order]) != 0, [True]])  # ties fall on one side
    return float((found[is_between].max() + (label == 0).sum()) / label.size)


def _class_weights(label_N: Int64, even_odds: bool) -> Float64:
    """f64[N] that sums to 1: all pictures alike, or each class half of the mass."""
    if not even_odds:
        return np.full(label_N.size, 1 / label_N.size)
    return 0.5 / np.bincount(label_N, minlength=2)[label_N]


def _probabilities(probability_N: npt.ArrayLike, label_N: npt.ArrayLike) -> tuple[Float64, Int64]:
    probability, label = checked_classes(probability_N, label_N)
    if probability.min() < 0 or probability.max() > 1:
        raise UsageError(f"probabilities lie in [0, 1], got {probability.min():.4g} to {probability.max():.4g}")
    return probability, label


def probability_bin(probability_N: Float64, bins: int) -> Int64:
    """i64[N], the bin of equal width that each probability falls into; 1.0 belongs to the last."""
    return np.minimum((probability_N * bins).astype(np.int64), bins - 1)


def expected_calibration_error(
    probability_N: npt.ArrayLike, label_N: npt.ArrayLike, *, even_odds: bool = False, bins: int = 15
) -> float:
    """Expected calibration error: |mean P(fake) - share of fakes| of each bin, averaged by the bins' mass. In [0, 1].

    Bins of equal width over P(fake) (Guo et al. 2017, eq. 5, for the class fake). even_odds: each class carries half
    of the mass, for probabilities that are calibrated at even odds. Biased upwards on few pictures. Raises
    UndefinedMetricError for one class.
    """
    probability, label = _probabilities(probability_N, label_N)
    gap_N = (probability - label) * _class_weights(label, even_odds)
    return float(np.abs(np.bincount(probability_bin(probability, bins), gap_N, minlength=bins)).sum())


def brier(probability_N: npt.ArrayLike, label_N: npt.ArrayLike, *, even_odds: bool = False) -> float:
    """Brier score: mean squared difference of P(fake) and the label. In [0, 1]; 0.25 for a constant 0.5.

    even_odds: each class carries half of the mass. Raises UndefinedMetricError when only one class is present.
    """
    probability, label = _probabilities(probability_N, label_N)
    return float(((probability - label) ** 2 * _class_weights(label, even_odds)).sum())
