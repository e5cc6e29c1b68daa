"""The scores of a video's frames over time, as a picture for people, drawn with Pillow alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tristream.atomic import replaced
from tristream.errors import UsageError
from tristream.runtime.predictor import Prediction

SIZE = (960, 360)
"""px."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 88, 44, 56
_COLOURS = {"likely_fake": "#c62828", "likely_real": "#2e7d32", "unsure": "#f9a825"}
_INK, _PALE = "#263238", "#b0bec5"
_ALPHA = "1e"
"""Of the band that a verdict has, in hexadecimal."""
MAX_NAME = 200
"""Bytes of a video's name in that of its timeline: file systems end at 255, suffixes included."""


def draw_timeline(prediction: Prediction) -> Image.Image:
    """Frames as dots at their logit, coloured by their own verdict; a grey tick below for each without a score.

    Also the mean, and the thresholds where the detector has them. Raises UsageError for what has no frames.
    """
    timeline, thresholds = prediction.frames, prediction.thresholds
    if timeline is None:
        raise UsageError(f"{prediction.path or 'picture in memory'}: no video, so it has no timeline")
    picture = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(picture, "RGBA")
    draw.font = ImageFont.load_default(14)
    right, bottom = SIZE[0] - _RIGHT, SIZE[1] - _BOTTOM
    marks = [frame.logit for frame in timeline.frames if frame.logit is not None]
    marks += [thresholds.fake, thresholds.real] if thresholds else []
    low, high = (min(marks), max(marks)) if marks else (-1.0, 1.0)
    pad = 0.08 * (high - low) or 1.0
    low, high = low - pad, high + pad
    span_s = max(timeline.duration_s, timeline.frames[-1].time_s, 1e-3)

    def x(time_s: float) -> float:
        return _LEFT + (right - _LEFT) * time_s / span_s

    def y(logit: float) -> float:
        return bottom - (bottom - _TOP) * (logit - low) / (high - low)

    if thresholds:
        for verdict, top, under in (
            ("likely_fake", high, max(thresholds.fake, low)),
            ("likely_real", min(thresholds.real, high), low),
        ):
            draw.rectangle((_LEFT, y(top), right, y(under)), fill=_COLOURS[verdict] + _ALPHA)
        for name in ("fake", "real"):
            _line(draw, y(getattr(thresholds, name)), right, f"{name} {getattr(thresholds, name):.1f}", _PALE)
    if prediction.logit is not None:
        _line(draw, y(prediction.logit), right, f"mean {prediction.logit:.1f}", _INK)
    draw.rectangle((_LEFT, _TOP, right, bottom), outline=_PALE)
    for frame in timeline.frames:
        if frame.logit is None:
            draw.line((x(frame.time_s), bottom + 2, x(frame.time_s), bottom + 10), fill=_PALE, width=3)
        else:
            _dot(draw, x(frame.time_s), y(frame.logit), _COLOURS[frame.verdict or "unsure"])
    _words(draw, prediction, x, bottom, span_s)
    return picture


def write_timeline(prediction: Prediction, folder: Path) -> Path | None:
    """Write the timeline as `<name>-<start of the SHA-256>.png`; None for what is no video, or could not be read.

    Of a name over MAX_NAME bytes, its start and a digest.
    """
    if prediction.frames is None or prediction.sha256 is None:
        return None
    path = folder / f"{_short(Path(prediction.path or 'video').name)}-{prediction.sha256[:8]}.png"
    with replaced(path) as part:
        draw_timeline(prediction).save(part, "PNG")
    return path


def _short(name: str) -> str:
    """A name of at most MAX_NAME bytes; what is cut off a longer one still tells it from others."""
    data = name.encode()
    if len(data) <= MAX_NAME:
        return name
    return f"{data[: MAX_NAME - 9].decode(errors='ignore')}-{hashlib.sha256(data).hexdigest()[:8]}"


def _line(draw: ImageDraw.ImageDraw, y: float, right: int, words: str, ink: str) -> None:
    draw.line((_LEFT, y, right, y), fill=ink)
    draw.text((right + 6, y), words, fill=_INK, anchor="lm")


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float, colour: str) -> None:
    draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=colour, outline=_INK)


def _words(
    draw: ImageDraw.ImageDraw,
    prediction: Prediction,
    x: Callable[[float], float],
    bottom: int,
    span_s: float,
) -> None:
    timeline = prediction.frames
    if timeline is None:
        return
    view = "whole frames" if timeline.view == "frame" else "face crops"
    scored = f"{timeline.frames_scored} of {len(timeline.frames)} {view} scored"
    name = Path(prediction.path or "video").name
    title = f"{name[:60]}   {prediction.verdict or 'failed'}   {scored}"
    draw.text((_LEFT, _TOP - 12), title.encode("ascii", "replace").decode(), fill=_INK, anchor="ld")
    draw.text((_LEFT - 8, (bottom + _TOP) / 2), "logit", fill=_INK, anchor="rm")
    for part in range(5):
        time_s = part * span_s / 4
        draw.text((x(time_s), bottom + 14), f"{time_s:.1f} s", fill=_INK, anchor="ma")
    if timeline.frames_scored < len(timeline.frames):
        draw.text((_LEFT, SIZE[1] - 6), "grey tick: no score", fill=_INK, anchor="ld")
