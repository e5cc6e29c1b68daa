"""What a file gives away: its container and what is declared there, and the traces of earlier processing."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin, TiffImagePlugin
from scipy.fft import dctn

from tristream.images.decode import DecodedImage, opened
from tristream.typing import Float64

# H height, W width, B 8 x 8 blocks

Facts = dict[str, float]

GRID_WINDOW = 512
TRACE_WINDOW = 256
"""Sides of the middle part that is looked at, in pixels; both start on a multiple of 8."""
LEAST_SIDE = 64
"""Below it, grid and traces are not measured."""

_LOW_FREQUENCIES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1))
_SAMPLING = {"is_444": (1, 1), "is_420": (2, 2)}
_TIFF_STRUCTURE = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284, 290, 291}
    | {292, 293, 296, 301, 317, 318, 319, 320, 322, 323, 324, 325, 330, 332, 338, 339, 340, 341, 347, 512, 513, 514}
    | {515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 34675}
)
"""Tags that say how a TIFF holds its pixels (TIFF 6.0), and the colour profile, which has a topic of its own."""


def declared_facts(content: bytes, decoded: DecodedImage) -> Facts:
    """What the file declares: container, JPEG tables, subsampling, size, metadata, profile, colour mode.

    content: the bytes that `decoded` came from. HEIF, which Pillow does not open by itself, has no colour mode. Raises
    ImageError for metadata that are damaged.
    """
    height, width = decoded.pixels.shape[:2]
    short, long = sorted((height, width))
    facts: Facts = {
        "is_jpeg": decoded.format == "JPEG",
        "is_png": decoded.format == "PNG",
        "is_webp": decoded.format == "WEBP",
        "is_other": decoded.format not in ("JPEG", "PNG", "WEBP"),
        "sides_of_64": width % 64 == 0 and height % 64 == 0,
        "sides_of_8": width % 8 == 0 and height % 8 == 0,
        "short_side": short,
        "long_side": long,
        "megapixels": width * height / 1e6,
        "is_square": width == height,
        "is_portrait": height > width,
        "aspect": long / short,
    }
    if decoded.format == "HEIF":
        return facts
    with opened(content, decoded.name) as (picture, _):
        exif = set(Image.Image.getexif(picture))  # that of a PNG would decode the picture once more
        declared = dict(picture.info)
        if isinstance(picture, TiffImagePlugin.TiffImageFile):
            exif -= _TIFF_STRUCTURE
            declared.pop("compression", None)
        icc = picture.info.get("icc_profile") or b""
        facts |= {
            "is_progressive": bool(picture.info.get("progressive") or picture.info.get("interlace")),
            "has_exif": len(exif) > 0,
            "exif_tags": len(exif),
            "has_text": any(isinstance(value, str) or key in ("comment", "xmp") for key, value in declared.items()),
            "has_icc": len(icc) > 0,
            "icc_kb": len(icc) / 1000,
            "is_grey": picture.mode in ("1", "L", "LA") or picture.mode.startswith("I"),
            "has_alpha": picture.has_transparency_data,
            "has_palette": picture.mode == "P",
            "is_cmyk": picture.mode == "CMYK",
        }
        if isinstance(picture, JpegImagePlugin.JpegImageFile):
            facts |= _jpeg_facts(picture)
    return facts


def _jpeg_facts(picture: JpegImagePlugin.JpegImageFile) -> Facts:
    tables = [np.asarray(table, np.float64) for _, table in sorted(picture.quantization.items())]
    components = [(across, down) for _, across, down, _ in picture.layer]
    facts: Facts = {"has_jfif": "jfif" in picture.info, "table_count": len(tables)}
    if tables:
        quality, difference = estimated_quality(tables[0])
        facts |= {"jpeg_quality": quality, "table_is_standard": difference == 0, "luma_table": tables[0].mean()}
        facts["chroma_table"] = tables[-1].mean() if len(components) == 3 else np.nan
    if len(components) == 3:
        first, others = components[0], components[1]
        sampling = first[0] / others[0], first[1] / others[1]
        facts |= {name: sampling == wanted for name, wanted in _SAMPLING.items()}
    return facts


def estimated_quality(luma_table: Float64) -> tuple[int, float]:
    """libjpeg quality (1-100) of the nearest standard luma table, and the mean difference from it (0: that very one).

    luma_table: f64[64] in natural order.
    """
    difference = np.abs(_standard_tables() - luma_table).mean(axis=1)
    nearest = int(np.argmin(difference))
    return nearest + 1, float(difference[nearest])


@cache
def _standard_tables() -> Float64:
    """f64[100, 64]: the luma tables that libjpeg itself writes for the qualities 1-100."""
    tables = []
    for quality in range(1, 101):
        buffer = io.BytesIO()
        Image.new("L", (8, 8)).save(buffer, "JPEG", quality=quality)
        with Image.open(buffer) as picture:
            assert isinstance(picture, JpegImagePlugin.JpegImageFile)
            tables.append(picture.quantization[0])
    return np.asarray(tables, np.float64)


def pixel_facts(content: bytes, decoded: DecodedImage) -> Facts:
    """What the pixels keep of earlier files: block grid, double compression, resampling. Empty below LEAST_SIDE."""
    if min(decoded.pixels.shape[:2]) < LEAST_SIDE:
        return {}
    luma = np.asarray(Image.fromarray(_middle(decoded.pixels, GRID_WINDOW)).convert("L"), np.float64)
    grid_x, strength_x = block_grid(luma)
    grid_y, strength_y = block_grid(luma.T)
    window = np.asarray(_middle(luma, TRACE_WINDOW), np.float64)
    return {
        "grid_aligned": grid_x == grid_y == 0,
        "grid_x": grid_x,
        "grid_y": grid_y,
        "grid_strength_x": strength_x,
        "grid_strength_y": strength_y,
        **double_compression(window, _luma_table(content, decoded.name) if decoded.format == "JPEG" else None),
        **resampling(window),
    }


def _middle(array: npt.NDArray[np.generic], side: int) -> npt.NDArray[np.generic]:
    """The middle part, at most `side` by `side`, from a multiple of 8 on, so that the grid keeps its offset."""
    starts = [max(0, (length - side) // 2 // 8 * 8) for length in array.shape[:2]]
    return array[starts[0] : starts[0] + side, starts[1] : starts[1] + side]


def block_grid(luma: Float64) -> tuple[int, float]:
    """Column (0-7) on which 8-pixel blocks start, and how far it stands out (0: not at all). luma: f64[H, W].

    A column's vote is the share of rows where the step onto it is larger than both neighbouring steps: one vote per row
    however large the step, so that a few strong edges do not decide.
    """
    step = np.abs(np.diff(luma, axis=1))
    vote = (step[:, 1:-1] > np.maximum(step[:, :-2], step[:, 2:])).mean(axis=0)  # of the step onto column i + 2
    phase = (np.arange(vote.size) + 2) % 8
    mean_8 = np.bincount(phase, vote, minlength=8) / np.bincount(phase, minlength=8)
    offset = int(np.argmax(mean_8))
    return offset, float(mean_8[offset] - np.median(mean_8))


def double_compression(luma: Float64, table: Float64 | None) -> Facts:
    """Histograms of the DCT coefficients on the corner's 8 x 8 grid: periods, gaps and first digits.

    luma: f64[H, W]; table: f64[8, 8] by which a JPEG was quantised last, None for other files. Quantising twice leaves
    periodic peaks and gaps (Popescu & Farid 2004) and bends the law of first digits (Fu, Shi & Su 2007).
    """
    height, width = (side // 8 * 8 for side in luma.shape)
    blocks = luma[:height, :width].reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    coefficient = np.rint(dctn(blocks - 128, axes=(1, 2), norm="ortho") / (1.0 if table is None else table))
    periods, gaps = [], []
    for row, column in _LOW_FREQUENCIES:
        value = coefficient[:, row, column]
        histogram = np.bincount((value[np.abs(value) <= 32] + 32).astype(np.int64), minlength=65).astype(np.float64)
        total = histogram.sum()
        if total < 32:
            continue
        spectrum = np.abs(np.fft.rfft(histogram))[8:]  # the slow part is the shape of the histogram itself
        periods.append(spectrum.max() / total)
        inside = histogram[24:41]
        gaps.append(float((inside < 0.2 * np.minimum(np.roll(inside, 1), np.roll(inside, -1)))[1:-1].mean()))
    magnitude = np.abs(coefficient[:, :4, :4].reshape(len(blocks), 16)[:, 1:])
    magnitude = magnitude[magnitude >= 1]
    if not periods or magnitude.size < 32:
        return {}
    digit = (magnitude / 10 ** np.floor(np.log10(magnitude) + 1e-12)).astype(np.int64)
    share = np.bincount(digit, minlength=10)[1:10] / digit.size
    benford = np.log10(1 + 1 / np.arange(1, 10))
    return {
        "histogram_period": float(np.mean(periods)),
        "histogram_gaps": float(np.mean(gaps)),
        "digit_1": float(share[0]),
        "digit_2": float(share[1]),
        "digit_5": float(share[4:].sum()),
        "benford": float(((share - benford) ** 2 / benford).sum()),
    }


def resampling(luma: Float64) -> Facts:
    """Periodic predictability of interpolated pixels, and what is left near the Nyquist frequency. luma: f64[H, W].

    The predictor and its probability map are those of Kirchner (2008), eqs. 23 and 26; multiples of 1/8 belong to the
    block grid and are left out.
    """
    around = luma[1:-1, :-2] + luma[1:-1, 2:] + luma[:-2, 1:-1] + luma[2:, 1:-1]
    corners = luma[:-2, :-2] + luma[:-2, 2:] + luma[2:, :-2] + luma[2:, 2:]
    predictable = np.exp(-((luma[1:-1, 1:-1] - 0.5 * around + 0.25 * corners) ** 2))
    y = np.abs(np.fft.fftfreq(predictable.shape[0]))[:, None]
    x = np.fft.rfftfreq(predictable.shape[1])[None, :]
    spectrum = np.abs(np.fft.rfft2(predictable - predictable.mean()))
    on_grid = (np.abs(8 * x - np.rint(8 * x)) < 0.1) & (np.abs(8 * y - np.rint(8 * y)) < 0.1)
    kept = spectrum[~on_grid & (np.hypot(x, y) > 0.1)]
    window = np.hanning(luma.shape[0])[:, None] * np.hanning(luma.shape[1])[None, :]
    power = np.abs(np.fft.rfft2((luma - luma.mean()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(luma.shape[0])[:, None], np.fft.rfftfreq(luma.shape[1])[None, :]) / 0.5
    high, middle = power[(radius > 0.85) & (radius <= 1)].mean(), power[(radius > 0.3) & (radius <= 0.5)].mean()
    return {
        "resampling_peak": float(np.log((kept.max() + 1e-6) / (np.median(kept) + 1e-6))),
        "high_band": float(np.log((high + 1e-6) / (middle + 1e-6))),
    }


def _luma_table(content: bytes, name: str) -> Float64 | None:
    with opened(content, name) as (picture, _):
        assert isinstance(picture, JpegImagePlugin.JpegImageFile)
        table = picture.quantization.get(0)
        return None if table is None else np.asarray(table, np.float64).reshape(8, 8)
