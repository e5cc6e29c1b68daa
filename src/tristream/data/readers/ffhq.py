"""FFHQ (Karras et al. 2019): 70,000 faces; the first 60,000 are the convention's training set."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from pydantic import Field

from tristream.data.readers.layout import Layout
from tristream.data.readers.reader import Listing, Reader, table_of
from tristream.data.readers.walk import pictures
from tristream.typing import Progress

COUNT, TRAINING = 70_000, 60_000
FOLDERS = ("images1024x1024", "thumbnails128x128", "in-the-wild-images")


class FFHQReader(Reader):
    """All real. A picture's number decides its split: below 60,000 it is train, else validation."""

    folder: str = Field("", description=f"one of {', '.join(FOLDERS)}; by default the first that is there")
    expected: int = Field(COUNT, ge=1, description="how many pictures there have to be, counted from 00000")

    layout = Layout(
        title="FFHQ (Flickr-Faces-HQ)",
        trees=("ROOT\n└── {images1024x1024,thumbnails128x128,in-the-wild-images}/[NN000/]NNNNN.png",),
        obtain=(
            "1. Download with the script of the repository: python download_ffhq.py --images\n"
            "   (256-pixel copies are on the Hugging Face Hub: tristream data download huggingface FOLDER "
            "--repository merkol/ffhq-256, then the layout huggingface with --set label=real)\n"
            "2. tristream data index FOLDER -o ffhq.parquet"
        ),
        terms="CC BY-NC-SA 4.0 (NVIDIA); each picture has its own licence, all allow non-commercial use.",
        address="https://github.com/NVlabs/ffhq-dataset",
        notes="PNG files of 1024 pixels made from JPEG photographs: they have been compressed once already.",
    )

    @classmethod
    def matches(cls, root: Path) -> bool:
        """By its folders' names."""
        return any((root / name).is_dir() for name in FOLDERS)

    def listing(self, root: Path, progress: Progress | None = None) -> Listing:
        """See `Reader.listing`."""
        folder = self.folder or next((name for name in FOLDERS if (root / name).is_dir()), FOLDERS[0])
        numbered = dict[int, PurePosixPath]()
        skipped = 0
        for path in pictures(root, folder):
            if re.fullmatch(r"\d{5}", path.stem) and int(path.stem) < self.expected:
                numbered.setdefault(int(path.stem), path)
            else:
                skipped += 1
        table = table_of(
            {
                "path": str(path),
                "label": 0,
                "source": "ffhq",
                "group": f"ffhq/{number:05d}",
                "split": "train" if number < TRAINING else "validation",
            }
            for number, path in sorted(numbered.items())
        )
        missing = tuple(f"{number:05d}" for number in range(self.expected) if number not in numbered)
        skips = {"no picture of FFHQ by its name": skipped} if skipped else {}
        advice = "to index its first N pictures only, add --set expected=N"
        return Listing(
            root,
            table,
            {folder: len(table)},
            skips,
            expected=self.expected,
            missing=missing,
            unit="pictures",
            advice=advice,
        )
