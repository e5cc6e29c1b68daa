"""What an export changed: its logits and verdicts beside those of the checkpoint that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tristream.config import StrictModel
from tristream.detectors.checkpoint import load_checkpoint
from tristream.errors import UsageError
from tristream.metadata import ModelMetadata
from tristream.runtime.light_session import LightSession
from tristream.runtime.predictor import default_thresholds
from tristream.runtime.session import Scores, domain_at
from tristream.runtime.torch_session import TorchSession
from tristream.runtime.verdict import Verdict, decide
from tristream.typing import Float32


class Parity(StrictModel):
    """Differences over n crops."""

    n: int
    largest: float
    """Largest absolute difference of logits."""
    mean: float
    """Mean absolute difference of logits."""
    correlation: float | None
    """Pearson's, of the logits; None where they do not vary."""
    verdicts_changed: int | None
    """Crops that get another verdict at the default error rates, domain check included; None without calibration."""


def compare_with_checkpoint(exported: Path, checkpoint: Path, crops: Sequence[Float32]) -> Parity:
    """Score crops f32[3, H, W] in [0, 1] with both. Raises CheckpointError, and UsageError without crops."""
    if not crops:
        raise UsageError("no picture to compare on; name a manifest with --data")
    light, loaded = LightSession(exported), load_checkpoint(checkpoint)
    scored = [[session.run(crop[None]) for crop in crops] for session in (light, TorchSession(loaded.detector))]
    ours, theirs = (np.array([scores.logits_B[0] for scores in side], np.float64) for side in scored)
    varies = len(crops) > 1 and min(float(ours.std()), float(theirs.std())) > 0
    return Parity(
        n=len(crops),
        largest=float(np.abs(ours - theirs).max()),
        mean=float(np.abs(ours - theirs).mean()),
        correlation=float(np.corrcoef(ours, theirs)[0, 1]) if varies else None,
        verdicts_changed=verdicts_changed(light.metadata, *scored),
    )


def verdicts_changed(metadata: ModelMetadata, ours: Sequence[Scores], theirs: Sequence[Scores]) -> int | None:
    """How many crops, one an entry, get another verdict at the default error rates; None where there are no such."""
    thresholds = default_thresholds(metadata.calibration)
    if thresholds is None:
        return None

    def verdict(scores: Scores) -> Verdict:
        return decide(float(scores.logits_B[0]), thresholds, domain=domain_at(0, scores, metadata.domain)).verdict

    return sum(verdict(a) != verdict(b) for a, b in zip(ours, theirs, strict=True))
