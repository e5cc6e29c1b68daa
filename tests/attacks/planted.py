"""A detector whose best attack is known: its logit is linear in the pixels, along a pattern of signs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from tests.planted import planted_metadata
from tristream.detectors.base import Detector, DetectorOutput
from tristream.evaluation.checkpoint import Opened
from tristream.images.preprocess import Preprocessing
from tristream.metrics.calibration import Calibration
from tristream.runtime.engines import OpenDetector
from tristream.runtime.torch_session import TorchSession

SIZE = 16
PIXELS = 3 * SIZE**2
PATTERN = np.sign(np.random.default_rng(5).normal(size=(3, SIZE, SIZE))).astype(np.float32)
THRESHOLD = 0.5
"""Logit, which is in grey levels."""
STRENGTH = 3.0
"""Grey levels along the pattern by which reals lie below the threshold and fakes above it."""


class Linear(Detector):
    """Logit: how many grey levels a picture lies along PATTERN, seen from mid-grey, on average over its pixels."""

    feature_sizes = {}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("pattern", torch.from_numpy(PATTERN))
        self.passes = 0

    def forward(self, pixels: torch.Tensor, stream_mask: torch.Tensor | None = None) -> DetectorOutput:
        self.passes += 1
        return DetectorOutput(((255 * pixels - 128) * self.pattern).mean((1, 2, 3)))


def planted_calibration() -> Calibration:
    return Calibration(
        slope=1.0,
        intercept=0.0,
        balanced_accuracy_threshold=THRESHOLD,
        real_logits=tuple(np.linspace(-9, 2, 19).tolist()),
        fake_logits=tuple(np.linspace(-2, 9, 19).tolist()),
        source="synthetic",
    )


def planted_opened(path: Path, detector: Detector | None = None, name: str = "planted") -> Opened:
    """A calibrated detector, on PyTorch; its file holds no weights."""
    path.write_bytes(f"weights of {name}".encode())
    metadata = planted_metadata(name, planted_calibration(), preprocessing=Preprocessing(short_side=SIZE, crop=SIZE))
    return Opened(path, OpenDetector(TorchSession(detector or Linear()), metadata, "planted"), "32")


def planted_pictures(folder: Path, count: int = 24, long: int = 0) -> Path:
    """Write pictures, half of them fake, and their manifest; `long` of them have three crops."""
    rng, rows = np.random.default_rng(0), []
    for index in range(count):
        label = index % 2
        pattern = np.tile(PATTERN.transpose(1, 2, 0), (1, 3 if index < long else 1, 1))
        level = THRESHOLD + (STRENGTH if label else -STRENGTH)
        pixels = 128 + level * pattern + rng.normal(0, 20, pattern.shape)
        Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)).save(folder / f"{index}.png")
        rows.append({"path": f"{index}.png", "label": label, "source": "drawn", "split": "test"})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"
