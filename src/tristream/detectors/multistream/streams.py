"""The three streams: each looks at the same pixels for another kind of trace and returns a feature vector.

A new stream is one class here (or in a file of its own) with a `@STREAMS.register(name)`; configs and tests pick it up.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from tristream.config import StrictModel
from tristream.detectors.backbones import create_backbone, normalisation_of, output_features
from tristream.detectors.base import Embedder
from tristream.detectors.low_rank import Reduction
from tristream.detectors.multistream.spectral import SpectralMask
from tristream.errors import ConfigError
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
    takes: Literal["stream", "backbone"] = "stream"
    """Of such a checkpoint: the whole stream, or backbone and spectral mask alone, so that the features start anew."""
    band_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """What a spectral mask's radial band weights start from, low to high; streams without a mask do not read it."""
    reduction: Reduction | None = None
    """What is kept of a vision transformer; None: all."""
    pooling: Literal["own", "tokens"] = "own"
    """own: the backbone's; tokens: a vision transformer's class token, and mean and deviation of its patch tokens."""


class Stream(nn.Module):
    """Normalise, then backbone, then a linear layer to F features."""

    default_backbone: ClassVar[str]
    default_features: ClassVar[int]

    def __init__(self, config: StreamConfig, image_size: int, weights: str) -> None:
        super().__init__()
        self._options = f"{config!r} {image_size}"
        name = config.backbone or self.default_backbone
        self.features = config.features or self.default_features
        self.backbone = create_backbone(name, weights, image_size=image_size, reduction=config.reduction)
        self.normalise = normalisation_of(self.backbone)
        self.pools_tokens = config.pooling == "tokens"
        self.embedding = output_features(self.backbone)
        """Length E of what the backbone finds in a picture."""
        if self.pools_tokens:
            self.embedding *= 3
            _drop_norm(self.backbone)
            self.standardise = nn.Sequential(nn.BatchNorm1d(self.embedding, affine=False), nn.Dropout(0.5))
        else:
            self.standardise = nn.Sequential()
        self.project = nn.Linear(self.embedding, self.features)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: f32[B, 3, H, W] in [0, 1]. Returns f32[B, F]."""
        return self.conclude(self.embed(pixels))

    def embed(self, pixels: Tensor) -> Tensor:
        """What the backbone finds, pooled over the picture. pixels: as in `forward`. Returns [B, E]."""
        return self._find(self.normalise(pixels))

    def embedder(self) -> Embedder:
        """`embed`, and what it runs: all but what `conclude` does."""
        modules = tuple(m for m in self.children() if m not in (self.standardise, self.project))
        return Embedder(self.embed, modules, f"{type(self).__name__} {self._options}")

    def conclude(self, embedding: Tensor) -> Tensor:
        """The features, f32[B, F], of what `embed` returned."""
        features: Tensor = self.project(self.standardise(embedding))
        return features

    def _find(self, normalised: Tensor) -> Tensor:
        if self.pools_tokens and isinstance(self.backbone, VisionTransformer):
            return token_statistics(self.backbone.forward_features(normalised), self.backbone.num_prefix_tokens)
        found: Tensor = self.backbone(normalised)
        return found


def _drop_norm(backbone: nn.Module) -> None:
    """Take the final norm off a transformer whose tokens are pooled: the stream standardises what it pools.

    Between two blocks the directions of a vision transformer differ in scale by orders of magnitude; batch
    normalisation without gain brings them to mean 0 and variance 1, and dropout keeps the linear layer on so many
    values from learning the training pictures by heart.
    """
    if not isinstance(backbone, VisionTransformer):
        raise ConfigError("pooling: `tokens` needs a vision transformer")
    backbone.norm = nn.Identity()


def token_statistics(tokens_BTE: Tensor, prefix: int = 1) -> Tensor:
    """Class token, mean and standard deviation of the patch tokens. prefix: tokens before them. Returns f32[B, 3 E]."""
    patches_BTE = tokens_BTE[:, prefix:].float()
    mean_BE = patches_BTE.mean(1)
    spread_BE = ((patches_BTE - mean_BE[:, None]).square().mean(1) + 1e-6).sqrt()  # its gradient is finite at 0
    return torch.cat([tokens_BTE[:, 0].float(), mean_BE, spread_BE], dim=-1)


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

    def embed(self, pixels: Tensor) -> Tensor:
        return self._find(self.mask(self.normalise(pixels)))


@STREAMS.register("semantic")
class SemanticStream(Stream):
    """Global inconsistencies of content: ViT-Tiny/16 to 384 features."""

    default_backbone = "vit_tiny_patch16_224"
    default_features = 384
