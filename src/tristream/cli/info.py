"""`tristream info`: which detector scores here, on which engine, with which thresholds, under which licence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.options import Format


def info(
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A checkpoint: .onnx or .safetensors.", show_default="the shipped detector"),
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="How facts are written.")] = Format.TEXT,
    card: Annotated[bool, typer.Option("--card", help="Print the model card instead (Markdown).")] = False,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="auto: a GPU where there is one.")] = "auto",
) -> None:
    """Say what a detector is: version, licence, training data, engine, calibration, thresholds.

    [bold]Examples[/bold]

    tristream info

    tristream info --card

    tristream info --checkpoint mine.safetensors --format json
    """
    from tristream.runtime.info import describe, lines, read_card

    if card:
        typer.echo(read_card(checkpoint))
        return
    described = describe(checkpoint, device)
    if format is Format.JSON:
        typer.echo(described.model_dump_json(indent=2))
        return
    from tristream.cli.facts import print_facts

    print_facts(lines(described))
    if described.card and checkpoint is None:
        typer.echo("to read the card: tristream info --card", err=True)
