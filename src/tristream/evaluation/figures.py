"""The figures of scored pictures: every measure with its interval, or null with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from tristream.config import StrictModel
from tristream.errors import UndefinedMetricError, UsageError
from tristream.metrics import binary, resampled
from tristream.metrics import uncertainty as unc

# N pictures of one condition, R resamples

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Strings = npt.NDArray[np.object_]

LEVEL = 0.95
COLUMNS = ("id", "label", "generator", "source", "group", "condition", "logit", "probability", "error")


class Figure(StrictModel):
    """One number and its interval; where one of them is None, `reason` says why."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Pictures:
    """The columns of one condition, failed pictures included."""

    id_N: Strings
    label_N: Int64
    generator_N: Strings
    source_N: Strings
    group_N: Strings
    logit_N: Float64
    probability_N: Float64
    failed_N: Bool

    def __getitem__(self, chosen: Bool | npt.NDArray[np.intp]) -> Pictures:
        return replace(self, **{column.name: getattr(self, column.name)[chosen] for column in fields(self)})

    def __len__(self) -> int:
        return self.label_N.size

    @cached_property
    def scored(self) -> Pictures:
        """Those that did not fail."""
        return self[~self.failed_N]

    def probability(self) -> Float64:
        """f64[N], P(fake). Raises UndefinedMetricError for a detector without calibration."""
        if np.isnan(self.probability_N).all():
            raise UndefinedMetricError("the detector is not calibrated")
        return self.probability_N


def read_conditions(predictions: pd.DataFrame) -> dict[str, Pictures]:
    """The pictures of each condition of a predictions table, in the table's order of conditions.

    A picture without a group is a group of its own; a fake without a generator, or a real without a source, is of
    "unknown". Raises UsageError for a missing column and for a picture that has neither a logit nor an error.
    """
    if missing := [column for column in COLUMNS if column not in predictions]:
        raise UsageError(f"the predictions table lacks the columns {', '.join(missing)}")
    conditions = {}
    for name, table in predictions.groupby("condition", sort=False):
        text = {
            c: table[c].fillna("").astype(str).to_numpy(object) for c in ("id", "generator", "source", "group", "error")
        }
        logit, probability = (
            pd.to_numeric(table[c]).to_numpy(np.float64, na_value=np.nan) for c in ("logit", "probability")
        )
        failed = text["error"] != ""
        if unexplained := int((np.isnan(logit) & ~failed).sum()):
            raise UsageError(f"condition {name}: {unexplained} pictures have neither a logit nor an error")
        conditions[str(name)] = Pictures(
            id_N=text["id"],
            label_N=table["label"].to_numpy(np.int64),
            generator_N=np.where(text["generator"] == "", "unknown", text["generator"]),
            source_N=np.where(text["source"] == "", "unknown", text["source"]),
            group_N=np.where(text["group"] == "", "picture " + text["id"], text["group"]),
            logit_N=logit,
            probability_N=probability,
            failed_N=failed,
        )
    return conditions


class _Resample:
    """A block of resamples of scored pictures; what several measures need is computed once."""

    def __init__(
        self, pictures: Pictures, ranking: resampled.Ranking, threshold: float | None, counts_RN: Float64
    ) -> None:
        self.pictures, self.counts_RN = pictures, counts_RN
        self._ranking, self._threshold = ranking, threshold

    @cached_property
    def ranked(self) -> resampled.Ranked:
        return self._ranking(self.counts_RN)

    @cached_property
    def at_half(self) -> resampled.Confusion:
        return resampled.confusion(self.counts_RN, self.pictures.probability_N, self.pictures.label_N, 0.5)

    @cached_property
    def at_threshold(self) -> resampled.Confusion:
        return resampled.confusion(
            self.counts_RN, self.pictures.logit_N, self.pictures.label_N, _stored(self._threshold)
        )


def _stored(threshold: float | None) -> float:
    if threshold is None:
        raise UndefinedMetricError("the detector has no stored threshold")
    return threshold


@dataclass(frozen=True)
class _Measure:
    """A figure: its value on the pictures, and on each resample of them."""

    value: Callable[[Pictures, float | None], float]
    of_resamples: Callable[[_Resample], Float64]


_Value = Callable[[Float64, Int64], float]
_ValueAt = Callable[[Float64, Int64, float], float]
_OfConfusion = Callable[[resampled.Confusion], Float64]


