"""The one dataset class. It is stateless: for the same (epoch, row) it gives the same crop every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from tristream.data.manifest import Manifest
from tristream.errors import ConfigError
from tristream.images.decode import decode
from tristream.typing import Float32, Int64, UInt8

View = Callable[[UInt8, int, str], Float32]
"""(pixels uint8[H, W, 3], epoch, picture id) -> f32[3, h, w] in [0, 1]."""


class ImageBatch(NamedTuple):
    """B pictures of one size."""

    pixels: torch.Tensor
    """f32[B, 3, H, W] in [0, 1], RGB; or f32[B, E], what a probe's frozen part made of them (training.frozen)."""
    labels: torch.Tensor
    """f32[B], 0 real, 1 fake."""
    rows: torch.Tensor
    """i64[B], row of each picture in the manifest."""


class PictureDataset(Dataset[tuple[Float32, int, int]]):
    """Pictures of a manifest as crops. One that cannot be decoded raises ImageError: pixels are never invented."""

    def __init__(self, manifest: Manifest, view: View) -> None:
        self._paths = [str(manifest.file(row)) for row in range(len(manifest))]
        self._labels = manifest.table["label"].tolist()
        self._ids = manifest.table["sha256"].tolist()
        self._view = view

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Float32, int, int]:
        epoch, row = key
        pixels = decode(Path(self._paths[row])).pixels
        return self._view(pixels, epoch, self._ids[row]), self._labels[row], row


def collate(items: list[tuple[Float32, int, int]]) -> ImageBatch:
    """Stack dataset items into an ImageBatch."""
    pixels, labels, rows = zip(*items, strict=True)
    return ImageBatch(torch.from_numpy(np.stack(pixels)), torch.tensor(labels, dtype=torch.float32), torch.tensor(rows))


class TrainingOrder:
    """Which pictures make which step: a permutation per epoch, from (seed, epoch), without the last partial batch.

    Because step n is a pure function of (seed, n), a run that is resumed at step n sees what it would have seen.
    """

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        if count < batch_size:
            raise ConfigError(f"{count} training pictures do not fill one batch of {batch_size}; lower batch_size")
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.steps_per_epoch = count // batch_size

    def steps(self, start: int, stop: int) -> Iterator[list[tuple[int, int]]]:
        """(epoch, row) pairs of the steps start..stop-1."""
        order: Int64 = np.empty(0, np.int64)
        drawn = -1
        for step in range(start, stop):
            epoch, position = divmod(step, self.steps_per_epoch)
            if epoch != drawn:
                order, drawn = np.random.default_rng([self.seed, epoch]).permutation(self.count), epoch
            batch = order[position * self.batch_size : (position + 1) * self.batch_size]
            yield [(epoch, int(row)) for row in batch]
