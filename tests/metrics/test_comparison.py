"""DeLong against the example of its paper and a brute-force computation; Holm and the spread over seeds by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tristream.errors import UndefinedMetricError, UsageError
from tristream.metrics.binary import auroc
from tristream.metrics.comparison import delong, holm, mean_and_deviation

PATIENTS = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""
"""Albumin, total protein, K-G score and outcome of the ovarian cancer patients of DeLong et al. (1988), as reprinted in
SAS/STAT's documentation of PROC LOGISTIC, "Comparing Receiver Operating Characteristic Curves"; fewer K-G points are
better."""
ALBUMIN, PROTEIN, SCORE, LABEL = np.array(PATIENTS.split(), float).reshape(-1, 4).T * np.array([[1], [1], [-1], [1]])


def test_delong_gives_the_published_figures() -> None:
    """SAS prints 0.7366, 0.6478 and 0.7258 as areas, and for the differences from the K-G score what stands here."""
    areas = [auroc(score, LABEL) for score in (ALBUMIN, PROTEIN, SCORE)]
    assert areas == pytest.approx([0.7366, 0.6478, 0.7258], abs=5e-5)
    for score, difference, error, low, high, p_value in (
        (ALBUMIN, 0.0108, 0.0953, -0.1761, 0.1976, 0.9102),
        (PROTEIN, -0.0780, 0.1046, -0.2830, 0.1271, 0.4561),
    ):
        found = delong(score, SCORE, LABEL)
        assert found.difference == pytest.approx(difference, abs=5e-5)
        assert found.standard_error == pytest.approx(error, abs=5e-5)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
        assert found.p_value == pytest.approx(p_value, abs=5e-5)


def test_delong_agrees_with_the_pairs_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    label = np.arange(80) % 2
    a, b = (np.round(rng.normal(label, 1), 1) for _ in range(2))  # rounded: ties

    def kernel(score: np.ndarray) -> np.ndarray:
        fake, real = score[label == 1][:, None], score[label == 0][None]
        return (fake > real) + 0.5 * (fake == real)

    gap = kernel(a) - kernel(b)
    variance = gap.mean(1).var(ddof=1) / 40 + gap.mean(0).var(ddof=1) / 40
    found = delong(a, b, label)
    assert found.difference == pytest.approx(gap.mean())
    assert found.standard_error**2 == pytest.approx(variance)
    assert delong(b, a, label).difference == pytest.approx(-found.difference)


def test_delong_of_a_detector_with_itself_and_of_too_few_pictures() -> None:
    same = delong(ALBUMIN, ALBUMIN, LABEL)
    assert (same.difference, same.p_value, same.low, same.high) == (0, 1, 0, 0)
    with pytest.raises(UndefinedMetricError, match="got 3 fakes, 1 reals"):
        delong([0, 1, 2, 3], [1, 2, 3, 4], [0, 1, 1, 1])
    with pytest.raises(UndefinedMetricError, match="no real pictures"):
        delong([0, 1], [1, 2], [1, 1])
    with pytest.raises(UsageError, match="not finite"):
        delong([0, np.nan], [1, 2], [0, 1])


def test_areas_that_differ_without_variance_have_no_p_value() -> None:
    label, perfect = np.repeat([0, 1], 10), np.repeat([0.0, 1.0], 10)
    for other in (-perfect, np.zeros(20)):
        found = delong(perfect, other, label)
        assert found.difference > 0.4
        assert found.p_value is None
    assert delong(perfect, perfect, label).p_value == 1.0


def test_holm_by_hand_and_never_below_the_raw_value() -> None:
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.9, 0.001]) == pytest.approx([0.9, 0.002])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    p_values = np.random.default_rng(0).random(20).tolist()
    adjusted = holm(p_values)
    assert all(raw <= corrected <= 1 for raw, corrected in zip(p_values, adjusted, strict=True))
    assert [a for _, a in sorted(zip(p_values, adjusted, strict=True))] == sorted(adjusted)


def test_seeds_have_a_mean_and_the_deviation_of_a_sample() -> None:
    assert mean_and_deviation([0.8, 0.9]) == pytest.approx((0.85, np.std([0.8, 0.9], ddof=1)))
    with pytest.raises(UndefinedMetricError, match="needs two of them, got 1"):
        mean_and_deviation([0.8])