def _of_ranks(value: _Value, of_resamples: Callable[[resampled.Ranked], Float64]) -> _Measure:
    return _Measure(lambda p, _: value(p.logit_N, p.label_N), lambda r: of_resamples(r.ranked))


def _at_half(value: _ValueAt, of_resamples: _OfConfusion) -> _Measure:
    return _Measure(lambda p, _: value(p.probability(), p.label_N, 0.5), lambda r: of_resamples(r.at_half))


def _at_threshold(value: _ValueAt, of_resamples: _OfConfusion) -> _Measure:
    return _Measure(lambda p, t: value(p.logit_N, p.label_N, _stored(t)), lambda r: of_resamples(r.at_threshold))


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
    ),
    "brier": _Measure(
        lambda p, _: binary.brier(p.probability(), p.label_N, even_odds=True),
        lambda r: resampled.brier(r.counts_RN, r.pictures.probability_N, r.pictures.label_N),
    ),
    "accuracy_at_half": _at_half(binary.accuracy, resampled.accuracy),
    "balanced_accuracy_at_half": _at_half(binary.balanced_accuracy, resampled.balanced_accuracy),
    "f1_at_half": _at_half(binary.f1, resampled.f1),
    "real_accuracy_at_half": _at_half(binary.real_accuracy, resampled.real_accuracy),
    "fake_accuracy_at_half": _at_half(binary.fake_accuracy, resampled.fake_accuracy),
    "accuracy_at_threshold": _at_threshold(binary.accuracy, resampled.accuracy),
    "balanced_accuracy_at_threshold": _at_threshold(binary.balanced_accuracy, resampled.balanced_accuracy),
    "f1_at_threshold": _at_threshold(binary.f1, resampled.f1),
    "real_accuracy_at_threshold": _at_threshold(binary.real_accuracy, resampled.real_accuracy),
    "fake_accuracy_at_threshold": _at_threshold(binary.fake_accuracy, resampled.fake_accuracy),
}
"""Figures of the overall row by name. Calibration error and Brier score are at even odds, as the probability is."""

F = TypeVar("F", bound=Figure)


def with_interval(figure: F, interval: unc.Interval | None) -> F:
    """The figure with its interval, or with the reason for having none."""
    if interval is None:
        return figure.model_copy(update={"reason": "no interval: every resample gives the same value"})
    return figure.model_copy(update={"low": interval.low, "high": interval.high})


def _interval(name: str, value: float, value_R: Float64, scored: Pictures) -> unc.Interval | None:
    if name == "expected_calibration_error":
        return unc.reflected_interval(value_R, value, LEVEL)
    if name.startswith(("real_accuracy", "fake_accuracy")) and value in (0.0, 1.0):
        side_N = scored.label_N == int(name.startswith("fake"))
        return unc.unanimous_interval(value, np.unique(scored.group_N[side_N]).size, LEVEL)
    return unc.percentile_interval(value_R, LEVEL)


def compute_figures(
    scored: Pictures, names: Iterable[str], *, threshold: float | None, resamples: int, seed: int
) -> dict[str, Figure]:
    """The named MEASURES of pictures that were all scored; one bootstrap gives the intervals of those defined."""
    figures: dict[str, Figure] = {}
    values: dict[str, float] = {}
    for name in names:
        try:
            values[name] = MEASURES[name].value(scored, threshold)
            figures[name] = Figure(value=values[name])
        except UndefinedMetricError as error:
            figures[name] = Figure(reason=str(error))
    if not values:
        return figures
    if reason := unc.too_few(scored.label_N, scored.group_N):
        return figures | {name: Figure(value=value, reason=reason) for name, value in values.items()}
    ranking = resampled.Ranking(scored.logit_N, scored.label_N)

    def statistic(counts_RN: Float64) -> Float64:
        block = _Resample(scored, ranking, threshold, counts_RN)
        return np.stack([MEASURES[name].of_resamples(block) for name in values], axis=1)

    value_RF = unc.bootstrap_values(statistic, scored.label_N, scored.group_N, resamples=resamples, seed=seed)
    for (name, value), value_R in zip(values.items(), value_RF.T, strict=True):
        figures[name] = with_interval(figures[name], _interval(name, value, value_R, scored))
    return figures
