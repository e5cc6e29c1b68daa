"""`tristream benchmark`: how many pictures per second, stage by stage, engine beside engine."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.options import Format
from tristream.cli.progress import progress_bar
from tristream.errors import UsageError


def benchmark(
    pictures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            help="Files or folders to measure with; videos are left out.",
            show_default="three drawn JPEGs",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .safetensors checkpoint.", show_default="the shipped detector"),
    ] = None,
    onnx: Annotated[
        list[Path] | None,
        typer.Option(
            "--onnx",
            metavar="FILE",
            help="The same, exported: fp32 or int8; repeatable.",
            show_default="the shipped file",
        ),
    ] = None,
    engines: Annotated[
        str, typer.Option(metavar="NAME,NAME", help="Which engines take part.")
    ] = "torch-eager,torch-channels-last,torch-compile,onnx-fp32,onnx-int8",
    threads: Annotated[
        str | None, typer.Option(metavar="N,N", help="Numbers of threads.", show_default="the usable cores")
    ] = None,
    batch: Annotated[str, typer.Option("--batch", metavar="N,N", help="Pictures that are scored together.")] = "1,8",
    seconds: Annotated[float, typer.Option(metavar="S", help="Per measurement, over all rounds.")] = 3.0,
    rounds: Annotated[int, typer.Option(metavar="N", help="How often each is measured, in turn.")] = 5,
    format: Annotated[
        Format | None,
        typer.Option("--format", help="How results are written.", show_default="by the suffix of -o FILE, else text"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the measurements to a file.")
    ] = None,
) -> None:
    """Measure decode, preprocess, forward and end to end in pictures per second, engine beside engine.

    Engines take turns in every round, so that a machine's drift hits all alike, and each is given as a ratio to
    torch-eager (fp32), or to the first that is there. What cannot run here is skipped, and the reason is shown.

    [bold]Examples[/bold]

    tristream benchmark

    tristream benchmark photos/ --threads 1,2 --batch 1,8 -o speed.json

    tristream benchmark --engines torch-eager,onnx-int8 --seconds 10
    """
    from rich.console import Console

    from tristream.benchmark.contenders import Files
    from tristream.benchmark.report import header, table
    from tristream.benchmark.run import Pictures, Settings, open_contenders, run_benchmark
    from tristream.cli.facts import print_facts
    from tristream.runtime import records

    if output is not None:
        records.check_output(output)
    settings = Settings(
        engines=tuple(engines.split(",")),
        threads=_numbers("--threads", threads),
        batches=_numbers("--batch", batch),
        seconds=seconds,
        rounds=rounds,
    )
    chosen = Pictures.read(pictures) if pictures else Pictures.drawn()
    typer.echo("opening the engines", err=True)
    contenders = open_contenders(Files(checkpoint, tuple(onnx or ())), settings)
    with progress_bar("measuring") as show:
        report = run_benchmark(chosen, contenders, settings, show)
    report = report.model_copy(update={"command": shlex.join(["tristream", *sys.argv[1:]])})
    as_json = format is Format.JSON or (format is None and output is not None and output.suffix.lower() == ".json")
    with records.opened(output) as stream:
        if as_json:
            stream.write(report.model_dump_json(indent=2) + "\n")
        else:
            print_facts(header(report), stream)
            Console(file=stream, width=None if stream.isatty() else 200).print("", table(report))


def _numbers(option: str, text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(",")) if text is not None else ()
    except ValueError:
        raise UsageError(f"{option} '{text}': expected whole numbers, such as 1,2") from None
