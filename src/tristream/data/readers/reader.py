"""What a reader is: it lists one public layout by names; reading the listed files makes the manifest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from tristream.config import StrictModel
from tristream.data.files import enumerated
from tristream.data.indexing import merge_copies, read_files
from tristream.data.manifest import Manifest
from tristream.data.readers.layout import Layout
from tristream.data.splits import straddling
from tristream.errors import ManifestError
from tristream.registry import Registry
from tristream.typing import Progress


@dataclass(frozen=True)
class Listing:
    """What a layout holds by its names and its own tables, before any picture is opened."""

    root: Path
    """folder that the paths start from"""
    table: pd.DataFrame
    """a row per picture or video: path, label, and what else the layout says"""
    layouts: Mapping[str, int] = field(default_factory=dict)
    """pictures per form of the layout"""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """files left out per reason"""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """path and reason of what has been found broken already"""
    expected: int | None = None
    """how many `unit`s the complete data set has; None where nothing says so"""
    missing: tuple[str, ...] = ()
    """the `unit`s that are not there"""
    unit: str = "files"
    advice: str = ""
    """what helps when something is missing"""


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
    expected: int | None = None
    missing: tuple[str, ...] = ()
    unit: str = "files"
    """as in `Listing`: what is missing although the layout has it"""

    def lines(self) -> list[str]:
        """Description for people, one statement per line."""
        table = self.manifest.table
        real, fake = table[table["label"] == 0], table[table["label"] == 1]
        noun = "videos" if len(table) and (table["media"] == "video").all() else "pictures"
        lines = [f"layout {layout}: {count:,} {noun}" for layout, count in self.layouts.items()]
        lines += [
            f"{len(real):,} real of {_named(real['source'])}",
            f"{len(fake):,} fake of {_named(fake['generator'])}",
        ]
        if splits := {name: count for name, count in table["split"].value_counts().items() if name}:
            lines += ["splits: " + ", ".join(f"{name} {count:,}" for name, count in splits.items())]
        if groups := straddling(table):
            advice = "split again with `tristream data split --replace`"
            lines += [f"{len(groups):,} groups lie in several splits: {enumerated(list(groups))}; {advice}"]
        copies = table.groupby("sha256")["label"].agg(["size", "nunique"])
        if repeated := int((copies["size"] - 1).sum()):
            lines += [f"{repeated:,} exact copies of other {noun}: each shares their group"]
        if contradicting := int((copies["nunique"] > 1).sum()):
            lines += [f"{contradicting:,} {noun} are there as real and as fake: find out which is right"]
        lines += [f"skipped: {count:,} × {reason}" for reason, count in self.skipped.items()]
        if self.missing:
            lines += [f"missing: found {self.found:,} of {self.expected:,} {self.unit}; {enumerated(self.missing)}"]
        lines += [f"unreadable, left out: {len(self.unreadable):,} {noun}"] if self.unreadable else []
        return lines + [f"  {path}: {reason}" for path, reason in list(self.unreadable.items())[:5]]

    @property
    def found(self) -> int | None:
        """How many of the expected units are there."""
        return None if self.expected is None else self.expected - len(self.missing)


class Reader(StrictModel, ABC):
    """Reads one layout. Its fields are the options that `--set name=value` and a mix give."""

    layout: ClassVar[Layout]

    @classmethod
    @abstractmethod
    def matches(cls, root: Path) -> bool:
        """Whether this is the layout; looks at names, and at a table's header where names do not say enough."""

    @abstractmethod
    def listing(self, root: Path, progress: Progress | None = None) -> Listing:
        """List the pictures and what is missing. Raises ManifestError when this is not the layout."""

    def read(
        self,
        root: Path,
        progress: Progress | None = None,
        *,
        headers_only: bool = False,
        allow_missing: bool = False,
        journal: Path | None = None,
        check_root: Callable[[Path], object] | None = None,
    ) -> Recognised:
        """List, then read every file: size, format, hash, and whether it can be decoded.

        headers_only: trust a picture whose header is well-formed, decode none. allow_missing: go on with an incomplete
        data set. journal: what has been read is kept in this file, and an interrupted run goes on from there.
        check_root: called with the folder that the manifest's paths start from, before any listed file is read. Raises
        ManifestError when the folder does not have this layout, is incomplete, or holds no readable picture.
        """
        listing = self.listing(root, progress)
        if listing.missing and not allow_missing:
            raise ManifestError(_incomplete(root, listing))
        if listing.table.empty:
            raise ManifestError(f"{root}: holds no {listing.unit} of the layout:\n{self.layout.trees[0]}")
        base = listing.root.resolve()
        if check_root is not None:
            check_root(base)
        facts, unreadable = read_files(base, listing.table, headers_only, journal, progress)
        listed = listing.table
        if "sha256" in listed:
            is_other = (listed["sha256"] != "") & (
                listed["sha256"].str.lower() != facts["sha256"].reindex(listed.index)
            )
            changed = facts.index.intersection(listed.index[is_other])
            unreadable |= dict.fromkeys(listed.loc[changed, "path"], "its SHA-256 is not the one that is listed")
            facts = facts.drop(changed)
        unreadable = {**listing.unreadable, **unreadable}
        table = listed.drop(columns=facts.columns, errors="ignore").join(facts, how="inner")
        if table.empty:
            first, reason = next(iter(unreadable.items()))
            raise ManifestError(f"{root}: none of {len(unreadable):,} pictures can be read, such as {first}: {reason}")
        manifest = merge_copies(Manifest.from_table(table, base, str(root)))
        return Recognised(
            listing.layouts, manifest, listing.skipped, unreadable, listing.expected, listing.missing, listing.unit
        )


READERS: Registry[type[Reader]] = Registry("layout")
"""In the order in which they are asked: the special before the general."""


def table_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A table of rows that have the same keys; holds columns, not rows, while it grows."""
    columns: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            columns[name].append(value)
    return pd.DataFrame(columns)


def _incomplete(root: Path, listing: Listing) -> str:
    expected = listing.expected or len(listing.missing)
    advice = f"{listing.advice}; " if listing.advice else ""
    return (
        f"{root}: found {expected - len(listing.missing):,} of {expected:,} {listing.unit}; "
        f"missing: {enumerated(listing.missing)}; {advice}to go on without them and record it, add --allow-missing"
    )


def _named(column: pd.Series) -> str:
    counts = column[column != ""].value_counts()
    first = ", ".join(f"{name} {count:,}" for name, count in counts.head(5).items())
    of = f"{len(counts)} {column.name}{'' if len(counts) == 1 else 's'}"
    return f"{of}: {first}{', …' if len(counts) > 5 else ''}" if len(counts) else f"no named {column.name}"
