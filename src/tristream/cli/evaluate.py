"""`tristream evaluate`: score a data set under every condition and write metrics with intervals."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tristream.cli.progress import progress_bar
from tristream.errors import needs_extra


def evaluate(
    data: Annotated[Path, typer.Option("--data", "-d", help="Manifest (CSV or Parquet).")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for predictions.parquet, metrics.json and record.json.")
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            show_default="the shipped detector",
            help="A .safetensors checkpoint, or an exported .onnx file.",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Needed where the manifest has several.", show_default="all pictures")
    ] = None,
    condition: Annotated[
        list[str] | None, typer.Option("--condition", help="delivered or alike; repeatable.", show_default="both")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option("--precision", help="32 or bf16 (faster, approximate; recorded).")] = "32",
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.")] = 0,
) -> None:
    """Evaluate a detector: AUROC and more, overall, per generator and per photo source, with n and 95 % intervals.

    [bold]Example[/bold]

    tristream evaluate --checkpoint mine.safetensors --data photos/split.csv --split test --out results/mine
    """
    with needs_extra("evaluate", "research"):
        from tristream.evaluation.record import evaluate_checkpoint
        from tristream.evaluation.text import summary_tables

    with progress_bar("scoring") as show:
        summary = evaluate_checkpoint(
            checkpoint, data, split, out, conditions=tuple(condition or ("delivered", "alike")), device=device,
            precision=precision, seed=seed, progress=show, command=shlex.join(["tristream", *sys.argv[1:]]),
        )  # fmt: skip
    console = Console()
    for table in summary_tables(summary):
        console.print(table)
