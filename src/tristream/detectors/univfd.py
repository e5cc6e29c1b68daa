"""UnivFD: a frozen CLIP image tower and one linear layer (Ojha et al., CVPR 2023).

Any CLIP tower that timm has serves by timm's name for it, those of open_clip's trainings among them (open_clip's
ViT-L-14 is `vit_large_patch14_clip_224`, with its training as the tag); naming it is enough, for the length of its
embedding and its input size are read from timm: `vit_large_patch14_clip_quickgelu_224.openai` is the paper's (768
values), `vit_base_patch16_clip_quickgelu_224.openai` the default (512). The tag matters: without `.openai`, timm's
hub weights for the same tower are those of another training set. A safetensors file with timm's names takes the place
of the hub.

What the paper leaves open or its code decides, as here: the embedding is the projected one (`encode_image`), not an
inner layer; it is not L2-normalised; CLIP's mean and deviation; the linear layer starts from N(0, 0.02). Crops of
another size than the tower's are resampled (bicubic); none are where the config crops at that size, as
configs/univfd.yaml does. Deviations: see `UnivFD.deviations`, and `paper` for what a training may change.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from tristream.detectors.backbones import (
    create_backbone,
    initialisation_of,
    normalisation_of,
    output_features,
    settings_of,
)
from tristream.detectors.base import (
    BLUR_AND_JPEG,
    DETECTORS,
    DetectorConfig,
    DetectorOutput,
    Embedder,
    PaperRecipe,
    Probe,
)
from tristream.detectors.pooled import linear_logit
from tristream.errors import ConfigError

PAPER_TOWER = "vit_large_patch14_clip_quickgelu_224.openai"


class UnivFDConfig(DetectorConfig):
    """The tower and where its weights come from ("hub", "none" or a safetensors file with timm names)."""

    backbone: str = "vit_base_patch16_clip_quickgelu_224.openai"
    weights: str = "hub"
    embedding: int | None = Field(None, ge=1)
    """Length of the projected image embedding; None: the tower's own, 512 for ViT-B, 768 for ViT-L/14."""
    image_size: int | None = Field(None, ge=16)
    """Side in px to which crops are resampled before the tower; None: the tower's own."""


@DETECTORS.register("univfd")
class UnivFD(Probe):
    """Linear probe on CLIP. Only the linear layer is trained."""

    config_class = UnivFDConfig
    deviations: tuple[str, ...] = (
        "AdamW with warm-up and cosine decay, averaged weights; the paper: a constant rate",
        "each class has half of the weight in the loss; the paper: plain cross-entropy",
        "shorter side resized in testing, too, where the paper crops without resizing",
    )
    paper = PaperRecipe(224, 256, 1e-4, BLUR_AND_JPEG)

    def __init__(self, config: UnivFDConfig, *, load_weights: bool = True) -> None:
        super().__init__()
        if config.weights == "hub" and "clip" not in config.backbone:
            raise ConfigError(
                f"'{config.backbone}' is no CLIP tower; `timm.list_pretrained('*clip*')` lists those there are"
            )
        self._config = config
        weights = config.weights if load_weights else "none"
        settings = settings_of(config.backbone)
        projected = config.embedding or settings.num_classes  # timm's word for it; 0 for a tower without projection
        self.tower = create_backbone(config.backbone, weights, features=projected).requires_grad_(False).eval()
        self.image_size = config.image_size or settings.input_size[-1]
        self.normalise = normalisation_of(self.tower)
        self.initialisation = initialisation_of(config.backbone, config.weights, config.initialisation)
        if config.backbone != PAPER_TOWER:
            tower = f"the tower is {config.backbone}; the paper's is OpenAI's CLIP ViT-L/14"
            self.deviations = (tower, *self.deviations)
        length = projected or output_features(self.tower)
        self.feature_sizes = {"clip": length}
        self.classifier = linear_logit(length)

    def train(self, mode: bool = True) -> UnivFD:
        super().train(mode)
        self.tower.eval()
        return self

    def embedders(self) -> dict[str, Embedder]:
        return {"clip": Embedder(self._embed, (self.tower,), repr(self._config))}

    def _embed(self, pixels: Tensor) -> Tensor:
        if pixels.shape[-1] != self.image_size or pixels.shape[-2] != self.image_size:
            pixels = F.interpolate(pixels, self.image_size, mode="bicubic", antialias=True).clamp(0, 1)
        embedding: Tensor = self.tower(self.normalise(pixels))
        return embedding

    def classify(self, embedding: Tensor, stream_mask: Tensor | None = None) -> DetectorOutput:
        """One logit of f32[B, embedding]."""
        if stream_mask is not None:
            raise ValueError("a linear probe has no streams to mask")
        return DetectorOutput(self.classifier(embedding).squeeze(-1).float(), features={"clip": embedding})
