"""CSV lists: any table of paths and labels, whatever its columns and classes are called."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pydantic import Field

from tristream.data.readers.layout import Layout
from tristream.data.readers.reader import Listing, Reader
from tristream.errors import ManifestError
from tristream.typing import Progress

OPTIONAL = ("generator", "source", "group", "split")


class CSVReader(Reader):
    """Makes a manifest of a list: renames its columns, checks the files, keeps the other columns."""

    path_column: str = Field("path", description="column of the paths")
    label_column: str = Field("label", description="column of the labels")
    generator_column: str = Field("generator", description="what made a fake; need not be there, like those below")
    source_column: str = Field("source", description="the collection")
    group_column: str = Field("group", description="what must stay together")
    split_column: str = Field("split", description="the split")
    real: tuple[str | int, ...] = Field(
        ("real", "0"), description="labels that mean real; Celeb-DF's list would say [1]"
    )
    fake: tuple[str | int, ...] = Field(("fake", "1"), description="labels that mean fake")
    pictures: Path | None = Field(None, description="folder that the paths start from; by default the list's own")

    layout = Layout(
        title="CSV list",
        trees=("LIST.csv or LIST.tsv:  path,label[,generator,source,group,split,…]",),
        obtain="Your own list; a manifest is one already.",
        terms="Yours.",
        notes="Which labels mean real is an option, because lists differ: --set real=[1] --set fake=[0].",
    )

    @classmethod
    def matches(cls, root: Path) -> bool:
        """By the suffix."""
        return root.is_file() and root.suffix.lower() in (".csv", ".tsv")

    def listing(self, root: Path, progress: Progress | None = None) -> Listing:
        """See `Reader.listing`; also raises ManifestError for a label that is neither real nor fake."""
        separator = "\t" if root.suffix.lower() == ".tsv" else ","
        try:
            given = pd.read_csv(root, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        except (OSError, ValueError) as error:  # ParserError and EmptyDataError are ValueErrors
            raise ManifestError(f"{root}: not a table in UTF-8 with a header line: {error}") from None
        columns = {"path": self.path_column, "label": self.label_column}
        if absent := [f"{name} (--set {kind}_column=…)" for kind, name in columns.items() if name not in given.columns]:
            raise ManifestError(f"{root}: no column {', '.join(absent)}; there are: {', '.join(given.columns)}")
        columns |= {kind: name for kind in OPTIONAL if (name := getattr(self, f"{kind}_column")) in given.columns}
        others = given.drop(columns=list(columns.values())).drop(columns=list(columns), errors="ignore")
        table = pd.DataFrame({kind: given[name] for kind, name in columns.items()}).join(others)
        labels = {str(name).lower(): value for value, names in enumerate((self.real, self.fake)) for name in names}
        label = table["label"].str.strip().str.lower().map(labels)
        if label.isna().any():
            row = int(label.isna().to_numpy().argmax())
            real, fake = (", ".join(map(str, names)) for names in (self.real, self.fake))
            raise ManifestError(
                f"{root}: row {row + 1}: label '{table['label'].iloc[row]}' is neither real ({real}) nor fake "
                f"({fake}); say which with --set real=[…] --set fake=[…]"
            )
        table["label"] = label.astype("int64")
        folder = self.pictures or root.parent
        there = table["path"].map(lambda path: (folder / path).is_file()).astype(bool)
        missing = tuple(table["path"][~there])
        return Listing(
            folder,
            table[there].reset_index(drop=True),
            {"list": int(there.sum())},
            expected=len(table),
            missing=missing,
        )
