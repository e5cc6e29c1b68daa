"""Data sets in Parquet or Arrow shards in general: a column of pictures, and one of labels or one label for all."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from tristream.data.readers.layout import Layout
from tristream.data.readers.reader import Listing, Reader, table_of
from tristream.data.readers.remote import is_remote, remote_shards
from tristream.data.readers.shards import Extracted, Shard, absent_shards, extract, shards
from tristream.errors import ManifestError, UsageError
from tristream.typing import Progress

REAL_NAMES = ("real", "nature", "natural", "human", "authentic", "original", "photo", "0_real")
FAKE_NAMES = ("fake", "ai", "synthetic", "generated", "deepfake", "full_synthetic", "tampered", "1_fake")
"""What classes are called, in lower case."""


class ShardReader(Reader):
    """What readers of pictures in tables share: they take the pictures out, into a folder that has to be named."""

    extract_to: Path | None = Field(None, description="folder for the pictures, outside of the data set (--extract-to)")
    rows: int | None = Field(None, ge=1, description="at most so many rows of each shard, its first")
    image_column: str = Field("", description="column of the pictures; by default the first that holds some")

    @abstractmethod
    def row(self, shard: Shard, picture: Extracted) -> dict[str, Any]:
        """The manifest's row of a picture, without its path. Raises ManifestError for a table of another kind."""

    def chosen(self, found: list[Shard]) -> list[Shard]:
        """The shards to read, of those that there are."""
        return found

    def listing(self, root: Path, progress: Progress | None = None) -> Listing:
        """See `Reader.listing`. Takes out what has not been taken out before; raises UsageError without a folder."""
        if self.extract_to is None:
            raise UsageError(
                f"{root}: its pictures lie inside tables, and a manifest names files; "
                "say where to write them: --extract-to FOLDER (byte for byte; as much space as the tables)"
            )
        if not (found := self.chosen(remote_shards(root) if is_remote(root) else shards(root))):
            raise ManifestError(f"{root}: no .parquet or .arrow file with a column of pictures")
        self.extract_to.mkdir(parents=True, exist_ok=True)
        unreadable = dict[str, str]()
        table = table_of(self._rows(found, self.extract_to, unreadable, progress))
        expected, missing = absent_shards(found)
        layouts = Counter({f"{len(found)} shards": len(table)})
        return Listing(
            self.extract_to, table, layouts, {}, unreadable, expected=expected, missing=missing, unit="shards"
        )

    def _rows(
        self, found: list[Shard], into: Path, unreadable: dict[str, str], progress: Progress | None
    ) -> Iterator[dict[str, Any]]:
        for done, shard in enumerate(found, 1):
            column = self.image_column or shard.pictures[0]
            if column not in shard.pictures:
                raise ManifestError(f"{shard.file}: no column of pictures '{column}'; there are: {shard.pictures}")
            for picture in extract(shard, column, into, self.rows):
                if picture.problem:
                    unreadable[picture.path] = picture.problem
                else:
                    yield {"path": picture.path, **self.row(shard, picture)}
            if progress is not None:
                progress(done, len(found))


class HuggingFaceReader(ShardReader):
    """A class label counts by its name, never by its number."""

    label: Literal["real", "fake", ""] = Field("", description="of all pictures, where the table has no labels")
    label_column: str = Field("label", description="column of the labels")
    real: tuple[str, ...] = Field(REAL_NAMES, description="names of classes that are real, in lower case")
    fake: tuple[str, ...] = Field(FAKE_NAMES, description="names of classes that are fake, in lower case")
    generator_column: str = Field("", description="what made a fake; by default the class")
    source_column: str = Field("", description="the collection; by default the data set's folder")
    group_column: str = Field("", description="what must stay together, such as a prompt or a video")

    layout = Layout(
        title="Hugging Face data set, in files",
        trees=(
            "ROOT\n├── [data/]{train,validation,test}-NNNNN-of-NNNNN.parquet     (as on the Hub)\n└── README.md",
            "ROOT\n└── [{train,validation,test}/]data-NNNNN-of-NNNNN.arrow, dataset_info.json     (save_to_disk)",
            "hub:OWNER/NAME     (read from the Hub without storing its tables; --set rows=N of each shard)",
        ),
        obtain="tristream data download huggingface FOLDER --repository OWNER/NAME",
        terms="Those on the data set's card.",
        address="https://huggingface.co/datasets",
        any_repository=True,
        notes="The pictures are taken out, byte for byte, into the folder that --extract-to names.",
    )

    @classmethod
    def matches(cls, root: Path) -> bool:
        """By a table with a column of pictures."""
        return root.is_dir() and bool(shards(root))

    def row(self, shard: Shard, picture: Extracted) -> dict[str, Any]:
        """See `ShardReader.row`."""
        named = self.label or self._class(shard, picture.values)
        is_real = named == "real" if self.label else named.lower() in self.real
        source = self._cell(shard, picture, self.source_column) or PurePosixPath(shard.root).name
        generator = self._cell(shard, picture, self.generator_column) or ("" if self.label else named)
        return {
            "label": int(not is_real),
            "generator": "" if is_real else generator,
            "source": source,
            "group": self._cell(shard, picture, self.group_column),
            "split": shard.split,
        }

    def _class(self, shard: Shard, values: Mapping[str, Any]) -> str:
        if self.label_column not in values:
            raise ManifestError(
                f"{shard.file}: no column '{self.label_column}'; there are: {', '.join(values)}; "
                "name the one of the labels (--set label_column=NAME), or say what all are (--set label=real)"
            )
        value = values[self.label_column]
        if not isinstance(value, str):
            raise ManifestError(
                f"{shard.file}: column '{self.label_column}' holds {value!r} and nothing names its classes; "
                "expected class names in the table, in dataset_info.json or in README.md"
            )
        if (value.lower() in self.real) == (value.lower() in self.fake):
            classes = ", ".join(shard.names(self.label_column) or ["named in each row"])
            raise ManifestError(
                f"{shard.file}: is the class '{value}' real or fake? classes: {classes}; "
                "say so, such as --set real=[camera] --set fake=[sd3,flux]"
            )
        return value

    def _cell(self, shard: Shard, picture: Extracted, column: str) -> str:
        if column and column not in picture.values:
            raise ManifestError(f"{shard.file}: no column '{column}'; there are: {', '.join(picture.values)}")
        value = picture.values[column] if column else None
        return "" if value is None else str(value)
