"""Predictions as people and programs read them: a table, a JSON list, a flat CSV, and the file that they go to."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tristream.errors import UsageError
from tristream.runtime.predictor import Prediction, Predictor

_COLOURS = {"likely_fake": "bold red", "likely_real": "green", "unsure": "yellow", "failed": "magenta"}
_PIPE_WIDTH = 10_000
"""Columns of a table that goes to a file or a pipe: so many that a row stays on one line."""


def write_json(predictions: Iterable[Prediction], stream: TextIO) -> None:
    """A list of records, one per line as they come; a valid list also when it ends early by an exception."""
    stream.write("[")
    separator = "\n"
    try:
        for prediction in predictions:
            stream.write(separator + prediction.model_dump_json())
            separator = ",\n"
    finally:
        stream.write("\n]\n")


def write_csv(predictions: Iterable[Prediction], stream: TextIO, stream_names: Sequence[str]) -> None:
    """One row per picture; reasons joined by `;`, `weight_<stream>` per stream; empty where there is no value."""
    weights = [f"weight_{name}" for name in stream_names]
    columns = ["path", "sha256", "verdict", "reasons", "probability_fake", "logit", "threshold_fake", "threshold_real"]
    writer = csv.DictWriter(stream, [*columns, *weights, "model", "error"], lineterminator="\n")
    writer.writeheader()
    for prediction in predictions:
        flat = prediction.model_dump(exclude={"reasons", "thresholds", "stream_weights", "stability", "frames"})
        thresholds = prediction.thresholds
        shares = prediction.stream_weights or {}
        writer.writerow(
            flat
            | {"reasons": ";".join(prediction.reasons)}
            | ({"threshold_fake": thresholds.fake, "threshold_real": thresholds.real} if thresholds else {})
            | {f"weight_{name}": share for name, share in shares.items()}
        )


def write_table(predictions: Iterable[Prediction], stream: TextIO, footer: str) -> None:
    """A table for people, coloured on a terminal, and `footer` below it; control characters in names become escapes."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("picture", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("P(fake)", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("why unsure or failed", overflow="fold")
    for p in predictions:
        verdict = p.verdict or "failed"
        table.add_row(
            Text(_visible(p.path or "(in memory)")),
            Text(verdict, _COLOURS[verdict]),
            "" if p.probability_fake is None else f"{p.probability_fake:.3f}",
            "" if p.logit is None else f"{p.logit:.2f}",
            Text(_visible(p.explanation) if verdict in ("unsure", "failed") else ""),
        )
    console = Console(file=stream, width=None if stream.isatty() else _PIPE_WIDTH)
    console.print(table)
    console.print(Text(footer), style="dim", soft_wrap=True)


def meaning(predictor: Predictor, false_alarm_rate: float, miss_rate: float) -> str:
    """What the verdicts mean, in the words and numbers of the checkpoint. Raises UsageError for impossible rates."""
    thresholds = predictor.thresholds(false_alarm_rate, miss_rate)
    if thresholds is None or predictor.calibration is None:
        return f"{predictor.model_name} is not calibrated: no probability, no verdicts. Run 'tristream calibrate'."
    return (
        f"likely_fake: score above {thresholds.fake:.2f}, at most {100 * false_alarm_rate:g} % of real pictures; "
        f"likely_real: below {thresholds.real:.2f}, at most {100 * miss_rate:g} % of fakes. "
        f"Set on, and not guaranteed beyond: {predictor.calibration.source}. "
        "P(fake) supposes that half of the pictures are fake."
    )


@contextmanager
def opened(output: Path | None) -> Iterator[TextIO]:
    """Standard output as UTF-8, or a file that is replaced only when the block ends without an exception.

    Raises UsageError when the file cannot be written.
    """
    if output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        yield sys.stdout
        return
    check_output(output)
    if output.exists() and not output.is_file():  # /dev/null or a named pipe: nothing to replace
        with output.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    target = Path(os.path.realpath(output))
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        stream = part.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"{output}: cannot write there ({error.strerror})") from None
    try:
        with stream:
            yield stream
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def check_output(output: Path) -> None:
    """Raises UsageError for an output that is a folder or lies in none."""
    if output.is_dir():
        raise UsageError(f"{output}: a folder; name the file to write, such as {output / 'results.json'}")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: its folder does not exist; make it first")


def _visible(text: str) -> str:
    """Text with control characters (a newline or a terminal's escape sequence in a file name) written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
