"""Xception, the baseline of FaceForensics++ (Rössler et al., ICCV 2019; the network: Chollet, CVPR 2017).

Deviations: see `Xception.deviations`, and `paper` for what a training may change. The network is fully convolutional
up to its pooling, so that 299 px is a choice of the config (`preprocessing`, `input_size`), not a demand; pixels are
normalised with mean and deviation 0.5, as the paper does.
"""

from __future__ import annotations

from tristream.detectors.base import DETECTORS, PaperAugmentation, PaperRecipe
from tristream.detectors.pooled import PooledConfig, PooledDetector


class XceptionConfig(PooledConfig):
    """timm calls Chollet's network `legacy_xception`."""

    backbone: str = "legacy_xception"


@DETECTORS.register("xception")
class Xception(PooledDetector):
    """Xception, pooled to 2048 features, one logit."""

    config_class = XceptionConfig
    paper_network = ("legacy_xception", "Xception")
    deviations: tuple[str, ...] = (
        "one logit in place of a softmax over two",
        "all layers learn from the start; the paper trains the new layer alone for 3 epochs first",
        "AdamW, warm-up and cosine decay, averaged weights; the paper: Adam at a constant rate",
        "each class has half of the weight in the loss; the paper: plain cross-entropy",
        "the whole picture's crop; the paper: a face enlarged 1.3 times (the same where the pictures are such crops)",
    )
    paper = PaperRecipe(299, 32, 2e-4, PaperAugmentation("the paper's face crops as they are"))
