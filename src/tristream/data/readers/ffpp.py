"""FaceForensics++ (Rössler et al. 2019): originals and four manipulations, with the official splits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from tristream.data.readers.layout import Layout
from tristream.data.readers.reader import Listing, Reader, table_of
from tristream.data.readers.walk import pictures
from tristream.errors import ManifestError
from tristream.typing import Progress

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
OFFICIAL_SPLITS = Path(__file__).parent / "protocols"
SPLITS = {"train": "train", "val": "validation", "test": "test"}


class _Video(NamedTuple):
    folder: str
    name: str
    method: str
    """"" for an original"""
    split: str
    group: str


class FFPPReader(Reader):
    """Each pair [a, b] of a split stands for the originals a and b, and for a_b and b_a of every method.

    The pair is the group: all six videos of it (two originals, two orders) share faces and backgrounds.
    """

    compression: Annotated[
        Literal["raw", "c23", "c40"], BeforeValidator(lambda given: "raw" if given == "c0" else given)
    ] = Field("c23", description="raw (papers say c0), c23 or c40: H.264 quantisers, no JPEG qualities")
    methods: tuple[str, ...] = Field(METHODS, description="folders of manipulated_sequences; FaceShifter is a fifth")
    media: Literal["videos", "frames"] = Field("videos", description="frames: pictures in frames/<video>/")
    splits: Path | None = Field(
        None, description="folder with train.json, val.json, test.json; else ROOT/splits, else the official ones"
    )

    layout = Layout(
        title="FaceForensics++",
        trees=(
            "ROOT\n├── original_sequences/youtube/{raw,c23,c40}/videos/<target>.mp4\n"
            "├── manipulated_sequences/\n"
            "│   └── {Deepfakes,Face2Face,FaceSwap,NeuralTextures}/{raw,c23,c40}/videos/<target>_<source>.mp4\n"
            "└── [splits/{train,val,test}.json]     (frames/<video>/*.png in place of videos/: --set media=frames)",
        ),
        obtain=(
            "1. Fill in the form that is linked at the address; its owners send a download script.\n"
            "2. Run the script for the compression that you need: -d all -c c23 -t videos.\n"
            "3. tristream data index FOLDER -o ffpp.parquet --set compression=c23"
        ),
        terms="Terms of use of the Technical University of Munich: research and education, no redistribution.",
        address="https://github.com/ondyari/FaceForensics",
        notes="Per compression 1,000 real and 4 x 1,000 fake videos: 720, 140, 140 reals in train, validation, test.",
    )

    @classmethod
    def matches(cls, root: Path) -> bool:
        """By its two main folders."""
        return (root / "original_sequences" / "youtube").is_dir() and (root / "manipulated_sequences").is_dir()

    def listing(self, root: Path, progress: Progress | None = None) -> Listing:
        """See `Reader.listing`; also raises ManifestError for a split file that is not of the official form."""
        videos = list(self._videos(read_splits(self._splits_of(root))))
        files = {video: self._files(root, video) for video in videos}
        missing = tuple(f"{video.folder}/{video.name}" for video in videos if not files[video])
        table = table_of(self._row(video, path) for video in videos for path in files[video])
        layouts = Counter(video.folder.split("/")[0] for video in videos for _ in files[video])
        there = sorted(path.name for path in (root / "original_sequences" / "youtube").glob("*") if path.is_dir())
        advice = f"compressions there: {', '.join(there) or 'none'}, asked for: {self.compression}"
        return Listing(
            root,
            table,
            layouts,
            expected=len(videos),
            missing=missing,
            unit=f"{self.compression} videos",
            advice=advice,
        )

    def _splits_of(self, root: Path) -> dict[str, Path]:
        folder = self.splits or (root / "splits" if (root / "splits").is_dir() else None)
        if folder is not None:
            return {split: folder / f"{name}.json" for name, split in SPLITS.items()}
        return {split: OFFICIAL_SPLITS / f"ffpp_{name}.json" for name, split in SPLITS.items()}

    def _videos(self, pairs: dict[str, list[tuple[str, str]]]) -> Iterator[_Video]:
        for split, of_split in pairs.items():
            for pair in of_split:
                group = f"ffpp/{min(pair)}_{max(pair)}"
                original = f"original_sequences/youtube/{self.compression}/{self.media}"
                yield from (_Video(original, name, "", split, group) for name in pair)
                for method in self.methods:
                    folder = f"manipulated_sequences/{method}/{self.compression}/{self.media}"
                    for name in ("_".join(pair), "_".join(reversed(pair))):
                        yield _Video(folder, name, method, split, group)

    def _files(self, root: Path, video: _Video) -> list[str]:
        if self.media == "videos":
            path = f"{video.folder}/{video.name}.mp4"
            return [path] if (root / path).is_file() else []
        return [str(path) for path in pictures(root, f"{video.folder}/{video.name}")]

    def _row(self, video: _Video, path: str) -> dict[str, Any]:
        return {
            "path": path,
            "label": int(bool(video.method)),
            "generator": video.method,
            "source": f"ffpp-{self.compression}",
            "group": video.group,
            "split": video.split,
            "video": f"{video.method or 'youtube'}/{video.name}",
        }


def read_splits(files: dict[str, Path]) -> dict[str, list[tuple[str, str]]]:
    """Pairs of video numbers per split. Raises ManifestError unless every number stands in one split only."""
    pairs, seen = dict[str, list[tuple[str, str]]](), dict[str, str]()
    for split, file in files.items():
        try:
            pairs[split] = [(str(target), str(source)) for target, source in json.loads(file.read_text("utf-8"))]
        except OSError as error:
            raise ManifestError(f"{file}: cannot be read: {error.strerror}; expected an official split") from None
        except (ValueError, TypeError):
            raise ManifestError(f'{file}: expected a JSON list of pairs such as ["071", "054"]') from None
        for name in (name for pair in pairs[split] for name in pair):
            if not name.isdecimal() or seen.setdefault(name, split) != split:
                raise ManifestError(f"{file}: video '{name}' is no number, or is in {seen.get(name)} as well")
    return pairs
