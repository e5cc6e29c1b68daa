"""Tables that hold pictures, as the Hugging Face Hub has them: Parquet and Arrow shards, and taking the pictures out.

A manifest's rows are files, so the pictures are written, byte for byte as they are in the shard, to
FOLDER/<shard>/<row>.<suffix>. A file name that stands in the table never says where something is written; where a table
names a file of the data set in place of a picture, that file is read, if it lies inside the data set's folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from tristream.atomic import replaced, write_bytes
from tristream.data.files import path_problem
from tristream.data.readers.walk import SPLIT_FOLDERS, walk
from tristream.errors import ImageError, ManifestError, MissingExtraError
from tristream.images.decode import MAX_BYTES, read_header

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 32
"""Pictures in memory: a few megabytes each at most."""
SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif", "HEIF": ".heic"}


@dataclass(frozen=True)
class Shard:
    """One file of a table; `root` is the data set's folder."""

    root: Path
    path: PurePosixPath

    @property
    def file(self) -> Path:
        """Where it lies."""
        return self.root / self.path

    @property
    def folder(self) -> str:
        """Topmost folder, "" for none: FakeCOCO's generator."""
        return self.path.parts[0] if len(self.path.parts) > 1 else ""

    @property
    def split(self) -> str:
        """From `data/train-00000-of-00042.parquet` or `train/data-00000-of-00042.arrow`; "" when neither says one."""
        for word in (self.path.name.split("-")[0].removesuffix(self.path.suffix), *reversed(self.path.parts[:-1])):
            if word.lower() in SPLIT_FOLDERS:
                return SPLIT_FOLDERS[word.lower()]
        return ""

    @cached_property
    def schema(self) -> pa.Schema:
        """The table's columns. Raises ManifestError when it is no Parquet or Arrow file."""
        return next(self._open())

    @cached_property
    def features(self) -> dict[str, dict[str, Any]]:
        """What `datasets` says of each column: in the schema, beside the shard, or in the data set's card."""
        described = (self.schema.metadata or {}).get(b"huggingface")
        for text in (described.decode() if described else "", self.text(self.path.parent / "dataset_info.json")):
            try:
                info = json.loads(text)
            except ValueError:
                continue
            found = info.get("info", info).get("features") if isinstance(info, dict) else None
            if isinstance(found, dict):
                return {name: one for name, one in found.items() if isinstance(one, dict)}
        return _card_features(self.text(PurePosixPath("README.md")))

    def text(self, path: PurePosixPath) -> str:
        """A text of the data set; "" when it is not there."""
        file = self.root / path
        return file.read_text("utf-8", errors="replace") if file.is_file() else ""

    @property
    def version(self) -> dict[str, Any]:
        """What changes when the shard does."""
        status = self.file.stat()
        return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}

    @cached_property
    def first_row(self) -> int:
        """Number of its first row, counted through all shards of its folder. Raises ManifestError if one is missing."""
        match = re.search(r"(\d{5})-of-\d{5}", self.path.name)
        before = sorted(path for path in self.file.parent.glob(f"*{self.path.suffix}") if path.name < self.path.name)
        if match is not None and int(match[1]) != len(before):
            raise ManifestError(f"{self.file}: its rows cannot be counted, because a shard before it is not there")
        return sum(Shard(self.root, self.path.with_name(path.name)).count for path in before)

    @property
    def count(self) -> int:
        """How many rows it has."""
        batches = self._open([])
        next(batches)
        return sum(batch.num_rows for batch in batches)

    @property
    def pictures(self) -> list[str]:
        """Columns that hold pictures, in order."""
        import pyarrow as pa

        def holds_pictures(field: pa.Field) -> bool:
            if (kind := self.features.get(field.name, {}).get("_type")) is not None:
                return bool(kind == "Image")
            if pa.types.is_struct(field.type):
                return {"bytes", "path"} <= {inner.name for inner in field.type}
            return bool(pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type))

        return [field.name for field in self.schema if holds_pictures(field)]

    @property
    def scalars(self) -> list[str]:
        """Columns that hold a text, a number or a truth value."""
        import pyarrow as pa

        simple = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating)
        return [f.name for f in self.schema if any(is_kind(f.type) for is_kind in (*simple, pa.types.is_boolean))]

    def names(self, column: str) -> list[str] | None:
        """Class names of a ClassLabel column, by their number; None for another column."""
        names = self.features.get(column, {}).get("names")
        return [str(name) for name in names] if isinstance(names, list) else None

    def rows(self, columns: list[str]) -> Iterator[dict[str, Any]]:
        """The rows as plain values; a class label as its NAME, because data sets number their classes in any order."""
        names = {column: found for column in columns if (found := self.names(column)) is not None}
        batches = self._open(columns)
        next(batches)
        for batch in batches:
            for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                for row in batch.slice(start, ROWS_AT_ONCE).to_pylist():
                    for column, of_class in names.items():
                        if isinstance(value := row[column], int) and 0 <= value < len(of_class):
                            row[column] = of_class[value]
                    yield row

    def source(self) -> Any:
        """What pyarrow reads Parquet from: a path or a file object."""
        return self.file

    def _open(self, columns: list[str] | None = None) -> Iterator[Any]:
        """The schema, then the record batches."""
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise MissingExtraError("reading Parquet and Arrow files", "data") from None
        try:
            if self.path.suffix == ".parquet":
                with pq.ParquetFile(self.source()) as parquet:
                    yield parquet.schema_arrow
                    yield from parquet.iter_batches(ROWS_AT_ONCE, columns=columns)
                return
            with pa.memory_map(str(self.file)) as source:
                try:
                    reader = pa.ipc.open_stream(source)  # what save_to_disk writes
                    batches = iter(reader)
                except pa.ArrowInvalid:
                    source.seek(0)
                    reader = pa.ipc.open_file(source)
                    batches = map(reader.get_batch, range(reader.num_record_batches))
                yield reader.schema
                yield from (batch.select(columns) if columns is not None else batch for batch in batches)
        except (pa.ArrowException, OSError) as error:
            raise ManifestError(
                f"{self.file}: not a whole Parquet or Arrow file ({error}); download it again"
            ) from None


