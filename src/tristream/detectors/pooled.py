"""The plainest detector: one timm backbone, its pooled features, one linear layer; several baselines are no more."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from tristream.detectors.backbones import create_backbone, initialisation_of, normalisation_of, output_features
from tristream.detectors.base import Detector, DetectorConfig, DetectorOutput

# B images, F pooled features


class PooledConfig(DetectorConfig):
    """The backbone by timm name, and its weights: hub, none, or a safetensors file with timm's names."""

    backbone: str
    weights: str = "hub"


class PooledDetector(Detector):
    """Normalise as the backbone was trained, pool, one logit. Takes any H x W that the backbone takes."""

    config_class: ClassVar[type[PooledConfig]]
    paper_network: ClassVar[tuple[str, str]]
    """Of the paper whose name the detector carries: timm's name of the architecture, and the paper's."""

    def __init__(self, config: PooledConfig, *, load_weights: bool = True) -> None:
        super().__init__()
        self.backbone = create_backbone(config.backbone, config.weights if load_weights else "none")
        self.normalise = normalisation_of(self.backbone)
        architecture, words = self.paper_network
        if config.backbone.partition(".")[0] != architecture:
            self.deviations = (f"the network is {config.backbone}; the paper's is {words}", *self.deviations)
        self.initialisation = initialisation_of(config.backbone, config.weights, config.initialisation)
        features = output_features(self.backbone)
        self.feature_sizes = {"pooled": features}
        self.classifier = linear_logit(features)

    def forward(self, pixels: Tensor, stream_mask: Tensor | None = None) -> DetectorOutput:
        if stream_mask is not None:
            raise ValueError(f"{type(self).__name__} has no streams to mask")
        features: Tensor = self.backbone(self.normalise(pixels))
        return DetectorOutput(self.classifier(features).squeeze(-1).float(), features={"pooled": features})


def linear_logit(features: int) -> nn.Linear:
    """A linear layer to one logit that starts from N(0, 0.02), as the code of CNNDetect and UnivFD does."""
    layer = nn.Linear(features, 1)
    nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer
