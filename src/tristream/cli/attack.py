"""`tristream attack`: FGSM, PGD and Carlini-Wagner against a detector, in both directions, with checks."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.options import Device, RunFolder, Split
from tristream.cli.progress import progress_bar
from tristream.errors import needs_extra


def attack(
    data: Annotated[Path, typer.Option("--data", "-d", help="Manifest (CSV or Parquet).")],
    out: RunFolder,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            show_default="the shipped detector",
            help="A calibrated .safetensors checkpoint; an exported file has no gradients.",
        ),
    ] = None,
    split: Split = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--attack", help="fgsm, pgd, cw; repeatable.", show_default="all")
    ] = None,
    pictures: Annotated[
        int | None,
        typer.Option(min=2, help="For FGSM and PGD, half of them real.", show_default="100, on a GPU 200"),
    ] = None,
    cw_pictures: Annotated[
        int | None, typer.Option(min=2, help="For Carlini-Wagner.", show_default="24, on a GPU 200")
    ] = None,
    cw_search_steps: Annotated[
        int | None, typer.Option(min=1, help="Binary search of Carlini-Wagner.", show_default="2, on a GPU 5")
    ] = None,
    cw_iterations: Annotated[
        int | None, typer.Option(min=1, help="In each of these steps.", show_default="50, on a GPU 200")
    ] = None,
    cw_confidence: Annotated[
        float, typer.Option(min=0, help="Logits by which Carlini-Wagner goes beyond the threshold.")
    ] = 0.0,
    cw_initial_weight: Annotated[
        float | None,
        typer.Option(
            min=1e-6,
            help="Of the margin in Carlini-Wagner; try a larger one where its check fails.",
            show_default="0.1",
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="The budget of a GPU, also on a CPU.")] = False,
    device: Device = "auto",
    seed: Annotated[int, typer.Option("--seed", help="Of the random starts and the bootstrap.")] = 0,
) -> None:
    """Attack a detector: hide fakes and accuse reals, by somebody who knows its weights. Goes on after a kill.

    Success is counted on pictures that were called right before, after rounding to 8 bits and again after JPEG.

    [bold]Examples[/bold]

    tristream attack --checkpoint mine.safetensors --data photos/split.csv --split test --out results/mine-attack

    tristream attack --data photos/split.csv --split test --attack fgsm --attack pgd --pictures 40 -o results/quick
    """
    with needs_extra("attack", "research"):
        from rich.console import Console

        from tristream.attacks.budget import FULL, INITIAL_WEIGHT, ON_CPU, Budget, attacks
        from tristream.attacks.run import attack as attack_opened
        from tristream.attacks.text import attacks_table, budget_lines, checks_line
        from tristream.evaluation.checkpoint import PictureSet, open_detector
        from tristream.runtime.engines import torch_device

    usual = FULL if full or torch_device(device) != "cpu" else ON_CPU
    budget = Budget(
        pictures or usual.pictures,
        cw_pictures or usual.cw_pictures,
        cw_search_steps or usual.cw_search_steps,
        cw_iterations or usual.cw_iterations,
        cw_confidence,
        cw_initial_weight or INITIAL_WEIGHT,
    )
    chosen = attacks(kinds or (), budget)
    most = max(attack.pictures for attack in chosen)
    opened = open_detector(checkpoint, device)
    with progress_bar("attacking") as show:
        summary, checks = attack_opened(
            opened, PictureSet(data, split, most), out, chosen, seed=seed, show=show,
            command=shlex.join(["tristream", *sys.argv[1:]]),
        )  # fmt: skip
    console = Console()
    console.print(budget_lines(chosen), highlight=False)
    console.print(attacks_table(summary))
    console.print(checks_line(checks), highlight=False)
