"""Metrics of a binary detector against scikit-learn, hand-computed cases, and their refusals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as reference

from tristream.errors import UndefinedMetricError, UsageError
from tristream.metrics import binary

TWO_CLASS: dict[str, Callable[..., float]] = {
    "auroc": binary.auroc,
    "average_precision": binary.average_precision,
    "equal_error_rate": binary.equal_error_rate,
    "balanced_accuracy": lambda s, y: binary.balanced_accuracy(s, y, 0.5),
    "f1": lambda s, y: binary.f1(s, y, 0.5),
    "true_positive_rate_at": lambda s, y: binary.true_positive_rate_at(s, y, 0.5),
    "best_balanced_accuracy_threshold": binary.best_balanced_accuracy_threshold,
    "oracle_accuracy": binary.oracle_accuracy,
    "expected_calibration_error": binary.expected_calibration_error,
    "brier": binary.brier,
}


def tied(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties, in [0, 1]."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, n)
    return np.round(np.clip(0.35 + 0.25 * label + random.normal(0, 0.2, n), 0, 1), 1), label


@pytest.mark.parametrize("seed", range(5))
def test_scores_with_ties_agree_with_scikit_learn(seed: int) -> None:
    score, label = tied(seed)
    called = (score >= 0.5).astype(int)
    assert binary.auroc(score, label) == pytest.approx(reference.roc_auc_score(label, score))
    assert binary.average_precision(score, label) == pytest.approx(reference.average_precision_score(label, score))
    assert binary.accuracy(score, label, 0.5) == pytest.approx(reference.accuracy_score(label, called))
    assert binary.f1(score, label, 0.5) == pytest.approx(reference.f1_score(label, called))
    assert binary.balanced_accuracy(score, label, 0.5) == pytest.approx(
        reference.balanced_accuracy_score(label, called)
    )
    assert binary.real_accuracy(score, label, 0.5) == pytest.approx(reference.recall_score(label, called, pos_label=0))
    assert binary.fake_accuracy(score, label, 0.5) == pytest.approx(reference.recall_score(label, called))
    assert binary.brier(score, label) == pytest.approx(reference.brier_score_loss(label, score))
    even = 0.5 / np.bincount(label)[label]
    assert binary.brier(score, label, even_odds=True) == pytest.approx(
        reference.brier_score_loss(label, score, sample_weight=even)
    )


@pytest.mark.parametrize("name", TWO_CLASS)
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_undefined(name: str, label: int) -> None:
    with pytest.raises(UndefinedMetricError, match="fake" if label == 0 else "real"):
        TWO_CLASS[name]([0.1, 0.2, 0.9], [label] * 3)


def test_accuracy_of_one_side_needs_only_that_side() -> None:
    assert binary.fake_accuracy([0.1, 0.5, 0.9, 0.7], [1, 1, 1, 1], 0.5) == 0.75  # the threshold itself counts as fake
    assert binary.real_accuracy([0.1, 0.5, 0.9, 0.7], [0, 0, 0, 0], 0.5) == 0.25
    with pytest.raises(UndefinedMetricError):
        binary.fake_accuracy([0.1], [0], 0.5)
    with pytest.raises(UndefinedMetricError):
        binary.real_accuracy([0.1], [1], 0.5)
    with pytest.raises(UndefinedMetricError):
        binary.accuracy([], [], 0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", TWO_CLASS)
def test_a_score_that_is_not_finite_is_an_error(name: str, bad: float) -> None:
    with pytest.raises(UsageError, match="1 of 3 scores"):
        TWO_CLASS[name]([0.1, bad, 0.9], [0, 1, 1])


def test_wrong_columns_are_refused() -> None:
    with pytest.raises(UsageError, match="labels are 0"):
        binary.auroc([0.1, 0.2], [0, 2])
    with pytest.raises(UsageError, match="one length"):
        binary.auroc([0.1, 0.2], [0, 1, 1])
    with pytest.raises(UsageError, match="probabilities"):
        binary.brier([-3.0, 4.0], [0, 1])


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        ([0, 1], [2, 3], 0.0),  # separable
        ([2, 3], [0, 1], 1.0),  # inverted
        ([0, 2], [1, 3], 0.5),  # the ROC steps from (0, .5) to (.5, .5): crosses where the false alarms reach .5
        ([0, 1, 2, 5], [3, 4, 6, 7], 0.25),  # one of four on each side
        ([1, 1], [1, 1], 0.5),  # all tied: the diagonal
        ([0, 1], [1, 1], 1 / 3),  # from (0, 0) straight to (.5, 1): f = 1 - 2 f
        ([0, 0, 1, 1], [1, 2], 0.25),  # from (0, .5) straight to (.5, 1): f = 1 - (.5 + f)
    ],
)
def test_equal_error_rate_by_hand(real: list[float], fake: list[float], expected: float) -> None:
    label = [0] * len(real) + [1] * len(fake)
    assert binary.equal_error_rate(real + fake, label) == pytest.approx(expected)


def test_equal_error_rate_of_two_normals_is_the_textbook_value() -> None:
    from scipy.stats import norm

    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    score = np.concatenate([quantiles, quantiles + 2])
    assert binary.equal_error_rate(score, np.repeat([0, 1], 20_000)) == pytest.approx(norm.cdf(-1), abs=1e-3)


def test_true_positive_rate_at_counts_whole_reals() -> None:
    real = np.arange(200)
    score, label = np.concatenate([real, [188.5, 189.5, 199.5, 250]]), np.repeat([0, 1], [200, 4])
    # 5 % of 200 reals are the ten from 190 on, so a threshold of 189.5 is allowed and 188.5 is not
    assert binary.true_positive_rate_at(score, label, 0.05) == 0.75


def test_true_positive_rate_at_needs_ten_reals_above_the_threshold() -> None:
    score, label = np.arange(1001.0), np.repeat([0, 1], [999, 2])
    with pytest.raises(UndefinedMetricError, match="1000 reals, there are 999"):
        binary.true_positive_rate_at(score, label, 0.01)
    label = np.repeat([0, 1], [1000, 1])
    assert binary.true_positive_rate_at(score, label, 0.01) == 1.0
    with pytest.raises(UsageError):
        binary.true_positive_rate_at(score, label, 0.0)


def test_best_threshold_lies_between_the_classes() -> None:
    assert binary.best_balanced_accuracy_threshold([0, 1, 4, 9], [0, 0, 1, 1]) == 2.5
    assert binary.best_balanced_accuracy_threshold([3.0, 3.0], [0, 1]) == 3.0


@pytest.mark.parametrize("seed", range(5))
def test_best_threshold_beats_every_score_as_threshold(seed: int) -> None:
    score, label = tied(seed, n=60)
    best = binary.balanced_accuracy(score, label, binary.best_balanced_accuracy_threshold(score, label))
    assert best == pytest.approx(max(binary.balanced_accuracy(score, label, t) for t in np.unique(score)))


@pytest.mark.parametrize("seed", range(5))
def test_an_oracle_knows_the_best_threshold_of_all(seed: int) -> None:
    score, label = tied(seed, n=60)
    thresholds = [*np.unique(score), 2.0]
    best = max(reference.accuracy_score(label, score >= threshold) for threshold in thresholds)
    assert binary.oracle_accuracy(score, label) == pytest.approx(best)
    assert binary.oracle_accuracy([3.0, 1.0, 1.0], [0, 1, 1]) == pytest.approx(2 / 3), "everything is called fake"


def test_calibration_error_by_hand() -> None:
    probability, label = [0.1, 0.1, 0.9, 0.9], [0, 1, 1, 1]  # bins of mean .1 and .9 that hold .5 and 1 fakes
    assert binary.expected_calibration_error(probability, label) == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)
    # at even odds the lone real weighs 1/2 and each fake 1/6: |.1/2 - .9/6| + 2 * .1/6
    assert binary.expected_calibration_error(probability, label, even_odds=True) == pytest.approx(0.1 + 0.2 / 6)
    assert binary.expected_calibration_error([0.0, 1.0], [0, 1]) == 0.0
    assert binary.expected_calibration_error([1.0, 0.0], [0, 1]) == 1.0
