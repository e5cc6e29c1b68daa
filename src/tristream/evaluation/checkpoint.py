"""Evaluate a checkpoint file on a manifest file, with a record of what was run on what."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tristream.data.files import file_facts, short_name
from tristream.data.manifest import Manifest
from tristream.data.sample import balanced_sample
from tristream.environment import describe_environment
from tristream.errors import UsageError
from tristream.evaluation.conditions import USUAL, Condition
from tristream.evaluation.predictions import CONTENT
from tristream.evaluation.record import (
    AttacksRecord,
    CheckpointRecord,
    DetectorRecord,
    Identity,
    PicturesRecord,
    known_in_words,
)
from tristream.evaluation.runner import Fitted, evaluate
from tristream.evaluation.summary import Summary
from tristream.metrics.calibration import Calibration
from tristream.runtime.engines import OpenDetector, open_session, shipped_weights
from tristream.typing import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureSet:
    """Which pictures of which manifest are scored."""

    data: Path
    """A manifest, CSV or Parquet."""
    split: str | None = None
    """None where it has none, or one."""
    limit: int | None = None
    """At most so many, half of each class, balanced over sources and generators, the same every time; None for all."""
    matched_by: str | None = None
    """A column that holds the same word for pictures of the same content; None for the group."""
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column to the values that are kept."""

    def read(self) -> Manifest:
        """The pictures, with their sha256. Raises ManifestError, and UsageError where a split has to be named."""
        manifest = Manifest.read(self.data)
        if self.split is not None:
            manifest = manifest.split(self.split)
        elif len(splits := sorted(set(manifest.table["split"]))) > 1:
            raise UsageError(
                f"{self.data} has the splits {', '.join(filter(None, splits))}; name the one to evaluate with --split"
            )
        for column, values in self.only.items():
            self._check(column, manifest)
            manifest = manifest.where(manifest.table[column].isin(values))
        manifest = manifest.with_file_columns(["sha256"])
        if self.limit is not None:
            if self.limit < 2:
                raise UsageError(f"limit {self.limit}: expected 2 or more, half of them real")
            manifest = balanced_sample(manifest, self.limit)
        if self.matched_by is not None:
            self._check(self.matched_by, manifest)
            manifest = Manifest(manifest.table.assign(**{CONTENT: manifest.table[self.matched_by]}), manifest.root)
        return manifest

    @classmethod
    def recorded(cls, record: PicturesRecord, data: Path) -> PictureSet:
        """The pictures of a run, by its record. data: its manifest, wherever that lies now."""
        return cls(data, record.split, record.limit, record.matched_by, record.only or {})

    def _check(self, column: str, manifest: Manifest) -> None:
        if column not in manifest.table:
            there = ", ".join(map(str, manifest.table.columns))
            raise UsageError(f"{self.data} has no column '{column}'; there are: {there}")

    def record(self, manifest: Manifest | None = None) -> PicturesRecord:
        """What of it is written into a record. manifest: what was read, for its digest."""
        return PicturesRecord(
            data=short_name(self.data),
            split=self.split,
            limit=self.limit,
            matched_by=self.matched_by,
            only=dict(self.only) or None,
            manifest_digest=None if manifest is None else manifest.digest(),
        )


@dataclass(frozen=True)
class Opened:
    """A detector ready to be evaluated, and where it comes from."""

    path: Path
    detector: OpenDetector
    precision: str

    @property
    def digest(self) -> str:
        """The first digits of the file's sha256."""
        return str(file_facts(self.path, ["sha256"])["sha256"])[:12]

    def identity(self, pictures: PicturesRecord, command: str) -> Identity:
        """What is written of it, about to score these pictures."""
        metadata, streams = self.detector.metadata, self.detector.session.stream_names
        return Identity(
            **dict(pictures),
            command=command,
            checkpoint=CheckpointRecord(name=metadata.name, file=self.path.name, **file_facts(self.path, ["sha256"])),
            detector=DetectorRecord(
                name=metadata.detector,
                initialisation=metadata.initialisation or None,
                deviations=metadata.deviations,
                seed=metadata.seed,
                training_data_sha256=metadata.training_data_sha256 or None,
                streams=tuple(streams) or None,
            ),
            precision=self.precision,
            engine=self.detector.engine,
            environment=describe_environment(),
        )


def evaluate_checkpoint(
    checkpoint: Path | None,
    pictures: PictureSet,
    out: Path,
    *,
    conditions: Sequence[str | Condition] = USUAL,
    device: str = "auto",
    precision: str = "32",
    seed: int = 0,
    progress: Progress | None = None,
    command: str = "",
) -> Summary:
    """Score and summarise; `out` then holds predictions.parquet, metrics.json and record.json.

    checkpoint: .safetensors, or .onnx from an export; None for the shipped weights. precision: "32", or "bf16" for
    autocast. Raises UsageError, CheckpointError, ManifestError.
    """
    opened = open_detector(checkpoint, device, precision)
    return evaluate_opened(opened, pictures, out, conditions=conditions, seed=seed, progress=progress, command=command)


def evaluate_opened(
    opened: Opened,
    pictures: PictureSet,
    out: Path,
    *,
    conditions: Sequence[str | Condition] = USUAL,
    recalibrated: Mapping[str, Calibration | None] | None = None,
    recalibrated_on: PicturesRecord | None = None,
    attacks: AttacksRecord | None = None,
    seed: int = 0,
    resamples: int = 1000,
    progress: Progress | None = None,
    prepare: Callable[[], None] = lambda: None,
    command: str = "",
) -> Summary:
    """As `evaluate_checkpoint`. recalibrated: by condition, in place of the stored one, and recalibrated_on: from which
    pictures; attacks: for the record; prepare: as for `evaluate`."""
    metadata, manifest = opened.detector.metadata, pictures.read()
    known = metadata.known(manifest.table["sha256"])
    for use, count in known.items():
        log.warning("%s %s: its figures on them say little of others", metadata.name, known_in_words(use, count))
    identity = opened.identity(pictures.record(), command)
    return evaluate(
        opened.detector.session,
        metadata.preprocessing,
        Fitted(metadata.calibration, metadata.domain, recalibrated or {}),
        manifest,
        out,
        identity.model_copy(update={"recalibrated_on": recalibrated_on, "attacks": attacks, "known": known or None}),
        conditions=conditions,
        seed=seed,
        resamples=resamples,
        progress=progress,
        prepare=prepare,
    )


def open_detector(checkpoint: Path | None, device: str = "auto", precision: str = "32") -> Opened:
    """Open a checkpoint or an exported file, None for the shipped weights; bfloat16 is for checkpoints.

    Raises UsageError and CheckpointError.
    """
    path = checkpoint or shipped_weights()
    return Opened(path, open_session(path, device, precision=precision), precision)
