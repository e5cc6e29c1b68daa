"""The summary of a predictions table, condition by condition; AUROC of content-matched pictures; the shortcut gap."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from pydantic import Field

from tristream.config import StrictModel
from tristream.errors import UsageError
from tristream.evaluation.attacked import Attacked, attacked
from tristream.evaluation.figures import LEVEL, MEASURES, Figure, Stored, compute_figures, mean_over_generators
from tristream.evaluation.paired import PairedFigure, paired_figure, same_pictures, stream_shares
from tristream.evaluation.predictions import Pictures, read_conditions
from tristream.metrics.resampled import GeneratorAurocs
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
    matched: dict[str, Row] = Field(default_factory=dict)
    """Generators whose fakes have reals of the same content, with these reals alone; see `content_matched`."""
    streams: tuple[str, ...] | None = None
    """Only these took part; None for all. The domain model is of all, and plays no part where some were masked."""
    is_recalibrated: bool = False
    """Whether these two thresholds hold here, None for want of a calibration included, and not those of the summary."""
    balanced_accuracy_threshold: float | None = None
    verdict_thresholds: Thresholds | None = None
    attack: Attacked | None = None
    """Against the same pictures as delivered; None where there was no attack."""


class Summary(StrictModel):
    """What `metrics.json` holds."""

    level: float
    resamples: int
    seed: int
    balanced_accuracy_threshold: float | None
    """The stored logit threshold of the figures `*_at_threshold`; `*_at_half` use probability 0.5."""
    verdict_thresholds: Thresholds | None = None
    """Of the figures of verdicts that may abstain: `coverage`, `selective_error`, `false_alarm_rate`, `miss_rate`."""
    distance_limit: float | None = None
    """Beyond it these abstain, and `area_under_risk_coverage` ranks a picture last; None without a domain model."""
    conditions: dict[str, ConditionSummary]
    shortcut_gap: PairedFigure | None = None
    """AUROC as delivered (a), everything alike (b), and the difference: what is owed to the files and not the pictures.
    None unless both conditions were scored."""
    stream_shares: dict[str, Figure] | None = None
    """Shapley value of each stream in the AUROC, from all subsets masked at inference; None unless all were scored."""

    def stored(self, condition: str) -> Stored:
        """The thresholds of the figures of one condition."""
        own = self.conditions[condition]
        thresholds = own if own.is_recalibrated else self
        limit = self.distance_limit if own.streams is None else None
        return Stored(thresholds.balanced_accuracy_threshold, thresholds.verdict_thresholds, limit)


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
    distance_limit: float | None = None,
    recalibrated: Mapping[str, Stored] | None = None,
    masked: Mapping[str, tuple[str, ...]] | None = None,
    attacks: Collection[str] = (),
    seed: int = 0,
    resamples: int = 1000,
) -> Summary:
    """Summarise a predictions table: all pictures, each generator and each photo source of every condition.

    balanced_accuracy_threshold: the logit stored with the detector, chosen on other pictures, or None;
    verdict_thresholds: where its verdicts begin, or None; distance_limit: of its domain model, or None. recalibrated:
    by condition, thresholds that hold there in place of these; masked: by condition, the streams that take part in it;
    attacks: conditions that are compared with `delivered`, picture by picture.
    Failed pictures are counted and otherwise left out. Raises UsageError for a table that is not one of predictions.
    """
    stored = Stored(balanced_accuracy_threshold, verdict_thresholds, distance_limit)
    own, streams = recalibrated or {}, masked or {}
    pictures = read_conditions(predictions)
    summaries = {}
    for name, found in pictures.items():
        here = own.get(name, stored)
        if name in streams:
            here = replace(here, distance_limit=None)
        summaries[name] = _condition(found, _Options(here, resamples, seed)).model_copy(
            update={"streams": streams.get(name), "is_recalibrated": name in own}
            | ({"balanced_accuracy_threshold": here.balanced_accuracy, "verdict_thresholds": here.verdicts}
               if name in own else {})
            | ({"attack": attacked(pictures["delivered"], found, here, resamples=resamples, seed=seed)}
               if name in attacks and "delivered" in pictures else {})
        )  # fmt: skip
    return Summary(
        level=LEVEL,
        resamples=resamples,
        seed=seed,
        balanced_accuracy_threshold=balanced_accuracy_threshold,
        verdict_thresholds=verdict_thresholds,
        distance_limit=distance_limit,
        conditions=summaries,
        shortcut_gap=_shortcut_gap(pictures, seed, resamples),
        stream_shares=_stream_shares(
            {frozenset(streams[n]): p for n, p in pictures.items() if n in streams}, seed, resamples
        ),
    )


def _shortcut_gap(pictures: Mapping[str, Pictures], seed: int, resamples: int) -> PairedFigure | None:
    if not {"delivered", "alike"} <= set(pictures):
        return None
    try:
        same, _ = same_pictures("delivered and alike", {name: pictures[name] for name in ("delivered", "alike")})
    except UsageError as error:
        return PairedFigure(**dict.fromkeys(("a", "b", "difference"), Figure(reason=str(error))))
    return paired_figure(
        "auroc", same["delivered"], same["alike"], (Stored(), Stored()), resamples=resamples, seed=seed
    )


def _stream_shares(subsets: Mapping[frozenset[str], Pictures], seed: int, resamples: int) -> dict[str, Figure] | None:
    names = frozenset[str]().union(*subsets)
    if not names or len(subsets) < 2 ** len(names) - 1:
        return None
    return stream_shares(subsets, resamples=resamples, seed=seed)


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
        matched={
            str(name): _row(matched, ("auroc",), options)
            for name in generators
            if len(matched := content_matched(pictures, str(name)))
        },
    )


def content_matched(pictures: Pictures, generator: str) -> Pictures:
    """The fakes of one generator that have reals of the same content, and these reals; none where there are none.

    The relation: equal words in the column CONTENT of the predictions, where it is filled; elsewhere the same group,
    such as the original video that a face was swapped into.
    """
    real_N, fake_N = pictures.label_N == 0, (pictures.label_N == 1) & (pictures.generator_N == generator)
    shared = set(pictures.content_N[real_N]) & set(pictures.content_N[fake_N])
    return pictures[(real_N | fake_N) & np.isin(pictures.content_N.astype(str), list(shared))]


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
    aurocs = GeneratorAurocs(scored.logit_N, scored.label_N, scored.generator_N)
    figure = mean_over_generators(aurocs, scored, resamples=options.resamples, seed=options.seed)
    return MeanFigure(n_generators=n_generators, **figure.model_dump())


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
