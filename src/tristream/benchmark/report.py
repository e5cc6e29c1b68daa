"""What a benchmark found, as a record and as people read it: every number with what it was measured on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tristream.config import StrictModel
from tristream.errors import TristreamError

if TYPE_CHECKING:
    from rich.table import Table

EngineName = Literal["torch-eager", "torch-channels-last", "torch-compile", "onnx-fp32", "onnx-int8"]
Stage = Literal["decode", "preprocess", "forward", "end_to_end"]

STAGES: tuple[Stage, ...] = ("decode", "preprocess", "forward", "end_to_end")


class UnavailableError(TristreamError):
    """An engine cannot take part here; the message says why and what would change that."""


class Spread(StrictModel):
    """Median over the rounds, and the least and the largest round."""

    median: float
    least: float
    largest: float


class Measurement(StrictModel):
    """One stage, on one engine with one setting."""

    stage: Stage
    engine: EngineName | None
    """None for decode and preprocess, which need no engine and use one thread."""
    threads: int
    batch: int
    pictures_per_second: Spread
    """forward: of crops that are ready; end_to_end: from a file's bytes to its verdict, decoding beside the scoring."""
    ms_per_picture: float
    """1000 / the median rate: the time that one more picture takes, not the time until the first answer."""
    ratio: Spread | None
    """Of the rate to that of the reference in the same round, stage, threads and batch; None for the reference."""
    counted: int
    """Pictures in all rounds together."""


class Contestant(StrictModel):
    """An engine that took part."""

    name: EngineName
    engine: str
    """Runtime, version and precision, in the engine's own words; with the first number of threads."""
    open_s: float
    """Until the detector is ready with every number of threads; importing its runtime included."""
    logit_difference: float | None
    """Largest difference from the reference's logits on the pictures; None for the reference."""


class Skipped(StrictModel):
    """An engine that was asked for and did not take part."""

    name: EngineName
    reason: str


class BenchmarkReport(StrictModel):
    """The record that `tristream benchmark --format json` prints."""

    command: str = ""
    model: str
    environment: dict[str, object]
    """Of `describe_environment`: the processor by name, and the versions."""
    cores: int
    """Usable by this process."""
    pictures: str
    """What was measured with, in words."""
    reference: EngineName
    rounds: int
    seconds: float
    """Per measurement, over all rounds."""
    engines: tuple[Contestant, ...]
    skipped: tuple[Skipped, ...]
    measurements: tuple[Measurement, ...]


def header(report: BenchmarkReport) -> list[tuple[str, str]]:
    """The facts that belong to the numbers, as (what, in words)."""
    environment = report.environment
    packages = environment.get("packages")
    versions = [f"{name} {version}" for name, version in packages.items()] if isinstance(packages, dict) else []
    features = environment.get("processor_features")
    instructions = [str(feature) for feature in features] if isinstance(features, list) else []
    facts = [
        ("processor", ", ".join([str(environment.get("processor")), f"{report.cores} cores usable", *instructions])),
        ("versions", ", ".join([f"Python {environment.get('python')}", *versions])),
        ("detector", report.model),
        ("pictures", report.pictures),
        (
            "rounds",
            f"{report.rounds}, interleaved, {report.seconds:g} s per measurement; median [least, largest round]",
        ),
    ]
    for engine in report.engines:
        difference = engine.logit_difference
        same = "the reference" if difference is None else f"logits within {difference:.2g} of the reference"
        facts.append((engine.name, f"{engine.engine}; opened in {engine.open_s:.1f} s; {same}"))
    return [*facts, *((skipped.name, f"skipped: {skipped.reason}") for skipped in report.skipped)]


def table(report: BenchmarkReport) -> Table:
    """All measurements, by stage, threads and batch size, the reference first."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("stage", "engine", "threads", "batch", "pictures/s", "ms/picture", f"ratio to {report.reference}"):
        shown.add_column(column, justify="left" if column in ("stage", "engine") else "right", no_wrap=True)
    for m in sorted(report.measurements, key=lambda m: (STAGES.index(m.stage), m.threads, m.batch)):
        ratio = "1" if m.engine == report.reference else ""
        shown.add_row(
            m.stage.replace("_", " "),
            m.engine or "",
            str(m.threads),
            str(m.batch),
            _words(m.pictures_per_second, 1),
            f"{m.ms_per_picture:.1f}",
            ratio if m.ratio is None else _words(m.ratio, 2),
        )
    return shown


def _words(spread: Spread, digits: int) -> str:
    return f"{spread.median:.{digits}f} [{spread.least:.{digits}f}, {spread.largest:.{digits}f}]"
