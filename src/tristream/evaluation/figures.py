"""The figures of scored pictures: every measure with its interval, or null with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from tristream.config import StrictModel
from tristream.errors import UndefinedMetricError
from tristream.evaluation.predictions import Pictures
from tristream.metrics import binary, resampled, selective
from tristream.metrics import uncertainty as unc
from tristream.metrics.answers import answers
from tristream.runtime.verdict import Thresholds
from tristream.typing import Bool, Float64, Int64

# N pictures of one condition, R resamples


LEVEL = 0.95


class Figure(StrictModel):
    """One number and its interval; where one of them is None, `reason` says why."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Stored:
    """Thresholds that are stored with a detector, or read from what is; None where there are none."""

    balanced_accuracy: float | None = None
    """Logit."""
    verdicts: Thresholds | None = None
    distance_limit: float | None = None
    """Of the domain model: farther pictures are not answered."""

    def balanced(self) -> float:
        """The threshold of best balanced accuracy. Raises UndefinedMetricError where there is none."""
        if self.balanced_accuracy is None:
            raise UndefinedMetricError("no threshold was fitted")
        return self.balanced_accuracy

    def fake_and_real(self) -> tuple[float, float]:
        """The thresholds of the verdicts. Raises UndefinedMetricError where there are none."""
        if self.verdicts is None:
            raise UndefinedMetricError("no thresholds of verdicts were fitted")
        return self.verdicts.fake, self.verdicts.real

    def far(self, pictures: Pictures) -> Bool:
        """bool[N], which pictures get no answer for being far from the training pictures.

        Raises UndefinedMetricError where there is a limit and no distance.
        """
        if self.distance_limit is None:
            return np.zeros(len(pictures), np.bool_)
        if np.isnan(pictures.distance_N).any():
            raise UndefinedMetricError("the detector has a domain model, but distances were not recorded")
        return np.asarray(pictures.distance_N > self.distance_limit)


class _Resample:
    """A block of resamples of scored pictures; what several measures need is computed once."""

    def __init__(self, pictures: Pictures, ranking: resampled.Ranking, stored: Stored, counts_RN: Float64) -> None:
        self.pictures, self.counts_RN = pictures, counts_RN
        self._ranking, self.stored = ranking, stored

    @cached_property
    def ranked(self) -> resampled.Ranked:
        return self._ranking(self.counts_RN)

    @cached_property
    def at_half(self) -> resampled.Confusion:
        return resampled.confusion(self.counts_RN, self.pictures.probability_N, self.pictures.label_N, 0.5)

    @cached_property
    def at_zero(self) -> resampled.Confusion:
        return resampled.confusion(self.counts_RN, self.pictures.logit_N, self.pictures.label_N, 0.0)

    @cached_property
    def at_threshold(self) -> resampled.Confusion:
        return resampled.confusion(self.counts_RN, self.pictures.logit_N, self.pictures.label_N, self.stored.balanced())

    @cached_property
    def answers(self) -> selective.AnswerRates:
        return _answers(self.pictures, self.stored, self.counts_RN)


def _answers(pictures: Pictures, stored: Stored, counts_RN: Float64) -> selective.AnswerRates:
    thresholds, far_N = stored.fake_and_real(), stored.far(pictures)
    return selective.answer_rates(counts_RN, pictures.logit_N, pictures.label_N, *thresholds, far_N)


def _answered_calibration_error(pictures: Pictures, stored: Stored, counts_RN: Float64) -> Float64:
    answered_N = answers(pictures.logit_N, *stored.fake_and_real(), stored.far(pictures)) >= 0
    return selective.reliability(counts_RN, pictures.probability(), pictures.label_N, answered_N).calibration_error


def _risk_coverage(pictures: Pictures, stored: Stored, counts_RN: Float64) -> Float64:
    confidence_N = selective.confidence(pictures.logit_N, stored.balanced(), stored.far(pictures))
    curve = selective.RiskCoverage(pictures.logit_N, pictures.label_N, stored.balanced(), confidence_N)
    return curve.area(counts_RN)


@dataclass(frozen=True)
class _Measure:
    """A figure: its value on the pictures, and on each resample of them."""

    value: Callable[[Pictures, Stored], float]
    of_resamples: Callable[[_Resample], Float64]
    of_class: int | None = None
    """The label of those that count, of a rate of one class."""
    is_biased_upwards: bool = False
    """Resamples exceed the value as the value exceeds the truth: calibration errors are sums of absolute gaps."""


