"""Equalising: both classes get one codec, one distribution of quality and size, and one grid offset.

Every picture is cropped to a square, shrunk, and saved as JPEG 4:2:0 without metadata. Where the square lies, its size
and the quality are drawn from the picture's hash and a seed: never from the label, and not from the picture's own size.
What it cannot take away: traces of an earlier compression or resampling are weakened, not removed, and what a picture
shows stays as it is.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from PIL import Image
from pydantic import Field

from tristream.atomic import write_bytes
from tristream.config import StrictModel
from tristream.data.files import FILE_COLUMNS, HEADER_COLUMNS, claim_recipe, file_facts, in_threads, read_recorded
from tristream.data.manifest import Manifest
from tristream.errors import ImageError, ManifestError, MissingExtraError, UsageError
from tristream.images import perturb
from tristream.images.decode import decode, read_header
from tristream.typing import Progress, UInt8

SUBSAMPLING: Final = "4:2:0"
LARGEST_FACTOR = 0.9
"""Every picture is shrunk at least so much: one that kept its size would keep its history, and its grid."""
LARGEST_SIDE = 512
SMALLEST_SIDE = 64
QUALITY = (70, 92)
"""Above, an earlier compression would show through; below, little is left to detect."""
MANIFEST, RECIPE, LEFT_OUT = "manifest.csv", "recipe.json", "left_out.csv"
COPIES = ".copies.jsonl"
"""A line for every copy that was written: its path, the sha256 of its picture, and its own."""
FROM_COLUMNS = {name: f"from_{name}" for name in ("path", *FILE_COLUMNS)}
"""Columns of the equalised manifest that say what the picture was made from."""


class Recipe(StrictModel):
    """What all pictures share. Ranges are inclusive, and drawn from uniformly."""

    side: tuple[int, int]
    """Of the square, in pixels."""
    quality: tuple[int, int] = QUALITY
    """libjpeg's."""
    seed: int = Field(0, ge=0)

    @property
    def least_side(self) -> int:
        """Shorter side that a picture needs, in pixels: whatever side is drawn, it is shrunk to that."""
        return int(np.ceil(self.side[1] / LARGEST_FACTOR))


@dataclass(frozen=True)
class Draw:
    """What one picture gets."""

    side: int
    quality: int
    place: float
    """Of the square along the longer side, in [0, 1]."""


def draw(recipe: Recipe, picture_id: str) -> Draw:
    """The draws of a picture, the same every time. picture_id: SHA-256 of the file in hexadecimal."""
    rng = np.random.default_rng([recipe.seed, int(picture_id[:16], 16)])
    side, quality = (int(rng.integers(low, high + 1)) for low, high in (recipe.side, recipe.quality))
    return Draw(side, quality, float(rng.random()))


def equalise(pixels: UInt8, picture_id: str, recipe: Recipe) -> UInt8:
    """What decoding the equalised file gives, for a loader that equalises as it reads.

    pixels: uint8[H, W, 3], the whole picture; picture_id: SHA-256 of its file. Returns uint8[side, side, 3].
    Raises UsageError for a picture whose shorter side is below `recipe.least_side`.
    """
    drawn = draw(recipe, picture_id)
    return perturb.jpeg(_square(pixels, drawn, recipe), drawn.quality, SUBSAMPLING)


def equalised_file(pixels: UInt8, picture_id: str, recipe: Recipe) -> bytes:
    """The equalised picture as a JPEG file. Arguments and errors as for `equalise`."""
    drawn = draw(recipe, picture_id)
    buffer = io.BytesIO()
    Image.fromarray(_square(pixels, drawn, recipe)).save(buffer, "JPEG", quality=drawn.quality, subsampling=SUBSAMPLING)
    return buffer.getvalue()


def _square(pixels: UInt8, drawn: Draw, recipe: Recipe) -> UInt8:
    height, width = pixels.shape[:2]
    short = min(height, width)
    if short < recipe.least_side:
        raise UsageError(
            f"a picture of {width} x {height} pixels is too small for sides up to {recipe.side[1]}: "
            f"its shorter side has to be {recipe.least_side} pixels, so that every picture is shrunk"
        )
    top, left = (round(drawn.place * (length - short)) for length in (height, width))
    square = Image.fromarray(pixels[top : top + short, left : left + short])
    return np.asarray(square.resize((drawn.side, drawn.side), Image.Resampling.BICUBIC))


