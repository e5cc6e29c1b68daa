"""Pictures of videos: frames, or the crop around the largest face of each, and the manifest that goes with them.

The frames of one video share its group, label and split. What has no picture, a frame without a face or a video that
cannot be read, is a row of the list of frames that says why. A video is done when its own record is written, after its
pictures: an interrupted run goes on with the next one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from PIL import Image
from pydantic import ValidationError

from tristream.atomic import write_bytes
from tristream.config import StrictModel
from tristream.data.files import FILE_COLUMNS, claim_recipe, file_facts
from tristream.data.manifest import Manifest
from tristream.data.readers import READERS, recognise
from tristream.errors import ImageError, ManifestError, UsageError, needs_extra
from tristream.images.faces import Box, FaceDetector
from tristream.images.h264 import encode_again
from tristream.images.video import Clip, open_clip
from tristream.typing import Progress, UInt8

MANIFEST, FRAMES, RECIPE, RECORD = "manifest.csv", "frames.csv", "recipe.json", "frames.json"
NO_FACE = "no face found"
VIDEO_LAYOUTS = ("ffpp", "celebdf")
"""Those whose readers list videos. Any other folder is one with subfolders named real and fake."""


class FrameRecipe(StrictModel):
    """What all pictures share: which frames, and what of them. One of `count` and `every_s` is given."""

    count: int | None = None
    """So many frames of each video, spread evenly over it."""
    every_s: float | None = None
    """A frame at 0 s, and one after each such step."""
    view: Literal["frame", "face"] = "frame"
    face_model: str = ""
    """SHA-256 of the face detector's file; empty for whole frames."""
    crf: int | None = None
    """Constant rate factor at which H.264 encodes every frame again, among its neighbours; None: as it comes."""

    def indices(self, clip: Clip) -> list[int]:
        """Of the frames that are taken of a clip. Raises UsageError for too many."""
        if self.count is not None:
            return clip.spread(self.count)
        if self.every_s is not None:
            return clip.every(self.every_s)
        raise UsageError("which frames: expected a count, or a step in seconds")


class FrameRecord(StrictModel):
    """One frame: the picture that was made of it, or why there is none."""

    frame: int
    """Its number in the video, from 0."""
    time_s: float
    path: str = ""
    """Of the picture, from the folder of the manifest; empty where there is none."""
    box: Box | None = None
    """Left, top, width and height of the crop in px of the frame; None for the whole frame."""
    reason: str = ""
    """Why there is no picture."""


class VideoRecord(StrictModel):
    """What was made of one video; lies beside its pictures, and says that they are all there."""

    sha256: str
    """Of the video."""
    frames: tuple[FrameRecord, ...]


@dataclass(frozen=True)
class FramesMade:
    """What a run has written."""

    manifest: Manifest
    """Of the pictures."""
    listed: pd.DataFrame
    """A row for every frame, and one for every video that could not be used."""
    failed: dict[str, str]
    """Path and reason of the videos that could not be used."""

    @property
    def without_face(self) -> int:
        """Frames that have no picture for that reason."""
        return int((self.listed["reason"] == NO_FACE).sum())


def videos_of(source: Path, root: Path | None = None, *, allow_missing: bool = False) -> Manifest:
    """The videos of a manifest, or of a folder: FaceForensics++, Celeb-DF, or subfolders named real and fake.

    root: folder that the paths of a manifest start from, by default its own; allow_missing: go on with an incomplete
    data set. Raises ManifestError.
    """
    if not source.is_dir():
        return Manifest.read(source, root)
    layout = next((name for name in VIDEO_LAYOUTS if READERS[name].matches(source)), "folder")
    options = {"media": "videos"} if layout == "folder" else {}
    return recognise(source, layout=layout, options=options, allow_missing=allow_missing).manifest


