"""`tristream robustness`: a data set as delivered and under every perturbation, severity by severity."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.options import Device, Limit, Precision, RunFolder, Seed, Split
from tristream.cli.progress import progress_bar
from tristream.errors import needs_extra


def robustness(
    data: Annotated[Path, typer.Option("--data", "-d", help="Manifest (CSV or Parquet).")],
    out: RunFolder,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            show_default="the shipped detector",
            help="A .safetensors checkpoint, or an exported .onnx file.",
        ),
    ] = None,
    split: Split = None,
    family: Annotated[
        list[str] | None,
        typer.Option(
            help="jpeg, webp, double_jpeg, resize, enlarge, blur, noise, crop, screenshot, social, h264; repeatable.",
            show_default="all",
        ),
    ] = None,
    limit: Limit = None,
    device: Device = "auto",
    precision: Precision = "32",
    seed: Seed = 0,
) -> None:
    """Measure robustness: every picture, real and fake alike, perturbed before it is resized. Goes on after a kill.

    h264 needs the video extra: name other families to do without.

    [bold]Examples[/bold]

    tristream robustness --data photos/split.csv --split test --out results/mine-robustness

    tristream robustness --data photos/split.csv --split test --family jpeg --family resize --limit 500 -o results/quick
    """
    with needs_extra("robustness", "research"):
        from rich.console import Console

        from tristream.evaluation.checkpoint import PictureSet, evaluate_checkpoint
        from tristream.evaluation.conditions import perturbations
        from tristream.evaluation.text import condition_table

    conditions = perturbations(family or ())
    with progress_bar("scoring") as show:
        summary = evaluate_checkpoint(
            checkpoint, PictureSet(data, split, limit), out, conditions=conditions, device=device,
            precision=precision, seed=seed, progress=show, command=shlex.join(["tristream", *sys.argv[1:]]),
        )  # fmt: skip
    Console().print(condition_table(summary, {c.name: c.parameters for c in conditions}))
