"""Celeb-DF-v2 (Li et al. 2020): a test set of 518 videos; whether one is real, its folder says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from tristream.data.readers.layout import Layout
from tristream.data.readers.reader import Listing, Reader, table_of
from tristream.errors import ManifestError
from tristream.typing import Progress

OFFICIAL_LIST = Path(__file__).parent / "protocols" / "celebdf_v2_test.txt"
FOLDERS = {"Celeb-real": (0, 590), "YouTube-real": (0, 300), "Celeb-synthesis": (1, 5639)}
"""Label and number of videos of each."""


class CelebDFReader(Reader):
    """Label from the folder, and the official list, in which 1 means real, has to agree with it.

    A group is an original video with the fakes made from it: id1_id0_0007 is id1_0007 with the face of id0.
    """

    test_list: Path | None = Field(
        None, description="the list of test videos; else List_of_testing_videos.txt of ROOT, else the official one"
    )
    everything: bool = Field(
        False,
        description="also the other videos, as split train (the field only tests on it); without a split where the "
        "list has a video of their group",
    )

    layout = Layout(
        title="Celeb-DF-v2",
        trees=(
            "ROOT\n├── Celeb-real/id<n>_<nnnn>.mp4\n├── YouTube-real/<nnnnn>.mp4\n"
            "├── Celeb-synthesis/id<target>_id<source>_<nnnn>.mp4\n└── List_of_testing_videos.txt",
        ),
        obtain=(
            "1. Fill in the form that is linked at the address; its owners send a link.\n"
            "2. Unpack Celeb-DF-v2.zip.\n"
            "3. tristream data index FOLDER -o celebdf.parquet"
        ),
        terms="Terms of use of its authors: research only, no redistribution.",
        address="https://github.com/yuezunli/celeb-deepfakeforensics",
        notes=(
            "The test list has 518 videos, 178 real and 340 fake. In the list 1 means real; in a manifest 1 is fake. "
            "56 of the 59 people are in it: everything=true adds other videos for training, mostly of the same people."
        ),
    )

    @classmethod
    def matches(cls, root: Path) -> bool:
        """By its folders."""
        return (root / "Celeb-synthesis").is_dir() and (root / "Celeb-real").is_dir()

    def listing(self, root: Path, progress: Progress | None = None) -> Listing:
        """See `Reader.listing`; also raises ManifestError when the list contradicts the folders."""
        own = root / "List_of_testing_videos.txt"
        tested = read_test_list(self.test_list or (own if own.is_file() else OFFICIAL_LIST))
        split_of = dict.fromkeys(tested, "test")
        missing = [path for path in tested if not (root / path).is_file()]
        expected = len(tested)
        if self.everything:
            for folder, (_, count) in FOLDERS.items():
                there = [f"{folder}/{path.name}" for path in sorted((root / folder).glob("*.mp4"))]
                split_of = {**dict.fromkeys(there, "train"), **split_of}
                gap = count - len(there) - sum(path.startswith(f"{folder}/") for path in missing)
                missing += [f"a video of {folder} outside the list"] * gap
            expected = sum(count for _, count in FOLDERS.values())
        tested_groups = {_group(path) for path in tested}
        found = {
            path: "" if split == "train" and _group(path) in tested_groups else split
            for path, split in split_of.items()
            if (root / path).is_file()
        }
        return Listing(
            root,
            table_of(_row(path, split) for path, split in found.items()),
            Counter(path.partition("/")[0] for path in found),
            expected=expected,
            missing=tuple(missing),
            unit="videos",
        )


def read_test_list(file: Path) -> list[str]:
    """Paths of the list. Raises ManifestError when a line is of another form or contradicts the folder of its video."""
    try:
        return list(_listed(file, file.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{file}: cannot be read as a list of videos: {error}") from None


def _listed(file: Path, lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        listed, _, path = line.strip().partition(" ")
        folder, _, name = path.strip().partition("/")
        if listed not in ("0", "1") or folder not in FOLDERS or not re.fullmatch(r"[\w-]+\.mp4", name):
            raise ManifestError(f"{file}: line {number}: expected '1 YouTube-real/00170.mp4', found '{line}'")
        if FOLDERS[folder][0] != 1 - int(listed):
            raise ManifestError(f"{file}: line {number}: says {listed} of a video in {folder}; 1 has to mean real here")
        yield f"{folder}/{name}"


def _group(path: str) -> str:
    """The original video: that of a fake is its target's."""
    folder, name = path.split("/")
    original = re.sub(r"^(id\d+)_id\d+_", r"\1_", Path(name).stem)
    return f"{'YouTube-real' if folder == 'YouTube-real' else 'Celeb-real'}/{original}"


def _row(path: str, split: str) -> dict[str, Any]:
    folder, name = path.split("/")
    label = FOLDERS[folder][0]
    return {
        "path": path,
        "label": label,
        "generator": "celeb-df-v2" if label else "",
        "source": "celeb-df-v2",
        "group": _group(path),
        "split": split,
        "video": f"{folder}/{Path(name).stem}",
        "folder": folder,
    }
