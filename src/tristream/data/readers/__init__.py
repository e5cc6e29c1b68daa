"""Readers: each makes a manifest of one public layout; `recognise` finds the one that fits a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tristream.data.manifest  # noqa: F401  (first: without pandas it says which extra is missing)
from tristream.config import validate
from tristream.data.readers.celebdf import CelebDFReader
from tristream.data.readers.coco import COCOReader
from tristream.data.readers.csvlist import CSVReader
from tristream.data.readers.diffusiondb import DiffusionDBReader
from tristream.data.readers.fakecoco import FakeCOCOReader
from tristream.data.readers.ffhq import FFHQReader
from tristream.data.readers.ffpp import FFPPReader
from tristream.data.readers.folder import FolderReader
from tristream.data.readers.forensynths import ForenSynthsReader
from tristream.data.readers.genimage import GenImageReader
from tristream.data.readers.huggingface import HuggingFaceReader
from tristream.data.readers.layout import Layout
from tristream.data.readers.mix import MixReader
from tristream.data.readers.reader import READERS, Listing, Reader, Recognised
from tristream.data.readers.remote import is_remote, repository
from tristream.data.readers.sofake import SoFakeReader
from tristream.errors import ManifestError
from tristream.typing import Progress

__all__ = [
    "READERS",
    "COCOReader",
    "CSVReader",
    "CelebDFReader",
    "DiffusionDBReader",
    "FFHQReader",
    "FFPPReader",
    "FakeCOCOReader",
    "FolderReader",
    "ForenSynthsReader",
    "GenImageReader",
    "HuggingFaceReader",
    "Layout",
    "Listing",
    "MixReader",
    "Reader",
    "Recognised",
    "SoFakeReader",
    "layout_of",
    "make_reader",
    "recognise",
]

# In the order in which they are asked: the special before the general.
READERS.register("mix")(MixReader)
READERS.register("csv")(CSVReader)
READERS.register("ffpp")(FFPPReader)
READERS.register("celebdf")(CelebDFReader)
READERS.register("ffhq")(FFHQReader)
READERS.register("coco")(COCOReader)
READERS.register("diffusiondb")(DiffusionDBReader)
READERS.register("genimage")(GenImageReader)
READERS.register("forensynths")(ForenSynthsReader)
READERS.register("folder")(FolderReader)
READERS.register("sofake")(SoFakeReader)
READERS.register("fakecoco")(FakeCOCOReader)
READERS.register("huggingface")(HuggingFaceReader)


def recognise(
    root: Path,
    progress: Progress | None = None,
    *,
    layout: str | None = None,
    options: Mapping[str, Any] | None = None,
    headers_only: bool = False,
    allow_missing: bool = False,
    journal: Path | None = None,
    check_root: Callable[[Path], object] | None = None,
) -> Recognised:
    """Read a folder, a list or a mix: with the reader of `layout`, by default the first that recognises it.

    options: fields of the reader. The other arguments are those of `Reader.read`. Raises ManifestError that shows the
    accepted layouts when no reader recognises it, ConfigError for an option that the reader does not have.
    """
    reader = make_reader(layout or layout_of(root), options or {})
    if not root.exists() and not is_remote(root):
        raise ManifestError(f"{root}: no such file or folder")
    return reader.read(
        root,
        progress,
        headers_only=headers_only,
        allow_missing=allow_missing,
        journal=journal,
        check_root=check_root,
    )


def layout_of(root: Path) -> str:
    """Name of the layout of a folder, a list, a mix or hub:OWNER/NAME. Raises ManifestError when there is none."""
    if is_remote(root):
        of_layouts = {READERS[name].layout.hub: name for name in READERS}
        return next(
            (name for hub, name in of_layouts.items() if hub and hub.repository == repository(root)), "huggingface"
        )
    if not root.exists():
        raise ManifestError(f"{root}: no such folder")
    for name in READERS:
        if READERS[name].matches(root):
            return name
    raise ManifestError(
        f"{root}: no layout that tristream knows. Put pictures of your own into {root}/real and {root}/fake, with a "
        f"folder for each photo source and generator; `tristream data layouts` lists all {len(READERS)} layouts"
    )


def make_reader(layout: str, options: Mapping[str, Any]) -> Reader:
    """A reader with its options checked. Raises ConfigError that names the layout, the option and what was expected."""
    return validate(READERS[layout], options, f"options of the layout {layout}")
