"""`tristream data split`: put whole groups into splits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def split(
    manifest: Annotated[Path, typer.Argument(help="Manifest: .parquet or .csv.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Manifest to write, with the splits.")],
    fractions: Annotated[
        str, typer.Option(help="Share of the groups per split.")
    ] = "train=0.8,validation=0.1,test=0.1",
    hold_out: Annotated[
        list[str], typer.Option(help="SPLIT=NAME,NAME: generators and photo sources for one split.")
    ] = [],  # noqa: B006
    salt: Annotated[str, typer.Option(help="Another word, another split.")] = "tristream",
    replace: Annotated[bool, typer.Option(help="Replace the splits that the manifest has.")] = False,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that paths start from; other commands take the manifest's own.",
            show_default="that of the manifest",
        ),
    ] = None,
) -> None:
    """Split a manifest by group, the same way every time."""
    from tristream.data.manifest import Manifest
    from tristream.data.splits import (
        assign_splits,
        check_splits,
        parse_fractions,
        parse_held_out,
        split_digest,
        split_sizes,
    )

    done = assign_splits(
        Manifest.read(manifest, root), parse_fractions(fractions), salt, parse_held_out(hold_out), replace=replace
    )
    check_splits(done)
    done.write(output, root)
    for size in split_sizes(done, parse_fractions(fractions)):
        typer.echo(str(size))
    typer.echo(f"splits {split_digest(done)}\nwrote {output}")
