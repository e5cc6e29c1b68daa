"""`tristream export`: make the one ONNX file that scores without PyTorch."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.progress import progress_bar
from tristream.errors import needs_extra


class Precision(StrEnum):
    """What the exported file computes in."""

    INT8 = "int8"
    FP32 = "fp32"


def export(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The .onnx file to write.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .safetensors checkpoint.", show_default="the shipped detector"),
    ] = None,
    precision: Annotated[
        Precision,
        typer.Option(help="int8: weights in eight bits where it costs little (needs --data); fp32: PyTorch's logits."),
    ] = Precision.INT8,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", "-d", metavar="FILE", help="Manifest of pictures that set the ranges of int8 and test the result."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the manifest: what the detector was trained on.")] = "train",
    pictures: Annotated[int, typer.Option(metavar="N", min=2, help="How many pictures, evenly spaced.")] = 300,
) -> None:
    """Export a checkpoint as one ONNX file, for `predict` without PyTorch and for other runtimes.

    The file holds the weights, the preprocessing, the calibration and where it comes from. At the end its logits and
    verdicts are compared with the checkpoint's.

    [bold]Examples[/bold]

    tristream export --checkpoint mine.safetensors --data photos/split.csv -o mine.int8.onnx

    tristream export --checkpoint mine.safetensors --precision fp32 -o mine.onnx

    tristream predict photo.jpg --checkpoint mine.int8.onnx
    """
    with needs_extra("export", "research"):
        from tristream.export.checkpoint import export_checkpoint

    with progress_bar("exporting") as show:
        parity = export_checkpoint(checkpoint, output, precision.value, data, split, pictures, progress=show)
    typer.echo(f"{output}: {precision.value}, {output.stat().st_size / 1e6:.1f} MB")
    if parity is not None:
        words = f"on {parity.n} crops, logits differ by {parity.mean:.4f} on average and {parity.largest:.4f} at most"
        if parity.verdicts_changed is not None:
            words += f"; {parity.verdicts_changed} verdicts changed"
        typer.echo(f"against the checkpoint: {words}")