def make_frames(
    videos: Manifest,
    out: Path,
    recipe: FrameRecipe,
    detector: FaceDetector | None = None,
    progress: Progress | None = None,
) -> FramesMade:
    """Write PNG pictures of the videos' frames below `out`, then the manifest, the list of frames and the recipe.

    detector: of the faces, for crops. A video that is unchanged and has been done by an earlier run with the same
    recipe is not decoded again. Label, generator, source, group, split and any further columns are those of the video;
    `video`, `frame`, `time_s` and `box` are added. Raises ManifestError when `out` belongs to another recipe or holds
    the videos, and when there is no picture in the end.
    """
    with needs_extra("making frames of videos", "video"):
        import av  # noqa: F401
    out = out.resolve()
    if videos.root.is_relative_to(out):
        raise ManifestError(f"{out}: the videos lie there; name another folder for the pictures")
    view: Literal["frame", "face"] = "frame" if detector is None else "face"
    recipe = recipe.model_copy(update={"view": view, "face_model": "" if detector is None else detector.sha256})
    claim_recipe(out / RECIPE, recipe)
    videos = videos.with_file_columns(["sha256"])
    rows: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for row in range(len(videos)):
        cells = videos.table.iloc[row].drop(labels=[*FILE_COLUMNS, "media"]).rename({"path": "video"})
        of_video = {str(name): cell for name, cell in cells.items()}
        try:
            rows += [of_video | _cells(frame) for frame in _frames_of(videos, row, out, recipe, detector)]
        except (ImageError, UsageError) as error:
            failed[of_video["video"]] = reason = str(error).removeprefix(f"{videos.file(row)}: ")
            rows.append(of_video | {"path": "", "reason": reason})
        if progress is not None:
            progress(row + 1, len(videos))
    listed = pd.DataFrame(rows).reindex(columns=list(dict.fromkeys([*rows[0], *FrameRecord.model_fields])))
    listed["frame"] = listed["frame"].astype("Int64")
    write_bytes(out / FRAMES, listed.to_csv(index=False, lineterminator="\n").encode())
    made = listed[listed["path"] != ""].drop(columns="reason")
    if made.empty:
        raise ManifestError(f"no picture was made of {len(videos):,} videos; see {out / FRAMES}")
    facts = pd.DataFrame([file_facts(out / path) for path in made["path"]], index=made.index)
    manifest = Manifest.from_table(made.join(facts).reset_index(drop=True), out, str(out / MANIFEST))
    manifest.write(out / MANIFEST)
    return FramesMade(manifest, listed, failed)


def _frames_of(
    videos: Manifest, row: int, out: Path, recipe: FrameRecipe, detector: FaceDetector | None
) -> tuple[FrameRecord, ...]:
    """The frames of one video, from its record or newly made. Raises ImageError, UsageError for too many of them."""
    name, sha256 = (str(videos.table[column].iloc[row]) for column in ("path", "sha256"))
    if videos.table["media"].iloc[row] != "video":
        raise ImageError("a picture, not a video")
    record = out / name / RECORD
    if (done := _done(record, sha256, out)) is not None:
        return done.frames
    file = videos.file(row)
    with open_clip(file) as clip:
        frames = tuple(_made(clip, recipe, out, name, detector))
    write_bytes(record, VideoRecord(sha256=sha256, frames=frames).model_dump_json().encode() + b"\n")
    return frames


def _made(
    clip: Clip, recipe: FrameRecipe, out: Path, name: str, detector: FaceDetector | None
) -> Iterator[FrameRecord]:
    indices = recipe.indices(clip)
    frames = clip.frames(indices) if recipe.crf is None else encode_again(clip, indices, recipe.crf)
    for index, frame in zip(indices, frames, strict=True):
        pixels, box = frame.pixels, None
        if detector is not None:
            found = detector.crop(frame.pixels)
            if found is None:
                yield FrameRecord(frame=index, time_s=round(frame.time_s, 6), reason=NO_FACE)
                continue
            pixels, box = found
        path = f"{name}/{index:06d}.png"
        write_bytes(out / path, _png(pixels))
        yield FrameRecord(frame=index, time_s=round(frame.time_s, 6), path=path, box=box)


def _done(record: Path, sha256: str, out: Path) -> VideoRecord | None:
    """What an earlier run made of the same video, if all of it is there."""
    try:
        done = VideoRecord.model_validate_json(record.read_bytes())
    except (OSError, ValidationError):
        return None
    whole = done.sha256 == sha256 and all((out / frame.path).is_file() for frame in done.frames if frame.path)
    return done if whole else None


def _cells(frame: FrameRecord) -> dict[str, Any]:
    """A row of the list of frames."""
    return frame.model_dump() | {"box": "" if frame.box is None else " ".join(map(str, frame.box))}


def _png(pixels: UInt8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)  # lossless whatever the level; this one is fast
    return file.getvalue()
