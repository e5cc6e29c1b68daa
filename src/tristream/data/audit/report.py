"""The audit of a manifest as a record: what leaks, what is there twice, how the classes are spread."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tristream.config import StrictModel
from tristream.data.audit.duplicates import Duplicates, find_duplicates
from tristream.data.audit.examine import Examined, examine_manifest
from tristream.data.audit.leak import (
    Holdout,
    Leak,
    Unit,
    hold_out_groups,
    hold_out_sources,
    measure,
    measure_parts,
    out_of_fold,
    resampled_units,
)
from tristream.data.audit.topics import FAMILIES, FEATURES, TOPICS, Family, Feature, Topic
from tristream.data.manifest import Manifest
from tristream.data.splits import SplitSize, split_sizes, straddling
from tristream.errors import ManifestError, UsageError
from tristream.metrics import binary
from tristream.metrics.uncertainty import UNANIMOUS
from tristream.typing import Float32, Float64, Int64, Progress, Strings

# N pictures, F features


_log = logging.getLogger(__name__)

LEAKS_FROM = 0.6
"""AUROC from which a topic is named, if the lower end of its interval lies above 0.5."""


class TopicLeak(StrictModel):
    """What one topic alone tells, on pictures that were held out like those of its family."""

    topic: str
    leak: Leak
    difference: str
    """How reals and fakes differ in the feature of this topic that separates them best, in words."""
    remedy: str

    @property
    def leaks(self) -> bool:
        """Whether it is worth a line to people."""
        auroc, interval = self.leak.auroc, self.leak.interval
        return auroc is not None and auroc >= LEAKS_FROM and (interval is None or interval.low > 0.5)


class FamilyLeak(StrictModel):
    """What one family of features tells."""

    family: Family
    held_out: Leak
    """On pictures of sources (or groups, see `AuditReport.held_out`) that the classifier has not seen."""
    known_sources: Leak
    """On pictures of groups that it has not seen, of sources that it has: what a random split would reward."""
    fake_sources: dict[str, Leak]
    """Each against all reals, held out like `held_out`."""
    photo_sources: dict[str, Leak]
    """Each against all fakes."""
    topics: tuple[TopicLeak, ...]
    """The most telling first."""


class AuditReport(StrictModel):
    """What `tristream audit` finds."""

    data: str
    tristream: str
    command: str
    manifest_digest: str
    """Of all rows of the manifest, those that could not be examined among them: see `Manifest.digest`."""
    n_real: int
    n_fake: int
    """Pictures that were examined."""
    splits: tuple[SplitSize, ...]
    one_sided_sources: dict[str, int]
    """Sources that hold one class only, and how many pictures."""
    two_sided_sources: dict[str, int]
    straddling_groups: dict[str, tuple[str, ...]]
    """Groups that lie in several splits, and in which."""
    unreadable: dict[str, str]
    """Path and reason of every picture that was not examined."""
    held_out: Unit
    """What the classifiers never saw when they scored it."""
    resampled: Unit
    """What the overall intervals resample: what is held out, or groups where there are too few sources for that."""
    n_folds: int
    n_repeats: int
    """How often a family is classified with other folds; each topic alone, and known sources, once."""
    families: dict[Family, FamilyLeak]
    duplicates: Duplicates

    def exceeds(self, limit: float) -> bool:
        """Whether the lower end of the interval of the file nuisances' AUROC lies above `limit`.

        Raises UsageError where so few pictures, groups or sources are there that this cannot be answered.
        """
        leak = self.families["file"].held_out
        if leak.interval is not None:
            return leak.interval.low > limit
        if leak.auroc is None or leak.reason != UNANIMOUS:
            raise UsageError(f"whether the file nuisances exceed {limit:g} cannot be answered: {leak.reason}")
        return leak.auroc > limit


def audit_manifest(
    manifest: Manifest,
    *,
    data: str = "manifest",
    command: str = "",
    cache: Path | None = None,
    seed: int = 0,
    unreadable: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Audit a manifest.

    data: how the report calls it; cache: see `examine_manifest`; unreadable: pictures that are missing from the
    manifest because they could not be read. Raises ManifestError when no picture of a class can be read.
    """
    from tristream import __version__

    manifest = manifest.with_file_columns(["sha256"])
    examined = examine_manifest(manifest, cache, progress)
    table = manifest.table
    failed = {path: error for path, error in zip(table["path"], examined.error_N, strict=True) if error}
    readable = np.array([not error for error in examined.error_N])
    rows, features_NF = table[readable], examined.features_NF[readable]
    label_N = rows["label"].to_numpy(np.int64)
    for label, name in ((0, "real"), (1, "fake")):
        if not (label_N == label).any():
            raise ManifestError(
                f"{data}: none of its {len(table):,} pictures is {name} and readable; an audit needs both"
            )
    source_N, group_N = source_names(rows), rows["group"].to_numpy(object)
    held_out = hold_out_sources(label_N, source_N, group_N, seed=seed)
    known = hold_out_groups(label_N, group_N, seed=seed)
    pictures = _Pictures(features_NF, label_N, source_N, group_N, held_out, known, seed)
    sides = pd.Series(label_N).groupby(source_N).agg(["size", "nunique"])
    return AuditReport(
        data=data,
        tristream=__version__,
        command=command,
        manifest_digest=manifest.digest(),
        n_real=int((label_N == 0).sum()),
        n_fake=int((label_N == 1).sum()),
        splits=tuple(split_sizes(manifest)),
        one_sided_sources={str(name): int(size) for name, size in sides["size"][sides["nunique"] == 1].items()},
        two_sided_sources={str(name): int(size) for name, size in sides["size"][sides["nunique"] == 2].items()},
        straddling_groups=straddling(table),
        unreadable={**(unreadable or {}), **failed},
        held_out=held_out.unit,
        resampled=pictures.resampled,
        n_folds=len(np.unique(held_out.folds[0])) if held_out.folds else 0,
        n_repeats=len(held_out.folds),
        families={family: _family(family, pictures) for family in FAMILIES},
        duplicates=_duplicates(table, examined),
    )


