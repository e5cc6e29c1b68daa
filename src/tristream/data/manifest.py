"""A data set is a manifest: one CSV or Parquet table, a row per picture, and the folder that its paths start from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np

from tristream.atomic import replaced
from tristream.data.files import FILE_COLUMNS, HEADER_COLUMNS, file_facts, in_threads, media_of, path_problem
from tristream.errors import ManifestError, MissingExtraError
from tristream.typing import Bool, Progress

try:
    import pandas as pd
except ImportError:
    raise MissingExtraError("working with manifests", "data") from None

# N rows (pictures)

LABELS = {"real": 0, "fake": 1, "0": 0, "1": 1}
MEDIA = ("image", "video")
SUFFIXES = (".csv", ".parquet")
TEXT_COLUMNS = ("generator", "source", "group", "split")
COLUMNS = ("path", "label", *TEXT_COLUMNS, "media", *FILE_COLUMNS)

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Manifest:
    """The pictures of a data set. Make one with `read` or `from_table`: these check and complete the table.

    Every column of `COLUMNS` is there, in that order, before any others that the table came with:
      path: relative to `root`, with forward slashes. label: int64, 0 real, 1 fake. generator: "" for a real.
      source: the collection. group: pictures that share a video, person, prompt or author; never split one.
      split: "" before splitting. media: "image" or "video".
      width, height (pixels), bytes: Int64; format, sha256: text. These five are properties of the file, and
      missing (<NA> or "") until `with_file_columns` has read them. The id of a picture is its sha256.
    """

    table: pd.DataFrame
    root: Path

    @classmethod
    def read(cls, path: Path, root: Path | None = None, *, absent_ok: bool = False) -> Manifest:
        """Read a CSV or Parquet manifest. Its paths start from `root`, by default the folder of the file.

        absent_ok: files that are not there are no error. From CSV, columns other than `COLUMNS` stay text. Raises
        ManifestError that names the file, the row (from 1, the header not counted), the column and what was expected.
        """
        path = Path(path)
        start = root if root is not None else path.parent
        return cls.from_table(_read_table(path), start, str(path), absent_ok=absent_ok)

    @classmethod
    def from_table(
        cls, table: pd.DataFrame, root: Path, origin: str = "manifest", *, absent_ok: bool = False
    ) -> Manifest:
        """Check a table and fill in what it does not say; only `path` and `label` (0, 1, real, fake) must be there.

        group: one picture, one group (its sha256, or its path where that is not known). generator of a fake: its
        source. A real has no generator: one that is given becomes its source if that is empty. Other columns are kept,
        a null in a column of text becomes the empty text, from Parquet as from CSV. Reads no picture.
        origin: what to call the table in errors. Raises ManifestError, also for files missing or outside `root`.
        """
        if missing := [name for name in ("path", "label") if name not in table.columns]:
            raise ManifestError(
                f"{origin}: no column {' and no column '.join(missing)}; found: {', '.join(map(str, table.columns))}"
            )
        if table.empty:
            raise ManifestError(f"{origin}: has no rows; expected one row per picture")
        table = table.reset_index(drop=True)
        root = Path(os.path.realpath(root))
        column = {name: _text(table, name) for name in ("path", "label", *TEXT_COLUMNS, "media", "format", "sha256")}
        path = _checked_paths(column["path"], root, origin, absent_ok)
        sha256 = column["sha256"].str.lower()
        _refuse(sha256, ~sha256.str.fullmatch(r"(?:[0-9a-f]{64})?"), "64 hexadecimal digits", origin)
        label = column["label"].str.strip().str.lower().map(LABELS)
        _refuse(column["label"], label.isna(), "real, fake, 0 or 1", origin)
        media = column["media"].where(column["media"] != "", path.map(media_of))
        _refuse(media, ~media.isin(MEDIA), " or ".join(MEDIA), origin)
        source, generator, is_fake = column["source"], column["generator"], label == 1
        group = column["group"].where(column["group"] != "", sha256.where(sha256 != "", path))
        known = {
            "path": path,
            "label": label.astype("int64"),
            "generator": generator.where(generator != "", source).where(is_fake, ""),
            "source": source.where(is_fake | (source != ""), generator),
            "group": group,
            "split": column["split"],
            "media": media,
            **{name: _whole_numbers(table, name, origin) for name in ("width", "height", "bytes")},
            "format": column["format"],
            "sha256": sha256,
        }
        others = table.drop(columns=list(COLUMNS), errors="ignore")
        return cls(pd.DataFrame(known).join(others.apply(_without_nulls)), root)

    def __len__(self) -> int:
        return len(self.table)

    def file(self, row: int) -> Path:
        """Absolute path of the picture in that row (0-based). Raises ManifestError when it lies outside `root`."""
        path = str(self.table["path"].iloc[row])
        if problem := path_problem(path, self.root):
            raise ManifestError(f"{path}: {problem}")
        return self.root / path

    def where(self, mask: Sequence[bool] | Bool | pd.Series) -> Manifest:
        """The rows for which `mask` (bool[N]) holds, in the same order; there may be none."""
        keep = np.asarray(mask)
        if keep.dtype != np.bool_ or keep.shape != (len(self),):
            raise ManifestError(f"expected a mask of {len(self)} booleans, got {keep.dtype}{list(keep.shape)}")
        return Manifest(self.table[keep].reset_index(drop=True), self.root)

    def split(self, name: str) -> Manifest:
        """The rows of one split. Raises ManifestError that lists the splits that there are."""
        if name not in (names := sorted(set(self.table["split"]) - {""})):
            there = (
                f"there are: {', '.join(names)}"
                if names
                else "the manifest has none; make them with `tristream data split`"
            )
            raise ManifestError(f"no split '{name}'; {there}")
        return self.where((self.table["split"] == name).to_numpy(bool))

    def with_file_columns(self, columns: Sequence[str] = FILE_COLUMNS, progress: Progress | None = None) -> Manifest:
        """Fill the missing cells of these file columns from the files; what is there is believed and kept.

        Videos keep an empty width, height and format. Raises ImageError for a file that is no picture.
        """
        if unknown := set(columns) - set(FILE_COLUMNS):
            raise ManifestError(
                f"not a column that files can fill: {', '.join(sorted(unknown))}; these can: {', '.join(FILE_COLUMNS)}"
            )
        table, is_video = self.table.copy(), self.table["media"] == "video"
        gap = pd.DataFrame({name: table[name].isna() | (table[name].astype(str) == "") for name in columns})
        for name in set(HEADER_COLUMNS) & set(columns):
            gap[name] &= ~is_video
        rows = np.flatnonzero(gap.any(axis=1)).tolist()
        wanted = [(self.file(row), [name for name in columns if gap.at[row, name]]) for row in rows]
        facts = list(in_threads(lambda one: file_facts(*one), wanted, progress))
        for name in columns:
            cells = {row: fact[name] for row, fact in zip(rows, facts, strict=True) if name in fact}
            table.loc[list(cells), name] = list(cells.values())
        return Manifest(table, self.root)

    def digest(self) -> str:
        """sha256 (hex) over the sorted (sha256, label, split) rows: row order and paths play no role."""
        table = self.with_file_columns(["sha256"]).table
        rows = sorted(f"{row.sha256} {row.label} {row.split}\n" for row in table.itertuples())
        return hashlib.sha256("".join(rows).encode()).hexdigest()

    def write(self, path: Path, relative_to: Path | None = None) -> None:
        """Write CSV or Parquet, by the suffix. Paths are written relative to the folder of the file.

        relative_to: another folder for the paths to start from; `read` then has to be given it as `root`.
        Raises ManifestError as `check_target` does.
        """
        path = Path(path)
        start = check_target(path, self.root, relative_to)
        prefix = self.root.relative_to(start).as_posix()
        table = self.table if prefix == "." else self.table.assign(path=prefix + "/" + self.table["path"])
        with replaced(path) as part:
            if path.suffix == ".csv":
                table.to_csv(part, index=False, encoding="utf-8", lineterminator="\n")
            else:
                _with_pyarrow(lambda: table.to_parquet(part, index=False))


def check_target(path: Path, root: Path, relative_to: Path | None = None) -> Path:
    """Folder that the paths of a manifest would start from, if it were written to `path`. Writes nothing.

    root: absolute, without links, the folder of the pictures; relative_to: as for `Manifest.write`. Raises
    ManifestError as `check_name` does, and when the pictures do not lie in that folder.
    """
    check_name(path)
    start = Path(os.path.realpath(relative_to if relative_to is not None else path.parent))
    if not root.is_relative_to(start):
        raise ManifestError(
            f"{path}: the pictures lie in {root}, outside {start}; write it there or above, "
            "or name the folder that paths start from (relative_to)"
        )
    return start


def check_name(path: Path) -> None:
    """Raise ManifestError when nothing of this name can become a manifest: another suffix, or a folder."""
    if path.suffix not in SUFFIXES:
        raise ManifestError(f"{path}: a manifest is a .csv or a .parquet file")
    if path.is_dir():
        raise ManifestError(f"{path}: is a folder; name the file to write")


def _read_table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise ManifestError(
            f"{path}: no such file; expected a manifest, .csv or .parquet (`tristream data index` makes one)"
        )
    if path.suffix == ".parquet":
        try:
            return _with_pyarrow(lambda: pd.read_parquet(path))
        except (OSError, ValueError) as error:
            raise ManifestError(f"{path}: not a Parquet table: {error}") from None
    if path.suffix != ".csv":
        raise ManifestError(f"{path}: a manifest is a .csv or a .parquet file")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except pd.errors.EmptyDataError:
        raise ManifestError(f"{path}: is empty; expected a header line with the columns path and label") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: not a CSV table in UTF-8: {error}") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the surplus cells for an index
        raise ManifestError(
            f"{path}: the rows have more cells than the header has columns ({', '.join(table.columns)})"
        )
    return table.fillna("")


def _with_pyarrow(call: Callable[[], T]) -> T:
    try:
        return call()
    except ImportError:
        raise MissingExtraError("reading and writing Parquet", "data") from None


def _without_nulls(column: pd.Series) -> pd.Series:
    """A column of text with the empty text in place of nulls; numbers as they are."""
    is_text = pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)
    return column.where(column.notna(), "") if is_text else column


def _text(table: pd.DataFrame, name: str) -> pd.Series:
    if name not in table.columns:
        return pd.Series("", index=table.index, name=name).astype(str)
    return table[name].astype("string").fillna("").astype(str)


def _whole_numbers(table: pd.DataFrame, name: str, origin: str) -> pd.Series:
    text = _text(table, name)
    number = pd.to_numeric(text.where(text != "", None), errors="coerce")
    _refuse(text, (text != "") & ~((number > 0) & (number % 1 == 0)), "a whole number above 0, or nothing", origin)
    return number.astype("Int64")


def _refuse(column: pd.Series, wrong: pd.Series, expected: str, origin: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        more = f" (and {int(wrong.sum()) - 1} more)" if wrong.sum() > 1 else ""
        raise ManifestError(
            f"{origin}: row {row + 1}, column {column.name}: expected {expected}, found '{column.iloc[row]}'{more}"
        )


def _checked_paths(given: pd.Series, root: Path, origin: str, absent_ok: bool) -> pd.Series:
    _refuse(given, given == "", "a path", origin)
    path = given.map(lambda text: str(PurePosixPath(text))).astype(str)
    problems = path.map(lambda text: path_problem(text, root) or "")
    if (wrong := np.flatnonzero(problems != "")).size:
        row = int(wrong[0])
        raise ManifestError(f"{origin}: row {row + 1}, column path: '{given.iloc[row]}' {problems.iloc[row]}")
    _refuse(path, path.duplicated(), "every path once", origin)
    if not absent_ok and (absent := [text for text in path if not (root / text).is_file()]):
        raise ManifestError(
            f"{origin}: {len(absent):,} of {len(path):,} files do not exist under {root}, "
            f"such as {', '.join(absent[:3])}; paths start from the folder of the manifest unless a root is given"
        )
    return path
