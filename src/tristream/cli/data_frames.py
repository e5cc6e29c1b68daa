"""`tristream data frames`: pictures of videos, for training and testing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.progress import progress_bar
from tristream.errors import UsageError


def frames(
    source: Annotated[
        Path, typer.Argument(help="Manifest of videos (.parquet, .csv), or a folder: FF++, Celeb-DF, real and fake.")
    ],
    out_dir: Annotated[Path, typer.Option("--out", "-o", help="Folder for pictures, manifest.csv and frames.csv.")],
    count: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=10_000, help="Frames of each video.", show_default="32"),
    ] = None,
    every: Annotated[
        float | None, typer.Option(metavar="S", help="A frame every S seconds, in place of --count.")
    ] = None,
    faces: Annotated[bool, typer.Option("--faces", help="The crop around the largest face of each frame.")] = False,
    face_model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Another face detector, for --faces: .onnx of the YuNet family.",
            show_default="YuNet, 2023",
        ),
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=51,
            help="Encode each frame again by H.264, among its neighbours, at this CRF.",
            show_default="as it comes",
        ),
    ] = None,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Go on with an incomplete data set.")] = False,
    root: Annotated[
        Path | None, typer.Option(help="Folder that paths start from.", show_default="that of the manifest")
    ] = None,
) -> None:
    """Make pictures of videos. Resumable: the same command goes on after a break.

    Pictures are PNG. frames.csv lists every frame, also one without a face, with the reason. Exit status 1 when some
    videos could not be used.

    [bold]Examples[/bold]

    tristream data frames FaceForensics/c23.parquet -o ffpp-faces --count 32 --faces

    tristream data frames clips -o clips-frames --every 1

    tristream data frames clips -o clips-crf40 --every 1 --crf 40
    """
    from tristream.data.frames import FRAMES, MANIFEST, FrameRecipe, make_frames, videos_of
    from tristream.images.faces import FaceDetector

    if count is not None and every is not None:
        raise UsageError("--count and --every: give one of them")
    if every is not None and not every > 0:
        raise UsageError(f"--every {every}: expected seconds, above 0")
    detector = FaceDetector(face_model) if faces or face_model is not None else None
    recipe = FrameRecipe(every_s=every, crf=crf) if every is not None else FrameRecipe(count=count or 32, crf=crf)
    videos = videos_of(source, root, allow_missing=allow_missing)
    with progress_bar("frames") as show:
        made = make_frames(videos, out_dir, recipe, detector, show)
    typer.echo(
        f"{len(made.manifest):,} pictures of {len(videos) - len(made.failed):,} videos, {made.without_face:,} frames "
        f"without a face; wrote {out_dir / MANIFEST} and {FRAMES}"
    )
    if made.failed:
        typer.echo(f"could not be used: {len(made.failed):,} videos, see {out_dir / FRAMES}")
        raise typer.Exit(1)
