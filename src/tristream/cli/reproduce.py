"""`tristream reproduce`: score the pictures of a recorded run again and compare."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tristream.cli.facts import print_facts
from tristream.cli.options import Device, Format
from tristream.cli.progress import progress_bar
from tristream.errors import needs_extra

if TYPE_CHECKING:
    from tristream.evaluation.reproduce import Reproduction

DIFFERENT = 3


def reproduce(
    run: Annotated[Path, typer.Argument(help="Folder of a recorded run, with record.json and predictions.parquet.")],
    data: Annotated[Path, typer.Option("--data", "-d", help="The manifest that it was run on (CSV or Parquet).")],
    checkpoint: Annotated[Path, typer.Option("--checkpoint", metavar="FILE", help="The file that it was run with.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Keep the new run here.", show_default="nothing is kept")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="Largest change of a logit.", show_default="0.001 at precision 32, 0.25 at bf16"),
    ] = None,
    device: Device = "auto",
    format: Annotated[Format, typer.Option("--format", help="What goes to standard output.")] = Format.TEXT,
) -> None:
    """Score a recorded run again and compare: the same pictures, split, conditions and precision.

    The digests of the checkpoint and of the pictures are compared first. Exit status 0 when every logit is within the
    tolerance and the same pictures failed, 3 when not.

    [bold]Example[/bold]

    tristream reproduce results/mine --data photos/split.csv --checkpoint mine.safetensors
    """
    with needs_extra("reproduce", "research"):
        from tristream.evaluation.reproduce import reproduce as score_again

    with progress_bar("scoring again") as show:
        found = score_again(
            run, checkpoint, data, out=out, tolerance=tolerance, device=device, progress=show,
            command=shlex.join(["tristream", *sys.argv[1:]]),
        )  # fmt: skip
    if format is Format.JSON:
        typer.echo(found.model_dump_json(indent=1))
    else:
        print_facts(_facts(found))
    raise typer.Exit(0 if found.is_within else DIFFERENT)


def _facts(found: Reproduction) -> list[tuple[str, str]]:
    rows = [("run", found.run), ("then", found.engine_then), ("now", found.engine_now)]
    for name, condition in found.conditions.items():
        largest = max(condition.figures.items(), key=lambda item: abs(item[1]), default=None)
        words = [f"{condition.pictures} pictures"]
        if condition.max_logit_change is not None:
            words.append(f"logits differ by at most {condition.max_logit_change:.2g}")
        if condition.verdicts_changed is not None:
            words.append(f"{condition.verdicts_changed} verdicts changed")
        if condition.failures_changed:
            words.append(f"{condition.failures_changed} failed only once")
        if largest is not None:
            words.append(f"figures by at most {abs(largest[1]):.2g} ({largest[0].replace('_', ' ')})")
        rows.append((name, ", ".join(words)))
    rows += [(name, f"left out: {reason}") for name, reason in found.left_out.items()]
    rows.append(
        ("reproduced", f"{'yes' if found.is_within else 'no'}, the tolerance is {found.tolerance:g} in a logit")
    )
    return rows
