"""The one Typer app: its commands, and what an error looks like on the command line."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tristream.cli.ablate import ablate
from tristream.cli.attack import attack
from tristream.cli.audit import audit
from tristream.cli.benchmark import benchmark
from tristream.cli.calibrate import calibrate
from tristream.cli.compare import compare
from tristream.cli.data import data_app
from tristream.cli.doctor import doctor
from tristream.cli.evaluate import evaluate
from tristream.cli.export import export
from tristream.cli.info import info
from tristream.cli.predict import predict
from tristream.cli.report import report
from tristream.cli.reproduce import reproduce
from tristream.cli.robustness import robustness
from tristream.cli.train import train
from tristream.errors import TristreamError, UsageError

USAGE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
"""What a shell reports of a command that ended by SIGINT (128 + 2) and by SIGPIPE (128 + 13)."""


_GOES_ON = {"train": "the same command with --resume goes on where it was"} | dict.fromkeys(
    ("evaluate", "robustness", "ablate", "attack"), "the same command goes on where it was"
)
"""What is said of a command that was interrupted and keeps what it has done, by its name."""


class _Commands(TyperGroup):
    """Commands whose expected errors are one line on standard error and exit status 2."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and os.path.exists(args[0]):
            raise UsageError(f"{args[0]}: no command; to score it, say: {shlex.join(['tristream', 'predict', *args])}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # ctx: click's Context, which newer Typer releases carry inside
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()  # a reader that is gone is noticed here, not while the interpreter ends
        except TristreamError as error:
            if ctx.params.get("debug"):
                raise
            typer.echo(f"{type(error).__name__}: {error}", err=True)
            raise typer.Exit(USAGE) from error
        except ModuleNotFoundError as error:  # a library of an extra that no module of ours speaks for
            if ctx.params.get("debug") or (error.name or "").startswith("tristream"):
                raise
            missing = f"this needs '{error.name}', which is not installed"
            typer.echo(f"MissingExtraError: {missing}; 'tristream doctor' says which extra brings it", err=True)
            raise typer.Exit(USAGE) from error
        except KeyboardInterrupt:
            if ctx.invoked_subcommand in _GOES_ON:
                typer.echo(f"interrupted; {_GOES_ON[ctx.invoked_subcommand]}", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # `tristream ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except OSError as error:  # a full disk, a folder that may not be written: no traceback, and not status 1
            if ctx.params.get("debug"):
                raise
            words = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
            typer.echo(f"{type(error).__name__}: {words}", err=True)
            raise typer.Exit(USAGE) from error


CHECK, PREPARE, TRAIN, MEASURE = (
    "Check pictures",
    "Prepare data (extra: data)",
    "Train a detector (extra: research)",
    "Measure detectors (extra: research; compare and report: data)",
)
"""Parts of `tristream --help`."""

app = typer.Typer(
    name="tristream",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from tristream import __version__

        typer.echo(f"tristream {__version__}")
        raise typer.Exit


@app.callback()
def tristream(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Detect deepfakes and AI-generated pictures, and find out how far the answer can be trusted.

    Start with:  tristream predict PHOTO
    """


app.command("predict", rich_help_panel=CHECK)(predict)
app.command("info", rich_help_panel=CHECK)(info)
app.command("doctor", rich_help_panel=CHECK)(doctor)
app.command("benchmark", rich_help_panel=CHECK)(benchmark)
app.add_typer(data_app, rich_help_panel=PREPARE)
app.command("audit", rich_help_panel=PREPARE)(audit)
app.command("train", rich_help_panel=TRAIN)(train)
app.command("calibrate", rich_help_panel=TRAIN)(calibrate)
app.command("export", rich_help_panel=TRAIN)(export)
app.command("evaluate", rich_help_panel=MEASURE)(evaluate)
app.command("robustness", rich_help_panel=MEASURE)(robustness)
app.command("attack", rich_help_panel=MEASURE)(attack)
app.command("ablate", rich_help_panel=MEASURE)(ablate)
app.command("compare", rich_help_panel=MEASURE)(compare)
app.command("report", rich_help_panel=MEASURE)(report)
app.command("reproduce", rich_help_panel=MEASURE)(reproduce)


def main() -> None:
    """Entry point of the `tristream` command."""
    app()
