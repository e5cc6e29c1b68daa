"""Several data sets as one manifest, each with its share: the training mix of a paper is such a file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from tristream.config import StrictModel, load_config, validate
from tristream.data.readers.layout import Layout
from tristream.data.readers.reader import READERS, Listing, Reader
from tristream.data.readers.remote import is_remote
from tristream.data.sample import hashed
from tristream.errors import ManifestError
from tristream.typing import Progress


class MixSource(StrictModel):
    """One data set of a mix."""

    root: Path
    """from the folder of the file, absolute, or hub:OWNER/NAME; `${NAME}` comes from the environment"""
    layout: str
    options: dict[str, Any] = Field(default_factory=dict)
    keep: dict[str, list[str | int]] = Field(default_factory=dict)
    """column to the values that are kept, such as {label: [1], generator: [progan]}"""
    cap: int | None = Field(None, ge=1)
    """at most so many pictures"""
    cap_per: str = ""
    """a column: the cap holds for each of its values"""
    split: str | None = None
    """replaces the split that the layout says; "" removes it"""
    source: str | None = None
    """replaces the source that the layout says"""


class Mix(StrictModel):
    """The file."""

    sources: tuple[MixSource, ...] = Field(min_length=1)
    salt: str = "tristream"
    """another word, other pictures under a cap"""


class MixReader(Reader):
    """Lists each source, keeps its share, and joins them. Under a cap, whole groups are taken in the order of a hash of
    (salt, group): adding files changes little, and no seed plays a part.
    """

    layout = Layout(
        title="Mix of several data sets",
        trees=("MIX.yaml:\nsources:\n  - {root: FFHQ, layout: ffhq, cap: 9000}\n  - {root: DDB, layout: diffusiondb}",),
        obtain="Write the file; configs/mixes/seed.yaml is one.",
        terms="Those of its parts.",
    )

    @classmethod
    def matches(cls, root: Path) -> bool:
        """By the suffix."""
        return root.is_file() and root.suffix.lower() in (".yaml", ".yml")

    def listing(self, root: Path, progress: Progress | None = None) -> Listing:
        """See `Reader.listing`; raises ConfigError for a file of another form."""
        mix = load_config(Mix, root)
        listings = [_listing(source, root.parent, progress) for source in mix.sources]
        base = Path(os.path.commonpath([one.root.resolve() for one in listings]))
        tables = list[pd.DataFrame]()
        layouts: Counter[str] = Counter()
        for source, one in zip(mix.sources, listings, strict=True):
            table = _share(one, source, mix.salt)
            prefix = one.root.resolve().relative_to(base).as_posix()
            tables.append(table if prefix == "." else table.assign(path=prefix + "/" + table["path"]))
            layouts[f"{source.layout} ({source.root.name})"] += len(table)
        named = [(source.root.name, one) for source, one in zip(mix.sources, listings, strict=True)]
        return Listing(
            base,
            pd.concat(tables, ignore_index=True),
            layouts,
            sum((Counter(one.skipped) for one in listings), Counter[str]()),
            {f"{name}/{path}": why for name, one in named for path, why in one.unreadable.items()},
            expected=sum(one.expected or len(one.table) for one in listings),
            missing=tuple(f"{name}/{path}" for name, one in named for path in one.missing),
        )


def _listing(source: MixSource, folder: Path, progress: Progress | None) -> Listing:
    reader = validate(READERS[source.layout], source.options, f"options of {source.root}")
    root = source.root if is_remote(source.root) else folder / source.root
    if not root.exists() and not is_remote(root):
        raise ManifestError(f"{root}: no such file or folder; expected {reader.layout.title}")
    return reader.listing(root, progress)


def _share(listing: Listing, source: MixSource, salt: str) -> pd.DataFrame:
    table = listing.table
    for column in (*source.keep, *([source.cap_per] if source.cap_per else [])):
        if column not in table:
            raise ManifestError(
                f"{source.root}: no column '{column}' to choose by; there are: {', '.join(table.columns)}"
            )
    for column, values in source.keep.items():
        table = table[table[column].isin(values) | table[column].astype(str).isin([str(value) for value in values])]
    if table.empty:
        raise ManifestError(f"{source.root}: nothing is left of {len(listing.table):,} pictures by keep: {source.keep}")
    if source.cap is not None:
        parts = [part for _, part in table.groupby(source.cap_per)] if source.cap_per else [table]
        table = pd.concat([part.loc[list(_first(part, source.cap, salt))] for part in parts]).sort_index()
    changes = {"split": source.split, "source": source.source}
    return table.assign(**{name: value for name, value in changes.items() if value is not None})


def _first(table: pd.DataFrame, cap: int, salt: str) -> Iterator[Any]:
    """Row labels of at most `cap` rows, whole groups in the order of a hash; the last group may be cut."""
    group = table["group"] if "group" in table else pd.Series("", index=table.index)
    group = group.where(group != "", table["path"])
    order = sorted(zip(group, table["path"], table.index, strict=True), key=lambda one: (hashed(one[0], salt), one[1]))
    yield from (index for _, _, index in order[:cap])
