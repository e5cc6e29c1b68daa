"""How many pictures per second: decode, preprocess, forward and end to end, on several engines, side by side.

A machine's speed drifts while it is measured: other work, heat, a neighbour. Rounds are therefore interleaved
(A B C A B C …), each engine is compared with the reference of its own round, and the median over the rounds is reported
with the least and the largest. Each turn starts with a run that is not counted.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tristream.benchmark.contenders import ENGINES, Open
from tristream.benchmark.report import (
    BenchmarkReport,
    Contestant,
    EngineName,
    Measurement,
    Skipped,
    Spread,
    Stage,
    UnavailableError,
)
from tristream.environment import describe_environment, usable_cores
from tristream.errors import ImageError, UsageError
from tristream.images.drawn import draw_scene, encode
from tristream.runtime.engines import OpenDetector
from tristream.runtime.predictor import Predictor
from tristream.runtime.sources import Source, collect, rgb
from tristream.typing import Float32, ProgressInWords

Clock = Callable[[], float]
"""Seconds since some moment."""

DRAWN = ((1600, 1200), (1200, 1600), (2000, 1125))
"""Width and height in px of the pictures that are drawn where none are named: usual sizes of photographs."""
MOST = 64
"""Pictures of a folder that are measured with: all of them are held in memory, decoded."""


@dataclass(frozen=True)
class Pictures:
    """What is measured with: files' bytes, and in words what they are."""

    files: tuple[bytes, ...]
    words: str

    @classmethod
    def drawn(cls) -> Pictures:
        """JPEG files of usual sizes, drawn by code."""
        files = [encode(draw_scene(*size, seed=seed), "JPEG", quality=90) for seed, size in enumerate(DRAWN)]
        sizes = ", ".join(f"{width} x {height}" for width, height in DRAWN)
        return cls(tuple(files), f"{len(DRAWN)} drawn by code, JPEG quality 90, {sizes} px")

    @classmethod
    def read(cls, paths: Sequence[str]) -> Pictures:
        """The first MOST pictures of these paths; videos and what cannot be decoded are left out and counted.

        Raises UsageError when no picture is left.
        """
        sources = collect(paths).sources
        files: list[bytes] = []
        why: list[str] = []
        for source in sources:
            if len(files) == MOST:
                break
            try:
                files.append(_picture(source))
            except ImageError as error:
                why.append(str(error))
        if not files:
            found = f"no picture in {', '.join(paths)}" + (f" ({why[0]})" if why else "")
            raise UsageError(f"{found}; name files, or none to measure with drawn ones")
        left_out = f"; {len(why)} left out: videos, or not readable" if why else ""
        size = sum(map(len, files)) / len(files) / 1e6
        return cls(tuple(files), f"{len(files)} of {len(sources)} files, {size:.2f} MB on average{left_out}")


def _picture(source: Source) -> bytes:
    """The bytes of a picture's file. Raises ImageError for a video, and for what cannot be decoded."""
    if source.is_clip:
        raise ImageError(f"{source.label}: a video, not a picture")
    content = source.read()
    rgb(content, source.label)
    assert isinstance(content, bytes)  # as all that is read from a path
    return content


@dataclass(frozen=True)
class Settings:
    """What is measured. Raises UsageError for an engine that there is not, and for a number below 1."""

    engines: tuple[str, ...] = ENGINES
    threads: tuple[int, ...] = ()
    """Empty: as many as there are usable cores."""
    batches: tuple[int, ...] = (1, 8)
    seconds: float = 3.0
    """Per measurement, divided among the rounds; in each round it runs once at least."""
    rounds: int = 5

    def __post_init__(self) -> None:
        if unknown := [name for name in self.engines if name not in ENGINES]:
            raise UsageError(f"no engine '{unknown[0]}'; there are: {', '.join(ENGINES)}")
        if not self.engines or not self.batches:
            raise UsageError("nothing to measure: name an engine and a batch size at least")
        if min(*self.threads, *self.batches, self.rounds) < 1 or not 0 < self.seconds < float("inf"):
            raise UsageError("threads, batch sizes and rounds start at 1, and the seconds are a time above 0")


@dataclass(frozen=True)
class _Turn:
    """What is timed once in every round."""

    stage: Stage
    engine: EngineName | None
    threads: int
    batch: int
    time: Callable[[float], tuple[int, float]]
    """Work for so many seconds, once at least. Returns the number of pictures and the seconds that they took."""


@dataclass(frozen=True)
class Contenders:
    """The engines that opened, each with every number of threads, and those that did not."""

    threads: tuple[int, ...]
    detectors: dict[tuple[EngineName, int], OpenDetector]
    open_s: dict[EngineName, float]
    """Seconds that each took, in the order of ENGINES; the first is the reference."""
    skipped: tuple[Skipped, ...]


def open_contenders(open_engine: Open, settings: Settings, clock: Clock = time.perf_counter) -> Contenders:
    """Open every engine that is asked for and is there. Raises UsageError when none is."""
    threads = settings.threads or (usable_cores(),)
    detectors: dict[tuple[EngineName, int], OpenDetector] = {}
    seconds: dict[EngineName, float] = {}
    skipped: list[Skipped] = []
    for name in (name for name in ENGINES if name in settings.engines):
        began = clock()
        try:
            each = [open_engine(name, count) for count in threads]
        except UnavailableError as error:
            skipped.append(Skipped(name=name, reason=str(error)))
            continue
        seconds[name] = clock() - began
        detectors |= {(name, count): detector for count, detector in zip(threads, each, strict=True)}
    if not detectors:
        raise UsageError("no engine to measure: " + "; ".join(f"{s.name}: {s.reason}" for s in skipped))
    return Contenders(threads, detectors, seconds, tuple(skipped))


