"""`tristream data index`: make a manifest of a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tristream.cli.progress import progress_bar

if TYPE_CHECKING:
    from tristream.data.readers import Recognised

MOST_MISSING = 10_000
"""How many names of missing files a record lists."""


def index(
    root: Annotated[Path, typer.Argument(help="Folder of a data set, list (.csv), mix (.yaml) or hub:OWNER/NAME.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Manifest to write: .parquet or .csv.")],
    layout: Annotated[
        str | None,
        typer.Option(help="See tristream data layouts.", show_default="the one that is recognised"),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", help="Option of the layout, as in --set compression=c23; repeatable."),
    ] = None,
    extract_to: Annotated[
        Path | None, typer.Option(help="Folder for pictures that lie inside Parquet or Arrow files.")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Go on with an incomplete data set, and record what is missing.")
    ] = False,
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Do not decode each picture to see whether it is whole.")
    ] = False,
    relative_to: Annotated[
        Path | None,
        typer.Option(
            help="Folder that paths start from; other commands take the manifest's own.",
            show_default="that of the manifest",
        ),
    ] = None,
) -> None:
    """Make a manifest of a data set. Resumable: the same command goes on after a break.

    OUTPUT.record.json says what was read, skipped, missing, unreadable. Exit status 1 when some files are unreadable.

    [bold]Examples[/bold]

    tristream data index photos -o photos/index.csv

    tristream data index FaceForensics -o FaceForensics/c23.parquet --set compression=c23

    tristream data index So-Fake-OOD -o so-fake/index.parquet --extract-to so-fake/pictures
    """  # fmt: skip
    from tristream.data.manifest import check_name, check_target
    from tristream.data.readers import layout_of, recognise

    check_name(output)
    name = layout or layout_of(root)
    given = _options(options or [], extract_to, name)
    journal = output.with_name(f".{output.name}.journal")
    with progress_bar("reading") as show:
        found = recognise(
            root,
            show,
            layout=name,
            options=given,
            headers_only=headers_only,
            allow_missing=allow_missing,
            journal=journal,
            check_root=lambda base: check_target(output, base, relative_to),
        )
    found.manifest.write(output, relative_to)
    record = output.with_name(output.name + ".record.json")
    record.write_text(json.dumps(_record(found, name, given, headers_only), indent=1) + "\n", encoding="utf-8")
    journal.unlink(missing_ok=True)
    typer.echo("\n".join([*found.lines(), f"wrote {output} and {record.name}"]))
    raise typer.Exit(1 if found.unreadable else 0)


def _options(texts: list[str], extract_to: Path | None, layout: str) -> dict[str, Any]:
    from tristream.config import parse_yaml
    from tristream.data.readers import READERS
    from tristream.errors import UsageError

    given: dict[str, Any] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise UsageError(f"--set {text}: expected name=value")
        given[key] = parse_yaml(value, f"--set {key}")
    if extract_to is not None:
        if "extract_to" not in READERS[layout].model_fields:
            raise UsageError(f"--extract-to: the pictures of the layout {layout} are files already")
        given["extract_to"] = str(extract_to)
    return given


def _record(found: Recognised, layout: str, options: dict[str, Any], headers_only: bool) -> dict[str, Any]:
    """What the manifest does not hold; without the place of the data, which is private."""
    from tristream import __version__
    from tristream.data.readers import make_reader

    reader = make_reader(layout, options)
    table = found.manifest.table
    return {
        "tristream": __version__,
        "layout": layout,
        "options": {name: value for name, value in options.items() if not isinstance(getattr(reader, name), Path)},
        "headers_only": headers_only,
        "real": int((table["label"] == 0).sum()),
        "fake": int((table["label"] == 1).sum()),
        "digest": found.manifest.digest(),
        "layouts": dict(found.layouts),
        "unit": found.unit,
        "expected": found.expected,
        "found": found.found,
        "missing": list(found.missing[:MOST_MISSING]),
        "skipped": dict(found.skipped),
        "unreadable": dict(found.unreadable),
    }