def sample_sources(manifest: Manifest, count: int) -> Manifest:
    """At most `count` pictures of each source and label, the same every time: those with the smallest hash of path."""
    order = manifest.table["path"].map(lambda path: hashlib.sha256(path.encode()).hexdigest())
    place = order.groupby([manifest.table["label"], source_names(manifest.table)]).rank(method="first")
    return manifest.where((place <= count).to_numpy(bool))


class _Pictures:
    """Columns of the examined pictures, and how they are held out."""

    def __init__(
        self,
        features_NF: Float32,
        label_N: Int64,
        source_N: Strings,
        group_N: Strings,
        held_out: Holdout,
        known: Holdout,
        seed: int,
    ) -> None:
        self.features_NF, self.label_N, self.source_N, self.group_N = features_NF, label_N, source_N, group_N
        self.held_out, self.known, self.seed = held_out, known, seed
        self.resampled, self.resampled_N = resampled_units(held_out, label_N, group_N)

    def columns(self, topics: list[Topic]) -> Float32:
        """f32[N, F] of these topics."""
        return self.features_NF[:, [FEATURES.index(feature.name) for topic in topics for feature in topic.features]]


def _family(family: Family, pictures: _Pictures) -> FamilyLeak:
    _log.info("classifying by %s", FAMILIES[family])
    topics = [topic for topic in TOPICS if topic.family == family]
    features_NF, label_N, seed = pictures.columns(topics), pictures.label_N, pictures.seed
    score_N = out_of_fold(features_NF, label_N, pictures.held_out, seed)
    known_N = out_of_fold(features_NF, label_N, pictures.known, seed)
    parts = [measure_parts(score_N, label_N, pictures.source_N, pictures.group_N, label, seed=seed) for label in (0, 1)]
    return FamilyLeak(
        family=family,
        held_out=measure(score_N, label_N, pictures.resampled_N, pictures.group_N, seed=seed),
        known_sources=measure(known_N, label_N, pictures.group_N, seed=seed),
        photo_sources=parts[0],
        fake_sources=parts[1],
        topics=tuple(
            sorted(
                (_topic(topic, pictures) for topic in topics),
                key=lambda found: -(found.leak.auroc if found.leak.auroc is not None else 0.0),
            )
        ),
    )


def _topic(topic: Topic, pictures: _Pictures) -> TopicLeak:
    features_NF = pictures.columns([topic])
    once = Holdout(pictures.held_out.unit, pictures.held_out.unit_N, pictures.held_out.folds[:1])
    score_N = out_of_fold(features_NF, pictures.label_N, once, pictures.seed)
    return TopicLeak(
        topic=topic.name,
        leak=measure(score_N, pictures.label_N, pictures.resampled_N, pictures.group_N, seed=pictures.seed),
        difference=_difference(topic, features_NF, pictures.label_N),
        remedy=topic.remedy,
    )


def _difference(topic: Topic, features_NF: Float32, label_N: Int64) -> str:
    """The feature that separates the classes best by itself, told as shares or medians, or as where it is at all."""
    best, words = 0.0, "no difference"
    for column, feature in enumerate(topic.features):
        value_N = features_NF[:, column].astype(np.float64)
        known_N = ~np.isnan(value_N)
        real, fake = (float(known_N[label_N == label].mean()) for label in (0, 1))
        if abs(fake - real) / 2 > best + 1e-6:
            best, words = (
                abs(fake - real) / 2,
                f"{feature.words}: applies to {fake:.0%} of the fakes, {real:.0%} of the reals",
            )
        if min((known_N & (label_N == label)).sum() for label in (0, 1)) < 5:
            continue
        distance = abs(binary.auroc(value_N[known_N], label_N[known_N]) - 0.5)
        if distance > best + 1e-6:
            best, words = distance, _told(feature, value_N[known_N], label_N[known_N])
    return words


def _told(feature: Feature, value_N: Float64, label_N: Int64) -> str:
    real, fake = value_N[label_N == 0], value_N[label_N == 1]
    if feature.kind == "share":
        return f"{feature.words}: {fake.mean():.0%} of the fakes, {real.mean():.0%} of the reals"
    if feature.name.startswith("thumbnail_"):
        return feature.words
    return f"{feature.words}: median {np.median(fake):.4g} of the fakes, {np.median(real):.4g} of the reals"


def source_names(rows: pd.DataFrame) -> Strings:
    """The name of what is held out: the source, or the generator of a fake without one, or "unknown"."""
    source, generator = rows["source"], rows["generator"]
    named = source.where(source != "", generator)
    return named.where(named != "", "unknown").to_numpy(object)


def _duplicates(table: pd.DataFrame, examined: Examined) -> Duplicates:
    contrast_N = examined.features_NF[:, FEATURES.index("luma_spread")]
    return find_duplicates(table.reset_index(drop=True), examined.hash_NW, contrast_N)
