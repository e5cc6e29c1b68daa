"""What a manifest records of a file: size, format, hash; reading many files at once; which paths are refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

from pydantic import ValidationError

from tristream.atomic import write_text
from tristream.config import StrictModel
from tristream.errors import ImageError, ManifestError
from tristream.images.decode import MAX_BYTES, read_header
from tristream.images.video import VIDEO_SUFFIXES
from tristream.typing import Progress

HEADER_COLUMNS = ("width", "height", "format")
FILE_COLUMNS = ("width", "height", "bytes", "format", "sha256")


Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    call: Callable[[Item], Result], items: Sequence[Item], progress: Progress | None = None
) -> Iterator[Result]:
    """Results of `call` in the order of the items. Works in portions, so that millions of items do not queue up."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(items), 1024):
            for done, result in enumerate(pool.map(call, items[start : start + 1024]), start + 1):
                yield result
                if progress is not None:
                    progress(done, len(items))


def file_facts(file: Path, columns: Iterable[str] = FILE_COLUMNS) -> dict[str, Any]:
    """Value of each of these file columns. Width and height are those of the upright picture.

    Raises ImageError when the header is wanted and is no picture's, ManifestError when the file cannot be read.
    """
    columns = set(columns)
    facts: dict[str, Any] = {}
    if not columns.isdisjoint(HEADER_COLUMNS):
        header = read_header(file)
        facts = {"width": header.width, "height": header.height, "format": header.format}
    try:
        if "bytes" in columns:
            facts["bytes"] = file.stat().st_size
        if "sha256" in columns:
            with file.open("rb") as stream:
                facts["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ManifestError(f"{file}: cannot be read: {error.strerror}") from None
    return {name: value for name, value in facts.items() if name in columns}


def read_recorded(file: Path, sha256: str) -> bytes:
    """The bytes of a picture. Raises ImageError when it cannot be read or its hash is not `sha256`, as recorded."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ImageError(f"{file}: larger than {MAX_BYTES >> 20} MiB; not read")
        content = file.read_bytes()
    except OSError as error:
        raise ImageError(f"{file}: cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ImageError(f"{file}: another picture than recorded; run `tristream data verify`")
    return content


def claim_recipe(path: Path, recipe: StrictModel) -> None:
    """Note by which recipe a folder's files are made, or find that it is the one there.

    Raises ManifestError for another one, and for a file that holds none.
    """
    if not path.is_file():
        write_text(path, recipe.model_dump_json(indent=1) + "\n")
        return
    try:
        there = type(recipe).model_validate_json(path.read_bytes())
    except ValidationError:
        raise ManifestError(f"{path}: not a recipe; choose another folder") from None
    if there != recipe:
        raise ManifestError(f"{path.parent}: holds pictures of another recipe ({there}); choose another folder")


def media_of(path: str) -> str:
    """ "video" or "image", by the suffix: the same on every machine."""
    return "video" if PurePosixPath(path).suffix.lower() in VIDEO_SUFFIXES else "image"


def enumerated(names: Sequence[str], most: int = 10) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def path_problem(path: str, root: Path) -> str | None:
    """Why a manifest may not hold this path, or None. root: absolute and without links."""
    posix, windows = PurePosixPath(path), PureWindowsPath(path)
    if "\0" in path or posix.is_absolute() or windows.anchor or ".." in posix.parts or ".." in windows.parts:
        return f"leaves the folder {root}; expected a relative path without '..' and without a drive"
    if not Path(os.path.realpath(root / path)).is_relative_to(root):
        return f"is a link that leaves the folder {root}"
    return None


def short_name(path: Path) -> str:
    """The name of a file and that of its folder: what a record says of where it was, wherever the clone lies.

    >>> short_name(Path("/home/me/photos/split.csv"))
    'photos/split.csv'
    """
    path = path.absolute()
    return f"{path.parent.name}/{path.name}"
