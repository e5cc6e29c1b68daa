"""The frozen teacher of the distillation objective."""

from __future__ import annotations

import torch
from timm.models.vision_transformer import VisionTransformer

from tristream.detectors.backbones import create_backbone
from tristream.detectors.low_rank import Reduction
from tristream.errors import ConfigError
from tristream.training.config import TeacherConfig


def build_teacher(config: TeacherConfig, image_size: int, device: torch.device) -> VisionTransformer:
    """The transformer that a config names, cut after its last block that is imitated. image_size: in px.

    Raises ConfigError for a model that is no vision transformer.
    """
    reduction = Reduction(blocks=config.blocks)
    teacher = create_backbone(config.backbone, config.weights, image_size=image_size, reduction=reduction)
    if not isinstance(teacher, VisionTransformer):
        raise ConfigError(f"teacher: {config.backbone} is no vision transformer")
    return teacher.eval().requires_grad_(False).to(device)
