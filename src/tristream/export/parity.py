"""What an export changed: its logits and verdicts beside those of the checkpoint that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tristream.config import StrictModel
from tristream.detectors.checkpoint import load_checkpoint
from tristream.errors import UsageError
from tristream.metrics.calibration import Calibration
from tristream.runtime.light_session import LightSession
from tristream.runtime.predictor import default_thresholds
from tristream.runtime.session import Session
from tristream.runtime.torch_session import TorchSession
from tristream.runtime.verdict import decide

Float32 = npt.NDArray[np.float32]


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
    """Crops that get another verdict at the default error rates; None without calibration."""


def compare_with_checkpoint(exported: Path, checkpoint: Path, crops: Sequence[Float32]) -> Parity:
    """Score crops f32[3, H, W] in [0, 1] with both. Raises CheckpointError, and UsageError without crops."""
    if not crops:
        raise UsageError("no picture to compare on; name a manifest with --data")
    light, loaded = LightSession(exported), load_checkpoint(checkpoint)
    ours, theirs = (_logits(session, crops) for session in (light, TorchSession(loaded.detector)))
    varies = len(crops) > 1 and min(float(ours.std()), float(theirs.std())) > 0
    return Parity(
        n=len(crops),
        largest=float(np.abs(ours - theirs).max()),
        mean=float(np.abs(ours - theirs).mean()),
        correlation=float(np.corrcoef(ours, theirs)[0, 1]) if varies else None,
        verdicts_changed=_changed(light.metadata.calibration, ours, theirs),
    )


def _logits(session: Session, crops: Sequence[Float32]) -> npt.NDArray[np.float64]:
    return np.concatenate([session.run(crop[None]).logits_B for crop in crops]).astype(np.float64)


def _changed(
    calibration: Calibration | None, ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]
) -> int | None:
    thresholds = default_thresholds(calibration)
    if thresholds is None:
        return None
    pairs = zip(ours, theirs, strict=True)
    return sum(decide(float(a), thresholds).verdict != decide(float(b), thresholds).verdict for a, b in pairs)
