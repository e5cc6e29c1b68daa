"""What of a video is scored, and what its frames' scores come to: the mean of their logits is the video's score.

Whole frames, or the square crop around the largest face of each. A frame without a face is a row that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np

from tristream.config import StrictModel
from tristream.errors import ImageError, MissingExtraError
from tristream.images.faces import Box, FaceDetector
from tristream.images.video import Clip, ClipFacts, open_clip
from tristream.runtime.sources import Source
from tristream.runtime.verdict import Domain, Verdict
from tristream.typing import UInt8

View = Literal["frame", "face"]
"""What a detector sees of a video's frame: all of it, or the crop around its largest face."""

FRAMES = 16
"""Default number of frames that are scored of one video."""
NO_FACE = "no face found"
"""Why a frame has no score."""


@dataclass(frozen=True)
class Sampling:
    """Which frames of a video are scored, and what of them."""

    frames: int = FRAMES
    """So many, spread evenly over the video."""
    faces: bool = False
    """The crop around the largest face of each, in place of the whole frame."""
    face_model: Path | None = None
    """ONNX file of another face detector, see `tristream.images.faces`."""

    @property
    def view(self) -> View:
        return "face" if self.faces else "frame"


class FrameScore(StrictModel):
    """One frame of a video: its score, or the reason why it has none."""

    time_s: float
    """When it is shown, from the first frame on."""
    logit: float | None = None
    probability_fake: float | None = None
    verdict: Verdict | None = None
    """By this frame alone."""
    distance: float | None = None
    """Of the domain check; None for a detector without one."""
    box: Box | None = None
    """Left, top, width and height of the crop in px of the frame; None for the whole frame, and without a face."""
    reason: str | None = None
    """Why there is no score."""


class Timeline(StrictModel):
    """The frames of a video, and what was scored of them; thresholds and probabilities are those of pictures."""

    view: View
    face_model: str | None = None
    """Name and SHA-256 of the face detector's file; None for whole frames."""
    duration_s: float
    fps: float | None
    """On average; None where the file does not say how long its only frame is."""
    width: int
    height: int
    codec: str
    frames_total: int
    """In the video."""
    frames_scored: int
    frames: tuple[FrameScore, ...]
    """Those that were taken, ascending in time, with and without a score."""

    @property
    def words(self) -> str:
        """What the score is the mean of, for people."""
        logits = [frame.logit for frame in self.frames if frame.logit is not None]
        view = "whole frame" if self.view == "frame" else "face crop"
        plural = "" if len(logits) == 1 else "s"
        without = len(self.frames) - len(logits)
        rest = f", {without} more without a {'face' if self.view == 'face' else 'score'}" if without else ""
        return (
            f"mean of {len(logits)} {view}{plural} of a video, {min(logits):.2f} to {max(logits):.2f}{rest}; "
            "the thresholds are those of pictures"
        )


class Scored(Protocol):
    """What is said of one frame; a `Prediction` is one."""

    @property
    def logit(self) -> float | None: ...
    @property
    def probability_fake(self) -> float | None: ...
    @property
    def verdict(self) -> Verdict | None: ...
    @property
    def stream_weights(self) -> dict[str, float] | None: ...
    @property
    def domain(self) -> Domain | None: ...
    @property
    def error(self) -> str | None: ...


@dataclass(frozen=True)
class ClipScores:
    """What scoring a video came to."""

    timeline: Timeline
    logit: float
    """The mean over the scored frames."""
    stream_weights: dict[str, float] | None
    """The same of each stream's."""
    domain: Domain | None
    """With the median distance: beyond the limit where more than half of the scored frames are."""
    shorter_side: int
    """px, the median over what was scored."""


class NoFrameError(ImageError):
    """No frame of a video has a score; the timeline says why for each."""

    def __init__(self, message: str, timeline: Timeline) -> None:
        super().__init__(message)
        self.timeline = timeline


