"""The seam between scoring and the engine that computes: a Session turns pixel crops into logits.

Everything above it (Predictor, the evaluation runner, the trainer's selection) works with any Session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

# B crops, S streams

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """What an engine returns for B crops (or B pictures, after averaging over each one's crops)."""

    logits_B: Float32
    """f32[B], before calibration; above 0 leans fake."""
    stream_weights_BS: Float32 | None
    """f32[B, S], rows sum to 1; None for a detector without streams."""


class Session(Protocol):
    """One loaded detector on one inference engine."""

    @property
    def stream_names(self) -> tuple[str, ...]:
        """Names of the S streams, in the order of the columns of `stream_weights_BS`."""
        ...

    def run(self, pixels: Float32) -> Scores:
        """Score crops f32[B, 3, H, W] in [0, 1], RGB. The logit of a crop does not depend on its batch mates."""
        ...


def score_pictures(session: Session, pictures: Sequence[Float32], batch_size: int = 16) -> Scores:
    """Score pictures of one or more crops each: the mean of the logits (and stream weights) over a picture's crops.

    pictures: per picture f32[N_crops, 3, H, W] in [0, 1], all of the same H and W.
    """
    counts = [len(crops) for crops in pictures]
    if not counts:
        return Scores(np.zeros(0, np.float32), None)
    crops = np.concatenate(list(pictures))
    parts = [session.run(crops[start : start + batch_size]) for start in range(0, len(crops), batch_size)]
    starts = np.cumsum([0, *counts[:-1]])
    logits = np.add.reduceat(np.concatenate([p.logits_B for p in parts]), starts) / np.array(counts, np.float32)
    weights = [p.stream_weights_BS for p in parts if p.stream_weights_BS is not None]
    if not weights:
        return Scores(logits.astype(np.float32), None)
    mean = np.add.reduceat(np.concatenate(weights), starts, axis=0) / np.array(counts, np.float32)[:, None]
    return Scores(logits.astype(np.float32), mean.astype(np.float32))
