"""`tristream data download`: fetch what may be fetched, and say how to obtain the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.progress import progress_bar


def download(
    layout: Annotated[str, typer.Argument(help="Name of a layout; see tristream data layouts.")],
    folder: Annotated[Path | None, typer.Argument(help="Where the files go.")] = None,
    repository: Annotated[
        str | None,
        typer.Option(help="OWNER/NAME of a data set on the Hugging Face Hub.", show_default="that of the layout"),
    ] = None,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit.")] = "main",
    include: Annotated[
        list[str] | None,
        typer.Option(help="Pattern of files to fetch, as in 'data/test-*'; repeatable.", show_default="the layout's"),
    ] = None,
    parts: Annotated[str, typer.Option(help="Parts of DiffusionDB: 1-10 or 1,5,9.")] = "1",
    max_gb: Annotated[float, typer.Option(min=0.001, help="Fetch nothing when it is more, in all or unpacked.")] = 50.0,
    keep_archives: Annotated[bool, typer.Option("--keep-archives", help="Keep zip files after unpacking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the files and their sizes.")] = False,
) -> None:
    """Fetch a data set: resumed after a break, every file checked. For what needs a form, print the steps.

    [bold]Examples[/bold]

    tristream data download coco coco

    tristream data download diffusiondb diffusiondb --parts 1-5

    tristream data download huggingface ffhq-256 --repository merkol/ffhq-256

    tristream data download ffpp
    """
    from tristream.data.fetching import Job, jobs_of, run
    from tristream.data.readers import READERS
    from tristream.errors import UsageError

    about = READERS[layout].layout
    if not about.automatic and repository is None:
        address = f" ({about.address})" if about.address else ""
        typer.echo(f"{about.title}{address} cannot be fetched automatically.\n\n{about.obtain}\n\nTerms: {about.terms}")
        return
    if folder is None:
        raise UsageError(f"say where the files go: tristream data download {layout} FOLDER")
    typer.echo(f"{about.title}. Terms: {about.terms}", err=True)
    limit = int(max_gb * 1e9)
    jobs: list[Job] = jobs_of(about, repository, revision, include or [], parts)
    total = sum(job.bytes for job in jobs)
    if dry_run:
        for job in jobs:
            typer.echo(f"{job.bytes / 1e6:12,.1f} MB  {job.path}")
    if total > limit:
        raise UsageError(
            f"{len(jobs):,} files of {total / 1e9:,.1f} GB, more than --max-gb {max_gb:g}; choose some with --include"
        )
    if dry_run:
        typer.echo(f"{len(jobs):,} files, {total / 1e6:,.1f} MB")
        return
    with progress_bar("fetching") as show:
        fetched = run(jobs, folder, limit, keep_archives=keep_archives, progress=show)
    typer.echo(
        f"{fetched.files:,} files, {fetched.bytes / 1e6:,.1f} MB in {folder}; {fetched.unpacked:,} files unpacked"
    )