_Value = Callable[[Float64, Int64], float]
_ValueAt = Callable[[Float64, Int64, float], float]
_OfConfusion = Callable[[resampled.Confusion], Float64]


def _of_ranks(value: _Value, of_resamples: Callable[[resampled.Ranked], Float64]) -> _Measure:
    return _Measure(lambda p, _: value(p.logit_N, p.label_N), lambda r: of_resamples(r.ranked))


def _at_half(value: _ValueAt, of_resamples: _OfConfusion, of_class: int | None = None) -> _Measure:
    return _Measure(lambda p, _: value(p.probability(), p.label_N, 0.5), lambda r: of_resamples(r.at_half), of_class)


def _at_threshold(value: _ValueAt, of_resamples: _OfConfusion, of_class: int | None = None) -> _Measure:
    return _Measure(
        lambda p, s: value(p.logit_N, p.label_N, s.balanced()), lambda r: of_resamples(r.at_threshold), of_class
    )


def _of_resamples(statistic: Callable[[Pictures, Stored, Float64], Float64]) -> _Measure:
    """A measure without a namesake in `binary`: its value is that of all pictures once. NaN: no answer."""

    def value(pictures: Pictures, stored: Stored) -> float:
        found = float(statistic(pictures, stored, np.ones((1, len(pictures))))[0])
        if np.isnan(found):
            raise UndefinedMetricError("every picture is called unsure")
        return found

    return _Measure(value, lambda r: statistic(r.pictures, r.stored, r.counts_RN))


def _of_answers(rate: Callable[[selective.AnswerRates], Float64], of_class: int | None = None) -> _Measure:
    plain = _of_resamples(lambda p, s, c: rate(_answers(p, s, c)))
    return replace(plain, of_resamples=lambda r: rate(r.answers), of_class=of_class)


def _tpr_at(rate: float) -> _Measure:
    return _of_ranks(
        lambda score_N, label_N: binary.true_positive_rate_at(score_N, label_N, rate),
        lambda ranked: resampled.true_positive_rate_at(ranked, rate),
    )


MEASURES: dict[str, _Measure] = {
    "auroc": _of_ranks(binary.auroc, resampled.auroc),
    "average_precision": _of_ranks(binary.average_precision, resampled.average_precision),
    "equal_error_rate": _of_ranks(binary.equal_error_rate, resampled.equal_error_rate),
    "tpr_at_1_percent_fpr": _tpr_at(0.01),
    "tpr_at_5_percent_fpr": _tpr_at(0.05),
    "expected_calibration_error": _Measure(
        lambda p, _: binary.expected_calibration_error(p.probability(), p.label_N, even_odds=True),
        lambda r: resampled.expected_calibration_error(r.counts_RN, r.pictures.probability_N, r.pictures.label_N),
        is_biased_upwards=True,
    ),
    "brier": _Measure(
        lambda p, _: binary.brier(p.probability(), p.label_N, even_odds=True),
        lambda r: resampled.brier(r.counts_RN, r.pictures.probability_N, r.pictures.label_N),
    ),
    "oracle_accuracy": _of_ranks(binary.oracle_accuracy, resampled.oracle_accuracy),
    "accuracy_at_zero": _Measure(
        lambda p, _: binary.accuracy(p.logit_N, p.label_N, 0.0), lambda r: resampled.accuracy(r.at_zero)
    ),
    "accuracy_at_half": _at_half(binary.accuracy, resampled.accuracy),
    "balanced_accuracy_at_half": _at_half(binary.balanced_accuracy, resampled.balanced_accuracy),
    "f1_at_half": _at_half(binary.f1, resampled.f1),
    "real_accuracy_at_half": _at_half(binary.real_accuracy, resampled.real_accuracy, 0),
    "fake_accuracy_at_half": _at_half(binary.fake_accuracy, resampled.fake_accuracy, 1),
    "accuracy_at_threshold": _at_threshold(binary.accuracy, resampled.accuracy),
    "balanced_accuracy_at_threshold": _at_threshold(binary.balanced_accuracy, resampled.balanced_accuracy),
    "f1_at_threshold": _at_threshold(binary.f1, resampled.f1),
    "real_accuracy_at_threshold": _at_threshold(binary.real_accuracy, resampled.real_accuracy, 0),
    "fake_accuracy_at_threshold": _at_threshold(binary.fake_accuracy, resampled.fake_accuracy, 1),
    "coverage": _of_answers(lambda a: a.coverage),
    "real_coverage": _of_answers(lambda a: a.real_coverage, 0),
    "fake_coverage": _of_answers(lambda a: a.fake_coverage, 1),
    "selective_error": _of_answers(lambda a: a.selective_error),
    "false_alarm_rate": _of_answers(lambda a: a.false_alarm_rate, 0),
    "miss_rate": _of_answers(lambda a: a.miss_rate, 1),
    "selective_calibration_error": replace(_of_resamples(_answered_calibration_error), is_biased_upwards=True),
    "area_under_risk_coverage": _of_resamples(_risk_coverage),
}
"""Figures of the overall row by name. At zero: of the logit, as a detector without calibration is used; oracle: at the
threshold that is best on the very pictures. Calibration error, Brier score, coverage and the errors of verdicts that
may abstain are at even odds, as the probability is; the last is by distance of the logit from the stored threshold, far
pictures last."""

