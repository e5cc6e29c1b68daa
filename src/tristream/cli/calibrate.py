"""`tristream calibrate`: fit probability and domain, and store them with the thresholds' logits in a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.options import Device
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
    domain: Annotated[
        bool,
        typer.Option(
            "--domain/--no-domain", help="Call pictures unsure that are unlike those which the detector was trained on."
        ),
    ] = True,
    domain_split: Annotated[
        str | None,
        typer.Option(
            "--domain-split", help="Pictures that it was trained on.", show_default="train, if it was trained on them"
        ),
    ] = None,
    domain_pictures: Annotated[
        int, typer.Option("--domain-pictures", min=1, help="How many of them are looked at, drawn at random.")
    ] = 2000,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the calibrated detector.", show_default="unchanged")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", help="Licence of the weights.", show_default="unchanged")
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Store weights in half precision (norms and mask stay float32).")
    ] = False,
    device: Device = "auto",
) -> None:
    """Calibrate a checkpoint: Platt scaling at even odds, the logits from which verdict thresholds are read, and how
    far from the training pictures is too far to judge.

    [bold]Example[/bold]

    tristream calibrate --checkpoint runs/mine/checkpoints/best.safetensors --data photos/split.csv -o mine.safetensors
    """
    with needs_extra("calibrate", "research"):
        from tristream.evaluation.calibrate import calibrate_checkpoint
        from tristream.evaluation.domain import DomainPictures

    with progress_bar("calibrating") as show:
        stored = calibrate_checkpoint(
            checkpoint,
            data,
            split,
            output,
            condition=condition,
            domain=DomainPictures(domain_split, domain_pictures) if domain else None,
            name=name,
            licence=licence,
            half=half,
            device=device,
            progress=show,
        )
    calibration = stored.calibration
    assert calibration is not None
    formula = f"P(fake) = sigmoid({calibration.slope:.3f} x logit {calibration.intercept:+.3f})"
    typer.echo(f"{output}: {formula}; calibrated on {calibration.source}")
    near = "not checked: strange pictures get a verdict, too" if stored.domain is None else stored.domain.words
    typer.echo(f"domain: {near}")
