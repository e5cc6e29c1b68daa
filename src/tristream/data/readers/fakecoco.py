"""FakeCOCO: COCO photographs, and what ten generators made of their captions; a folder of Arrow shards each."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from tristream.data.readers.coco import coco_group
from tristream.data.readers.huggingface import ShardReader
from tristream.data.readers.layout import Hub, Layout
from tristream.data.readers.reader import Listing
from tristream.data.readers.shards import Extracted, Shard
from tristream.data.readers.walk import subfolders
from tristream.errors import ManifestError
from tristream.typing import Progress

REAL = "real"
ID_COLUMNS = ("image_id", "coco_id", "cocoid", "img_id", "id")


class FakeCOCOReader(ShardReader):
    """The folder is the generator; `real` holds the photographs. Groups are COCO numbers, so that a photograph and the
    pictures of its captions stay together. The number comes from a column, the picture's file name, or mapping.json
    (a list, or row number to COCO number, counted through all shards). Its card does not describe the columns: where
    they differ, say `id_column`.
    """

    id_column: str = Field("", description=f"column of the COCO number; by default one of {', '.join(ID_COLUMNS)}")
    generators: tuple[str, ...] = Field((), description="folders to read, besides real; by default all")

    layout = Layout(
        title="FakeCOCO",
        trees=(
            "ROOT\n├── real/data-NNNNN-of-00039.arrow, [mapping.json]\n"
            "└── {stable-diffusion-v1-5,stable-diffusion-xl-base-1.0,…}/data-NNNNN-of-NNNNN.arrow",
        ),
        obtain="tristream data download fakecoco FOLDER --include 'real/*' --include 'stable-diffusion-v1-5/*'",
        terms="MIT, as its card says; the photographs keep COCO's terms.",
        address="https://huggingface.co/datasets/nebula/FakeCOCO",
        hub=Hub("nebula/FakeCOCO", ("*.arrow", "*.json", "README.md")),
        notes="Reals are smaller (to 640 px) than fakes (512 to 1024 px): audit and equalise. No official split: "
        "`tristream data split` splits by COCO number.",
    )

    @classmethod
    def matches(cls, root: Path) -> bool:
        """By a folder `real` with shards beside another folder with shards."""
        with_shards = [folder.name for folder in subfolders(root) if any(folder.glob("data-*.arrow"))]
        return REAL in with_shards and len(with_shards) > 1

    def chosen(self, found: list[Shard]) -> list[Shard]:
        """The folders asked for."""
        wanted = {*self.generators, REAL} if self.generators else {shard.folder for shard in found} - {""}
        return [shard for shard in found if shard.folder in wanted]

    def listing(self, root: Path, progress: Progress | None = None) -> Listing:
        """See `Reader.listing`; counts the archive parts of FLUX, which hold no shards, as skipped."""
        found = super().listing(root, progress)
        parts = len(list(root.glob("FLUX_a?")))
        skipped = {"part of the FLUX archive (join and unpack: cat FLUX_a? | tar x)": parts} if parts else {}
        return Listing(
            found.root, found.table, found.layouts, skipped, found.unreadable, found.expected, found.missing, found.unit
        )

    def row(self, shard: Shard, picture: Extracted) -> dict[str, Any]:
        """See `ShardReader.row`."""
        is_real = shard.folder == REAL
        return {
            "label": int(not is_real),
            "generator": "" if is_real else shard.folder,
            "source": "fakecoco",
            "group": coco_group(self._number(shard, picture)),
            "split": "",
        }

    def _number(self, shard: Shard, picture: Extracted) -> int:
        values = picture.values
        column = self.id_column or next((name for name in ID_COLUMNS if name in values), "")
        candidates = [values.get(column), picture.stored_name, values.get("file_name"), values.get("filename")]
        for value in candidates:
            if isinstance(value, int):
                return value
            if isinstance(value, str) and (match := re.search(r"(\d+)(?:\.\w+)?$", value)):
                return int(match[1])
        if column:
            raise ManifestError(f"{shard.file}: column '{column}' holds {values.get(column)!r}, not a COCO number")
        mapping = shard.file.parent / "mapping.json"
        numbers = _mapping(mapping, mapping.stat().st_mtime_ns) if mapping.is_file() else {}
        row = shard.first_row + int(Path(picture.path).stem)
        if row not in numbers:
            raise ManifestError(
                f"{shard.file}: no COCO number: no column {', '.join(ID_COLUMNS)}, no file name, no mapping.json with "
                f"row {row}; columns: {', '.join(values)}; name one with --set id_column=NAME"
            )
        return numbers[row]


@cache
def _mapping(file: Path, mtime_ns: int) -> dict[int, int]:
    try:
        given = json.loads(file.read_text("utf-8"))
        pairs = given.items() if isinstance(given, dict) else enumerate(given)
        return {int(row): int(number) for row, number in pairs}
    except (ValueError, TypeError):
        raise ManifestError(f"{file}: expected row numbers to COCO numbers, or a list of COCO numbers") from None
