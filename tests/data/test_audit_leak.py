"""Folds that hold out whole sources, and what pooled scores say: planted leaks, and none."""

from __future__ import annotations

import numpy as np
import pytest

from tristream.data.audit.leak import (
    hold_out_groups,
    hold_out_sources,
    measure,
    measure_parts,
    out_of_fold,
    resampled_units,
)

RNG = np.random.default_rng(0)
PER_SOURCE = 12
LABEL = np.repeat(np.arange(20) % 2, PER_SOURCE)
SOURCE = np.repeat(np.array([f"source-{i}" for i in range(20)], object), PER_SOURCE)
GROUP = np.array([f"group-{i}" for i in range(LABEL.size)], object)
NOISE = RNG.normal(size=(LABEL.size, 6)).astype(np.float32)


def test_no_source_lies_on_both_sides_and_both_classes_lie_in_every_fold() -> None:
    holdout = hold_out_sources(LABEL, SOURCE, GROUP)
    assert holdout.unit == "sources"
    assert len(holdout.folds) == 3
    for fold_N in holdout.folds:
        assert all(np.unique(fold_N[name == SOURCE]).size == 1 for name in set(SOURCE))
        assert all(np.unique(LABEL[fold_N == fold]).size == 2 for fold in np.unique(fold_N))
    assert not np.array_equal(holdout.folds[0], holdout.folds[1])


def test_sources_that_share_a_group_are_held_out_together() -> None:
    group = GROUP.copy()
    group[SOURCE == "source-3"] = group[SOURCE == "source-8"][0]
    fold_N = hold_out_sources(LABEL, SOURCE, group).folds[0]
    assert np.unique(fold_N[(SOURCE == "source-3") | (SOURCE == "source-8")]).size == 1


def test_one_source_of_a_class_falls_back_to_groups() -> None:
    source = np.where(LABEL == 0, "photos", SOURCE).astype(object)
    holdout = hold_out_sources(LABEL, source, GROUP)
    assert holdout.unit == "groups"
    assert all(np.unique(fold_N).size == 5 for fold_N in holdout.folds)


def test_intervals_resample_groups_where_a_class_has_few_sources() -> None:
    source = np.repeat(np.array([f"source-{i}" for i in range(4)], object), 5 * PER_SOURCE)
    label = np.repeat(np.arange(4) % 2, 5 * PER_SOURCE)
    few, many = hold_out_sources(label, source, GROUP), hold_out_sources(LABEL, SOURCE, GROUP)
    assert few.unit == many.unit == "sources"
    assert resampled_units(few, label, GROUP)[0] == "groups"
    assert resampled_units(many, LABEL, GROUP)[0] == "sources"


def test_a_feature_of_the_label_is_found_in_sources_that_were_not_seen() -> None:
    features = NOISE.copy()
    features[:, 2] += 3 * LABEL
    holdout = hold_out_sources(LABEL, SOURCE, GROUP)
    leak = measure(out_of_fold(features, LABEL, holdout), LABEL, holdout.unit_N)
    assert leak.auroc is not None
    assert leak.interval is not None
    assert leak.auroc > 0.95
    assert leak.interval.low > 0.9


def test_a_mark_of_each_source_tells_known_sources_only() -> None:
    mark = np.repeat(RNG.permutation(20) * 1.0, PER_SOURCE)
    features = np.column_stack([mark, NOISE]).astype(np.float32)
    unseen, known = hold_out_sources(LABEL, SOURCE, GROUP), hold_out_groups(LABEL, GROUP)
    held_out = measure(out_of_fold(features, LABEL, unseen), LABEL, unseen.unit_N).auroc
    seen = measure(out_of_fold(features, LABEL, known), LABEL, GROUP).auroc
    assert held_out is not None
    assert seen is not None
    assert held_out < 0.7
    assert seen > 0.9


def test_noise_stays_around_chance() -> None:
    holdout = hold_out_sources(LABEL, SOURCE, GROUP)
    leak = measure(out_of_fold(NOISE, LABEL, holdout), LABEL, holdout.unit_N)
    assert leak.auroc is not None
    assert 0.38 < leak.auroc < 0.6


def test_each_source_is_compared_with_all_of_the_other_class() -> None:
    score = np.where(SOURCE == "source-1", 9.0, np.where(SOURCE == "source-0", -9.0, RNG.normal(size=LABEL.size)))
    fakes, reals = (measure_parts(score, LABEL, SOURCE, GROUP, label) for label in (1, 0))
    assert set(fakes) == {f"source-{i}" for i in range(1, 20, 2)}
    assert fakes["source-1"].auroc == reals["source-0"].auroc == 1
    assert (fakes["source-1"].n_fake, fakes["source-1"].n_real) == (PER_SOURCE, 10 * PER_SOURCE)
    keep = (LABEL == 0) | (SOURCE == "source-5")
    assert fakes["source-5"].auroc == pytest.approx(measure(score[keep], LABEL[keep], GROUP[keep]).auroc)
    keep = (LABEL == 1) | (SOURCE == "source-6")
    assert reals["source-6"].auroc == pytest.approx(measure(score[keep], LABEL[keep], GROUP[keep]).auroc)


def test_the_intervals_of_sources_depend_on_the_seed() -> None:
    score = LABEL + RNG.normal(size=LABEL.size)
    first, again, other = (measure_parts(score, LABEL, SOURCE, GROUP, 1, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first["source-5"].auroc == other["source-5"].auroc
    assert first["source-5"].interval != other["source-5"].interval


def test_what_cannot_be_measured_is_none_with_a_reason() -> None:
    label, names = np.array([0, 0, 0, 1]), np.array(list("aaab"), object)
    holdout = hold_out_sources(label, names, names)
    leak = measure(out_of_fold(NOISE[:4], label, holdout), label, holdout.unit_N)
    assert leak.auroc is None
    assert leak.interval is None
    assert "too few" in (leak.reason or "")
