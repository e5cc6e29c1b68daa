"""Abstaining: planted rates, curves by hand, resamples equal to repeated rows, answers that are the verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from tristream.errors import UndefinedMetricError
from tristream.metrics import binary
from tristream.metrics.answers import answers
from tristream.metrics.selective import RiskCoverage, answer_rates, confidence, reliability
from tristream.runtime.verdict import Domain, Thresholds, decide

ONCE = np.ones((1, 8))
LOGIT = [-3.0, -2.0, 0.5, 2.0, -2.5, -0.5, 1.5, 3.0]
LABEL = [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("thresholds", [Thresholds(fake=1.0, real=-1.0), Thresholds(fake=-1.0, real=1.0)])
def test_answers_are_the_verdicts(thresholds: Thresholds) -> None:
    logits = np.append(np.linspace(-3, 3, 41), [-1.0, 1.0])
    called = {1: "likely_fake", 0: "likely_real", -1: "unsure"}
    found = answers(logits, thresholds.fake, thresholds.real)
    assert [called[answer] for answer in found.tolist()] == [decide(x, thresholds).verdict for x in logits.tolist()]
    assert set(found.tolist()) == {-1, 0, 1}
    domains = [Domain(distance=float(i % 3), limit=1.0) for i in range(logits.size)]
    found = answers(logits, thresholds.fake, thresholds.real, [domain.far for domain in domains])
    decided = [decide(x, thresholds, domain=d).verdict for x, d in zip(logits.tolist(), domains, strict=True)]
    assert [called[answer] for answer in found.tolist()] == decided


def test_far_pictures_are_the_least_confident_and_keep_their_order() -> None:
    found = confidence([5.0, -1.0, 0.0, 7.0], 1.0, [True, False, False, True])
    assert np.argsort(-found).tolist() == [1, 2, 3, 0]
    assert confidence([], 1.0, []).tolist() == []


def test_rates_of_a_planted_table() -> None:
    rates = answer_rates(ONCE, LOGIT, LABEL, fake_threshold=1.0, real_threshold=-1.0)
    assert rates.false_alarm_rate[0] == 1 / 4  # 2.0, of all four reals, the abstained 0.5 included
    assert rates.miss_rate[0] == 1 / 4
    assert (rates.real_coverage[0], rates.fake_coverage[0], rates.coverage[0]) == (3 / 4, 3 / 4, 3 / 4)
    assert rates.selective_error[0] == pytest.approx(2 / 6)


def test_error_and_coverage_do_not_depend_on_the_share_of_fakes() -> None:
    once = answer_rates(ONCE, LOGIT, LABEL, 1.0, -1.0)
    fakes_tenfold = answer_rates(np.where(np.array(LABEL) == 1, 10.0, 1.0)[None], LOGIT, LABEL, 1.0, -1.0)
    for name in ("coverage", "selective_error", "false_alarm_rate", "miss_rate"):
        assert getattr(fakes_tenfold, name)[0] == pytest.approx(getattr(once, name)[0])


def test_abstaining_on_everything_has_no_error_and_one_class_no_rates() -> None:
    rates = answer_rates(ONCE, LOGIT, LABEL, fake_threshold=9.0, real_threshold=-9.0)
    assert rates.coverage[0] == 0
    assert np.isnan(rates.selective_error[0])
    for make in (lambda: answer_rates(np.ones((1, 2)), [0, 1], [1, 1], 0, 0), lambda: RiskCoverage([0, 1], [0, 0], 0)):
        with pytest.raises(UndefinedMetricError):
            make()


def test_the_curve_by_hand() -> None:
    coverage, error = RiskCoverage(LOGIT, LABEL, threshold=0.0).curve()
    # by distance from 0: two right at 3, one wrong at 2.5, one right and one wrong at 2, one right at 1.5, two wrong
    np.testing.assert_allclose(coverage, [2 / 8, 3 / 8, 5 / 8, 6 / 8, 1])
    np.testing.assert_allclose(error, [0, 1 / 3, 2 / 5, 2 / 6, 4 / 8])
    area = RiskCoverage(LOGIT, LABEL, threshold=0.0).area(ONCE)[0]
    assert area == pytest.approx(2 / 8 * 0 + 1 / 8 / 3 + 2 / 8 * 2 / 5 + 1 / 8 * 2 / 6 + 2 / 8 * 4 / 8)


def test_the_curve_ends_at_the_balanced_error() -> None:
    random = np.random.default_rng(0)
    label = random.integers(0, 2, 200)
    logit = random.normal(label * 2.0, 1)
    coverage, error = RiskCoverage(logit, label, 0.7).curve()
    assert coverage[-1] == pytest.approx(1)
    assert error[-1] == pytest.approx(1 - binary.balanced_accuracy(logit, label, 0.7))


def test_area_ranks_confidences_and_an_uninformative_one_has_the_balanced_error() -> None:
    random = np.random.default_rng(1)
    label = random.integers(0, 2, 4000)
    logit = random.normal(label * 2.0 - 1, 1)
    once = np.ones((1, label.size))

    def area(confidence: np.ndarray | None) -> float:
        return float(RiskCoverage(logit, label, 0.0, confidence).area(once)[0])

    oracle = ((logit >= 0) == label).astype(float)
    assert area(oracle) < area(None) < area(random.random(label.size)) < area(-np.abs(logit))
    assert area(np.zeros(label.size)) == pytest.approx(1 - binary.balanced_accuracy(logit, label, 0.0))
    assert area(random.random(label.size)) == pytest.approx(1 - binary.balanced_accuracy(logit, label, 0.0), abs=0.03)


def test_a_resample_equals_its_repeated_rows() -> None:
    random = np.random.default_rng(2)
    label = random.integers(0, 2, 60)
    logit = np.round(random.normal(label * 1.0, 1), 1)  # with ties
    for _ in range(5):
        counts = random.integers(0, 3, 60)
        counts[[np.argmax(label == 0), np.argmax(label == 1)]] = 1
        rows = np.repeat(np.arange(60), counts)
        once = np.ones((1, rows.size))
        weighted, repeated = (
            (RiskCoverage(x, y, 0.2).area(c)[0], answer_rates(c, x, y, 1.0, -0.5).selective_error[0])
            for x, y, c in ((logit, label, counts[None].astype(float)), (logit[rows], label[rows], once))
        )
        assert weighted == pytest.approx(repeated)


def test_reliability_of_everything_is_the_calibration_error_of_binary() -> None:
    random = np.random.default_rng(3)
    label = random.integers(0, 2, 300)
    probability = np.clip(0.3 + 0.4 * label + random.normal(0, 0.2, 300), 0, 1)
    found = reliability(np.ones((1, 300)), probability, label)
    expected = binary.expected_calibration_error(probability, label, even_odds=True)
    assert found.calibration_error[0] == pytest.approx(expected)
    assert found.mass_RB.sum() == pytest.approx(1)


def test_reliability_of_the_answered_pictures_by_hand() -> None:
    probability, label = [0.1, 0.1, 0.6, 0.9], [0, 1, 0, 1]
    found = reliability(np.ones((1, 4)), probability, label, [True, True, False, True], bins=2)
    np.testing.assert_allclose(found.mass_RB, [[0.5, 0.25]])
    np.testing.assert_allclose(found.probability_RB, [[0.1, 0.9]])
    np.testing.assert_allclose(found.fake_RB, [[0.5, 1.0]])
    assert found.calibration_error[0] == pytest.approx((0.5 * 0.4 + 0.25 * 0.1) / 0.75)
    assert np.isnan(reliability(np.ones((1, 4)), probability, label, [False] * 4).calibration_error[0])
