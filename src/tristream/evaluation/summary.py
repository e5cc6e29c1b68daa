"""The summary of a predictions table, condition by condition; paired comparisons; AUROC of content-matched pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tristream.config import StrictModel
from tristream.errors import UsageError
from tristream.evaluation.figures import (
    LEVEL,
    MEASURES,
    Figure,
    Pictures,
    Stored,
    compute_figures,
    read_conditions,
    with_interval,
)
from tristream.metrics import uncertainty as unc
from tristream.metrics.resampled import GeneratorAurocs, Ranking, auroc
from tristream.runtime.verdict import Thresholds

GENERATOR_MEASURES = ("auroc", "average_precision", "fake_accuracy_at_threshold")
SOURCE_MEASURES = ("auroc", "average_precision", "real_accuracy_at_threshold")


class MeanFigure(Figure):
    """A mean over generators; its interval resamples generators and groups."""

    n_generators: int


class Row(StrictModel):
    """Figures of some pictures, and how many pictures (and groups of them) they rest on."""

    n_real: int
    n_fake: int
    n_real_groups: int
    n_fake_groups: int
    n_failed: int
    """Pictures of this row that could not be scored; no figure counts them in any way."""
    figures: dict[str, Figure]


class ConditionSummary(StrictModel):
    """One condition: all pictures, each generator's fakes against all reals, each photo source's reals against all
    fakes."""

    overall: Row
    generators: dict[str, Row]
    sources: dict[str, Row]
    mean_generator_auroc: MeanFigure


class Summary(StrictModel):
    """What `metrics.json` holds."""

    level: float
    resamples: int
    seed: int
    balanced_accuracy_threshold: float | None
    """The stored logit threshold of the figures `*_at_threshold`; `*_at_half` use probability 0.5."""
    verdict_thresholds: Thresholds | None = None
    """Of the figures of verdicts that may abstain: `coverage`, `selective_error`, `false_alarm_rate`, `miss_rate`."""
    conditions: dict[str, ConditionSummary]


class ComparedCondition(StrictModel):
    """AUROC of detectors A and B on the pictures that both have scored, and of the paired difference A - B."""

    n_real: int
    n_fake: int
    n_failed: int
    """Pictures that A, B or both could not score."""
    auroc_a: Figure
    auroc_b: Figure
    difference: Figure
    p_value: float | None


class Comparison(StrictModel):
    """Two detectors on the same pictures, condition by condition."""

    level: float
    resamples: int
    seed: int
    conditions: dict[str, ComparedCondition]


@dataclass(frozen=True)
class _Options:
    stored: Stored
    resamples: int
    seed: int


def summarise(
    predictions: pd.DataFrame,
    *,
    balanced_accuracy_threshold: float | None,
    verdict_thresholds: Thresholds | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Summary:
    """Summarise a predictions table: all pictures, each generator and each photo source of every condition.

    balanced_accuracy_threshold: the logit stored with the detector, chosen on other pictures, or None;
    verdict_thresholds: where its verdicts begin, or None. Failed pictures are counted and otherwise left out. Raises
    UsageError for a table that is not one of predictions.
    """
    options = _Options(Stored(balanced_accuracy_threshold, verdict_thresholds), resamples, seed)
    return Summary(
        level=LEVEL,
        resamples=resamples,
        seed=seed,
        balanced_accuracy_threshold=balanced_accuracy_threshold,
        verdict_thresholds=verdict_thresholds,
        conditions={name: _condition(pictures, options) for name, pictures in read_conditions(predictions).items()},
    )


def _condition(pictures: Pictures, options: _Options) -> ConditionSummary:
    fake_N, real_N = pictures.label_N == 1, pictures.label_N == 0
    generators, sources = np.unique(pictures.generator_N[fake_N]), np.unique(pictures.source_N[real_N])
    return ConditionSummary(
        overall=_row(pictures, MEASURES, options),
        generators={
            str(name): _row(pictures[real_N | (pictures.generator_N == name)], GENERATOR_MEASURES, options)
            for name in generators
        },
        sources={
            str(name): _row(pictures[fake_N | (pictures.source_N == name)], SOURCE_MEASURES, options)
            for name in sources
        },
        mean_generator_auroc=_mean_generator_auroc(pictures.scored, options),
    )


def _row(pictures: Pictures, measures: Iterable[str], options: _Options) -> Row:
    scored = pictures.scored
    n_real_groups, n_fake_groups = (np.unique(scored.group_N[scored.label_N == label]).size for label in (0, 1))
    return Row(
        n_real=int((scored.label_N == 0).sum()),
        n_fake=int((scored.label_N == 1).sum()),
        n_real_groups=n_real_groups,
        n_fake_groups=n_fake_groups,
        n_failed=int(pictures.failed_N.sum()),
        figures=compute_figures(
            scored, measures, stored=options.stored, resamples=options.resamples, seed=options.seed
        ),
    )


def _mean_generator_auroc(scored: Pictures, options: _Options) -> MeanFigure:
    n_generators = np.unique(scored.generator_N[scored.label_N == 1]).size
    if not n_generators or not (scored.label_N == 0).any():
        return MeanFigure(n_generators=n_generators, reason="no real pictures" if n_generators else "no fake pictures")
    columns = scored.logit_N, scored.label_N, scored.generator_N
    value = float(GeneratorAurocs(*columns)(np.ones((1, len(scored)))).mean())
    reason = unc.too_few(scored.label_N, scored.group_N)
    if n_generators < unc.LEAST_GENERATORS:
        reason = f"no interval: {n_generators} generators, it takes {unc.LEAST_GENERATORS}"
    figure = MeanFigure(n_generators=n_generators, value=value, reason=reason)
    if reason:
        return figure
    interval = unc.mean_generator_auroc_bootstrap(
        *columns, scored.group_N, resamples=options.resamples, level=LEVEL, seed=options.seed
    )
    return with_interval(figure, interval)


def compare(
    predictions_a: pd.DataFrame, predictions_b: pd.DataFrame, *, seed: int = 0, resamples: int = 1000
) -> Comparison:
    """AUROC of two detectors on the same pictures, and of the paired difference A - B, in every condition.

    Pictures are joined by id within a condition; labels and groups are read from A. Raises UsageError where
    conditions, ids or labels differ or an id stands twice in a condition.
    """
    a, b = read_conditions(predictions_a), read_conditions(predictions_b)
    if set(a) != set(b):
        raise UsageError(f"only one of the two tables has the conditions {', '.join(sorted(set(a) ^ set(b)))}")
    return Comparison(
        level=LEVEL,
        resamples=resamples,
        seed=seed,
        conditions={name: _compared(name, a[name], b[name], _Options(Stored(), resamples, seed)) for name in a},
    )


def _by_id(condition: str, pictures: Pictures) -> Pictures:
    pictures = pictures[np.argsort(pictures.id_N, kind="stable")]
    twice = pictures.id_N[1:][pictures.id_N[1:] == pictures.id_N[:-1]]
    if twice.size:
        raise UsageError(f"condition {condition}: picture {twice[0]} stands there twice; compare needs each id once")
    return pictures


def _compared(condition: str, a: Pictures, b: Pictures, options: _Options) -> ComparedCondition:
    a, b = _by_id(condition, a), _by_id(condition, b)
    if differing := set(a.id_N) ^ set(b.id_N):
        raise UsageError(
            f"condition {condition}: {len(differing)} pictures are in one table only, such as {min(differing)}"
        )
    if (a.label_N != b.label_N).any():
        raise UsageError(f"condition {condition}: picture {a.id_N[a.label_N != b.label_N][0]} has two labels")
    both_N = ~a.failed_N & ~b.failed_N
    a, b = a[both_N], b[both_N]
    figure_a, figure_b = (
        compute_figures(p, ("auroc",), stored=Stored(), resamples=options.resamples, seed=options.seed)["auroc"]
        for p in (a, b)
    )
    p_value = None
    if figure_a.value is None or figure_b.value is None:
        difference = Figure(reason=figure_a.reason)
    else:
        difference = Figure(value=figure_a.value - figure_b.value, reason=unc.too_few(a.label_N, a.group_N))
        rank_a, rank_b = Ranking(a.logit_N, a.label_N), Ranking(b.logit_N, b.label_N)
        paired = unc.paired_group_bootstrap(
            lambda counts_RN: auroc(rank_a(counts_RN)),
            lambda counts_RN: auroc(rank_b(counts_RN)),
            a.label_N,
            a.group_N,
            resamples=options.resamples,
            level=LEVEL,
            seed=options.seed,
        )
        if paired is not None:
            difference, p_value = with_interval(difference, paired.interval), paired.p_value
    return ComparedCondition(
        n_real=int((a.label_N == 0).sum()),
        n_fake=int((a.label_N == 1).sum()),
        n_failed=int((~both_N).sum()),
        auroc_a=figure_a,
        auroc_b=figure_b,
        difference=difference,
        p_value=p_value,
    )


def matched_auroc(
    predictions: pd.DataFrame,
    *,
    real_sources: Collection[str],
    generators: Collection[str] = (),
    fake_sources: Collection[str] = (),
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Row]:
    """AUROC of fakes against reals of the same content (such as swapped faces against their originals), in every
    condition.

    The fakes are those of any of `generators` or `fake_sources`, the reals those of `real_sources`.
    Raises UsageError for a name that no such picture has.
    """
    options = _Options(Stored(), resamples, seed)
    rows = {}
    for name, pictures in read_conditions(predictions).items():
        fake_N = pictures.label_N == 1
        mask_N = np.zeros(len(pictures), dtype=np.bool_)
        for what, side_N, column_N, wanted in (
            ("real source", ~fake_N, pictures.source_N, real_sources),
            ("generator", fake_N, pictures.generator_N, generators),
            ("fake source", fake_N, pictures.source_N, fake_sources),
        ):
            if unknown := set(wanted) - set(column_N[side_N]):
                there = ", ".join(sorted(set(column_N[side_N])))
                raise UsageError(f"condition {name} has no {what} {', '.join(sorted(unknown))}; there are: {there}")
            mask_N |= side_N & np.isin(column_N.astype(str), list(wanted))
        rows[name] = _row(pictures[mask_N], ("auroc",), options)
    return rows
