"""Figures that need the same pictures scored several times: by two detectors, or under several conditions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tristream.config import StrictModel
from tristream.errors import UsageError
from tristream.evaluation.figures import LEVEL, Figure, Stored, compute_figures, statistic_of, with_interval
from tristream.evaluation.predictions import Pictures
from tristream.metrics import uncertainty as unc
from tristream.metrics.comparison import delong
from tristream.metrics.shapley import CHANCE_AUROC, shapley_values
from tristream.typing import Float64

# N pictures, R resamples


class PairedFigure(StrictModel):
    """One measure of A and of B on the pictures that both have scored, and the paired difference A - B."""

    a: Figure
    b: Figure
    difference: Figure
    p_value: float | None = None
    """Two-sided, from the paired bootstrap over groups."""
    p_value_delong: float | None = None
    """Of an AUROC by DeLong's test, where every group is one picture; None elsewhere."""


def same_pictures(what: str, tables: Mapping[str, Pictures]) -> tuple[dict[str, Pictures], int]:
    """The pictures that all tables have scored, in one order, and how many are left out; copies of a picture are paired
    one by one.

    what: how messages begin. Raises UsageError where ids, their counts or labels differ.
    """
    found = {name: pictures[np.lexsort((pictures.label_N, pictures.id_N))] for name, pictures in tables.items()}
    first, *others = found.values()
    for other in others:
        if differing := set(first.id_N) ^ set(other.id_N):
            raise UsageError(f"{what}: {len(differing)} pictures are in one table only, such as {min(differing)}")
        if len(first) != len(other):
            raise UsageError(f"{what}: {abs(len(first) - len(other))} copies of pictures are in one table only")
        if (differs_N := (first.id_N != other.id_N) | (first.label_N != other.label_N)).any():
            raise UsageError(f"{what}: picture {first.id_N[differs_N][0]} has other copies or labels in another table")
    scored_N = ~np.logical_or.reduce([pictures.failed_N for pictures in found.values()])
    return {name: pictures[scored_N] for name, pictures in found.items()}, int((~scored_N).sum())


def paired_figure(
    measure: str, a: Pictures, b: Pictures, stored: tuple[Stored, Stored], *, resamples: int, seed: int
) -> PairedFigure:
    """One of MEASURES on pictures as `same_pictures` gives them; groups are read from A."""
    figure_a, figure_b = (
        compute_figures(p, (measure,), stored=s, resamples=resamples, seed=seed)[measure]
        for p, s in zip((a, b), stored, strict=True)
    )
    if figure_a.value is None or figure_b.value is None:
        return PairedFigure(a=figure_a, b=figure_b, difference=Figure(reason=figure_a.reason or figure_b.reason))
    difference = Figure(value=figure_a.value - figure_b.value, reason=unc.too_few(a.label_N, a.group_N))
    paired = unc.paired_group_bootstrap(
        statistic_of(measure, a, stored[0]), statistic_of(measure, b, stored[1]), a.label_N, a.group_N,
        resamples=resamples, level=LEVEL, seed=seed,
    )  # fmt: skip
    p_value = p_value_delong = None
    if paired is not None:
        difference, p_value = with_interval(difference, paired.interval), paired.p_value
        if measure == "auroc" and np.unique(a.group_N).size == len(a):
            p_value_delong = delong(a.logit_N, b.logit_N, a.label_N).p_value
    return PairedFigure(a=figure_a, b=figure_b, difference=difference, p_value=p_value, p_value_delong=p_value_delong)


def stream_shares(tables: Mapping[frozenset[str], Pictures], *, resamples: int, seed: int) -> dict[str, Figure]:
    """The Shapley value of each stream in the AUROC; the empty set of streams has CHANCE_AUROC.

    tables: the scored pictures of every non-empty subset of the streams. One bootstrap over groups for all subsets.
    The figures are empty, with the reason, where subsets have other pictures. Raises UsageError where a subset is
    missing.
    """
    streams = sorted(frozenset[str]().union(*tables))
    try:
        named, _ = same_pictures("subsets of the streams", {"+".join(sorted(s)): p for s, p in tables.items()})
    except UsageError as error:
        return dict.fromkeys(streams, Figure(reason=str(error)))
    pictures = {subset: named["+".join(sorted(subset))] for subset in tables}
    first = next(iter(pictures.values()))
    for label, name in ((0, "real"), (1, "fake")):
        if not (first.label_N == label).any():
            return dict.fromkeys(streams, Figure(reason=f"no {name} pictures"))
    auroc = {subset: statistic_of("auroc", p, Stored()) for subset, p in pictures.items()}

    def shares(counts_RN: Float64) -> Float64:
        found = shapley_values({subset: statistic(counts_RN) for subset, statistic in auroc.items()}, CHANCE_AUROC)
        return np.stack([found[stream] for stream in streams], axis=1)

    reason = unc.too_few(first.label_N, first.group_N)
    values = shares(np.ones((1, len(first))))[0]
    figures = {stream: Figure(value=float(v), reason=reason) for stream, v in zip(streams, values, strict=True)}
    if reason:
        return figures
    share_RS = unc.bootstrap_values(shares, first.label_N, first.group_N, resamples=resamples, seed=seed)
    return {
        stream: with_interval(figures[stream], unc.percentile_interval(share_R, LEVEL))
        for stream, share_R in zip(streams, share_RS.T, strict=True)
    }