def recipe_for(
    manifest: Manifest, *, quality: tuple[int, int] = QUALITY, seed: int = 0, leave_out: float = 0.01
) -> Recipe:
    """The recipe with the largest pictures that leaves at most the share `leave_out` of either class out as too small.

    Sides go from three quarters of the largest up to it. Videos and unreadable pictures do not count. Raises
    ManifestError when the largest is below SMALLEST_SIDE, and when no picture is left.
    """
    pictures, left_out = _pictures(manifest)
    table = pictures.table
    if table.empty:
        path, reason = next(iter(left_out.items()), ("the manifest", "has no rows"))
        raise ManifestError(f"no picture could be equalised, such as {path}: {reason}")
    shorter = table[["width", "height"]].min(axis=1).astype("float64")
    largest = min(
        int(np.quantile(shorter[table["label"] == label], leave_out, method="lower"))
        for label in sorted(set(table["label"]))
    )
    side = min(int(largest * LARGEST_FACTOR), LARGEST_SIDE)
    if side < SMALLEST_SIDE:
        raise ManifestError(
            f"a class has pictures with a shorter side of {largest} pixels; equalised, all would have {side}. "
            "Remove the small ones, or say with --side how large the pictures have to be"
        )
    return Recipe(side=(max(SMALLEST_SIDE, side * 3 // 4), side), quality=quality, seed=seed)


@dataclass(frozen=True)
class Equalised:
    """What a run has written."""

    manifest: Manifest
    recipe: Recipe
    left_out: dict[str, str]
    """Path and reason of each picture that has no equalised copy."""


def equalise_manifest(
    manifest: Manifest, out: Path, recipe: Recipe | None = None, progress: Progress | None = None
) -> Equalised:
    """Write the equalised copy of every picture below `out`, then its manifest, recipe and list of what is left out.

    recipe: by default that of `recipe_for`. A copy that an earlier run with the same recipe has written of the same
    bytes is not written again. All columns are kept; the file columns are those of the copies, and `from_*` say what
    each was made from. Raises ManifestError when `out` belongs to another recipe or holds the pictures themselves, when
    the manifest has been equalised already, and when no picture could be.
    """
    if there := [column for column in FROM_COLUMNS.values() if column in manifest.table]:
        raise ManifestError(
            f"has been equalised already: it has the columns {', '.join(there)}; start from the originals"
        )
    out = out.resolve()
    if manifest.root.is_relative_to(out):
        raise ManifestError(f"{out}: the pictures lie there; name another folder for the copies")
    pictures, left_out = _pictures(manifest)
    recipe = recipe or recipe_for(pictures)
    claim_recipe(out / RECIPE, recipe)
    rows, noted = list(range(len(pictures))), _noted(out / COPIES)
    results = in_threads(lambda row: _written(pictures, row, out, recipe, noted), rows, progress)
    facts: dict[int, dict[str, Any]] = {}
    with (out / COPIES).open("a", encoding="utf-8", buffering=1) as lines:
        lines.write("\n")  # ends a line that was cut off
        for row, result in zip(rows, results, strict=True):
            if isinstance(result, str):
                left_out[str(pictures.table["path"].iloc[row])] = result
                continue
            facts[row] = result
            hashes = (str(pictures.table["sha256"].iloc[row]), str(result["sha256"]))
            if noted.get(result["path"]) != hashes:
                lines.write(json.dumps([result["path"], *hashes]) + "\n")
    pd.DataFrame({"path": list(left_out), "reason": list(left_out.values())}).to_csv(out / LEFT_OUT, index=False)
    if not facts:
        raise ManifestError(f"no picture could be equalised; see {out / LEFT_OUT}")
    kept = pictures.table.iloc[list(facts)].reset_index(drop=True)
    origin = kept[list(FROM_COLUMNS)].rename(columns=FROM_COLUMNS)
    made = pd.DataFrame(list(facts.values()))
    table = pd.concat([kept.drop(columns=list(FROM_COLUMNS)), made, origin], axis=1)
    equalised = Manifest.from_table(table, out, str(out / MANIFEST))
    equalised.write(out / MANIFEST)
    return Equalised(equalised, recipe, left_out)


def _pictures(manifest: Manifest) -> tuple[Manifest, dict[str, str]]:
    """The pictures, with their file columns filled, and why the other rows cannot be used."""
    table, left_out = manifest.table, dict[str, str]()
    is_video = (table["media"] == "video").to_numpy(bool)
    left_out |= dict.fromkeys(table["path"][is_video].astype(str), "a video: make pictures of its frames first")
    unknown = table[list(HEADER_COLUMNS)].replace("", pd.NA).isna().any(axis=1).to_numpy(bool) & ~is_video
    rows = np.flatnonzero(unknown).tolist()
    for row, problem in zip(rows, in_threads(lambda row: _header_problem(manifest.file(row)), rows), strict=True):
        if problem:
            left_out[str(table["path"].iloc[row])] = problem
    usable = manifest.where(~table["path"].isin(list(left_out)).to_numpy(bool))
    return usable.with_file_columns(FILE_COLUMNS), left_out


def _header_problem(file: Path) -> str:
    try:
        read_header(file)
    except (ImageError, MissingExtraError) as error:
        return str(error).removeprefix(f"{file}: ")
    return ""


def _noted(path: Path) -> dict[str, tuple[str, str]]:
    """What earlier runs have written: path of each copy to the sha256 of its picture and its own."""
    noted: dict[str, tuple[str, str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            copy, picture_id, sha256 = json.loads(line)
        except ValueError:  # cut off when the run was killed
            continue
        noted[copy] = picture_id, sha256
    return noted


def _written(
    manifest: Manifest, row: int, out: Path, recipe: Recipe, noted: Mapping[str, tuple[str, str]]
) -> dict[str, Any] | str:
    """Path and file columns of the copy, or why there is none."""
    name, picture_id = (str(manifest.table[column].iloc[row]) for column in ("path", "sha256"))
    copy = f"{name}.jpg"
    target = out / copy
    try:
        there = {"sha256": ""} if not target.is_file() else file_facts(target, ["sha256"])
        if noted.get(copy) != (picture_id, there["sha256"]):
            file = manifest.file(row)
            picture = decode(read_recorded(file, picture_id), str(file))
            content = equalised_file(picture.pixels, picture_id, recipe)
            write_bytes(target, content)
        return {"path": copy, **file_facts(target)}
    except (ImageError, MissingExtraError, UsageError) as error:
        return str(error).removeprefix(f"{manifest.file(row)}: ")
