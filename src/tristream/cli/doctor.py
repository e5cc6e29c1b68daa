"""`tristream doctor`: is this installation whole, and what would each extra add?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tristream.cli.options import Format

if TYPE_CHECKING:
    from tristream.runtime.doctor import Diagnosis

_COLOURS = {"ok": "green", "note": "yellow", "broken": "bold red"}


def doctor(
    format: Annotated[Format, typer.Option("--format", help="How the diagnosis is written.")] = Format.TEXT,
) -> None:
    """Look at this installation: machine, packages, picture formats, GPU, and a self-test of the shipped detector.

    The self-test scores drawn pictures end to end and checks what must hold whatever the weights are.

    [bold]Exit status[/bold]

    0 all is well; 1 something is broken, and the line says what to do next.
    """
    from tristream.runtime.doctor import diagnose

    diagnosis = diagnose()
    if format is Format.JSON:
        typer.echo(diagnosis.model_dump_json(indent=2))
    else:
        _print(diagnosis)
    if diagnosis.broken:
        raise typer.Exit(1)


def _print(diagnosis: Diagnosis) -> None:
    from tristream.cli.facts import print_facts

    checks = (
        (f"{check.status:<7}{check.name}", check.finding + (f" → {check.next_step}" if check.next_step else ""))
        for check in diagnosis.checks
    )
    print_facts(checks, marks=_COLOURS)
    if diagnosis.extras:
        typer.echo("\nextras")
        print_facts((extra.name, _extra(extra.requires, extra.missing, extra.command)) for extra in diagnosis.extras)
    typer.echo("\nsomething is broken, see above" if diagnosis.broken else "\nall is well")


def _extra(requires: tuple[str, ...], missing: tuple[str, ...], command: str) -> str:
    adds = f"adds {', '.join(requires)}"
    return f"{adds} → {command} (missing: {', '.join(missing)})" if missing else f"installed; {adds}"
