"""Readers: each makes a manifest of one public layout; `recognise` finds the one that fits a folder."""

from __future__ import annotations

from pathlib import Path

from tristream.data.files import Progress
from tristream.data.readers.folder import FolderReader
from tristream.data.readers.reader import READERS, Reader, Recognised
from tristream.errors import ManifestError

__all__ = ["READERS", "FolderReader", "Reader", "Recognised", "recognise"]


def recognise(root: Path, progress: Progress | None = None, *, headers_only: bool = False) -> Recognised:
    """Read a folder with the first reader that recognises it.

    Raises ManifestError that shows the accepted layouts when none does. Arguments: see `Reader.read`.
    """
    if not root.is_dir():
        raise ManifestError(f"{root}: no such folder")
    for name in READERS:
        if READERS[name].matches(root):
            return READERS[name].read(root, progress, headers_only=headers_only)
    trees = "\n\n".join(tree for name in READERS for tree in READERS[name].layouts)
    raise ManifestError(f"{root}: no layout that tristream knows; it reads these:\n\n{trees}")
