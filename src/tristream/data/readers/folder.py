"""The general reader: any tree in which a folder's name says real or fake; generators, classes, splits around it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from tristream.data.readers.layout import Layout
from tristream.data.readers.reader import Listing, Reader, table_of
from tristream.data.readers.walk import SPLIT_FOLDERS, is_picture, is_text, is_video, walk
from tristream.errors import ManifestError
from tristream.typing import Progress

LABEL_FOLDERS = {
    "real": (0, "{real,fake}"),
    "fake": (1, "{real,fake}"),
    "0_real": (0, "{0_real,1_fake}"),
    "1_fake": (1, "{0_real,1_fake}"),
    "nature": (0, "{nature,ai}"),
    "ai": (1, "{nature,ai}"),
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
    group: str
    """the folder, where it lies below that of the origin, as frames of a video do; "" elsewhere"""
    layout: str


class FolderReader(Reader):
    """Reads `real|fake`, `0_real|1_fake` and `nature|ai` folders, in any case and at any depth.

    The folder right below the label, or else the topmost one above it, is the generator (source, for reals); one more
    above the label is the class, kept as column `class`. Pictures of one folder further below are a group. Folders
    train, val, validation and test are splits where all their neighbours are (LSUN has a class "train").
    """

    media: Literal["pictures", "videos"] = Field("pictures", description="videos: those in place of pictures")

    layout = Layout(
        title="Folders named real and fake",
        trees=(
            "ROOT\n├── real/[<source>/]…       (or 0_real, nature)\n└── fake/[<generator>/]…    (or 1_fake, ai)",
            "ROOT\n└── <generator>/\n    └── [<class>/]\n        ├── 0_real/…\n        └── 1_fake/…",
            "ROOT\n└── <generator>/\n    ├── train/\n    │   ├── ai/…\n    │   └── nature/…\n    └── val/…",
        ),
        obtain="Your own pictures.",
        terms="Yours.",
    )

    @classmethod
    def matches(cls, root: Path) -> bool:
        """Whether any picture lies below a folder whose name is a label."""
        return root.is_dir() and any(is_picture(path) and _labels(path) for path, _ in walk(root))

    def listing(self, root: Path, progress: Progress | None = None) -> Listing:
        """See `Reader.listing`; also raises ManifestError for a path that says both real and fake."""
        return self.listing_of(root, lambda place: True)

    def listing_of(self, root: Path, is_chosen: Callable[[Place], bool]) -> Listing:
        """The listing of the places that are chosen; the pictures of others count as skipped. Errors as `listing`."""
        skipped: Counter[str] = Counter()
        unreadable = dict[str, str]()
        labelled: dict[PurePosixPath, list[str]] = defaultdict(list)
        is_wanted, noun = (is_picture, "picture") if self.media == "pictures" else (is_video, "video")
        for path, is_linked_folder in walk(root):
            if is_linked_folder:
                skipped["folder behind a link"] += 1
            elif not is_wanted(path):
                skipped[f"no {noun} ({path.suffix.lower() or 'no suffix'})"] += 1
            elif not _labels(path):
                skipped[f"{noun} outside the label folders"] += 1
            elif not is_text(path):
                unreadable[str(path).encode(errors="backslashreplace").decode()] = "its name is not UTF-8; rename it"
            else:
                labelled[path.parent].append(path.name)
        if not labelled:
            raise ManifestError(f"{root}: no {noun} below a folder named {', '.join(LABEL_FOLDERS)}")
        places = _places(labelled)
        for folder in [folder for folder in labelled if not is_chosen(places[folder])]:
            skipped[f"{noun} that is not asked for"] += len(labelled.pop(folder))
        if not labelled:
            raise ManifestError(f"{root}: none of its {noun}s is asked for")
        table = table_of(_row(folder / name, places[folder]) for folder, names in labelled.items() for name in names)
        if not table["class"].any():
            table = table.drop(columns="class")
        layouts = Counter[str]()
        for folder, names in labelled.items():
            layouts[places[folder].layout] += len(names)
        return Listing(root, table, layouts, skipped, unreadable)


def _labels(path: PurePosixPath) -> list[str]:
    return [name for name in path.parts[:-1] if name.lower() in LABEL_FOLDERS]


def _places(folders: Collection[PurePosixPath]) -> dict[PurePosixPath, Place]:
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
    group = str(folder) if len(below) > 1 else ""
    return Place(label[min(label)], origin, category, split, group, layout)


def _row(path: PurePosixPath, place: Place) -> dict[str, Any]:
    return {
        "path": str(path),
        "label": place.label,
        "generator": place.origin if place.label == 1 else "",
        "source": place.origin,
        "class": place.category,
        "group": place.group,
        "split": place.split,
    }
