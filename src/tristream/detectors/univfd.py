"""UnivFD: a frozen CLIP image tower and one linear layer (Ojha et al., CVPR 2023).

Deviation from the paper: the default tower is ViT-B/16, the paper's is ViT-L/14; any timm CLIP tower serves by name.
As in the paper's code the embedding is not L2-normalised and the linear layer starts from N(0, 0.02).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tristream.detectors.backbones import create_backbone, normalisation_of
from tristream.detectors.base import DETECTORS, Detector, DetectorConfig, DetectorOutput


class UnivFDConfig(DetectorConfig):
    """The tower and where its weights come from ("hub", "none" or a safetensors file with timm names)."""

    backbone: str = "vit_base_patch16_clip_quickgelu_224"
    weights: str = "hub"
    embedding: int = 512
    """Length of the projected image embedding: 512 for ViT-B, 768 for ViT-L/14."""
    image_size: int = 224
    """Side in px to which crops are resampled before the tower."""


@DETECTORS.register("univfd")
class UnivFD(Detector):
    """Linear probe on CLIP. Only the linear layer is trained."""

    config_class = UnivFDConfig

    def __init__(self, config: UnivFDConfig, *, load_weights: bool = True) -> None:
        super().__init__()
        weights = config.weights if load_weights else "none"
        self.tower = create_backbone(config.backbone, weights, features=config.embedding).requires_grad_(False).eval()
        self.normalise = normalisation_of(self.tower)
        self.image_size = config.image_size
        self.feature_sizes = {"clip": config.embedding}
        self.classifier = nn.Linear(config.embedding, 1)
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    def train(self, mode: bool = True) -> UnivFD:
        super().train(mode)
        self.tower.eval()
        return self

    def embed(self, pixels: Tensor) -> Tensor:
        """The frozen image embedding. pixels: f32[B, 3, H, W] in [0, 1]. Returns f32[B, embedding]."""
        if pixels.shape[-1] != self.image_size or pixels.shape[-2] != self.image_size:
            pixels = F.interpolate(pixels, self.image_size, mode="bicubic", antialias=True).clamp(0, 1)
        with torch.no_grad():
            embedding: Tensor = self.tower(self.normalise(pixels))
        return embedding.float()

    def forward(self, pixels: Tensor, stream_mask: Tensor | None = None) -> DetectorOutput:
        if stream_mask is not None:
            raise ValueError("univfd has no streams to mask")
        embedding = self.embed(pixels)
        return DetectorOutput(self.classifier(embedding).squeeze(-1).float(), features={"clip": embedding})
