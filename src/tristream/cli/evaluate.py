"""`tristream evaluate`: score a data set under every condition and write metrics with intervals."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.options import Device, Limit, Precision, RunFolder, Seed, Split
from tristream.cli.progress import progress_bar
from tristream.errors import UsageError, needs_extra

VIEWS_SUITE = "views"
"""No suite of sets: the three views of the one set that is given."""


def evaluate(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            "-d",
            help="Manifest (CSV or Parquet); for ood and the cross suites, the folder of their manifests.",
        ),
    ],
    out: RunFolder,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            show_default="the shipped detector",
            help="A .safetensors checkpoint, or an exported .onnx file; for a suite repeatable.",
        ),
    ] = None,
    split: Split = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            help="delivered, alike, fakes_like_reals, a perturbation such as jpeg-70, or a subset of the streams such "
            "as masked-spatial+semantic; repeatable.",
            show_default="delivered and alike",
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            "--suite", help="views (three of the same pictures), in-distribution, ood, cross-dataset, cross-generator."
        ),
    ] = None,
    limit: Limit = None,
    matched_by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column with the same word for pictures of the same content: fakes are also set against these reals.",
            show_default="the group",
        ),
    ] = None,
    device: Device = "auto",
    precision: Precision = "32",
    seed: Seed = 0,
) -> None:
    """Evaluate a detector: AUROC and more, overall, per generator and per photo source, with n and 95 % intervals.

    [bold]Examples[/bold]

    tristream evaluate --checkpoint mine.safetensors --data photos/split.csv --split test --out results/mine

    tristream evaluate --suite cross-dataset --data manifests/ --out results/cross-dataset
    """
    with needs_extra("evaluate", "research"):
        from rich.console import Console

        from tristream.evaluation.checkpoint import PictureSet, evaluate_checkpoint, open_detector
        from tristream.evaluation.conditions import USUAL, VIEWS
        from tristream.evaluation.suites import SUITES, run_suite
        from tristream.evaluation.text import failed_lines, gap_line, suite_table, summary_tables

    command, console = shlex.join(["tristream", *sys.argv[1:]]), Console()
    if suite is not None and condition:
        raise UsageError("a suite has its own conditions; leave out --condition or --suite")
    if suite not in (None, VIEWS_SUITE):
        if suite not in SUITES:
            raise UsageError(f"unknown suite '{suite}'; there are: {', '.join([VIEWS_SUITE, *SUITES])}")
        if split or matched_by:
            raise UsageError("a suite knows its splits and its relations; leave out --split and --matched-by")
        opened = [open_detector(path, device, precision) for path in (checkpoint or (None,))]
        with progress_bar("scoring") as show:
            result = run_suite(suite, opened, data, out, limit=limit, seed=seed, progress=show, command=command)
        console.print(suite_table(result))
        return
    if len(checkpoint or ()) > 1:
        raise UsageError("several checkpoints are for a suite; evaluate each into a folder of its own, then compare")
    conditions = VIEWS if suite else tuple(condition or USUAL)
    with progress_bar("scoring") as show:
        summary = evaluate_checkpoint(
            checkpoint[0] if checkpoint else None, PictureSet(data, split, limit, matched_by), out,
            conditions=conditions, device=device, precision=precision, seed=seed, progress=show, command=command,
        )  # fmt: skip
    for table in summary_tables(summary):
        console.print(table)
    if line := gap_line(summary):
        console.print(line)
    for line in failed_lines(out):
        typer.echo(line, err=True)
    typer.echo(f"recorded in {out}; tables and plots: {shlex.join(['tristream', 'report', str(out)])}", err=True)