class ClipReader:
    """Reads and scores videos, one after the other."""

    def __init__(self, sampling: Sampling) -> None:
        """Open the face model where one is named. Raises CheckpointError when it is none."""
        self.sampling = sampling
        self._detector: FaceDetector | None = None
        if sampling.faces and sampling.face_model is not None:
            with suppress(MissingExtraError):  # each video's record will say so
                self._detector = FaceDetector(sampling.face_model)

    def score(self, source: Source, score: Callable[[Iterable[Source]], Iterable[Scored]]) -> ClipScores:
        """Score the frames of a video as they are decoded.

        source: one that is a clip; score: says of each Source, in order, what it scores. Raises ImageError for a video
        that cannot be read or needs the `video` extra, NoFrameError where no frame has a score.
        """
        if not isinstance(source.content, Path | bytes):
            raise TypeError(f"expected a video file or its bytes, got {type(source.content).__name__}")
        if self.sampling.faces and self._detector is None:
            try:
                self._detector = FaceDetector(self.sampling.face_model)
            except MissingExtraError as error:
                raise ImageError(f"{source.label}: {error}") from None
        places: list[_Place] = []
        with open_clip(source.content, source.label) as clip:
            scored = list(score(self._sources(clip, source.label, places)))
            facts = clip.facts
        timeline = self._timeline(facts, places, scored)
        kept = [(place, one) for place, one in zip(places, scored, strict=True) if one.logit is not None]
        if not kept:
            raise NoFrameError(f"{source.label}: {_why_none(timeline)}", timeline)
        return _combined(timeline, kept)

    def _sources(self, clip: Clip, label: str, places: list[_Place]) -> Iterator[Source]:
        """What is scored of each frame; notes in `places` where it was."""
        for number, frame in enumerate(clip.frames(clip.spread(self.sampling.frames)), 1):
            pixels: UInt8 | ImageError = frame.pixels
            box = None
            if self._detector is not None:
                found = self._detector.crop(frame.pixels)
                pixels, box = found or (ImageError(NO_FACE), None)
            shorter_side = min(pixels.shape[:2]) if isinstance(pixels, np.ndarray) else 0
            places.append(_Place(frame.time_s, box, shorter_side))
            yield Source(f"{label}, frame {number}", pixels)

    def _timeline(self, facts: ClipFacts, places: list[_Place], scored: list[Scored]) -> Timeline:
        detector = self._detector
        return Timeline(
            view=self.sampling.view,
            face_model=None if detector is None else f"{detector.name} {detector.sha256}",
            duration_s=round(facts.duration_s, 6),
            fps=None if facts.fps is None else round(facts.fps, 6),
            width=facts.width,
            height=facts.height,
            codec=facts.codec,
            frames_total=facts.frames,
            frames_scored=sum(one.logit is not None for one in scored),
            frames=tuple(
                FrameScore(
                    time_s=round(place.time_s, 6),
                    logit=one.logit,
                    probability_fake=one.probability_fake,
                    verdict=one.verdict,
                    distance=one.domain.distance if one.domain else None,
                    box=place.box,
                    reason=one.error,
                )
                for place, one in zip(places, scored, strict=True)
            ),
        )


class _Place(NamedTuple):
    """Where in a video something was scored."""

    time_s: float
    box: Box | None
    shorter_side: int


def _combined(timeline: Timeline, kept: list[tuple[_Place, Scored]]) -> ClipScores:
    """What the scored frames come to, of which there is at least one."""
    domains = [one.domain for _, one in kept if one.domain is not None]
    weights = [one.stream_weights for _, one in kept if one.stream_weights is not None]
    domain = None
    if domains:
        domain = Domain(distance=float(np.median([each.distance for each in domains])), limit=domains[0].limit)
    return ClipScores(
        timeline,
        logit=float(np.mean([one.logit for _, one in kept])),
        stream_weights={name: float(np.mean([w[name] for w in weights])) for name in weights[0]} if weights else None,
        domain=domain,
        shorter_side=int(np.median([place.shorter_side for place, _ in kept])),
    )


def _why_none(timeline: Timeline) -> str:
    reasons = {frame.reason for frame in timeline.frames}
    n = len(timeline.frames)
    frames = "its one frame" if n == 1 else f"any of {n} frames"
    if reasons == {NO_FACE}:
        return f"no face found in {frames}; without --faces whole frames are scored"
    return f"no score for {frames}, such as: {timeline.frames[0].reason}"
