"""The rows of the tables of measured results: which detectors, and how each comes to be."""

from __future__ import annotations

from dataclasses import dataclass

CPU = "configs/protocols/cpu.yaml"
SHIPPED = "src/tristream/weights/detector.safetensors"
CLIP = "vit_base_patch16_clip_quickgelu_224"
"""Without a tag: weights of it come from --clip."""


@dataclass(frozen=True)
class Row:
    """A detector of the tables, and how it comes to be."""

    words: str
    """What a table calls it."""
    configs: tuple[str, ...] = ()
    """Of its training; none where its weights are there."""
    changes: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    """Keys of the pretrained weights, which --no-hub sets to none."""
    takes_clip: bool = False
    has_streams: bool = False
    is_exact: bool = False
    """Whether its views and its ablation by masking are scored in float32; all else is in bfloat16, to save hours."""
    starts_from: str = ""
    """In words, where the record names files."""
    retrained: tuple[str, ...] = ()
    """Config, then changes, with which subsets of its streams are trained anew; none: as the row itself."""


ROWS = {
    "shipped": Row(
        "tristream, as shipped",
        has_streams=True,
        is_exact=True,
        # its streams were trained alone: without one of them, everything behind the backbones would have been another
        retrained=(
            "configs/shipped.yaml",
            *(
                f"detector.options.{stream}.{key}"
                for stream in ("spatial", "frequency", "semantic")
                for key in (f"weights={SHIPPED}", "takes=backbone")
            ),
        ),
        starts_from="ImageNet (spatial, frequency), CLIP (semantic)",
    ),
    "multistream": Row(
        "three streams, same protocol",
        ("configs/default.yaml", CPU),
        ("name=multistream",),
        tuple(f"detector.options.{stream}.weights" for stream in ("spatial", "frequency", "semantic")),
        has_streams=True,
    ),
    "cnndetect": Row(
        "CNNDetect",
        ("configs/cnndetect.yaml", CPU),
        weights=("detector.weights",),
    ),
    "cnndetect-our-augmentation": Row(
        "CNNDetect, our augmentation",
        ("configs/cnndetect.yaml", CPU),
        ("augmentation={}", "name=cnndetect-our-augmentation"),
        ("detector.weights",),
    ),
    "xception": Row("Xception", ("configs/xception.yaml", CPU), weights=("detector.weights",)),
    "f3net": Row("F3Net", ("configs/f3net.yaml", CPU), weights=("detector.weights",)),
    "univfd-2000": Row(
        "UnivFD, CLIP ViT-B/16",
        ("configs/univfd.yaml",),
        ("sample.pictures=2000", "accelerator=cpu", "name=univfd-2000"),
        takes_clip=True,
    ),
    "univfd": Row(
        "UnivFD, CLIP ViT-B/16, all training pictures",
        ("configs/univfd.yaml",),
        takes_clip=True,
        is_exact=True,
    ),
}
