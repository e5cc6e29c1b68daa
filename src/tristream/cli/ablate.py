"""`tristream ablate`: every subset of the streams, masked at inference and, if asked, retrained; two tables."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.options import Device, Precision, Seed, Split
from tristream.cli.progress import progress_bar
from tristream.errors import ManifestError, UsageError, needs_extra


def ablate(
    data: Annotated[Path, typer.Option("--data", "-d", help="Manifest (CSV or Parquet) of the pictures to score.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for masked/ and retrained/.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="A .safetensors checkpoint whose streams are masked.",
            show_default="the shipped detector, or the one retrained with all streams",
        ),
    ] = None,
    split: Split = None,
    calibration_data: Annotated[
        Path | None,
        typer.Option(help="Manifest of the pictures to re-calibrate thresholds on.", show_default="that of --data"),
    ] = None,
    calibrate_on: Annotated[
        str, typer.Option(metavar="SPLIT", help="Its split, of generators and sources that nothing trained on.")
    ] = "reserved",
    calibration: Annotated[
        bool, typer.Option("--calibration/--no-calibration", help="Re-calibrate the thresholds of every subset.")
    ] = True,
    retrain: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG", help="Also train every subset with this config: a table of its own."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change a key of the config of --retrain; repeatable.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            help="At most so many pictures of --data, balanced over classes and sources; recorded. Thresholds are "
            "re-calibrated on all pictures of their split all the same.",
            show_default="all",
        ),
    ] = None,
    device: Device = "auto",
    precision: Precision = "32",
    seed: Seed = 0,
) -> None:
    """Ablate streams: what each subset achieves, and the Shapley value of each stream. Goes on after a kill.

    Masking asks what a trained detector can do without a stream, --retrain what it would have become without it: two
    tables that answer two questions.

    [bold]Examples[/bold]

    tristream ablate --checkpoint mine.safetensors --data photos/split.csv --split test --out results/mine-ablation

    tristream ablate --retrain configs/default.yaml --set data=d.csv --data d.csv --split test -o results/ab
    """
    with needs_extra("ablate", "research"):
        from rich.console import Console

        from tristream.config import load_config
        from tristream.evaluation.ablation import ablate as ablate_masked
        from tristream.evaluation.checkpoint import PictureSet, open_detector
        from tristream.evaluation.text import ablation_table, shares_table
        from tristream.study.retrained import ablate_retrained, by_streams, checkpoint_in
        from tristream.training.config import TrainConfig
        from tristream.training.trainer import StepReport

    if overrides and retrain is None:
        raise UsageError("--set changes a key of the config of --retrain; name one")
    pictures, command = PictureSet(data, split, limit), shlex.join(["tristream", *sys.argv[1:]])
    reserved = PictureSet(calibration_data or data, calibrate_on) if calibration else None
    if reserved is not None:
        try:
            reserved.read()
        except ManifestError as error:
            hint = "name other pictures with --calibration-data and --calibrate-on, or say --no-calibration"
            raise UsageError(f"thresholds are re-calibrated for every subset: {error}; {hint}") from None
    console = Console()
    if retrain is not None:
        config = load_config(TrainConfig, retrain, overrides or ())
        with progress_bar("retraining") as show:

            def on_step(streams: str, report: StepReport) -> None:
                show(report.step, report.total_steps, streams)

            result = ablate_retrained(config, pictures, out / "retrained", reserved, device=device, precision=precision,
                                      seed=seed, on_step=on_step, progress=show, command=command)  # fmt: skip
        for view, shares in result.stream_shares.items():
            rows = by_streams(out / "retrained", result, view)
            console.print(ablation_table(f"retrained with these streams only, {view}", rows))
            console.print(shares_table(f"retrained, {view}", shares))
        checkpoint = checkpoint or checkpoint_in(out / "retrained" / result.whole)
    opened = open_detector(checkpoint, device, precision)
    with progress_bar("masking") as show:
        summary = ablate_masked(opened, pictures, out / "masked", reserved, seed=seed, progress=show, command=command)
    subsets = {found.streams: found for found in summary.conditions.values() if found.streams is not None}
    console.print(ablation_table(f"{opened.detector.metadata.name}: the other streams masked at inference", subsets))
    if summary.stream_shares is not None:
        console.print(shares_table("masked at inference", summary.stream_shares))
