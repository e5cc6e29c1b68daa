"""The one Detector interface: pixels in [0, 1] go in, a DetectorOutput comes out, normalisation is inside.

Contract, tested for the whole registry: in eval mode the logit of a picture does not depend on its batch mates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tristream.config import StrictModel, validate
from tristream.registry import Registry

# B images, S streams, D fusion width


@dataclass(frozen=True)
class DetectorOutput:
    """What a detector says of B pictures."""

    logits: Tensor
    """f32[B], before calibration; above 0 leans fake."""
    tokens: Tensor | None = None
    """f32[B, S, D]: the streams projected to the common width, before type embedding and attention."""
    stream_weights: Tensor | None = None
    """f32[B, S], rows sum to 1, exactly 0 for a masked stream."""
    features: Mapping[str, Tensor] = field(default_factory=dict)
    """Per stream or backbone, f32[B, F]: the features before projection."""


@dataclass(frozen=True)
class PaperAugmentation:
    """What a paper did to its training pictures before crop and flip."""

    words: str
    config: Mapping[str, Any] | None = None
    """In the terms of a training config; None where these do not have it."""
    departure: str = ""
    """How that config departs from the paper all the same."""


BLUR_AND_JPEG = PaperAugmentation(
    "the paper's blur and JPEG",
    {"steps": ["resize", "blur", "encode"], "blur": 0.5, "blur_sigma_px": [0, 3], "encode": 0.5, "quality": [30, 100],
     "webp_share": 0, "full_colour_share": 0, "flip": 0.5},
    "Pillow alone encodes and blurs; the paper's code draws Pillow or OpenCV for JPEG",
)  # fmt: skip
"""Of CNNDetect, and of UnivFD after it: "Blur + JPEG (0.5)"."""


@dataclass(frozen=True)
class PaperRecipe:
    """How the paper trained the detector that carries its name, in the terms of a training config."""

    input_size: int
    """Side of the training crops in px."""
    batch_size: int
    learning_rate: float | None = None
    """None where the paper's optimiser is another, whose rates cannot be compared."""
    augmentation: PaperAugmentation = PaperAugmentation("the paper's")


class DetectorConfig(StrictModel):
    """Base of every detector's configuration."""

    initialisation: str = ""
    """What the weights learnt on before, in words, such as "ImageNet"; empty: as `weights` says, which of a file is its
    name alone."""


class Detector(nn.Module, ABC):
    """A detector of fakes. Subclasses set `config_class` and register themselves in DETECTORS."""

    config_class: ClassVar[type[DetectorConfig]]
    stream_names: tuple[str, ...] = ()
    """Names of the S streams; empty for a detector without streams."""
    feature_sizes: Mapping[str, int]
    """Length F of each entry of `DetectorOutput.features`."""
    initialisation: str
    """What its weights were before training, in words for a table's column: ImageNet, CLIP, random."""
    deviations: tuple[str, ...] = ()
    """Where it departs from the paper whose name it carries, in words for a table's footnote."""
    paper: ClassVar[PaperRecipe | None] = None
    """How that paper trained; where a training departs from it is told beside `deviations`."""

    @abstractmethod
    def forward(self, pixels: Tensor, stream_mask: Tensor | None = None) -> DetectorOutput:
        """Score pictures.

        pixels: f32[B, 3, H, W] in [0, 1], RGB. stream_mask: bool[B, S], True where a stream takes part; a masked stream
        has exactly no influence. Raises ValueError when a row of the mask has no stream left.
        """

    def fuse(self, features: Mapping[str, Tensor], stream_mask: Tensor) -> DetectorOutput:
        """The part of `forward` that the mask touches, on the features of an earlier call. Arguments as there.

        Raises ValueError for a detector without streams.
        """
        raise ValueError(f"{type(self).__name__} has no streams to mask")


@dataclass(frozen=True)
class Embedder:
    """What makes one part of a probe's embedding."""

    embed: Callable[[Tensor], Tensor]
    """Pixels as in `Detector.forward` to [B, E]."""
    modules: tuple[nn.Module, ...]
    """Those that it runs."""
    options: str
    """In words, all that decides its result apart from the weights of `modules`."""

    @property
    def is_frozen(self) -> bool:
        """Whether it does not learn."""
        return not any(p.requires_grad for module in self.modules for p in module.parameters())


class Probe(Detector):
    """A detector in two steps: one embeds pixels, one sees nothing else. What a frozen first step makes can be kept."""

    @abstractmethod
    def embedders(self) -> Mapping[str, Embedder]:
        """What embeds, by name, in the order of the embedding."""

    @abstractmethod
    def classify(self, embedding: Tensor, stream_mask: Tensor | None = None) -> DetectorOutput:
        """The second step. embedding: f32[B, E], of `embed`; stream_mask: as in `forward`."""

    def embed(self, pixels: Tensor) -> Tensor:
        """The first step. pixels: as in `forward`. Returns f32[B, E], what the embedders find side by side."""
        return torch.cat([embedder.embed(pixels).float() for embedder in self.embedders().values()], dim=-1)

    @property
    def is_frozen(self) -> bool:
        """Whether the first step does not learn."""
        return all(embedder.is_frozen for embedder in self.embedders().values())

    def forward(self, pixels: Tensor, stream_mask: Tensor | None = None) -> DetectorOutput:
        return self.classify(self.embed(pixels), stream_mask)


DETECTORS: Registry[type[Detector]] = Registry("detector")


def build_detector(name: str, config: Mapping[str, Any], *, load_weights: bool = True) -> Detector:
    """The detector that a config names. `load_weights=False` leaves out pretrained weights (a checkpoint brings them).

    Raises ConfigError for an unknown name or key.
    """
    detector_class = DETECTORS[name]
    return detector_class(
        validate(detector_class.config_class, config, f"detector '{name}'"), load_weights=load_weights
    )


class Normalise(nn.Module):
    """(pixels - mean) / std per channel, inside the detector so that attacks and callers see pixels only."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels - self.mean) / self.std
