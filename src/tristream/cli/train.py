"""`tristream train`: one run from a config, or one for each of several seeds."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.progress import progress_bar
from tristream.errors import UsageError, needs_extra
from tristream.typing import ProgressInWords


def train(
    config: Annotated[
        list[Path], typer.Option("--config", "-c", help="YAML file, see configs/; a second one is laid over the first.")
    ],
    output: Annotated[Path | None, typer.Option("--out", "-o", help="Run directory.", show_default="runs/NAME")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change a key, as in --set optim.learning_rate=1e-4; repeatable.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="One run per seed, as in 0-4 or 0,3,7, each in OUTPUT/seed-N; the splits stay.")
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

    tristream train -c configs/xception.yaml -c configs/protocols/cpu.yaml --seeds 0-4
    """
    with needs_extra("train", "research"):
        from tristream.training.config import TrainConfig
        from tristream.training.trainer import StepReport
        from tristream.training.trainer import train as run
    from tristream.config import load_config

    settings = load_config(TrainConfig, config, overrides or ())
    folder = output or Path("runs") / settings.name
    runs = {folder: settings}
    if seeds is not None:
        runs = {folder / f"seed-{n}": settings.model_copy(update={"seed": n}) for n in parse_seeds(seeds)}
    command = shlex.join(["tristream", *sys.argv[1:]])
    for run_dir, of_run in runs.items():
        with progress_bar("training" if seeds is None else f"training, seed {of_run.seed}") as show:

            def on_step(report: StepReport, show: ProgressInWords = show) -> None:
                losses = "  ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
                best = "" if report.best_auroc is None else f"  best AUROC {report.best_auroc:.4f}"
                show(report.step, report.total_steps, f"epoch {report.epoch + 1}/{report.epochs}  {losses}{best}")

            best = run(of_run, run_dir, resume=resume, on_step=on_step, command=command)
        typer.echo(str(best))
        arguments = ["--checkpoint", str(best), "--data", str(of_run.data), "--split", "reserved", "-o"]
        following = shlex.join(["tristream", "calibrate", *arguments, "detector.safetensors"])
        typer.echo(f"next, on a split whose generators and photo sources nothing trained on: {following}", err=True)


def parse_seeds(text: str) -> list[int]:
    """Read "0-4" or "0,3,7" or both mixed; in the order given, each once. Raises UsageError."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise UsageError(f"--seeds '{text}': expected whole numbers or rising ranges, such as 0-4 or 0,3,7")
        found += range(first, last + 1)
    return list(dict.fromkeys(found))
