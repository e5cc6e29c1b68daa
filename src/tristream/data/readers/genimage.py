"""GenImage (Zhu et al. 2023): eight generators of ImageNet classes, each with reals of its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from tristream.data.readers.layout import Layout
from tristream.data.readers.reader import Listing, Reader, table_of
from tristream.data.readers.walk import SPLIT_FOLDERS, pictures, subfolders
from tristream.errors import ManifestError
from tristream.typing import Progress

GENERATORS = {
    "Midjourney": ("midjourney", "imagenetmidjourney"),
    "SD-1.4": ("stablediffusionv14", "sdv14", "imagenetai0419sdv4"),
    "SD-1.5": ("stablediffusionv15", "sdv15", "imagenetai0424sdv5"),
    "ADM": ("adm", "imagenetai0508adm"),
    "GLIDE": ("glide", "imagenetglide"),
    "Wukong": ("wukong", "imagenetai0424wukong"),
    "VQDM": ("vqdm", "imagenetai0419vqdm"),
    "BigGAN": ("biggan", "imagenetai0419biggan"),
}
"""Each generator, and how folders are named after it: letters and digits alone, in lower case."""
_NAMES = {name: generator for generator, names in GENERATORS.items() for name in names}
LABELS = {"nature": 0, "ai": 1}


class GenImageReader(Reader):
    """Finds a generator's folder by any of its names, also when the archive's folder lies inside it."""

    generators: tuple[str, ...] = Field(tuple(GENERATORS), description="which have to be there")
    splits: tuple[str, ...] = Field(("train", "val"), description="which of train and val have to be there")

    layout = Layout(
        title="GenImage",
        trees=(
            "ROOT\n└── {Midjourney,stable_diffusion_v_1_4,stable_diffusion_v_1_5,ADM,glide,wukong,VQDM,BigGAN}/\n"
            "    └── [imagenet_ai_…/]\n        └── {train,val}/{ai,nature}/*",
        ),
        obtain=(
            "1. Follow a link at the address; each generator is a zip archive in parts.\n"
            "2. In each folder: 7z x <name>.zip\n"
            "3. tristream data index FOLDER -o genimage.parquet"
        ),
        terms="CC BY-NC-SA 4.0; the real pictures keep ImageNet's terms (research only).",
        address="https://github.com/GenImage-Dataset/GenImage",
        notes="Reals are JPEG, fakes PNG of fixed sizes: audit and equalise first. It has no SDXL and no DALL-E.",
    )

    @classmethod
    def matches(cls, root: Path) -> bool:
        """A generator's folder with train or val inside, and ai or nature in that."""
        return any(_base(folder) is not None for folder in subfolders(root) if _generator(folder.name))

    def listing(self, root: Path, progress: Progress | None = None) -> Listing:
        """See `Reader.listing`; also raises ManifestError for a generator that GenImage does not have."""
        if unknown := set(self.generators) - set(GENERATORS):
            raise ManifestError(f"GenImage has no {', '.join(sorted(unknown))}; it has {', '.join(GENERATORS)}")
        bases = dict[str, str]()
        for folder in subfolders(root):
            name, base = _generator(folder.name), _base(folder)
            if name in self.generators and base is not None:
                bases[name] = base.relative_to(root).as_posix()
        wanted = {
            (name, split, label): f"{bases.get(name, name)}/{split}/{label}"
            for name in self.generators
            for split in self.splits
            for label in LABELS
        }
        missing = tuple(path for path in wanted.values() if next(pictures(root, path), None) is None)
        table = table_of(row for key, path in wanted.items() for row in _rows(root, path, *key))
        counts = Counter({f"<generator>/{{{','.join(self.splits)}}}/{{ai,nature}}": len(table)})
        advice = "to index some generators only, add --set generators=[Midjourney]"
        return Listing(
            root, table, counts, expected=len(wanted), missing=missing, unit="folders of pictures", advice=advice
        )


def _generator(folder: str) -> str:
    return _NAMES.get(re.sub("[^a-z0-9]", "", folder.lower()), "")


def _base(folder: Path) -> Path | None:
    """The folder that holds train and val: this one, or one below."""
    for base in (folder, *subfolders(folder)):
        if any((base / split / label).is_dir() for split in ("train", "val") for label in LABELS):
            return base
    return None


def _rows(root: Path, folder: str, generator: str, split: str, label: str) -> Iterator[dict[str, Any]]:
    for path in pictures(root, folder):
        yield {
            "path": str(path),
            "label": LABELS[label],
            "generator": generator if label == "ai" else "",
            "source": f"genimage-{generator}",
            "split": SPLIT_FOLDERS[split],
        }
