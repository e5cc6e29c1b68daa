"""The three streams: each looks at the same pixels for another kind of trace and returns a feature vector.

A new stream is one class here (or in a file of its own) with a `@STREAMS.register(name)`; configs and tests pick it up.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from tristream.config import StrictModel
from tristream.detectors.backbones import create_backbone, normalisation_of, output_features
from tristream.detectors.multistream.spectral import SpectralMask
from tristream.registry import Registry

# B images, H W pixels, F features of a stream


class StreamConfig(StrictModel):
    """Options of one stream; what is left out takes the stream's own default."""

    backbone: str | None = None
    """timm model name."""
    features: int | None = None
    """Length F of the feature vector."""
    weights: str = "hub"
    """hub, none, a safetensors file of the backbone (timm names), or a tristream checkpoint that holds this stream."""
    band_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """What a spectral mask's radial band weights start from, low to high; streams without a mask do not read it."""


class Stream(nn.Module):
    """Normalise, then backbone, then a linear layer to F features."""

    default_backbone: ClassVar[str]
    default_features: ClassVar[int]

    def __init__(self, config: StreamConfig, image_size: int, weights: str) -> None:
        super().__init__()
        name = config.backbone or self.default_backbone
        self.features = config.features or self.default_features
        self.backbone = create_backbone(name, weights, image_size=image_size)
        self.normalise = normalisation_of(self.backbone)
        self.project = nn.Linear(output_features(self.backbone), self.features)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: f32[B, 3, H, W] in [0, 1]. Returns f32[B, F]."""
        features: Tensor = self.project(self.backbone(self.normalise(pixels)))
        return features


STREAMS: Registry[type[Stream]] = Registry("stream")


@STREAMS.register("spatial")
class SpatialStream(Stream):
    """Pixel-level artefacts and blending boundaries: EfficientNet-B0 to 128 features."""

    default_backbone = "efficientnet_b0"
    default_features = 128


@STREAMS.register("frequency")
class FrequencyStream(Stream):
    """Spectral fingerprints: the learnable spectral mask, then ResNet-18 to 64 features.

    With a pretrained backbone, `band_weights` that start below 1 in the low band keep it from finding what the spatial
    stream finds.
    """

    default_backbone = "resnet18"
    default_features = 64

    def __init__(self, config: StreamConfig, image_size: int, weights: str) -> None:
        super().__init__(config, image_size, weights)
        self.mask = SpectralMask(channels=3, size=image_size, band_weights=config.band_weights)

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.project(self.backbone(self.mask(self.normalise(pixels))))
        return features


@STREAMS.register("semantic")
class SemanticStream(Stream):
    """Global inconsistencies of content: ViT-Tiny/16 to 384 features."""

    default_backbone = "vit_tiny_patch16_224"
    default_features = 384
