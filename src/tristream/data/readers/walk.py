"""Walking a tree of pictures: visible files in a stable order, linked folders not entered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tristream.images.formats import PICTURE_SUFFIXES
from tristream.images.video import VIDEO_SUFFIXES

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""How data sets name their splits, and how we do."""


def walk(root: Path) -> Iterator[tuple[PurePosixPath, bool]]:
    """Visible files and linked folders (True) below `root`, sorted, relative to it; linked folders are not entered."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        yield from ((here / name, True) for name in folders if os.path.islink(os.path.join(folder, name)))
        yield from ((here / name, False) for name in sorted(files) if not name.startswith("."))


def pictures(root: Path, folder: str = ".") -> Iterator[PurePosixPath]:
    """Pictures below `root / folder`, relative to `root`; nothing when there is no such folder."""
    for path, is_linked_folder in walk(root / folder):
        if not is_linked_folder and is_picture(path):
            yield PurePosixPath(folder) / path


def is_picture(path: PurePosixPath) -> bool:
    """By its suffix."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def is_video(path: PurePosixPath) -> bool:
    """By its suffix."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_text(path: PurePosixPath) -> bool:
    """Whether the name is UTF-8, which tables need."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def subfolders(folder: Path) -> list[Path]:
    """Visible folders right below, sorted; none when it is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
