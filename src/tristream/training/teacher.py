"""Embeddings of a frozen teacher for every training picture, computed once and kept beside the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tristream.data.dataset import PictureDataset, collate
from tristream.data.manifest import Manifest
from tristream.detectors.checkpoint import write_safetensors
from tristream.detectors.backbones import read_safetensors
from tristream.detectors.univfd import UnivFD, UnivFDConfig
from tristream.images.preprocess import Preprocessing
from tristream.training.config import TeacherConfig

Progress = Callable[[int, int], None]


def teacher_embeddings(
    config: TeacherConfig,
    manifest: Manifest,
    preprocessing: Preprocessing,
    cache: Path,
    progress: Progress | None = None,
) -> Tensor:
    """Embedding of each picture's middle crop. Returns f32[N, E] in the manifest's order; read from `cache` when it fits."""
    ids: list[str] = manifest.table["sha256"].tolist()
    if cache.is_file():
        known = read_safetensors(cache)
        if all(picture in known for picture in ids):
            return torch.stack([known[picture] for picture in ids])
    tower = UnivFD(UnivFDConfig(backbone=config.backbone, weights=config.weights, embedding=config.embedding)).eval()

    def middle(pixels: np.ndarray, epoch: int, picture: str) -> np.ndarray:  # type: ignore[type-arg]
        crops = preprocessing.crops(pixels)
        return crops[len(crops) // 2]

    dataset = PictureDataset(manifest, middle)
    keys = [[(0, row) for row in range(start, min(start + 32, len(ids)))] for start in range(0, len(ids), 32)]
    parts: list[Tensor] = []
    for batch in DataLoader(dataset, batch_sampler=keys, collate_fn=collate):  # type: ignore[arg-type]
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            parts.append(tower.embed(batch.pixels).float())
        if progress:
            progress(sum(map(len, parts)), len(ids))
    embeddings = torch.cat(parts)
    write_safetensors(cache, dict(zip(ids, embeddings.half().unbind(), strict=True)), {"backbone": config.backbone})
    return embeddings
