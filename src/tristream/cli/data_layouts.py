"""`tristream data layouts`: which public layouts are read, where they are obtained, under which terms."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tristream.data.readers import Reader


class LayoutsFormat(StrEnum):
    """How layouts are printed."""

    text = "text"
    json = "json"


def layouts(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Layouts to explain in full.", show_default="a list")
    ] = None,
    format: Annotated[LayoutsFormat, typer.Option("--format", help="text or json.")] = LayoutsFormat.text,
) -> None:
    """Explain the layouts: the tree, where it is obtained, under which terms, and the options of its reader.

    [bold]Examples[/bold]

    tristream data layouts

    tristream data layouts ffpp genimage
    """
    from tristream.data.readers import READERS

    readers = {name: READERS[name] for name in names or READERS}
    if format is LayoutsFormat.json:
        typer.echo(json.dumps({name: _facts(reader) for name, reader in readers.items()}, indent=1, ensure_ascii=False))
    elif names:
        typer.echo("\n\n\n".join(_explained(name, reader) for name, reader in readers.items()))
    else:
        width = max(map(len, readers))
        for name, reader in readers.items():
            how = "tristream data download" if reader.layout.automatic else "by hand"
            typer.echo(
                f"{name:{width}}  {reader.layout.title}  [{how}]"
                if reader.layout.address
                else f"{name:{width}}  {reader.layout.title}"
            )
        typer.echo("\ntristream data layouts NAME explains one.")


def _options(reader: type[Reader]) -> dict[str, dict[str, Any]]:
    schema = reader.model_json_schema().get("properties", {})
    return {
        name: {"default": schema[name].get("default"), "description": field.description or ""}
        for name, field in reader.model_fields.items()
    }


def _facts(reader: type[Reader]) -> dict[str, Any]:
    about = reader.layout
    return {
        "title": about.title,
        "trees": list(about.trees),
        "obtain": about.obtain,
        "terms": about.terms,
        "address": about.address,
        "automatic": about.automatic,
        "notes": about.notes,
        "options": _options(reader),
    }


def _explained(name: str, reader: type[Reader]) -> str:
    about = reader.layout
    parts = [f"{name}: {about.title}" + (f"\n{about.address}" if about.address else ""), *about.trees]
    parts += [f"Obtain\n{about.obtain}", f"Terms\n{about.terms}"]
    parts += [f"Notes\n{about.notes}"] if about.notes else []
    if options := _options(reader):
        lines = [
            f"  {option}={_shown(facts['default'])}  {facts['description']}".rstrip()
            for option, facts in options.items()
        ]
        parts.append("\n".join(["Options (--set)", *lines]))
    return "\n\n".join(parts)


def _shown(value: object) -> str:
    return "[" + ",".join(map(str, value)) + "]" if isinstance(value, list) else "" if value is None else str(value)
