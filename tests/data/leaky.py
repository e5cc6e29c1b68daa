"""Drawn pictures whose files give their label away: reals are JPEG of many sizes, fakes are square PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tests.pictures import natural_noise
from tristream.data.manifest import Manifest


def noise_picture(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A picture of noise with the spectrum of photographs: both classes show the same."""
    pixels = np.clip(np.rint(natural_noise(rng)), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def leaky_manifest(folder: Path, sources: int = 8, pictures: int = 8, seed: int = 0) -> Manifest:
    """Write `pictures` files of each of `sources` sources per class, and manifest.csv."""
    rng = np.random.default_rng(seed)
    rows = []
    for source in range(sources):
        for number in range(pictures):
            for label, name in enumerate(("real", "fake")):
                path = folder / name / f"{name}-{source}" / f"{number}.{'png' if label else 'jpg'}"
                path.parent.mkdir(parents=True, exist_ok=True)
                if label:
                    noise_picture(rng, 128, 128).save(path)
                else:
                    width, height = (int(side) for side in rng.integers(112, 200, 2))
                    noise_picture(rng, width, height).save(path, quality=int(rng.integers(75, 96)))
                rows.append({"path": path.relative_to(folder).as_posix(), "label": name, "source": path.parent.name})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return Manifest.read(folder / "manifest.csv")
