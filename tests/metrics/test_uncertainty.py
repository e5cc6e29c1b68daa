"""Resampled metrics equal plain ones on repeated rows; group bootstraps cover planted truths and refuse too little."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from tristream.metrics import binary, resampled
from tristream.metrics import uncertainty as unc

Array = np.ndarray


def tied(seed: int, n: int = 150) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, n)
    return np.round(np.clip(0.35 + 0.25 * label + random.normal(0, 0.2, n), 0, 1), 1), label


def auroc_of(score: Array, label: Array) -> Callable[[Array], Array]:
    ranking = resampled.Ranking(score, label)
    return lambda counts_RN: resampled.auroc(ranking(counts_RN))


PAIRS: dict[str, tuple[Callable[[Array, Array], float], Callable[[Array, Array, Array], Array]]] = {
    "auroc": (binary.auroc, lambda c, s, y: resampled.auroc(resampled.Ranking(s, y)(c))),
    "average_precision": (
        binary.average_precision,
        lambda c, s, y: resampled.average_precision(resampled.Ranking(s, y)(c)),
    ),
    "equal_error_rate": (
        binary.equal_error_rate,
        lambda c, s, y: resampled.equal_error_rate(resampled.Ranking(s, y)(c)),
    ),
    "oracle_accuracy": (
        binary.oracle_accuracy,
        lambda c, s, y: resampled.oracle_accuracy(resampled.Ranking(s, y)(c)),
    ),
    "true_positive_rate_at": (
        lambda s, y: binary.true_positive_rate_at(s, y, 0.3),
        lambda c, s, y: resampled.true_positive_rate_at(resampled.Ranking(s, y)(c), 0.3),
    ),
    "expected_calibration_error": (
        lambda s, y: binary.expected_calibration_error(s, y, even_odds=True),
        resampled.expected_calibration_error,
    ),
    "brier": (lambda s, y: binary.brier(s, y, even_odds=True), resampled.brier),
    **{
        name: (
            lambda s, y, name=name: getattr(binary, name)(s, y, 0.5),
            lambda c, s, y, name=name: getattr(resampled, name)(resampled.confusion(c, s, y, 0.5)),
        )
        for name in ("accuracy", "balanced_accuracy", "f1", "real_accuracy", "fake_accuracy")
    },
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("continuous", [False, True])
def test_resampled_metric_equals_the_plain_one_on_repeated_rows(name: str, continuous: bool) -> None:
    plain, many = PAIRS[name]
    score, label = tied(3)
    if continuous:
        score = np.clip(score + np.random.default_rng(4).uniform(-0.05, 0.05, score.size), 0, 1)
    counts = np.random.default_rng(5).integers(0, 4, (20, label.size)).astype(float)
    counts[0] = 1
    expected = [plain(np.repeat(score, row.astype(int)), np.repeat(label, row.astype(int))) for row in counts]
    assert many(counts, score, label) == pytest.approx(expected, abs=1e-12)


def test_generator_aurocs_are_each_against_all_reals() -> None:
    score, label = tied(6)
    generator = np.where(label == 1, np.random.default_rng(7).choice(["a", "b", "c"], label.size), "")
    aurocs = resampled.GeneratorAurocs(score, label, generator)
    values = aurocs(np.ones((1, label.size)))[0]
    for name, value in zip(aurocs.names, values, strict=True):
        subset = (label == 0) | (generator == name)
        assert value == pytest.approx(binary.auroc(score[subset], label[subset]))


def test_groups_are_drawn_whole_and_no_resample_loses_a_class() -> None:
    label = np.array([0] * 6 + [1] * 6 + [0, 1, 0, 1])
    group = np.array(list("aabbcc") + list("ddeeff") + list("gghh"))  # g and h hold both labels
    counts = np.concatenate(list(unc.resampled_counts(label, group, resamples=300, seed=1)))
    assert counts.shape == (300, 16)
    for name in np.unique(group):
        assert np.ptp(counts[:, group == name], axis=1).max() == 0
    assert (counts[:, :6].sum(axis=1) == 6).all()
    assert (counts[:, 6:12].sum(axis=1) == 6).all()
    assert (counts[:, 12:].sum(axis=1) == 4).all()
    assert counts.mean() == pytest.approx(1, abs=0.02)
    assert counts.var(axis=0).mean() == pytest.approx(0.64, abs=0.1)  # 1 - 1/3 of three groups, 1 - 1/2 of two


def test_resamples_do_not_depend_on_the_order_of_the_pictures_and_do_on_the_seed() -> None:
    score, label = tied(8)
    group = np.random.default_rng(9).integers(0, 60, label.size)
    order = np.random.default_rng(10).permutation(label.size)
    one = unc.group_bootstrap(auroc_of(score, label), label, group, resamples=200, seed=3)
    other = unc.group_bootstrap(auroc_of(score[order], label[order]), label[order], group[order], resamples=200, seed=3)
    assert one is not None
    assert other is not None
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-12)
    assert one != unc.group_bootstrap(auroc_of(score, label), label, group, resamples=200, seed=4)


@pytest.mark.parametrize(
    ("pictures", "groups", "given"), [(10, 10, True), (9, 9, False), (40, 5, True), (40, 4, False)]
)
@pytest.mark.parametrize("side", [0, 1])
def test_too_few_groups_or_pictures_on_either_side_give_none(
    pictures: int, groups: int, given: bool, side: int
) -> None:
    label = np.concatenate([np.full(pictures, side), np.full(30, 1 - side)])
    group = np.concatenate([np.arange(pictures) % groups, 100 + np.arange(30)])
    score = np.random.default_rng(11).normal(size=label.size)
    assert (unc.group_bootstrap(auroc_of(score, label), label, group, resamples=50) is not None) == given
    paired = unc.paired_group_bootstrap(auroc_of(score, label), auroc_of(-score, label), label, group, resamples=50)
    assert (paired is not None) == given


def test_resamples_that_all_agree_give_none() -> None:
    label = np.repeat([0, 1], 20)
    assert unc.group_bootstrap(auroc_of(label.astype(float), label), label, np.arange(40), resamples=50) is None


def test_auroc_interval_covers_the_truth_and_ignoring_groups_does_not() -> None:
    """Synthetic: logits of groups of eight that share most of their noise; truth = AUROC of normals 1 apart, sd 1."""
    random = np.random.default_rng(12)
    truth = norm.cdf(1 / np.sqrt(2))
    label, group = np.repeat([0, 1], 200), np.repeat(np.arange(50), 8)
    covered, covered_alone, runs = 0, 0, 120
    for run in range(runs):
        score = label + np.sqrt(0.9) * random.normal(size=50)[group] + np.sqrt(0.1) * random.normal(size=400)
        for by_group in (True, False):
            units = group if by_group else np.arange(400)
            interval = unc.group_bootstrap(auroc_of(score, label), label, units, resamples=200, seed=run)
            assert interval is not None
            inside = interval.low <= truth <= interval.high
            covered, covered_alone = covered + (by_group and inside), covered_alone + (not by_group and inside)
    assert 0.86 <= covered / runs <= 1
    assert covered_alone / runs < 0.75


def test_paired_interval_is_narrower_than_the_spread_of_each_and_finds_the_better_detector() -> None:
    random = np.random.default_rng(13)
    label, group = np.repeat([0, 1], 150), np.arange(300)
    shared = random.normal(size=300)
    good = 1.6 * label + shared + 0.2 * random.normal(size=300)
    poor = 1.2 * label + shared + 0.2 * random.normal(size=300)
    paired = unc.paired_group_bootstrap(auroc_of(good, label), auroc_of(poor, label), label, group, resamples=500)
    alone = unc.group_bootstrap(auroc_of(good, label), label, group, resamples=500)
    assert paired is not None
    assert paired.interval is not None
    assert alone is not None
    assert paired.difference == pytest.approx(binary.auroc(good, label) - binary.auroc(poor, label))
    assert 0 < paired.interval.low < paired.difference < paired.interval.high
    assert paired.interval.high - paired.interval.low < alone.high - alone.low
    assert paired.p_value == pytest.approx(2 / 501)
    mirrored = unc.paired_group_bootstrap(auroc_of(poor, label), auroc_of(good, label), label, group, resamples=500)
    assert mirrored is not None
    assert (mirrored.p_value, mirrored.difference) == (paired.p_value, -paired.difference)


def test_a_detector_does_not_differ_from_itself() -> None:
    score, label = tied(14)
    same = unc.paired_group_bootstrap(auroc_of(score, label), auroc_of(score, label), label, np.arange(label.size))
    assert same == unc.PairedDifference(difference=0.0, interval=None, p_value=1.0)


def test_p_value_of_equally_good_detectors_is_seldom_small() -> None:
    random = np.random.default_rng(15)
    label, group = np.repeat([0, 1], 60), np.arange(120)
    small = 0
    for run in range(60):
        a, b = label + random.normal(size=120), label + random.normal(size=120)
        paired = unc.paired_group_bootstrap(
            auroc_of(a, label), auroc_of(b, label), label, group, resamples=200, seed=run
        )
        assert paired is not None
        small += paired.p_value < 0.05
    assert small <= 9  # 3 expected; 10 or more of 60 would have a chance of 0.1 %


def test_mean_over_generators_covers_what_new_generators_would_give() -> None:
    """Synthetic: eight generators whose shift from the reals is itself random; truth = the mean over all."""
    random = np.random.default_rng(16)
    truth = norm.cdf(1.5 / np.sqrt(2 + 0.8**2))
    label, generator = np.repeat([0, 1], [160, 320]), np.repeat(np.arange(12), 40) - 4
    covered, flat_width, width = 0, 0.0, 0.0
    for run in range(80):
        score = random.normal(size=480) + np.where(label == 1, random.normal(1.5, 0.8, 12)[generator + 4], 0)
        aurocs = resampled.GeneratorAurocs(score, label, generator)
        interval = unc.generator_mean_bootstrap(aurocs, label, np.arange(480), resamples=200, seed=run)
        flat = unc.group_bootstrap(auroc_of(score, label), label, np.arange(480), resamples=200, seed=run)
        assert interval is not None
        assert flat is not None
        covered += interval.low <= truth <= interval.high
        width, flat_width = width + interval.high - interval.low, flat_width + flat.high - flat.low
    assert covered >= 64  # 80 % and more: a percentile bootstrap of eight generators covers less than its 95 %
    assert width > 1.3 * flat_width


@pytest.mark.parametrize(
    ("generators", "has_interval"), [(unc.LEAST_GENERATORS, True), (unc.LEAST_GENERATORS - 1, False)]
)
def test_mean_over_few_generators_has_no_interval(generators: int, has_interval: bool) -> None:
    score, label = tied(17)
    aurocs = resampled.GeneratorAurocs(score, label, np.arange(label.size) % generators)
    interval = unc.generator_mean_bootstrap(aurocs, label, np.arange(label.size), resamples=50)
    assert (interval is not None) == has_interval


def test_reflected_interval_of_a_calibrated_detector_mostly_reaches_zero() -> None:
    """Synthetic: labels drawn with the stated probability, so that the true calibration error is 0."""
    random = np.random.default_rng(18)
    reaches, plain_reaches = 0, 0
    for run in range(40):
        probability = random.uniform(size=400)
        label = (random.uniform(size=400) < probability).astype(int)
        values = unc.bootstrap_values(
            lambda c, p=probability, y=label: resampled.expected_calibration_error(c, p, y),
            label,
            np.arange(400),
            resamples=200,
            seed=run,
        )
        value = binary.expected_calibration_error(probability, label, even_odds=True)
        interval = unc.reflected_interval(values, value)
        plain = unc.percentile_interval(values)
        assert interval is not None
        assert plain is not None
        assert interval.low <= value <= interval.high
        reaches, plain_reaches = reaches + (interval.low < 0.01), plain_reaches + (plain.low < 0.01)
    assert reaches >= 25  # 30 here: reflecting takes away most of the bias, not all of it
    assert plain_reaches == 0


def test_unanimous_interval_is_clopper_pearson() -> None:
    from scipy.stats import beta

    interval = unc.unanimous_interval(1.0, 20)
    assert (interval.low, interval.high) == (pytest.approx(beta.ppf(0.025, 20, 1)), 1.0)
    interval = unc.unanimous_interval(0.0, 20)
    assert (interval.low, interval.high) == (0.0, pytest.approx(beta.ppf(0.975, 1, 20)))


def test_three_thousand_pictures_take_seconds() -> None:
    random = np.random.default_rng(19)
    label = random.integers(0, 2, 3000)
    score = label + random.normal(size=3000)
    start = time.process_time()
    assert unc.group_bootstrap(auroc_of(score, label), label, np.arange(3000) // 2, resamples=1000) is not None
    assert time.process_time() - start < 4
