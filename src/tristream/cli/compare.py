"""`tristream compare`: two or more recorded runs on the same pictures, picture by picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.options import Format, Seed
from tristream.errors import needs_extra


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN_A RUN_B [RUN]...", help="Folders that `evaluate` and its like wrote.")
    ],
    format: Annotated[Format, typer.Option("--format")] = Format.TEXT,
    seed: Seed = 0,
    resamples: Annotated[
        int | None,
        typer.Option("--resamples", min=100, help="Of the bootstrap.", show_default="1,000, more for many tests"),
    ] = None,
) -> None:
    """Compare detectors on the same pictures: the first run minus each other one, with paired intervals and p-values.

    In every condition that both have: AUROC, balanced accuracy at P = 0.5 and at each detector's stored threshold, TPR
    at 5 % FPR. Groups are resampled whole. Holm's correction is over all p-values that are printed; beside them stands
    DeLong's of an AUROC, where every group is one picture.

    [bold]Example[/bold]

    tristream compare results/mine results/theirs
    """
    with needs_extra("compare", "data"):
        from rich.console import Console

        from tristream.evaluation.comparison import compare_runs
        from tristream.evaluation.text import comparison_tables

    found = compare_runs(runs, seed=seed, resamples=resamples)
    if format is Format.JSON:
        typer.echo(found.model_dump_json(indent=1))
        return
    console = Console()
    for table in comparison_tables(found):
        console.print(table)
    if found.least_p_value_holm is not None:
        console.print(
            f"Holm corrects for {found.tests} tests; with {found.resamples:,} resamples nothing can fall below "
            f"{found.least_p_value_holm:.2g}", highlight=False,
        )  # fmt: skip
