"""Embeddings of a frozen teacher for every training picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tristream.data.manifest import Manifest
from tristream.detectors.univfd import UnivFD, UnivFDConfig
from tristream.images.preprocess import Preprocessing
from tristream.training.config import TeacherConfig
from tristream.training.frozen import FrozenNetwork, Progress, kept_embeddings


def teacher_embeddings(
    config: TeacherConfig,
    manifest: Manifest,
    preprocessing: Preprocessing,
    cache: Path,
    device: torch.device,
    progress: Progress | None = None,
) -> Tensor:
    """Embedding of each picture's middle crop, from `cache` when it fits. Returns f32[N, E] in the manifest's order."""

    def network() -> FrozenNetwork:
        options = UnivFDConfig(backbone=config.backbone, weights=config.weights, embedding=config.embedding)
        tower = UnivFD(options).eval().to(device)
        return FrozenNetwork(tower.embed, device, lambda: torch.autocast(device.type, torch.bfloat16))

    def middle(pixels: npt.NDArray[np.uint8], epoch: int, picture: str) -> npt.NDArray[np.float32]:
        crops = preprocessing.crops(pixels)
        chosen: npt.NDArray[np.float32] = crops[len(crops) // 2]
        return chosen

    key = f"{config.model_dump_json()}\n{preprocessing.model_dump_json()}"
    return kept_embeddings(cache, key, network, manifest, middle, progress=progress)
