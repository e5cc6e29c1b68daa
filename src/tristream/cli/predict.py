"""`tristream predict`: score pictures and videos, print a table, JSON or CSV."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from tristream.cli.progress import progress_bar
from tristream.errors import UsageError

if TYPE_CHECKING:
    from tristream.runtime.predictor import Prediction
    from tristream.runtime.sources import Collection

MANY = 200
"""Pictures from which a run without a terminal reports now and then how far it is."""


class Format(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Files, folders, patterns such as 'photos/**/*.jpg', or - for a pipe.",
            show_default=False,
        ),
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="An exported .onnx file, or a .safetensors checkpoint.",
            show_default="the shipped detector",
        ),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option("--format", help="How results are written.", show_default="by the suffix of -o FILE, else table"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write results to a file, which appears whole or not at all."
        ),
    ] = None,
    false_alarm_rate: Annotated[
        float,
        typer.Option(
            metavar="RATE",
            help="Share of the calibration's n real pictures that may be called likely_fake; at least 1/(n+1).",
        ),
    ] = 0.05,
    miss_rate: Annotated[
        float,
        typer.Option(
            metavar="RATE",
            help="Share of the calibration's n fakes that may be called likely_real; at least 1/(n+1).",
        ),
    ] = 0.10,
    stability: Annotated[
        int,
        typer.Option(
            metavar="K",
            min=0,
            max=32,
            help="Re-encoded copies of a picture that have to get its verdict, else it is unsure; "
            "0 is up to K + 1 times as fast. Videos are not re-tested.",
        ),
    ] = 3,
    frames: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="Frames that are scored of a video, spread over it.")
    ] = 16,
    faces: Annotated[
        bool, typer.Option("--faces", help="Of a video's frames score the crop around the largest face.")
    ] = False,
    face_model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Another face detector, for --faces: .onnx of the YuNet family.",
            show_default="YuNet, 2023",
        ),
    ] = None,
    timeline: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw the scores of each video over time into a folder.")
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            metavar="auto|cpu|cuda",
            help="auto: for a .safetensors checkpoint a GPU where there is one. An .onnx file runs on the CPU.",
        ),
    ] = "auto",
    batch_size: Annotated[
        int, typer.Option(metavar="N", min=1, help="Pictures, copies included, that are scored together.")
    ] = 8,
) -> None:
    """Score pictures and videos: likely_fake, likely_real or unsure, and why.

    likely_fake: few real pictures score so high. likely_real: few fakes score so low. unsure: neither, or a re-encoded
    copy disagrees, or the picture is unlike those that the detector was trained on; the answer to most pictures of
    unfamiliar sources.

    A file that is named is always tried; in folders, files with another suffix are skipped and counted. The score of a
    video is the mean over its frames; the error rates are those of pictures, also for videos. Results go to standard
    output, progress and notices to standard error. A note is what the file says of its own origin: a claim that
    anybody can write and that does not touch the score.

    [bold]Examples[/bold]

    tristream predict photo.jpg

    tristream predict photos/ --format json > results.json

    tristream predict 'photos/**/*.jpg' -o results.csv

    tristream predict photos/ --false-alarm-rate 0.01

    tristream predict photos/ --stability 0

    tristream predict - < photo.jpg

    tristream predict clip.mp4 --faces --timeline timelines

    [bold]Exit status[/bold]

    0 all scored; 1 some failed, each with a record that says why; 2 wrong usage.
    """
    from tristream.runtime import engines
    from tristream.runtime.sources import collect

    found = collect(paths, getattr(sys.stdin, "buffer", None))
    _check(found, output)
    predictor = engines.load(checkpoint, device)
    # An exported detector is compiled from here to its first score, beside these imports and the first pictures.
    from tristream.runtime import records
    from tristream.runtime.clips import Sampling
    from tristream.runtime.timeline import write_timeline

    predictions = predictor.predict_many(
        found.sources,
        false_alarm_rate=false_alarm_rate,
        miss_rate=miss_rate,
        stability=stability,
        sampling=Sampling(frames, faces or face_model is not None, face_model),
        batch_size=batch_size,
    )
    if timeline is not None:
        timeline.mkdir(parents=True, exist_ok=True)
    chosen = format or _format_of(output)
    counts: Counter[str] = Counter()
    with contextlib.closing(predictions), records.opened(output) as stream:
        shown = _with_progress(predictions, len(found.sources), stream, chosen)
        draw = None if timeline is None else partial(write_timeline, folder=timeline)
        counted = _counted(shown, counts, draw)
        match chosen:
            case Format.JSON:
                records.write_json(counted, stream)
            case Format.CSV:
                records.write_csv(counted, stream, predictor.session.stream_names)
            case Format.TABLE:
                records.write_table(counted, stream, records.meaning(predictor, false_alarm_rate, miss_rate))
    typer.echo(_summary(counts, found.skipped), err=True)
    if counts["failed"]:
        raise typer.Exit(1)


def _check(found: Collection, output: Path | None) -> None:
    """Raises UsageError when there is nothing to score, or no output may be written, or it would replace a picture."""
    if output is not None:
        from tristream.runtime.records import check_output

        check_output(output)
    if not found.sources:
        raise UsageError(
            f"no picture or video in {', '.join(found.empty_folders)} ({found.skipped} skipped); "
            "to try a file whatever its suffix, name it"
        )
    for folder in found.empty_folders:
        typer.echo(f"no picture or video in {folder}", err=True)
    if output is not None and output.exists():
        target = os.path.realpath(output)
        if any(isinstance(s.content, Path) and os.path.realpath(s.content) == target for s in found.sources):
            raise UsageError(f"{output}: is one of the files to score; write the results elsewhere")


def _format_of(output: Path | None) -> Format:
    """JSON or CSV by the suffix of the output file, else a table."""
    suffix = output.suffix.lower().lstrip(".") if output else ""
    return Format(suffix) if suffix in ("json", "csv") else Format.TABLE


def _counted(
    predictions: Iterable[Prediction], counts: Counter[str], draw: Callable[[Prediction], object] | None
) -> Iterator[Prediction]:
    for prediction in predictions:
        counts[prediction.verdict or "failed"] += 1
        if draw is not None:
            draw(prediction)
        yield prediction


def _summary(counts: Counter[str], skipped: int) -> str:
    verdicts = [f"{counts[v]} {v}" for v in ("likely_fake", "likely_real", "unsure") if counts[v]]
    scored = counts.total() - counts["failed"]
    detail = f" ({', '.join(verdicts)})" if verdicts else ""
    return f"{scored} scored{detail}, {counts['failed']} failed, {skipped} skipped"


def _with_progress(
    predictions: Iterable[Prediction], total: int, stream: TextIO, chosen: Format
) -> Iterator[Prediction]:
    """Pass predictions on, with a bar on a terminal, unless records run over it, or lines in the log of a long run."""
    room_for_a_bar = chosen is Format.TABLE or not stream.isatty()
    if total < (2 if sys.stderr.isatty() else MANY) or (sys.stderr.isatty() and not room_for_a_bar):
        yield from predictions
        return
    with progress_bar("scoring") as show:
        for done, prediction in enumerate(predictions, 1):
            yield prediction
            show(done, total)
