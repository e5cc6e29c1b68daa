"""`tristream audit`: can the label be told without looking at the content?"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tristream.cli.options import Format
from tristream.cli.progress import progress_bar
from tristream.errors import ManifestError, UsageError, needs_extra

if TYPE_CHECKING:
    from tristream.data.readers import Recognised

EXCEEDED = 3
TEXT_WIDTH = 160
"""Of a .txt file, in characters."""
_SUFFIXES = (".json", ".html", ".txt")
_OPTIONS_OF_INDEX = re.compile("--(allow-missing|set|extract-to)")
"""What readers advise in their messages, and this command does not have."""


def audit(
    data: Annotated[Path, typer.Argument(help="Manifest (CSV or Parquet), or a folder with real and fake folders.")],
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", metavar="FILE", help="Also write .html, .json or .txt; repeatable."),
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="What goes to standard output.")] = Format.TEXT,
    split: Annotated[
        str | None, typer.Option("--split", help="Audit this split only.", show_default="all pictures")
    ] = None,
    per_source: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="At most N pictures of each source, chosen by hash.", show_default="all"),
    ] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(
            metavar="AUROC",
            min=0,
            max=1,
            help="Exit with 3 when the lower end of the file nuisances' interval lies above it.",
        ),
    ] = None,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Thumbnails on the HTML page.")] = True,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where features are kept.", show_default="in the user's cache folder"),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep nothing between runs.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of folds, classifiers and intervals.")] = 0,
    root: Annotated[
        Path | None, typer.Option(help="Folder that paths start from.", show_default="that of the manifest")
    ] = None,
) -> None:
    """Audit a data set before training: can the label be told without looking at the content?

    Small classifiers guess the label from the files alone (format, quality, size, metadata), and from colour,
    brightness and a thumbnail, on sources that they have not seen. What gives the label away is named, with a remedy;
    duplicates, contradicting labels and straddling groups are found too. Exit status 1 when some pictures could not be
    read, 3 when --fail-above is exceeded.

    [bold]Examples[/bold]

    tristream audit photos/

    tristream audit photos/index.csv -o audit.html -o audit.json --fail-above 0.6
    """
    with needs_extra("audit", "data"):
        from tristream.data.audit.examine import default_cache
        from tristream.data.audit.page import audit_page
        from tristream.data.audit.report import audit_manifest, sample_sources
        from tristream.data.audit.words import text
        from tristream.data.manifest import Manifest
    from tristream.runtime.records import opened

    _check_outputs(output or ())
    unreadable: dict[str, str] = {}
    if data.is_dir():
        found = _read_folder(data)
        manifest, unreadable = found.manifest, dict(found.unreadable)
    else:
        manifest = Manifest.read(data, root)
    if split is not None:
        manifest = manifest.split(split)
    if per_source is not None:
        manifest = sample_sources(manifest, per_source)
    with progress_bar("examining") as show:
        report = audit_manifest(
            manifest,
            data=f"{data.resolve().parent.name}/{data.name}" if data.is_file() else data.resolve().name,
            command=shlex.join(["tristream", *sys.argv[1:]]),
            cache=None if no_cache else cache or default_cache(),
            seed=seed,
            unreadable=unreadable,
            progress=show,
        )
    as_json = report.model_dump_json(indent=1) + "\n"
    for file in output or ():
        written = {
            ".json": lambda: as_json,
            ".html": lambda: audit_page(report, manifest, pictures=pictures),
            ".txt": lambda: text(report, TEXT_WIDTH),
        }
        content = written[file.suffix.lower()]()
        with opened(file) as stream:
            stream.write(content)
    if format is Format.JSON:
        typer.echo(as_json, nl=False)
    else:
        typer.echo(text(report), nl=False)
    if fail_above is not None and report.exceeds(fail_above):
        typer.echo(f"the file nuisances' AUROC is above {fail_above:g}, with its whole interval", err=True)
        raise typer.Exit(EXCEEDED)
    raise typer.Exit(1 if report.unreadable else 0)


def _check_outputs(files: Sequence[Path]) -> None:
    """Make the folders of the files. Raises UsageError for a file that cannot be written, before anything is read."""
    from tristream.runtime.records import check_output

    for file in files:
        if file.suffix.lower() not in _SUFFIXES:
            raise UsageError(f"{file}: an audit is written as {', '.join(_SUFFIXES)}")
    for file in files:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{file}: its folder cannot be made ({error.strerror})") from None
        check_output(file)


def _read_folder(folder: Path) -> Recognised:
    """Raises what the reader raises; where that advises options of `data index`, UsageError that says so."""
    from tristream.data.readers import recognise

    try:
        with progress_bar("reading") as show:
            return recognise(folder, show, headers_only=True)
    except (ManifestError, UsageError) as error:
        if not _OPTIONS_OF_INDEX.search(str(error)):
            raise
        raise UsageError(
            f"{error}. These are options of `tristream data index`: make a manifest with it first "
            f"(tristream data index {shlex.quote(str(folder))} -o MANIFEST), and audit that"
        ) from None
