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


def by_source(real: np.ndarray, fake: np.ndarray) -> Calibration:
    """real: f64[S, n], fake: f64[G, n]: a row per photo source or generator."""
    (reals, sources), (fakes, generators) = (
        zip(*sorted((value, f"{i:03}") for i, row in enumerate(logits) for value in row), strict=True)
        for logits in (real, fake)
    )
    return calibration(reals, fakes).model_copy(update={"real_sources": sources, "fake_generators": generators})


def test_a_rate_is_guaranteed_only_where_the_sources_are_enough() -> None:
    scale = by_source(np.arange(40.0).reshape(8, 5), np.arange(35.0).reshape(7, 5))
    assert (scale.n_sources, scale.n_generators) == (8, 7)
    assert [scale.guaranteed("likely_fake", rate) for rate in (0.05, 0.11, 1 / 9, 0.2)] == [False, False, True, True]
    assert [scale.guaranteed("likely_real", rate) for rate in (0.1, 0.124, 1 / 8, 0.2)] == [False, False, True, True]
    unknown = calibration([0.0] * 40, [1.0] * 40)
    assert (unknown.n_sources, unknown.n_generators) == (None, None)
    assert not unknown.guaranteed("likely_fake", 0.9)


def test_with_enough_sources_each_has_the_same_mass_whatever_its_number_of_pictures() -> None:
    """Source a has 1 picture, at 9; b, c, d have 9 each, at 0 to 8: at 25 % a's picture is one fifth of all mass."""
    real = [float(value) for value in sorted([*range(9)] * 3)] + [9.0]
    sources = tuple(["b", "c", "d"] * 9 + ["a"])
    scale = calibration(real, [0.0]).model_copy(update={"real_sources": sources})
    assert scale.fake_threshold(0.19) == calibration(real, [0.0]).fake_threshold(0.19) == 7.0, "measured: by pictures"
    assert scale.fake_threshold(0.2) == 9.0, "all but the new source's mass lies at or below the highest picture"
    assert scale.fake_threshold(0.4) == 8.0, "a's picture may be exceeded: 3/5 of the mass lies at or below 8"
    assert scale.fake_threshold(0.7) == 4.0, "3/5 * 5/9 = 1/3 of the mass lies at or below 4"
    mirror = calibration([0.0], [-value for value in reversed(real)])
    mirror = mirror.model_copy(update={"fake_generators": sources[::-1]})
    assert [mirror.real_threshold(rate) for rate in (0.2, 0.4, 0.7)] == [-9.0, -8.0, -4.0]


def test_the_rate_holds_for_a_new_source_where_pictures_alone_would_break_it() -> None:
    """Planted: sources differ more (sd 2) than their pictures (sd 0.5); 20 sources of 10 pictures, rate 10 %."""
    random = np.random.default_rng(0)
    by_groups, by_pictures = [], []
    for _ in range(2000):
        centre = random.normal(0, 2, 21)
        drawn = centre[:20, None] + random.normal(0, 0.5, (20, 10))
        new = centre[20] + random.normal(0, 0.5)
        scale = by_source(drawn, np.zeros((1, 1)))
        by_groups.append(new > scale.fake_threshold(0.1))
        by_pictures.append(new > scale.model_copy(update={"real_sources": ()}).fake_threshold(0.1))
    assert np.mean(by_groups) < 0.1 + 0.007  # the standard error is 0.0067
    assert np.mean(by_pictures) > 0.1 + 0.01


def test_how_many_reserved_pictures_score_like_it() -> None:
    scale = calibration([0.0, 1.0, 1.0, 2.0], [1.0, 2.0, 3.0])
    assert [scale.reals_as_high(logit) for logit in (-1.0, 1.0, 1.5, 2.0, 9.0)] == [4, 3, 1, 1, 0]
    assert [scale.fakes_as_low(logit) for logit in (0.0, 1.0, 2.5, 9.0)] == [0, 1, 2, 3]


def test_the_groups_of_the_pictures_stay_with_their_logits() -> None:
    scale = fit_calibration(
        [3.0, -1.0, 5.0, -2.0],
        [1, 0, 1, 0],
        source="four",
        group_N=["gan", "phone", "diffusion", "film"],
        shared=["gan"],
    )
    assert dict(zip(scale.real_logits, scale.real_sources, strict=True)) == {-2.0: "film", -1.0: "phone"}
    assert dict(zip(scale.fake_logits, scale.fake_generators, strict=True)) == {3.0: "gan", 5.0: "diffusion"}
    assert scale.shared == ("gan",)


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


def test_groups_that_do_not_match_are_refused_and_an_old_record_is_read() -> None:
    old = calibration([0.0, 1.0], [0.0]).model_dump(include={*Calibration.model_fields} - {"real_sources", "shared"})
    assert Calibration.model_validate(old).real_sources == ()
    with pytest.raises(ValidationError, match="1 names for 2 logits"):
        Calibration.model_validate(old | {"real_sources": ["a"]})


def test_json_round_trip() -> None:
    scale = calibration([-1.25, 0.1], [0.3, 7.0])
    assert Calibration.model_validate_json(scale.model_dump_json()) == scale


def test_importing_calibration_is_light() -> None:
    code = (
        "import sys, tristream.metrics.calibration\n"
        "print([name for name in ('scipy', 'sklearn', 'pandas', 'torch') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
