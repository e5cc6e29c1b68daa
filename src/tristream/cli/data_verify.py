"""`tristream data verify`: are the files of a manifest still those that it records?"""

from __future__ import annotations

import json
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.progress import progress_bar

MOST_SHOWN = 20


class VerifyFormat(StrEnum):
    """How findings are printed."""

    text = "text"
    json = "json"


def verify(
    manifest: Annotated[Path, typer.Argument(help="Manifest: .parquet or .csv.")],
    format: Annotated[VerifyFormat, typer.Option("--format", help="text or json (all findings).")] = VerifyFormat.text,
    root: Annotated[
        Path | None, typer.Option(help="Folder that paths start from.", show_default="that of the manifest")
    ] = None,
) -> None:
    """Hash every file again: broken, changed, moved and missing ones. Exit status 1 when there are any.

    [bold]Example[/bold]

    tristream data verify photos/index.csv
    """
    from tristream.data.manifest import Manifest
    from tristream.data.verify import verify as run

    recorded = Manifest.read(manifest, root, absent_ok=True)
    with progress_bar("verifying") as show:
        findings = run(recorded, show)
    counts = Counter(finding.fault for finding in findings)
    if format is VerifyFormat.json:
        found = [finding._asdict() for finding in findings]
        typer.echo(json.dumps({"files": len(recorded), "faults": dict(counts), "findings": found}, indent=1))
    else:
        for finding in findings[:MOST_SHOWN]:
            typer.echo(str(finding))
        if len(findings) > MOST_SHOWN:
            typer.echo(f"and {len(findings) - MOST_SHOWN:,} more; --format json lists all")
        of_each = "".join(f", {count:,} {fault}" for fault, count in sorted(counts.items()))
        typer.echo(f"{len(recorded):,} files: {len(recorded) - len(findings):,} as recorded{of_each}")
    raise typer.Exit(1 if findings else 0)
