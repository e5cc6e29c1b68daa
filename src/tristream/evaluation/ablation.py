"""Ablation by masking: every subset of a trained detector's streams, with thresholds re-calibrated for each.

What a detector can do without a stream that it was trained with is one question; what it would have become without it
is another, for `study.retrained`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tristream.data.sample import origins
from tristream.errors import ManifestError, UndefinedMetricError, UsageError
from tristream.evaluation.checkpoint import Opened, PictureSet, evaluate_opened
from tristream.evaluation.conditions import CONDITIONS, Condition, masked, subsets
from tristream.evaluation.record import claim
from tristream.evaluation.runner import Fitted, score_conditions
from tristream.evaluation.summary import Summary
from tristream.metrics.calibration import Calibration, fit_calibration
from tristream.typing import Progress

log = logging.getLogger(__name__)

CALIBRATED_UNDER = "alike"
"""As `tristream calibrate`: thresholds rest on pictures, and not on the files in which they came."""


def ablate(
    opened: Opened,
    pictures: PictureSet,
    out: Path,
    calibration: PictureSet | None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    command: str = "",
) -> Summary:
    """Evaluate every subset of the streams into `out`, as `evaluate` does, each condition with its own thresholds.

    calibration: pictures whose sources and generators nothing trained on; None for no figures at a threshold. The
    scores on them are kept in `out`/calibration. Raises UsageError for a detector without streams or an exported file,
    CheckpointError and ManifestError, and UsageError for pictures that are among those to calibrate on.
    """
    streams = opened.detector.session.stream_names
    if not streams:
        raise UsageError(f"{opened.path}: the detector '{opened.detector.metadata.detector}' has no streams to mask")
    conditions = [masked(subset) for subset in subsets(streams)]
    fitted: dict[str, Calibration | None] = dict.fromkeys(condition.name for condition in conditions)
    if calibration is not None:
        _check_apart(calibration, pictures)
        fitted = _calibrations(opened, calibration, conditions, out / "calibration", progress)
    return evaluate_opened(
        opened, pictures, out, conditions=conditions, recalibrated=fitted, seed=seed, progress=progress,
        command=command, recalibrated_on=None if calibration is None else calibration.record(),
    )  # fmt: skip


def _check_apart(calibration: PictureSet, pictures: PictureSet) -> None:
    both = set(calibration.read().table["sha256"]) & set(pictures.read().table["sha256"])
    if both:
        raise UsageError(
            f"thresholds are re-calibrated on {len(both)} of the very pictures that they are tested on; "
            "calibrate on another split"
        )


def _calibrations(
    opened: Opened, pictures: PictureSet, conditions: Sequence[Condition], folder: Path, progress: Progress | None
) -> dict[str, Calibration | None]:
    """By condition; None where the fakes do not score above the reals."""
    manifest = pictures.read()
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder / "calibration.json", opened.identity(pictures.record(manifest), ""))
    alike = CONDITIONS[CALIBRATED_UNDER]
    treated = [replace(alike, name=condition.name, streams=condition.streams) for condition in conditions]
    tables = score_conditions(
        opened.detector.session, opened.detector.metadata.preprocessing, manifest, treated, folder, Fitted(),
        progress=progress,
    )  # fmt: skip
    return {condition.name: _fit(table, condition) for condition, table in zip(conditions, tables, strict=True)}


def _fit(table: pd.DataFrame, condition: Condition) -> Calibration | None:
    if (failed := table[table["error"] != ""]).size:
        raise ManifestError(f"{len(failed)} pictures to calibrate on cannot be read: {failed['error'].iloc[0]}")
    words = f"{len(table)} pictures; {CONDITIONS[CALIBRATED_UNDER].description}; {condition.description}"
    try:
        return fit_calibration(
            table["logit"].to_numpy(), table["label"].to_numpy(), source=words, group_N=origins(table).tolist()
        )
    except (UsageError, UndefinedMetricError) as error:
        log.warning("%s has no thresholds: %s", condition.name, error)
        return None
