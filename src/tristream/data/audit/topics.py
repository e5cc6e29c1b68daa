"""What an audit measures of a picture: features, the topics that they belong to, and what to do where a topic leaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["file", "traces", "scene"]
"""file: nuisances that equalising removes; traces: of earlier processing, which it weakens; scene: what is shown."""

FAMILIES: dict[Family, str] = {
    "file": "file nuisances",
    "traces": "traces of earlier processing",
    "scene": "scene statistics",
}
EQUALISE = "make a copy with `tristream data equalise`, in which both classes share it"


@dataclass(frozen=True)
class Feature:
    """One number of a picture; NaN where it has none."""

    name: str
    words: str
    kind: Literal["share", "number"]
    """share: 0 or 1, told to people as the share of pictures; number: told as a median."""


@dataclass(frozen=True)
class Topic:
    """Features that say the same kind of thing."""

    family: Family
    name: str
    features: tuple[Feature, ...]
    remedy: str
    """What to do when the topic alone tells the label."""


def _topic(family: Family, name: str, remedy: str, *, shares: dict[str, str], numbers: dict[str, str]) -> Topic:
    features = [Feature(key, words, "share") for key, words in shares.items()]
    features += [Feature(key, words, "number") for key, words in numbers.items()]
    return Topic(family, name, tuple(features), remedy)


THUMBNAIL_FEATURES = 63 + 2 * 16 + 96
"""Luma DCT without its mean, 4 x 4 DCTs of both chroma planes, 16 cells of 6 edge directions."""

TOPICS: tuple[Topic, ...] = (
    _topic(
        "file", "container", f"save both classes in one format: {EQUALISE}",
        shares={"is_jpeg": "JPEG files", "is_png": "PNG files", "is_webp": "WebP files", "is_other": "other formats",
                "is_progressive": "progressive or interlaced files", "has_jfif": "JPEG files with a JFIF header"},
        numbers={},
    ),
    _topic(
        "file", "JPEG quality and tables", f"draw the quality of both classes from one distribution: {EQUALISE}",
        shares={"table_is_standard": "JPEGs with the standard quantisation tables"},
        numbers={"jpeg_quality": "estimated JPEG quality", "luma_table": "mean luma quantisation step",
                 "chroma_table": "mean chroma quantisation step", "table_count": "number of quantisation tables"},
    ),
    _topic(
        "file", "chroma subsampling", f"encode both classes with one subsampling: {EQUALISE}",
        shares={"is_420": "JPEGs with 4:2:0 subsampling", "is_444": "JPEGs without subsampling"}, numbers={},
    ),
    _topic(
        "file", "size", f"draw the size of both classes from one distribution, shrinking all: {EQUALISE}",
        shares={"sides_of_64": "pictures whose sides are multiples of 64", "sides_of_8": "sides multiples of 8"},
        numbers={"short_side": "shorter side in pixels", "long_side": "longer side in pixels",
                 "megapixels": "megapixels"},
    ),
    _topic(
        "file", "aspect ratio", f"crop both classes alike: {EQUALISE}",
        shares={"is_square": "square pictures", "is_portrait": "upright formats"},
        numbers={"aspect": "longer side / shorter side"},
    ),
    _topic(
        "file", "EXIF and other metadata", f"strip the metadata of all files: {EQUALISE}",
        shares={"has_exif": "files with EXIF", "has_text": "files with comments, XMP or text chunks"},
        numbers={"exif_tags": "EXIF tags"},
    ),
    _topic(
        "file", "colour profile", f"convert to sRGB and drop the ICC profile in all files: {EQUALISE}",
        shares={"has_icc": "files with an ICC profile"}, numbers={"icc_kb": "size of the ICC profile in kB"},
    ),
    _topic(
        "file", "colour mode", f"save all as 8-bit RGB: {EQUALISE}",
        shares={"is_grey": "grey files", "has_alpha": "files with transparency", "has_palette": "files with a palette",
                "is_cmyk": "CMYK files"},
        numbers={},
    ),
    _topic(
        "file", "block grid", f"crop before the last compression, not after it: {EQUALISE}",
        shares={"grid_aligned": "pictures whose 8 x 8 grid starts in the corner"},
        numbers={"grid_x": "horizontal offset of the 8 x 8 grid", "grid_y": "vertical offset of the 8 x 8 grid"},
    ),
    _topic(
        "traces", "double compression", "equalising weakens it; compare the conditions `delivered` and `alike` when "
        "you evaluate, and train with re-encoding as an augmentation", shares={},
        numbers={"histogram_period": "periodicity of DCT histograms", "histogram_gaps": "gaps in DCT histograms",
                 "digit_1": "share of first digit 1", "digit_2": "share of first digit 2",
                 "digit_5": "share of first digits 5 and more", "benford": "divergence from Benford's law"},
    ),
    _topic(
        "traces", "strength of the block grid", "equalising weakens it; train with re-encoding as an augmentation",
        shares={}, numbers={"grid_strength_x": "horizontal strength of the 8 x 8 grid",
                            "grid_strength_y": "vertical strength of the 8 x 8 grid"},
    ),
    _topic(
        "traces", "resampling", "equalising weakens it; start from originals that were resized alike, and train with "
        "rescaling as an augmentation", shares={},
        numbers={"resampling_peak": "periodicity of interpolation", "high_band": "power near the highest frequency"},
    ),
    _topic(
        "scene", "colour", "no re-encoding removes it: add reals and fakes of the same subjects and looks", shares={},
        numbers={"red": "mean red", "green": "mean green", "blue": "mean blue", "red_spread": "spread of red",
                 "green_spread": "spread of green", "blue_spread": "spread of blue", "saturation": "mean saturation",
                 "colourfulness": "colourfulness"},
    ),
    _topic(
        "scene", "brightness", "no re-encoding removes it: add reals and fakes of the same subjects and light",
        shares={},
        numbers={"luma": "mean brightness", "luma_spread": "contrast", "dark": "brightness of the darkest 5 %",
                 "bright": "brightness of the brightest 5 %", "black_share": "share of black pixels",
                 "white_share": "share of white pixels"},
    ),
    _topic(
        "scene", "bytes per pixel", "equalise the files first; what is left is detail of the scene: match subjects",
        shares={}, numbers={"bytes_per_pixel": "bytes per pixel"},
    ),
    _topic(
        "scene", "thumbnail content", "the classes show different things: match the subjects of reals and fakes, and "
        "report figures on content-matched pairs", shares={},
        numbers={f"thumbnail_{i}": "what a thumbnail of 64 pixels shows" for i in range(THUMBNAIL_FEATURES)},
    ),
)  # fmt: skip

FEATURES: tuple[str, ...] = tuple(feature.name for topic in TOPICS for feature in topic.features)
"""Names of the columns of a feature table, in order."""
