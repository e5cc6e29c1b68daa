"""What an attack achieves: success on pictures that were called right before, each direction by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tristream.config import StrictModel
from tristream.errors import UndefinedMetricError, UsageError
from tristream.evaluation.figures import LEVEL, Figure, Stored, compute_figures, with_interval
from tristream.evaluation.paired import same_pictures
from tristream.evaluation.predictions import Pictures
from tristream.metrics import resampled
from tristream.metrics import uncertainty as unc
from tristream.typing import Bool

# N pictures

DIRECTIONS = {"hide": 1, "accuse": 0}
"""Hide a fake, accuse a real: the label of what is attacked. The other class stays as it was delivered."""
_ACCURACY = {0: "real_accuracy_at_threshold", 1: "fake_accuracy_at_threshold"}


class Direction(StrictModel):
    """One class attacked, the other untouched."""

    n_real: int
    n_fake: int
    n_right: int
    """Pictures of the attacked class that were called right before."""
    figures: dict[str, Figure]
    """success_rate: share of the `n_right` that are now called wrong. median_l2: of the perturbation, pixels in [0, 1],
    over those of them. robust_accuracy: share of the attacked class called right, before and after. auroc."""


class Attacked(StrictModel):
    """One condition in which pictures were attacked, against the same pictures as delivered."""

    directions: dict[str, Direction]
    """By DIRECTIONS."""
    largest_l2: float | None
    largest_linf: float | None
    """Norms of what was done to any picture, in [0, 1]."""


def attacked(before: Pictures, after: Pictures, stored: Stored, *, resamples: int, seed: int) -> Attacked | None:
    """Compare the pictures of `after` with the same ones before. None where one of them has no before."""
    try:
        chosen = before[np.isin(before.id_N.astype(str), after.id_N.astype(str))]
        same, _ = same_pictures("an attack", {"before": chosen, "after": after})
    except UsageError:
        return None
    norms = {name: getattr(same["after"], f"perturbation_{name}_N") for name in ("l2", "linf")}
    largest = {name: None if np.isnan(n).all() else float(np.nanmax(n)) for name, n in norms.items()}
    return Attacked(
        directions={
            name: _direction(same["before"], same["after"], label, stored, resamples=resamples, seed=seed)
            for name, label in DIRECTIONS.items()
        },
        largest_l2=largest["l2"],
        largest_linf=largest["linf"],
    )


def right(pictures: Pictures, stored: Stored) -> Bool:
    """bool[N], on the right side of the stored threshold. Raises UndefinedMetricError where there is none."""
    return np.asarray((pictures.logit_N >= stored.balanced()) == (pictures.label_N == 1))


def _direction(
    before: Pictures, after: Pictures, label: int, stored: Stored, *, resamples: int, seed: int
) -> Direction:
    def compute(pictures: Pictures, measure: str) -> Figure:
        return compute_figures(pictures, (measure,), stored=stored, resamples=resamples, seed=seed)[measure]

    side_N = before.label_N == label
    mixed = replace(before, logit_N=np.where(side_N, after.logit_N, before.logit_N))
    figures = {"auroc": compute(mixed, "auroc"), "robust_accuracy": compute(mixed, _ACCURACY[label])}
    n_right = 0
    try:
        hit = side_N & right(before, stored)
        n_right = int(hit.sum())
        if not n_right:
            raise UndefinedMetricError("no picture was called right before")
        figures["success_rate"] = _complement(compute(after[hit], _ACCURACY[label]))
        figures["median_l2"] = _median_l2(after[hit & ~right(after, stored)], resamples=resamples, seed=seed)
    except UndefinedMetricError as error:
        figures |= {name: Figure(reason=str(error)) for name in ("success_rate", "median_l2")}
    n_fake = int((before.label_N == 1).sum())
    return Direction(n_real=len(before) - n_fake, n_fake=n_fake, n_right=n_right, figures=figures)


def _complement(figure: Figure) -> Figure:
    """Of a rate."""
    value, high, low = (None if x is None else 1 - x for x in (figure.value, figure.low, figure.high))
    return Figure(value=value, low=low, high=high, reason=figure.reason)


def _median_l2(succeeded: Pictures, *, resamples: int, seed: int) -> Figure:
    norm_N = succeeded.perturbation_l2_N
    if not norm_N.size or np.isnan(norm_N).any():
        return Figure(reason="norms were not recorded" if norm_N.size else "no attack succeeded")
    figure = Figure(value=float(np.median(norm_N)), reason=unc.too_few(succeeded.label_N, succeeded.group_N))
    if figure.reason:
        return figure
    interval = unc.group_bootstrap(
        lambda counts_RN: resampled.median(counts_RN, norm_N), succeeded.label_N, succeeded.group_N,
        resamples=resamples, level=LEVEL, seed=seed,
    )  # fmt: skip
    return with_interval(figure, interval)