def shards(root: Path) -> list[Shard]:
    """Parquet and Arrow files below a folder that hold pictures, sorted; those that `datasets` cached are left out."""
    files = (path for path, linked in walk(root) if not linked and path.suffix in (".parquet", ".arrow"))
    found = [Shard(root, path) for path in files if not path.name.startswith("cache-")]
    return [shard for shard in found if shard.pictures]


def absent_shards(found: list[Shard]) -> tuple[int, tuple[str, ...]]:
    """How many shards there have to be by their names, `…-00003-of-00042…`, and which are not there."""
    there = {str(shard.path) for shard in found}
    wanted = set(there)
    for shard in found:
        if match := re.fullmatch(r"(.*)-(\d{5})-of-(\d{5})(.*)", shard.path.name):
            names = (f"{match[1]}-{number:05d}-of-{match[3]}{match[4]}" for number in range(int(match[3])))
            wanted |= {str(shard.path.parent / name) for name in names}
    return len(wanted), tuple(sorted(wanted - there))


@dataclass(frozen=True)
class Extracted:
    """A picture taken out of a shard."""

    path: str
    """relative to the folder of the pictures; of the shard and row when there is a problem"""
    values: Mapping[str, Any]
    """the row's scalar columns"""
    stored_name: str
    """the file name that the table gives the picture; "" for none"""
    problem: str = ""


def extract(shard: Shard, column: str, into: Path, most: int | None = None) -> Iterator[Extracted]:
    """Write the shard's pictures, those of its first `most` rows, below `into`, and yield them with their rows.

    A shard that has been done before, and has not changed since, is not read again: a list of its rows is kept in
    `into/.rows`.
    """
    place = shard.path.with_suffix("")
    done = into / ".rows" / f"{place}.jsonl"
    head = json.dumps({"shard": str(shard.path), **shard.version, "column": column, "most": most})
    if (kept := _kept(done, head, into)) is not None:
        yield from kept
        return
    with replaced(done) as part, part.open("w", encoding="utf-8") as lines:
        lines.write(head + "\n")
        for number, row in enumerate(islice(shard.rows([column, *shard.scalars]), most)):
            one = _write(shard, number, row.pop(column), row, into, place)
            lines.write(json.dumps([one.path, one.values, one.stored_name, one.problem], default=str) + "\n")
            yield one


def _write(shard: Shard, number: int, cell: Any, row: dict[str, Any], into: Path, place: PurePosixPath) -> Extracted:
    data, stored = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    name = PurePosixPath(str(stored or "").replace("\\", "/")).name
    where = f"{shard.path}, row {number}"
    if data is None and stored:  # a table may name a file of the data set instead of holding it
        if problem := path_problem(str(stored), shard.root.resolve()):
            return Extracted(where, row, name, f"its picture {stored} {problem}")
        file = shard.root / str(stored)
        try:
            if not file.is_file() or file.stat().st_size > MAX_BYTES:
                what = f"is larger than {MAX_BYTES >> 20} MiB" if file.is_file() else "is no file of the data set"
                return Extracted(where, row, name, f"its picture {stored} {what}")
            data = file.read_bytes()
        except OSError as error:
            return Extracted(where, row, name, f"its picture {stored} cannot be read: {error.strerror}")
    if not data:
        return Extracted(where, row, name, "holds no picture")
    try:
        format = read_header(data, where).format
    except (ImageError, MissingExtraError) as error:
        return Extracted(where, row, name, str(error).removeprefix(f"{where}: "))
    path = place / f"{number:07d}{SUFFIXES.get(format, '.' + format.lower())}"
    file = into / path
    if not (file.is_file() and file.stat().st_size == len(data)):
        write_bytes(file, data)
    return Extracted(str(path), row, name)


def _kept(done: Path, head: str, into: Path) -> list[Extracted] | None:
    """What an earlier run has taken out; None when it has not, or the shard or a picture has changed since."""
    if not done.is_file():
        return None
    with done.open(encoding="utf-8") as lines:
        if next(lines, "").rstrip("\n") != head:
            return None
        kept = [Extracted(*json.loads(line)) for line in lines]
    return kept if all(one.problem or (into / one.path).is_file() for one in kept) else None


def _card_features(card: str) -> dict[str, dict[str, Any]]:
    """Features from the YAML head of a data set's README.md, in the form of `dataset_info.json`."""
    head = re.match(r"---\n(.*?)\n---", card, re.DOTALL)
    try:
        info = (yaml.safe_load(head[1]) or {}).get("dataset_info", {}) if head else {}
        first = info[0] if isinstance(info, list) else info
        features = dict[str, dict[str, Any]]()
        for one in first.get("features", []):
            dtype = one.get("dtype")
            if dtype == "image":
                features[one["name"]] = {"_type": "Image"}
            elif isinstance(dtype, dict) and "class_label" in dtype:
                names = dtype["class_label"]["names"]
                ordered = [names[key] for key in sorted(names, key=int)] if isinstance(names, dict) else names
                features[one["name"]] = {"_type": "ClassLabel", "names": ordered}
        return features
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, IndexError):
        return {}
