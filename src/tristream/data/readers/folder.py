"""The general reader: any tree in which a folder's name says real or fake; generators, classes, splits around it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from tristream.data.files import Progress, in_threads, path_problem
from tristream.data.manifest import Manifest
from tristream.data.readers.reader import READERS, Recognised
from tristream.errors import ImageError, ManifestError, MissingExtraError
from tristream.images.decode import PICTURE_SUFFIXES, decode, read_header

LABEL_FOLDERS = {
    "real": (0, "{real,fake}"),
    "fake": (1, "{real,fake}"),
    "0_real": (0, "{0_real,1_fake}"),
    "1_fake": (1, "{0_real,1_fake}"),
    "nature": (0, "{nature,ai}"),
    "ai": (1, "{nature,ai}"),
}
SPLIT_FOLDERS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class Place:
    """What the folders above a picture say about it."""

    label: int
    origin: str
    """the generator of a fake, the source of a real; "" when no folder says"""
    category: str
    """the class folder, as in ForenSynths; "" when there is none"""
    split: str
    layout: str


class FolderReader:
    """Reads `real|fake`, `0_real|1_fake` and `nature|ai` folders, in any case and at any depth.

    The folder right below the label, or else the topmost one above it, is the generator (source, for reals); one more
    above the label is the class, kept as column `class`. Folders train, val, validation and test are splits where all
    their neighbours are (LSUN has a class "train").
    """

    layouts = (
        "ROOT\n├── real/[<source>/]…       (or 0_real, nature)\n└── fake/[<generator>/]…    (or 1_fake, ai)",
        "ROOT\n└── <generator>/\n    └── [<class>/]\n        ├── 0_real/…\n        └── 1_fake/…",
        "ROOT\n└── <generator>/\n    ├── train/\n    │   ├── ai/…\n    │   └── nature/…\n    └── val/…",
    )

    def matches(self, root: Path) -> bool:
        """Whether any picture lies below a folder whose name is a label."""
        return any(_is_picture(path) and _labels(path) for path, _ in _walk(root))

    def read(self, root: Path, progress: Progress | None = None, *, headers_only: bool = False) -> Recognised:
        """See `Reader.read`; also raises ManifestError for a path that says both real and fake."""
        skipped: Counter[str] = Counter()
        labelled = []
        for path, is_linked_folder in _walk(root):
            if is_linked_folder:
                skipped["folder behind a link"] += 1
            elif not _is_picture(path):
                skipped[f"no picture ({path.suffix.lower() or 'no suffix'})"] += 1
            elif not _labels(path):
                skipped["picture outside the label folders"] += 1
            else:
                labelled.append(path)
        if not labelled:
            raise ManifestError(f"{root}: no picture below a folder named {', '.join(LABEL_FOLDERS)}")
        places, root = _places(labelled), Path(os.path.realpath(root))
        rows, layouts, unreadable = [], Counter[str](), dict[str, str]()
        found = in_threads(lambda path: _facts(root, path, headers_only), labelled, progress)
        for path, facts in zip(labelled, found, strict=True):
            if isinstance(facts, str):
                unreadable[str(path).encode(errors="backslashreplace").decode()] = facts
            else:
                place = places[path.parent]
                layouts[place.layout] += 1
                rows.append(_row(path, place) | facts)
        if not rows:
            first, reason = next(iter(unreadable.items()))
            raise ManifestError(f"{root}: none of {len(unreadable):,} pictures can be read, such as {first}: {reason}")
        table = pd.DataFrame(rows)
        if not table["class"].any():
            table = table.drop(columns="class")
        return Recognised(dict(layouts), Manifest.from_table(table, root, str(root)), dict(skipped), unreadable)


READERS.register("folder")(FolderReader())


def _walk(root: Path) -> Iterator[tuple[PurePosixPath, bool]]:
    """Visible files and linked folders (True) below `root`, sorted, relative to it; linked folders are not entered."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = PurePosixPath(Path(folder).relative_to(root).as_posix())
        yield from ((here / name, True) for name in folders if os.path.islink(os.path.join(folder, name)))
        yield from ((here / name, False) for name in sorted(files) if not name.startswith("."))


def _is_picture(path: PurePosixPath) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES


def _labels(path: PurePosixPath) -> list[str]:
    return [name for name in path.parts[:-1] if name.lower() in LABEL_FOLDERS]


def _places(paths: list[PurePosixPath]) -> dict[PurePosixPath, Place]:
    folders = dict.fromkeys(path.parent for path in paths)
    neighbours: dict[PurePosixPath, set[str]] = defaultdict(set)
    for folder in folders:
        for below in (folder, *folder.parents[:-1]):
            if below.name.lower() not in LABEL_FOLDERS:
                neighbours[below.parent].add(below.name.lower())
    return {folder: _place(folder, neighbours) for folder in folders}


def _place(folder: PurePosixPath, neighbours: dict[PurePosixPath, set[str]]) -> Place:
    role, label, split = dict[int, str](), dict[int, int](), ""
    for depth, name in enumerate(folder.parts):
        if name.lower() in LABEL_FOLDERS:
            label[depth], role[depth] = LABEL_FOLDERS[name.lower()]
        elif neighbours[PurePosixPath(*folder.parts[:depth])] <= SPLIT_FOLDERS.keys():
            split, role[depth] = split or SPLIT_FOLDERS[name.lower()], "<split>"
    if len(set(label.values())) > 1:
        raise ManifestError(
            f"{folder}: its folders say both real and fake; expected one of {', '.join(LABEL_FOLDERS)} in a path"
        )
    others = [depth for depth in range(len(folder.parts)) if depth not in role]
    below = [depth for depth in others if depth > min(label)]
    named = {below[0]: "<source>"} if below else dict(zip(others, ("<generator>", "<class>"), strict=False))
    layout = "/".join((role | named).get(depth, "…") for depth in range(len(folder.parts)))
    origin, category = ([folder.parts[depth] for depth in named] + ["", ""])[:2]
    return Place(label[min(label)], origin, category, split, layout)


def _row(path: PurePosixPath, place: Place) -> dict[str, Any]:
    generator = place.origin if place.label == 1 else ""
    return {
        "path": str(path),
        "label": place.label,
        "generator": generator,
        "source": place.origin,
        "class": place.category,
        "split": place.split,
    }


def _facts(root: Path, path: PurePosixPath, headers_only: bool) -> dict[str, Any] | str:
    """The file columns of a picture, or why it cannot be used."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    if problem := path_problem(str(path), root):
        return problem
    try:
        data = (root / path).read_bytes()
        header = read_header(data, str(path))
        if not headers_only:
            decode(data, str(path))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (ImageError, MissingExtraError) as error:
        return str(error).removeprefix(f"{path}: ")
    sha256 = hashlib.sha256(data).hexdigest()
    return {
        "width": header.width,
        "height": header.height,
        "bytes": len(data),
        "format": header.format,
        "sha256": sha256,
    }
