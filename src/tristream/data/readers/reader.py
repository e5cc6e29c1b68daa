"""What a reader is: it recognises one public layout of pictures in folders and makes a manifest of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from tristream.data.files import Progress
from tristream.data.manifest import Manifest
from tristream.registry import Registry


@dataclass(frozen=True)
class Recognised:
    """What a reader found in a folder."""

    layouts: Mapping[str, int]
    """pictures per layout, such as {"<generator>/{0_real,1_fake}": 8000}"""
    manifest: Manifest
    skipped: Mapping[str, int]
    """files left out per reason, such as {"no picture (.json)": 3}"""
    unreadable: Mapping[str, str]
    """path and reason of every picture that cannot be read; none of them is in the manifest"""

    def lines(self) -> list[str]:
        """Description for people, one statement per line."""
        table = self.manifest.table
        real, fake = table[table["label"] == 0], table[table["label"] == 1]
        lines = [f"layout {layout}: {count:,} pictures" for layout, count in self.layouts.items()]
        lines += [
            f"{len(real):,} real of {_named(real['source'])}",
            f"{len(fake):,} fake of {_named(fake['generator'])}",
        ]
        if splits := {name: count for name, count in table["split"].value_counts().items() if name}:
            lines += ["splits: " + ", ".join(f"{name} {count:,}" for name, count in splits.items())]
        copies = table.groupby("sha256")["label"].agg(["size", "nunique"])
        if repeated := int((copies["size"] - 1).sum()):
            lines += [f"{repeated:,} exact copies of other pictures: each shares their group"]
        if contradicting := int((copies["nunique"] > 1).sum()):
            lines += [f"{contradicting:,} pictures are there as real and as fake: find out which is right"]
        lines += [f"skipped: {count:,} × {reason}" for reason, count in self.skipped.items()]
        lines += [f"unreadable, left out: {len(self.unreadable):,} pictures"] if self.unreadable else []
        return lines + [f"  {path}: {reason}" for path, reason in list(self.unreadable.items())[:5]]


class Reader(Protocol):
    """Recognises one family of layouts."""

    @property
    def layouts(self) -> tuple[str, ...]:
        """The accepted layouts as little trees, for messages."""
        ...

    def matches(self, root: Path) -> bool:
        """Whether the folder has this layout; looks at names only."""
        ...

    def read(self, root: Path, progress: Progress | None = None, *, headers_only: bool = False) -> Recognised:
        """Make the manifest. headers_only: trust a picture whose header is well-formed, decode none.

        Raises ManifestError when the folder does not have this layout or holds no readable picture.
        """
        ...


READERS: Registry[Reader] = Registry("reader")
"""In the order in which they are asked: the special before the general."""


def _named(column: pd.Series) -> str:
    counts = column[column != ""].value_counts()
    first = ", ".join(f"{name} {count:,}" for name, count in counts.head(5).items())
    of = f"{len(counts)} {column.name}{'' if len(counts) == 1 else 's'}"
    return f"{of}: {first}{', …' if len(counts) > 5 else ''}" if len(counts) else f"no named {column.name}"
