"""DiffusionDB (Wang et al. 2022): what people made with Stable Diffusion, with prompt, user and NSFW scores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from tristream.data.readers.layout import Hub, Layout
from tristream.data.readers.reader import Listing, Reader, table_of
from tristream.data.readers.walk import is_picture, pictures
from tristream.errors import ManifestError
from tristream.typing import Progress

METADATA = {
    "metadata.parquet": ("images", "."),
    "metadata-large.parquet": ("diffusiondb-large-part-1", "diffusiondb-large-part-2"),
}
"""The table of each edition (2M, Large), and where its parts lie."""
COLUMNS = ("image_name", "prompt", "part_id", "user_name", "image_nsfw", "prompt_nsfw")


class DiffusionDBReader(Reader):
    """All fake. Complete means: the metadata, and in each part that is there, all pictures that the part lists.

    Pictures of one user, or of one prompt, are a group. Users who deleted their account share one name in the
    metadata; their pictures are grouped by prompt.
    """

    group: Literal["user", "prompt"] = Field("user", description="what makes a group")
    max_nsfw: float = Field(
        0.5, ge=0, le=2, description="leave out what is more likely NSFW by the data set's own scores; 2 keeps all"
    )

    layout = Layout(
        title="DiffusionDB",
        trees=(
            "ROOT     (2M)\n├── images/part-NNNNNN/<uuid>.png, part-NNNNNN.json\n└── metadata.parquet",
            "ROOT     (Large)\n├── diffusiondb-large-part-{1,2}/part-NNNNNN/<uuid>.webp, part-NNNNNN.json\n"
            "└── metadata-large.parquet",
        ),
        obtain="tristream data download diffusiondb FOLDER --parts 1-10 (about 0.8 GB a part of 1,000 pictures);\n"
        "Large: --include 'diffusiondb-large-part-1/part-{part}.zip' --include metadata-large.parquet --parts 1-10",
        terms="CC0 1.0.",
        address="https://huggingface.co/datasets/poloclub/diffusiondb",
        hub=Hub("poloclub/diffusiondb", ("images/part-{part}.zip", "metadata.parquet"), unpack=True),
        notes="Scores of 2 mark pictures that Stable Diffusion's own filter has blurred. Widths and heights vary.",
    )

    @classmethod
    def matches(cls, root: Path) -> bool:
        """By a folder part-NNNNNN where one has to be."""
        return any(_parts(root, places) for places in METADATA.values())

    def listing(self, root: Path, progress: Progress | None = None) -> Listing:
        """See `Reader.listing`; also raises ManifestError for a metadata table without its columns."""
        skipped: Counter[str] = Counter()
        tables, layouts, missing, expected = list[pd.DataFrame](), dict[str, int](), list[str](), 0
        for file, places in METADATA.items():
            if not (parts := _parts(root, places)):
                continue
            listed = {folder: _listed(folder) for folder in parts}
            folders = [folder.relative_to(root).as_posix() for folder in parts]
            there = {path.name: str(path) for folder in folders for path in pictures(root, folder)}
            wanted = [(folder.name, name) for folder, names in listed.items() for name in names]
            missing += [f"{part}/{name}" for part, name in wanted if name not in there]
            expected += len(wanted) + 1
            if not (root / file).is_file():
                missing.append(file)
                rows = table_of(_unknown(listed, there))
            else:
                rows = _metadata(root / file, sorted(int(folder.name[5:]) for folder in parts))
                rows = rows[rows["image_name"].isin(there.keys())]
            skipped["picture that neither its part nor the metadata lists"] += len(there) - len(rows)
            tables.append(self._rows(rows, there, skipped))
            layouts[file.removesuffix(".parquet").replace("metadata", "diffusiondb")] = len(tables[-1])
        return Listing(
            root,
            pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(),
            layouts,
            {reason: count for reason, count in skipped.items() if count},
            expected=expected,
            missing=tuple(missing),
            unit="pictures and tables",
        )

    def _rows(self, metadata: pd.DataFrame, there: dict[str, str], skipped: Counter[str]) -> pd.DataFrame:
        score = metadata[["image_nsfw", "prompt_nsfw"]].astype("float64").max(axis=1)
        keep = metadata[~(score > self.max_nsfw)]
        skipped[f"NSFW score above {self.max_nsfw:g}"] += len(metadata) - len(keep)
        user = keep["user_name"].astype("string").fillna("")
        by_prompt = "diffusiondb/prompt/" + keep["prompt"].astype("string").fillna("")
        nameless = user.isin(["", "deleted_account"])
        group = by_prompt if self.group == "prompt" else ("diffusiondb/user/" + user).where(~nameless, by_prompt)
        return pd.DataFrame(
            {
                "path": keep["image_name"].map(there),
                "label": 1,
                "generator": "stable-diffusion-1",
                "source": "diffusiondb",
                "group": group,
                "prompt": keep["prompt"],
            }
        )


def _parts(root: Path, places: tuple[str, ...]) -> list[Path]:
    found = [path for place in places for path in sorted((root / place).glob("part-*")) if path.is_dir()]
    return [path for path in found if path.name[5:].isdecimal()]


def _listed(part: Path) -> dict[str, dict[str, Any]]:
    """What a part's JSON says of each of its pictures."""
    file = part / f"{part.name}.json"
    try:
        listed = json.loads(file.read_text("utf-8"))
        return {str(name): dict(facts) for name, facts in listed.items() if is_picture(Path(name))}  # type: ignore[arg-type]
    except OSError:
        raise ManifestError(
            f"{file}: is not there; a part comes with the list of its pictures, fetch it again"
        ) from None
    except (ValueError, AttributeError, TypeError):
        raise ManifestError(f"{file}: expected a JSON object, file name to prompt and parameters") from None


def _unknown(listed: dict[Path, dict[str, dict[str, Any]]], there: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Rows as from the metadata, where there is none: no user, no scores."""
    for names in listed.values():
        for name, facts in names.items():
            if name in there:
                yield dict.fromkeys(COLUMNS) | {"image_name": name, "prompt": facts.get("p", "")}


def _metadata(file: Path, parts: list[int]) -> pd.DataFrame:
    """The rows of these parts, without reading the others into memory."""
    from pyarrow import ArrowException
    from pyarrow.dataset import dataset
    from pyarrow.dataset import field as column

    try:
        table = dataset(file, format="parquet").to_table(columns=list(COLUMNS), filter=column("part_id").isin(parts))
    except (ArrowException, KeyError, ValueError) as error:
        raise ManifestError(f"{file}: expected a table with {', '.join(COLUMNS)}: {error}") from None
    frame: pd.DataFrame = table.to_pandas()
    return frame.drop_duplicates("image_name")
