"""Unpacking a zip archive that a stranger has made: nothing leaves the folder, nothing outgrows its limits."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path

from tristream.atomic import replaced
from tristream.data.download import BLOCK, DownloadError
from tristream.data.files import path_problem

MAX_FILES = 2_000_000
MAX_RATIO = 200
"""Unpacked to packed size of the archive; pictures hardly shrink, and a bomb shrinks a thousandfold."""


def unpack(archive: Path, into: Path, max_bytes: int) -> int:
    """Unpack into a folder and return the number of files. What is there with its full size is not written again.

    Raises DownloadError for a path that leaves the folder, a link, two entries of one name, more than MAX_FILES files,
    more than `max_bytes` bytes, a suspicious ratio (names and sizes are checked before anything is written), or a
    damaged archive.
    """
    into.mkdir(parents=True, exist_ok=True)
    root = into.resolve()
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            _check(archive, entries, root, max_bytes)
            for entry in entries:
                _write(opened, entry, root / entry.filename)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DownloadError(f"{archive}: damaged, or no zip archive ({error}); delete it and fetch it again") from None
    return len(entries)


def _check(archive: Path, entries: list[zipfile.ZipInfo], root: Path, max_bytes: int) -> None:
    if len(entries) > MAX_FILES:
        raise DownloadError(f"{archive}: {len(entries):,} files, more than the limit of {MAX_FILES:,}")
    total = sum(entry.file_size for entry in entries)
    if total > max_bytes:
        raise DownloadError(f"{archive}: unpacks to {total:,} bytes, more than {max_bytes:,}; raise it with --max-gb")
    if total > MAX_RATIO * max(archive.stat().st_size, 1 << 16):
        raise DownloadError(f"{archive}: unpacks to {total:,} bytes, {MAX_RATIO} times its size; that is no data set")
    seen = set[str]()
    for entry in entries:
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise DownloadError(f"{archive}: holds a link, {entry.filename}; nothing was unpacked")
        if problem := path_problem(entry.filename, root):
            raise DownloadError(f"{archive}: {entry.filename} {problem}; nothing was unpacked")
        if entry.filename in seen:
            raise DownloadError(f"{archive}: holds {entry.filename} twice; nothing was unpacked")
        seen.add(entry.filename)


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    if target.is_file() and target.stat().st_size == entry.file_size:
        return
    left = entry.file_size
    with opened.open(entry) as source, replaced(target) as part, part.open("wb") as stream:
        while block := source.read(BLOCK):
            if (left := left - len(block)) < 0:
                raise DownloadError(f"{opened.filename}: {entry.filename} is larger than it says")
            stream.write(block)
