"""Options that several commands share, so that each reads the same everywhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """For people or for programs."""

    TEXT = "text"
    JSON = "json"


Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Precision = Annotated[str, typer.Option("--precision", help="32 or bf16 (faster, approximate; recorded).")]
Seed = Annotated[int, typer.Option("--seed", help="Of the bootstrap.")]
Split = Annotated[
    str | None, typer.Option("--split", help="Needed where the manifest has several.", show_default="all pictures")
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", help="At most so many pictures, balanced over classes and sources; recorded.", show_default="all"
    ),
]
RunFolder = Annotated[
    Path, typer.Option("--out", "-o", help="Folder for predictions.parquet, metrics.json and record.json.")
]
