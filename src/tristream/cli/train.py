"""`tristream train`: one run from a config."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.progress import progress_bar
from tristream.errors import needs_extra


def train(
    config: Annotated[Path, typer.Option("--config", "-c", help="YAML file; see configs/.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run directory.", show_default="runs/NAME")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change a key, as in --set optim.learning_rate=1e-4; repeatable.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that is there, with the same config and --set.")
    ] = False,
) -> None:
    """Train a detector: any config, any subset of streams, resumable after a kill.

    The run directory holds config.yaml, environment.json, log.jsonl and checkpoints/{best,last,state}.safetensors.

    [bold]Examples[/bold]

    tristream train -c configs/default.yaml --set data=photos/split.csv -o runs/mine

    tristream train -c configs/finetune.yaml --set data=photos/split.csv --set init_from=detector.safetensors

    tristream train -c configs/default.yaml --set data=photos/split.csv -o runs/mine --resume
    """
    with needs_extra("train", "research"):
        from tristream.training.config import TrainConfig
        from tristream.training.trainer import StepReport
        from tristream.training.trainer import train as run
    from tristream.config import load_config

    settings = load_config(TrainConfig, config, overrides or ())
    run_dir = output or Path("runs") / settings.name
    with progress_bar("training") as show:

        def on_step(report: StepReport) -> None:
            losses = "  ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
            best = "" if report.best_auroc is None else f"  best AUROC {report.best_auroc:.4f}"
            show(report.step, report.total_steps, f"epoch {report.epoch + 1}/{report.epochs}  {losses}{best}")

        best = run(settings, run_dir, resume=resume, on_step=on_step, command=shlex.join(["tristream", *sys.argv[1:]]))
    typer.echo(str(best))
    arguments = [
        "--checkpoint",
        str(best),
        "--data",
        str(settings.data),
        "--split",
        "reserved",
        "-o",
        "detector.safetensors",
    ]
    following = shlex.join(["tristream", "calibrate", *arguments])
    typer.echo(f"next, on a split whose generators and photo sources nothing trained on: {following}", err=True)
