"""Platt scaling at even odds, thresholds by rank, and what cannot be promised."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from tristream.errors import UndefinedMetricError, UsageError
from tristream.metrics.calibration import Calibration, fit_calibration


def calibration(real: list[float], fake: list[float]) -> Calibration:
    return Calibration(
        slope=2.0,
        intercept=-1.0,
        balanced_accuracy_threshold=0.0,
        real_logits=tuple(real),
        fake_logits=tuple(fake),
        source="a test",
    )


@pytest.mark.parametrize(
    ("n", "rate", "rank"),
    [(19, 0.05, 19), (19, 0.1, 18), (20, 0.05, 20), (39, 0.05, 38), (99, 0.01, 99), (99, 0.05, 95), (1, 0.5, 1)],
)
def test_thresholds_are_order_statistics(n: int, rate: float, rank: int) -> None:
    logits = [float(value) for value in range(1, n + 1)]  # the k-th smallest is k
    scale = calibration(logits, logits)
    assert scale.fake_threshold(rate) == rank
    assert scale.real_threshold(rate) == n + 1 - rank


@pytest.mark.parametrize("n", [1, 19, 98, 287, 333, 416])
def test_smallest_rate_is_allowed_and_anything_below_is_refused_by_name(n: int) -> None:
    scale = calibration(list(range(n)), list(range(n)))
    assert scale.fake_threshold(1 / (n + 1)) == n - 1
    assert scale.real_threshold(1 / (n + 1)) == 0
    for threshold in (scale.fake_threshold, scale.real_threshold):
        with pytest.raises(UsageError, match="smallest possible") as error:
            threshold(0.99 / (n + 1))
        named = float(re.search(r"smallest possible is ([\d.]+)", str(error.value))[1])
        assert named == pytest.approx(1 / (n + 1), abs=1e-6)
        assert threshold(named) == threshold(1 / (n + 1)), "the rate that is named is one that can be asked for"


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 5.0])
def test_a_rate_is_a_share(rate: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        calibration([0.0], [1.0]).fake_threshold(rate)


def test_promised_false_alarm_rate_holds_for_new_reals() -> None:
    random = np.random.default_rng(0)
    draws = np.sort(random.normal(size=(4000, 39)), axis=1)
    new = random.normal(size=4000)
    exceeded = [new[i] > calibration(list(row), [0.0]).fake_threshold(0.05) for i, row in enumerate(draws)]
    assert 0.035 < np.mean(exceeded) <= 0.062  # 2 of 40 ranks: exactly 5 % in expectation, sd 0.35 %


def test_probability_is_a_sigmoid_that_does_not_overflow() -> None:
    scale = calibration([0.0], [1.0])
    assert scale.probability([0.5, 2.0]) == pytest.approx([0.5, 1 / (1 + np.exp(-3))])
    with np.errstate(all="raise"):
        assert scale.probability(np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]
    assert scale.probability(0.5).shape == ()


def test_fit_recovers_a_planted_sigmoid_at_even_odds() -> None:
    random = np.random.default_rng(1)
    # normals of one spread, at -1 and 1 with sd 2: the log odds are logit / 2; shifted by 3: (logit - 3) / 2
    real, fake = random.normal(2, 2, 40_000), random.normal(4, 2, 4_000)  # ten times more reals must not matter
    scale = fit_calibration(np.concatenate([real, fake]), np.repeat([0, 1], [40_000, 4_000]), source="normals")
    assert scale.slope == pytest.approx(0.5, abs=0.03)
    assert scale.intercept == pytest.approx(-1.5, abs=0.1)
    assert scale.balanced_accuracy_threshold == pytest.approx(3, abs=0.5)
    assert scale.real_logits == tuple(sorted(real.tolist()))


def test_fit_agrees_with_weighted_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(2)
    label = np.repeat([0, 1], [3000, 1000])
    logit = 40 + 7 * (random.normal(size=4000) + 1.5 * label)
    model = LogisticRegression(C=1e9, class_weight="balanced", tol=1e-10, max_iter=1000).fit(logit[:, None], label)
    scale = fit_calibration(logit, label, source="normals")
    expected = model.predict_proba(logit[:, None])[:, 1]
    assert np.abs(scale.probability(logit) - expected).max() < 2e-3  # Platt's targets are 1/3002 and 1001/1002


def test_separable_logits_give_a_finite_slope() -> None:
    scale = fit_calibration([-2.0] * 30 + [2.0] * 10, [0] * 30 + [1] * 10, source="apart")
    assert scale.probability([2.0]) == pytest.approx([11 / 12], abs=1e-4)
    assert scale.probability([-2.0]) == pytest.approx([1 / 32], abs=1e-4)


def test_a_detector_that_cannot_be_calibrated_is_refused() -> None:
    with pytest.raises(UsageError, match="does not score these fakes above"):
        fit_calibration([3.0, 2.0, 1.0, 0.0], [0, 0, 1, 1], source="inverted")
    with pytest.raises(UsageError, match="does not score these fakes above"):
        fit_calibration([1.0] * 4, [0, 0, 1, 1], source="constant")
    with pytest.raises(UndefinedMetricError, match="0 fakes"):
        fit_calibration([1.0, 2.0], [0, 0], source="one class")
    with pytest.raises(UsageError, match="not finite"):
        fit_calibration([1.0, np.nan], [0, 1], source="NaN")


def test_a_record_that_would_lie_is_refused() -> None:
    with pytest.raises(ValidationError, match="ascending"):
        calibration([1.0, 0.0], [0.0])
    with pytest.raises(ValidationError):
        calibration([], [0.0])
    with pytest.raises(ValidationError):
        Calibration.model_validate(calibration([0.0], [1.0]).model_dump() | {"slope": -1.0})


def test_json_round_trip() -> None:
    scale = calibration([-1.25, 0.1], [0.3, 7.0])
    assert Calibration.model_validate_json(scale.model_dump_json()) == scale


def test_importing_calibration_is_light() -> None:
    code = (
        "import sys, tristream.metrics.calibration\n"
        "print([name for name in ('scipy', 'sklearn', 'pandas', 'torch') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
