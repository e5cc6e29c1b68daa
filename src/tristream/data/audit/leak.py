"""How well features tell the label of pictures that a small classifier has not seen: folds, scores, AUROC, interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.ensemble import HistGradientBoostingClassifier

from tristream.config import StrictModel
from tristream.errors import UndefinedMetricError
from tristream.metrics import binary, resampled
from tristream.metrics import uncertainty as unc
from tristream.typing import Bool, Float32, Float64, Int64, Strings

# N pictures, F features, U units (what is held out together)


FOLDS = 5
Unit = Literal["sources", "groups"]


class Leak(StrictModel):
    """AUROC of pictures that were held out, with a 95 % interval; where one of them is None, `reason` says why."""

    auroc: float | None
    interval: unc.Interval | None
    n_real: int
    n_fake: int
    reason: str | None = None


@dataclass(frozen=True)
class Holdout:
    """Which pictures are held out together, and in which fold, once per repeat."""

    unit: Unit
    unit_N: Int64
    """What is held out, and resampled, as a whole."""
    folds: tuple[Int64, ...]
    """One i64[N] per repeat; empty where no folds leave both classes on both sides."""


def hold_out_sources(
    label_N: Int64, source_N: Strings, group_N: Strings, *, repeats: int = 3, seed: int = 0
) -> Holdout:
    """Folds that hold out whole sources, reals and fakes together; groups where there are too few sources.

    Sources that share a group are one unit, and so are the reals and the fakes of one source. Other repeats pair other
    sources. A classifier that has seen other pictures of a source could recognise the source, and with it the label.
    """
    unit_N = _components(source_N, group_N)
    folds = _all_folds(label_N, unit_N, repeats, seed)
    if folds:
        return Holdout("sources", unit_N, folds)
    return hold_out_groups(label_N, group_N, repeats=repeats, seed=seed)


def resampled_units(holdout: Holdout, label_N: Int64, group_N: Strings) -> tuple[Unit, npt.NDArray[np.generic]]:
    """What intervals resample, [N]: what is held out, or groups where that is too little for an interval."""
    if unc.too_few(label_N, holdout.unit_N):
        return "groups", group_N
    return holdout.unit, holdout.unit_N


def hold_out_groups(label_N: Int64, group_N: Strings, *, repeats: int = 1, seed: int = 0) -> Holdout:
    """Folds that hold out whole groups: the classifier has seen other pictures of the same sources."""
    unit_N = np.unique(group_N.astype(str), return_inverse=True)[1].astype(np.int64)
    return Holdout("groups", unit_N, _all_folds(label_N, unit_N, repeats, seed))


def _components(source_N: Strings, group_N: Strings) -> Int64:
    sources, source = np.unique(source_N.astype(str), return_inverse=True)
    groups, group = np.unique(group_N.astype(str), return_inverse=True)
    size = sources.size + groups.size
    links = coo_array((np.ones(source.size), (source, sources.size + group)), shape=(size, size))
    return np.asarray(connected_components(links, directed=False)[1][source], np.int64)


def _all_folds(label_N: Int64, unit_N: Int64, repeats: int, seed: int) -> tuple[Int64, ...]:
    fakes_U, reals_U = (np.bincount(unit_N, label_N == label).astype(np.float64) for label in (1, 0))
    count = min(FOLDS, int((fakes_U > 0).sum()), int((reals_U > 0).sum()))
    if count < 2:
        return ()
    return tuple(
        fold_N
        for repeat in range(repeats)
        if _both_sides(
            label_N, fold_N := _folds(reals_U, fakes_U, count, np.random.default_rng([seed, repeat]))[unit_N]
        )
    )


def _folds(reals_U: Float64, fakes_U: Float64, count: int, rng: np.random.Generator) -> Int64:
    """i64[U]: each unit, the larger ones roughly first, into the fold that holds least of its classes."""
    share_U2 = np.stack([reals_U / reals_U.sum(), fakes_U / fakes_U.sum()], axis=1)
    fold_U = np.zeros(len(share_U2), np.int64)
    load = np.zeros((count, 2))
    for unit in np.argsort(-share_U2.max(axis=1) * rng.lognormal(0, 0.5, len(share_U2))):
        filled = load @ share_U2[unit] + 1e-9 * rng.random(count)
        fold_U[unit] = np.argmin(filled)
        load[fold_U[unit]] += share_U2[unit]
    return fold_U


def _both_sides(label_N: Int64, fold_N: Int64) -> bool:
    return all(np.unique(label_N[fold_N != fold]).size == 2 for fold in np.unique(fold_N))


def out_of_fold(features_NF: Float32, label_N: Int64, holdout: Holdout, seed: int = 0) -> Float64:
    """f64[N], log-odds of "fake" from classifiers that have not seen the unit, mean over repeats; NaN without folds.

    Gradient-boosted trees: they take missing values, and need neither scaling nor tuning. Each split of a tree may use
    a third of the features only, so that it does not all hang on the one that is best for the known sources. Both
    classes weigh the same in every fold, so that pooled scores do not say which class a fold has more of.
    """
    score_N = np.full(len(label_N), np.nan)
    if not holdout.folds:
        return score_N
    score_N[:] = 0
    for repeat, fold_N in enumerate(holdout.folds):
        for fold in np.unique(fold_N):
            held = fold_N == fold
            classifier = HistGradientBoostingClassifier(
                max_iter=60,
                max_leaf_nodes=15,
                max_features=0.3,
                min_samples_leaf=max(2, min(10, int((~held).sum()) // 20)),
                l2_regularization=1.0,
                early_stopping=False,
                class_weight="balanced",
                random_state=seed + repeat,
            )
            varying = _varying(features_NF[~held])
            if varying.any():
                classifier.fit(features_NF[~held][:, varying], label_N[~held])
                score_N[held] += classifier.decision_function(features_NF[held][:, varying])
    return score_N / len(holdout.folds)


def _varying(features_NF: Float32) -> Bool:
    missing = np.isnan(features_NF)
    filled = np.where(missing, np.float32(-1e9), features_NF)
    return np.asarray(filled.min(axis=0) < filled.max(axis=0))


def measure(
    score_N: Float64, label_N: Int64, unit_N: npt.ArrayLike, group_N: npt.ArrayLike | None = None, *, seed: int = 0
) -> Leak:
    """AUROC of scores, and its bootstrap interval over units.

    group_N: what is one trial where the classes lie wholly apart, so that no resample differs; by default a unit.
    """
    n_real, n_fake = int((label_N == 0).sum()), int((label_N == 1).sum())
    result = partial(Leak, n_real=n_real, n_fake=n_fake)
    if np.isnan(score_N).any():
        return result(auroc=None, interval=None, reason="too few sources and groups to hold some of both classes out")
    try:
        auroc = binary.auroc(score_N, label_N)
    except UndefinedMetricError as error:
        return result(auroc=None, interval=None, reason=str(error))
    if reason := unc.too_few(label_N, unit_N):
        return result(auroc=auroc, interval=None, reason=reason)
    if auroc in (0.0, 1.0):
        trials = _fewest_units(label_N, unit_N if group_N is None else group_N)
        return result(auroc=auroc, interval=unc.unanimous_interval(auroc, trials))
    ranking = resampled.Ranking(score_N, label_N)
    interval = unc.group_bootstrap(lambda counts_RN: resampled.auroc(ranking(counts_RN)), label_N, unit_N, seed=seed)
    reason = None if interval else unc.UNANIMOUS
    return result(auroc=auroc, interval=interval, reason=reason)


def _fewest_units(label_N: Int64, unit_N: npt.ArrayLike) -> int:
    unit = np.asarray(unit_N)
    return min(np.unique(unit[label_N == label]).size for label in (0, 1))


def measure_parts(
    score_N: Float64, label_N: Int64, part_N: Strings, group_N: Strings, label: int, *, seed: int = 0
) -> dict[str, Leak]:
    """Each part of the pictures with `label` against all pictures of the other class; intervals over groups.

    part_N: names, such as the source of each picture; only those of the pictures with that label count.
    """
    names: Sequence[str] = sorted(set(part_N[label_N == label].tolist()))
    if np.isnan(score_N).any() or np.unique(label_N).size < 2:
        return {
            name: measure(score_N[keep], label_N[keep], group_N[keep], seed=seed)
            for name in names
            if (keep := (label_N != label) | (part_N == name)).any()
        }
    # With signs and labels turned, a photo source against all fakes is a generator against all reals.
    turn = 1 if label == 1 else -1
    aurocs = resampled.GeneratorAurocs(turn * score_N, label_N == label, part_N.astype(str))
    value_G = aurocs(np.ones((1, label_N.size)))[0]
    value_RG = unc.bootstrap_values(aurocs, label_N == label, group_N, seed=seed)
    parts = {}
    for column, name in enumerate(aurocs.names.tolist()):
        keep = (label_N != label) | (part_N == name)
        n_part, n_others = int((part_N[label_N == label] == name).sum()), int((label_N != label).sum())
        value, value_R = float(value_G[column]), value_RG[:, column]
        interval, reason = None, unc.too_few(label_N[keep], group_N[keep])
        if reason is None and value in (0.0, 1.0):
            interval = unc.unanimous_interval(value, _fewest_units(label_N[keep], group_N[keep]))
        elif reason is None:
            interval = unc.percentile_interval(value_R[~np.isnan(value_R)])
            reason = None if interval else unc.UNANIMOUS
        n_real, n_fake = (n_others, n_part) if label == 1 else (n_part, n_others)
        parts[name] = Leak(auroc=value, interval=interval, n_real=n_real, n_fake=n_fake, reason=reason)
    return parts
