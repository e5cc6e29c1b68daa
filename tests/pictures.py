"""Synthetic pictures with a planted difference between the classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tristream.data.manifest import Manifest

SIZE = 64
BAND = (0.5, 0.75)
"""Where the planted artefact lies, in units of the axis Nyquist: the mid-high band."""


def natural_noise(rng: np.random.Generator) -> np.ndarray:
    """Noise with the 1/f amplitude spectrum of photographs. Returns f64[SIZE, SIZE, 3], mean 128, deviation 40."""
    spectrum = np.fft.rfft2(rng.normal(size=(SIZE, SIZE, 3)), axes=(0, 1)) / np.maximum(radius(), 1 / SIZE)[..., None]
    picture = np.fft.irfft2(spectrum, s=(SIZE, SIZE), axes=(0, 1))
    return 128 + 40 * (picture - picture.mean()) / picture.std()


def radius() -> np.ndarray:
    """f64[SIZE, SIZE // 2 + 1], in units of the axis Nyquist."""
    return np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None, :]) / 0.5


def band_noise(rng: np.random.Generator) -> np.ndarray:
    """Noise that lives in BAND alone, deviation 1. Returns f64[SIZE, SIZE, 3]."""
    spectrum = np.fft.rfft2(rng.normal(size=(SIZE, SIZE, 3)), axes=(0, 1))
    noise = np.fft.irfft2(spectrum * in_band()[..., None], s=(SIZE, SIZE), axes=(0, 1))
    return noise / noise.std()


def in_band() -> np.ndarray:
    """bool[SIZE, SIZE // 2 + 1]."""
    return (radius() >= BAND[0]) & (radius() < BAND[1])


def without_band(pixels: np.ndarray) -> np.ndarray:
    """Remove BAND from a picture. uint8[SIZE, SIZE, 3] to the same."""
    spectrum = np.fft.rfft2(pixels.astype(float), axes=(0, 1)) * ~in_band()[..., None]
    return np.clip(np.rint(np.fft.irfft2(spectrum, s=(SIZE, SIZE), axes=(0, 1))), 0, 255).astype(np.uint8)


def planted_manifest(folder: Path, counts: dict[str, int], strength: float = 14.0, seed: int = 0) -> Manifest:
    """Write PNG files, half of each split fake; fakes carry an artefact of `strength` grey levels in BAND."""
    rng = np.random.default_rng(seed)
    rows = []
    for split, count in counts.items():
        for index in range(count):
            label = index % 2
            pixels = natural_noise(rng) + label * strength * band_noise(rng)
            path = folder / f"{split}-{index}.png"
            Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)).save(path)
            rows.append({"path": path.name, "label": label, "source": "drawn", "split": split})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return Manifest.read(folder / "manifest.csv")