F = TypeVar("F", bound=Figure)


def with_interval(figure: F, interval: unc.Interval | None) -> F:
    """The figure with its interval, or with the reason for having none."""
    if interval is None:
        return figure.model_copy(update={"reason": unc.UNANIMOUS})
    if figure.value is not None:
        interval = interval.holding(figure.value)
    return figure.model_copy(update={"low": interval.low, "high": interval.high})


def _interval(name: str, value: float, value_R: Float64, scored: Pictures) -> unc.Interval | None:
    value_R, measure = value_R[~np.isnan(value_R)], MEASURES[name]  # NaN: no error among no answers
    if measure.is_biased_upwards:
        return unc.reflected_interval(value_R, value, LEVEL)
    if measure.of_class is not None and value in (0.0, 1.0):
        groups = np.unique(scored.group_N[scored.label_N == measure.of_class])
        return unc.unanimous_interval(value, groups.size, LEVEL)
    return unc.percentile_interval(value_R, LEVEL)


def statistic_of(name: str, scored: Pictures, stored: Stored) -> resampled.Statistic:
    """The named one of MEASURES for resamples of pictures that were all scored: counts_RN -> f64[R]."""
    ranking = resampled.Ranking(scored.logit_N, scored.label_N)
    return lambda counts_RN: MEASURES[name].of_resamples(_Resample(scored, ranking, stored, counts_RN))


def compute_figures(
    scored: Pictures, names: Iterable[str], *, stored: Stored, resamples: int, seed: int
) -> dict[str, Figure]:
    """The named MEASURES of pictures that were all scored; one bootstrap gives the intervals of those defined."""
    figures: dict[str, Figure] = {}
    values: dict[str, float] = {}
    for name in names:
        try:
            values[name] = MEASURES[name].value(scored, stored)
            figures[name] = Figure(value=values[name])
        except UndefinedMetricError as error:
            figures[name] = Figure(reason=str(error))
    if not values:
        return figures
    if reason := unc.too_few(scored.label_N, scored.group_N):
        return figures | {name: Figure(value=value, reason=reason) for name, value in values.items()}
    ranking = resampled.Ranking(scored.logit_N, scored.label_N)

    def statistic(counts_RN: Float64) -> Float64:
        block = _Resample(scored, ranking, stored, counts_RN)
        return np.stack([MEASURES[name].of_resamples(block) for name in values], axis=1)

    value_RF = unc.bootstrap_values(statistic, scored.label_N, scored.group_N, resamples=resamples, seed=seed)
    for (name, value), value_R in zip(values.items(), value_RF.T, strict=True):
        figures[name] = with_interval(figures[name], _interval(name, value, value_R, scored))
    return figures


def mean_over_generators(statistic: resampled.Statistic, scored: Pictures, *, resamples: int, seed: int) -> Figure:
    """The mean over generators, each counting alike; its interval is over groups of pictures and over generators.

    statistic: counts_RN -> f64[R, G], of each generator by itself.
    """
    value_G = statistic(np.ones((1, len(scored))))[0]
    reason = unc.too_few_generators(len(value_G)) or unc.too_few(scored.label_N, scored.group_N)
    figure = Figure(value=float(value_G.mean()), reason=reason)
    if reason:
        return figure
    interval = unc.generator_mean_bootstrap(
        statistic, scored.label_N, scored.group_N, resamples=resamples, level=LEVEL, seed=seed
    )
    return with_interval(figure, interval)
