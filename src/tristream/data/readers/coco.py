"""MS COCO 2017 (Lin et al. 2014): everyday photographs; all real."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pydantic import Field

from tristream.data.readers.layout import Layout, WebFile
from tristream.data.readers.reader import Listing, Reader, table_of
from tristream.data.readers.walk import pictures
from tristream.errors import ManifestError
from tristream.typing import Progress

COUNTS = {"train2017": 118_287, "val2017": 5_000, "test2017": 40_670}
SPLITS = {"train2017": "train", "val2017": "validation", "test2017": "test"}


def coco_group(number: int) -> str:
    """The group of a COCO picture, and of whatever was generated from its caption."""
    return f"coco/{number:012d}"


class COCOReader(Reader):
    """Which pictures have to be there, the annotations say where they are, else their number does."""

    folders: tuple[str, ...] = Field((), description="of train2017, val2017, test2017; by default those there are")

    layout = Layout(
        title="MS COCO 2017",
        trees=("ROOT\n├── {train2017,val2017,test2017}/NNNNNNNNNNNN.jpg\n└── [annotations/*_{train,val}2017.json]",),
        obtain="tristream data download coco FOLDER (val2017, 0.8 GB; train2017: --include 'train2017*', 19 GB)",
        terms="Annotations CC BY 4.0; the photographs keep the Flickr licences of their authors.",
        address="https://cocodataset.org",
        files=(
            WebFile(
                "http://images.cocodataset.org/zips/val2017.zip",
                815_585_330,
                "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
            ),
            WebFile(
                "http://images.cocodataset.org/zips/train2017.zip",
                19_336_861_798,
                "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
            ),
        ),
        notes="Groups are coco/<number>, as in FakeCOCO: a photograph and the fakes of its caption stay together.",
    )

    @classmethod
    def matches(cls, root: Path) -> bool:
        """By its folders' names."""
        return any((root / name).is_dir() for name in COUNTS)

    def listing(self, root: Path, progress: Progress | None = None) -> Listing:
        """See `Reader.listing`."""
        folders = self.folders or tuple(name for name in COUNTS if (root / name).is_dir())
        if unknown := set(folders) - set(COUNTS):
            raise ManifestError(f"COCO has no folder {', '.join(sorted(unknown))}; it has {', '.join(COUNTS)}")
        found = {name: {path.name: str(path) for path in pictures(root, name)} for name in folders}
        expected, missing = 0, list[str]()
        for name, there in found.items():
            listed = _annotated(root, name)
            gone = [f"{name}/{file}" for file in sorted(listed - there.keys())]
            if not listed:
                gone = [f"a picture of {name}"] * (COUNTS[name] - len(there))
            missing += gone
            expected += len(listed) or COUNTS[name]
        numbered = [
            (name, path, number)
            for name, there in found.items()
            for path in there.values()
            if (number := _number(path)) is not None
        ]
        table = table_of(
            {
                "path": path,
                "label": 0,
                "source": "coco",
                "group": coco_group(number),
                "split": SPLITS[name],
            }
            for name, path, number in numbered
        )
        strays = sum(map(len, found.values())) - len(numbered)
        return Listing(
            root,
            table,
            {name: len(there) for name, there in found.items()},
            {"no picture of COCO by its name": strays} if strays else {},
            expected=expected,
            missing=tuple(missing),
            unit="pictures",
        )


def _number(path: str) -> int | None:
    match = re.fullmatch(r"(?:COCO_\w+_)?(\d{12})", Path(path).stem)
    return int(match[1]) if match else None


def _annotated(root: Path, folder: str) -> set[str]:
    """File names that the annotations list; the smallest file that does is enough."""
    files = sorted((root / "annotations").glob(f"*_{folder}.json"), key=lambda file: file.stat().st_size)
    for file in files[:1]:
        try:
            return {str(image["file_name"]) for image in json.loads(file.read_text("utf-8"))["images"]}
        except (ValueError, KeyError, TypeError):
            raise ManifestError(f"{file}: expected COCO annotations with images[].file_name") from None
    return set()
