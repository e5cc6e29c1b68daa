"""CNNDetect: a ResNet-50 whose training pictures are blurred and re-encoded (Wang et al., CVPR 2020).

The method is the augmentation, not the network: it stands in configs/cnndetect.yaml (0.5 blur, 0.5 JPEG, drawn apart,
on the resized picture), and a run without it is not this method.

Deviations: see `CNNDetect.deviations`, and `paper` for what a training may change. The paper tests on centre crops of
pictures that are not resized; here, as for every detector, training and test resize the shorter side, or pictures of
1024 px would show the middle alone. Blur is Pillow's (three box blurs in place of a sampled Gaussian) and every JPEG
is Pillow's, where the paper's code draws Pillow or OpenCV.
"""

from __future__ import annotations

from tristream.detectors.base import BLUR_AND_JPEG, DETECTORS, PaperRecipe
from tristream.detectors.pooled import PooledConfig, PooledDetector


class CNNDetectConfig(PooledConfig):
    """`resnet50.tv_in1k` are the ImageNet weights that the paper starts from; plain `resnet50` takes later ones."""

    backbone: str = "resnet50.tv_in1k"


@DETECTORS.register("cnndetect")
class CNNDetect(PooledDetector):
    """ResNet-50, pooled to 2048 features, one logit."""

    config_class = CNNDetectConfig
    paper_network = ("resnet50", "ResNet-50")
    deviations: tuple[str, ...] = (
        "shorter side resized in testing, too, where the paper crops without resizing",
        "AdamW, warm-up and cosine decay, averaged weights; the paper: Adam, rate divided by 10 on a plateau",
        "each class has half of the weight in the loss; the paper: plain cross-entropy",
    )
    paper = PaperRecipe(224, 64, 1e-4, BLUR_AND_JPEG)