def run_benchmark(
    pictures: Pictures,
    contenders: Contenders,
    settings: Settings,
    progress: ProgressInWords = lambda done, total, words="": None,
    clock: Clock = time.perf_counter,
) -> BenchmarkReport:
    """Measure the engines that opened.

    Raises ImageError for a picture that cannot be read, UsageError for engines that take other crops.
    """
    threads, opened, open_s = contenders.threads, contenders.detectors, contenders.open_s
    reference = next(iter(open_s))
    first = opened[reference, threads[0]]
    preprocessing = first.metadata.preprocessing
    for (name, _), detector in opened.items():
        if (other := detector.metadata.preprocessing) != preprocessing:
            raise UsageError(
                f"{name} takes crops of {other.crop} px from a shorter side of {other.short_side}, {reference} "
                f"of {preprocessing.crop} from {preprocessing.short_side}: name files of one detector"
            )
    pixels = [rgb(content, f"picture {number}") for number, content in enumerate(pictures.files, 1)]
    crops = np.concatenate([preprocessing.crops(picture) for picture in pixels])

    def decode() -> int:
        return len([rgb(content, "picture") for content in pictures.files])

    def preprocess() -> int:
        return len([preprocessing.crops(picture) for picture in pixels])

    turns = [
        _Turn("decode", None, 1, 1, lambda seconds: _timed(decode, seconds, clock)),
        _Turn("preprocess", None, 1, 1, lambda seconds: _timed(preprocess, seconds, clock)),
    ]
    for count, batch, name in itertools.product(threads, settings.batches, open_s):
        turns += _engine_turns(name, opened[name, count], pictures, crops, count, batch, clock)
    measured = _interleave(turns, settings, progress)
    logits = {name: _logits(opened[name, threads[0]], crops) for name in open_s}
    difference = {name: float(np.max(np.abs(logits[name] - logits[reference]))) for name in open_s}
    return BenchmarkReport(
        model=first.metadata.name,
        environment=describe_environment(),
        cores=usable_cores(),
        pictures=pictures.words,
        reference=reference,
        rounds=settings.rounds,
        seconds=settings.seconds,
        engines=tuple(
            Contestant(
                name=name,
                engine=opened[name, threads[0]].engine,
                open_s=open_s[name],
                logit_difference=None if name == reference else difference[name],
            )
            for name in open_s
        ),
        skipped=contenders.skipped,
        measurements=tuple(_summarise(turns, measured, reference)),
    )


def _engine_turns(
    name: EngineName, opened: OpenDetector, pictures: Pictures, crops: Float32, threads: int, batch: int, clock: Clock
) -> Iterator[_Turn]:
    pixels = np.resize(crops, (batch, *crops.shape[1:]))  # cut, or continued from the first crop

    def forward(seconds: float) -> tuple[int, float]:
        def work() -> int:
            return len(opened.session.run(pixels).logits_B)

        return _timed(work, seconds, clock)

    def end_to_end(seconds: float) -> tuple[int, float]:
        predictions = _predictor(opened).predict_many(
            itertools.cycle(pictures.files), stability=0, batch_size=batch, workers=threads
        )

        def work() -> int:
            return len(list(itertools.islice(predictions, batch)))

        try:
            return _timed(work, seconds, clock)
        finally:
            predictions.close()

    yield _Turn("forward", name, threads, batch, forward)
    yield _Turn("end_to_end", name, threads, batch, end_to_end)


def _timed(work: Callable[[], int], seconds: float, clock: Clock) -> tuple[int, float]:
    """Repeat `work`, which returns a number of pictures, for so long; the first time is not counted."""
    work()
    done, began = 0, clock()
    while True:
        done += work()
        if (took := clock() - began) >= seconds:
            return done, took


def _interleave(turns: Sequence[_Turn], settings: Settings, progress: ProgressInWords) -> list[list[tuple[int, float]]]:
    """(pictures, seconds) of each turn in each round."""
    measured: list[list[tuple[int, float]]] = [[] for _ in turns]
    total = settings.rounds * len(turns)
    for done in range(total):
        turn = turns[done % len(turns)]
        progress(done, total, f"{turn.stage} {turn.engine or ''}")
        measured[done % len(turns)].append(turn.time(settings.seconds / settings.rounds))
    progress(total, total)
    return measured


def _summarise(
    turns: Sequence[_Turn], measured: Sequence[Sequence[tuple[int, float]]], reference: EngineName
) -> Iterator[Measurement]:
    rates = [[pictures / seconds for pictures, seconds in rounds] for rounds in measured]
    theirs = {
        (t.stage, t.threads, t.batch): rate for t, rate in zip(turns, rates, strict=True) if t.engine == reference
    }
    for turn, rate, rounds in zip(turns, rates, measured, strict=True):
        compared = turn.engine is not None and turn.engine != reference
        ratios = (
            [a / b for a, b in zip(rate, theirs[turn.stage, turn.threads, turn.batch], strict=True)] if compared else []
        )
        yield Measurement(
            stage=turn.stage,
            engine=turn.engine,
            threads=turn.threads,
            batch=turn.batch,
            pictures_per_second=_spread(rate),
            ms_per_picture=1000 / statistics.median(rate),
            ratio=_spread(ratios) if compared else None,
            counted=sum(pictures for pictures, _ in rounds),
        )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(median=statistics.median(values), least=min(values), largest=max(values))


def _predictor(opened: OpenDetector) -> Predictor:
    return Predictor(opened.session, opened.metadata)


def _logits(opened: OpenDetector, crops: Float32) -> Float32:
    return np.concatenate([opened.session.run(crop[None]).logits_B for crop in crops])
