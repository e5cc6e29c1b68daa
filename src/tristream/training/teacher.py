"""Embeddings of a frozen teacher for every training picture, computed once and kept beside the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tristream.data.dataset import PictureDataset, collate
from tristream.data.manifest import Manifest
from tristream.detectors.backbones import read_safetensors
from tristream.detectors.checkpoint import write_safetensors
from tristream.detectors.univfd import UnivFD, UnivFDConfig
from tristream.images.preprocess import Preprocessing
from tristream.training.config import TeacherConfig

Progress = Callable[[int, int], None]


def teacher_embeddings(
    config: TeacherConfig,
    manifest: Manifest,
    preprocessing: Preprocessing,
    cache: Path,
    device: torch.device,
    progress: Progress | None = None,
) -> Tensor:
    """Embedding of each picture's middle crop, from `cache` when it fits. Returns f32[N, E] in the manifest's order."""
    ids: list[str] = manifest.table["sha256"].tolist()
    if cache.is_file():
        known = read_safetensors(cache)
        if all(picture in known for picture in ids):
            return torch.stack([known[picture] for picture in ids])
    tower = (
        UnivFD(UnivFDConfig(backbone=config.backbone, weights=config.weights, embedding=config.embedding))
        .eval()
        .to(device)
    )

    def middle(pixels: npt.NDArray[np.uint8], epoch: int, picture: str) -> npt.NDArray[np.float32]:
        crops = preprocessing.crops(pixels)
        chosen: npt.NDArray[np.float32] = crops[len(crops) // 2]
        return chosen

    dataset = PictureDataset(manifest, middle)
    keys = [[(0, row) for row in range(start, min(start + 32, len(ids)))] for start in range(0, len(ids), 32)]
    parts: list[Tensor] = []
    for batch in DataLoader(dataset, batch_sampler=keys, collate_fn=collate):
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            parts.append(tower.embed(batch.pixels.to(device)).half().cpu())
        if progress:
            progress(sum(map(len, parts)), len(ids))
    embeddings = torch.cat(parts)
    write_safetensors(cache, dict(zip(ids, embeddings.unbind(), strict=True)), {"backbone": config.backbone})
    return embeddings.float()  # rounded to half precision as in the cache, so that a resumed run sees the same
