"""ForenSynths, the data of CNNDetection (Wang et al. 2020): 13 generators to test on, ProGAN to train on."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tristream.data.readers.folder import FolderReader, Place
from tristream.data.readers.layout import Hub, Layout
from tristream.data.readers.reader import Listing, Reader
from tristream.data.readers.walk import pictures, subfolders
from tristream.typing import Progress

WITH_CLASSES = ("progan", "stylegan", "cyclegan", "stylegan2")
GENERATORS = (
    *WITH_CLASSES,
    *("biggan", "stargan", "gaugan", "crn", "imle", "seeingdark", "san", "deepfake", "whichfaceisreal"),
)
LABELS = ("0_real", "1_fake")


class ForenSynthsReader(Reader):
    """`FolderReader` knows the folders; this reader knows which have to be there, and that they are a test set."""

    generators: tuple[str, ...] = Field(GENERATORS, description="of the test set, which are taken and have to be there")

    layout = Layout(
        title="ForenSynths (CNNDetection)",
        trees=(
            "ROOT     (CNN_synth_testset)\n├── {progan,stylegan,stylegan2,cyclegan}/<class>/{0_real,1_fake}/*.png\n"
            "└── {biggan,crn,deepfake,gaugan,imle,san,seeingdark,stargan,whichfaceisreal}/{0_real,1_fake}/*.png",
            "ROOT     (dataset)\n├── {train,val}/progan/<class>/{0_real,1_fake}/*.png\n└── test/<generator>/…",
        ),
        obtain="tristream data download forensynths FOLDER; the training set is a 7z archive in parts: "
        "7z x progan_train.7z.001",
        terms="CC BY-NC-SA 4.0; the real pictures keep the terms of LSUN, ImageNet, CelebA, COCO and others.",
        address="https://github.com/PeterWang512/CNNDetection",
        hub=Hub("sywang/CNNDetection", ("CNN_synth_testset.zip",), unpack=True),
        notes="The reals of a generator are its own: source forensynths-<generator>, for its reals and for its fakes.",
    )

    @classmethod
    def matches(cls, root: Path) -> bool:
        """Three of its generators side by side, one of them with label folders."""
        base = root / "test" if (root / "test").is_dir() else root
        there = [folder for folder in subfolders(base) if folder.name in GENERATORS]
        return len(there) >= 3 and any(_label_parents(folder) for folder in there)

    def listing(self, root: Path, progress: Progress | None = None) -> Listing:
        """See `Reader.listing`."""
        found = FolderReader().listing_of(root, self._is_chosen)
        prefix = "test/" if (root / "test").is_dir() else ""
        wanted = [path for name in self.generators for path in _wanted(root, f"{prefix}{name}")]
        table = found.table.assign(source="forensynths-" + found.table["source"])
        if not (root / "test").is_dir():
            table["split"] = table["split"].where(table["split"] != "", "test")
        return Listing(
            root,
            table,
            found.layouts,
            found.skipped,
            found.unreadable,
            expected=len(wanted),
            missing=tuple(path for path in wanted if next(pictures(root, path), None) is None),
            unit="folders of the test set",
            advice="to index some generators only, add --set generators=[progan,stylegan]",
        )

    def _is_chosen(self, place: Place) -> bool:
        """Of the test set, the generators that are asked for; of the training set, all."""
        return place.split not in ("", "test") or place.origin in self.generators


def _wanted(root: Path, generator: str) -> list[str]:
    """Label folders that a generator has to have; of each of its classes where it has classes."""
    base = generator.rpartition("/")[2]
    classes = [path.name for path in subfolders(root / generator) if path.name not in LABELS]
    if base in WITH_CLASSES:
        return [f"{generator}/{name}/{label}" for name in classes or ["<class>"] for label in LABELS]
    return [f"{generator}/{label}" for label in LABELS]


def _label_parents(folder: Path) -> bool:
    return any((base / "0_real").is_dir() for base in (folder, *subfolders(folder)))
