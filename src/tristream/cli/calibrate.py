"""`tristream calibrate`: fit the probability and store the thresholds' logits in a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.progress import progress_bar
from tristream.errors import needs_extra


def calibrate(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="Checkpoint to calibrate; it is not changed.")],
    data: Annotated[Path, typer.Option("--data", "-d", help="Manifest (CSV or Parquet).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Calibrated checkpoint to write.")],
    split: Annotated[
        str, typer.Option("--split", help="Pictures whose sources and generators nothing trained on.")
    ] = "reserved",
    condition: Annotated[
        str, typer.Option("--condition", help="delivered, or alike: all shrunk and re-encoded the same way.")
    ] = "alike",
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the calibrated detector.", show_default="unchanged")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", help="Licence of the weights.", show_default="unchanged")
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Store weights in half precision (norms and mask stay float32).")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Calibrate a checkpoint: Platt scaling at even odds, and the logits from which verdict thresholds are read.

    [bold]Example[/bold]

    tristream calibrate --checkpoint runs/mine/checkpoints/best.safetensors --data photos/split.csv -o mine.safetensors
    """
    with needs_extra("calibrate", "research"):
        from tristream.evaluation.calibrate import calibrate_checkpoint

    with progress_bar("calibrating") as show:
        calibration = calibrate_checkpoint(
            checkpoint,
            data,
            split,
            output,
            condition=condition,
            name=name,
            licence=licence,
            half=half,
            device=device,
            progress=show,
        )
    formula = f"P(fake) = sigmoid({calibration.slope:.3f} x logit {calibration.intercept:+.3f})"
    typer.echo(f"{output}: {formula}; calibrated on {calibration.source}")
