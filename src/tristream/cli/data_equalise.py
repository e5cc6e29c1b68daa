"""`tristream data equalise`: a copy of a data set in which the files of both classes are alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.progress import progress_bar
from tristream.errors import UsageError


def equalise(
    manifest: Annotated[Path, typer.Argument(help="Manifest: .parquet or .csv.")],
    out_dir: Annotated[Path, typer.Argument(help="Folder for the copies, manifest.csv and recipe.json.")],
    side: Annotated[
        str | None,
        typer.Option(
            metavar="LOW-HIGH",
            help="Sides of the square copies in pixels; every picture is shrunk, smaller ones are left out.",
            show_default="as large as 99 % of both classes allow",
        ),
    ] = None,
    quality: Annotated[str, typer.Option(metavar="LOW-HIGH", help="JPEG qualities of the copies.")] = "70-92",
    seed: Annotated[int, typer.Option(min=0, help="Of the draws, together with each picture's hash.")] = 0,
    root: Annotated[
        Path | None,
        typer.Option(help="Folder that paths start from.", show_default="that of the manifest"),
    ] = None,
) -> None:
    """Write a copy in which both classes share codec, quality, size and grid offset. Resumable.

    Exit status 1 when some pictures have no copy: left_out.csv says which and why.

    [bold]Example[/bold]

    tristream data equalise photos/index.csv photos-equalised
    """
    from tristream.data.equalise import LEFT_OUT, MANIFEST, Recipe, equalise_manifest, recipe_for
    from tristream.data.manifest import Manifest

    source = Manifest.read(manifest, root)
    qualities = _range("--quality", quality, 1, 100)
    if side is None:
        recipe = recipe_for(source, quality=qualities, seed=seed)
    else:
        recipe = Recipe(side=_range("--side", side, 16, 4096), quality=qualities, seed=seed)
    with progress_bar("equalising") as show:
        done = equalise_manifest(source, out_dir, recipe, show)
    typer.echo(
        f"{len(done.manifest):,} pictures of {recipe.side[0]}-{recipe.side[1]} pixels, "
        f"JPEG quality {recipe.quality[0]}-{recipe.quality[1]}; wrote {out_dir / MANIFEST}"
    )
    if done.left_out:
        typer.echo(f"left out: {len(done.left_out):,} pictures, see {out_dir / LEFT_OUT}")
        raise typer.Exit(1)


def _range(option: str, text: str, least: int, most: int) -> tuple[int, int]:
    try:
        low, high = (int(word) for word in text.split("-"))
    except ValueError:
        raise UsageError(f"{option} '{text}': expected two whole numbers, such as 160-200") from None
    if not least <= low <= high <= most:
        raise UsageError(f"{option} '{text}': expected numbers from {least} to {most}, the smaller first")
    return low, high
