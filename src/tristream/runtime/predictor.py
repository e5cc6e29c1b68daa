"""The Python API behind `predict`: pictures and videos in, one Prediction each out, in order, whatever fails."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from tristream.config import StrictModel
from tristream.environment import usable_cores
from tristream.errors import ImageError, UsageError
from tristream.images.origin import OriginClaim, origin_claims
from tristream.images.preprocess import Preprocessing
from tristream.metadata import ModelMetadata
from tristream.metrics.calibration import Calibration
from tristream.metrics.domain import DomainModel
from tristream.runtime.clips import ClipReader, NoFrameError, Sampling, Timeline
from tristream.runtime.session import Scores, Session, domain_at, score_pictures
from tristream.runtime.sources import Scorable, Source, fingerprint, rgb, sha256
from tristream.runtime.stability import MAX_COPIES, Delivery, Stability, compare, draw, re_encoded
from tristream.runtime.verdict import Domain, Evidence, Reason, Thresholds, Verdict, decide, explain, strongest_stream
from tristream.typing import Float32

FALSE_ALARM_RATE = 0.05
MISS_RATE = 0.10
"""Default error rates of the two verdicts: real pictures called likely_fake, fakes called likely_real."""
STABILITY = 3
"""Default number of re-encoded copies that one picture's verdict is tested on; many pictures are not re-tested."""


class Prediction(StrictModel):
    """What is said about one picture or video; the record that `predict --format json` prints.

    Of one that could not be scored, `error` says why and everything that needs a score is None.
    """

    path: str | None
    """As given; `-` from a pipe, None for a picture in memory. Bytes NN that are not UTF-8 stand as \\udcNN."""
    sha256: str | None
    """Of the file's bytes; None where there are none: a missing file, or pixels in memory."""
    verdict: Verdict | None
    reasons: tuple[Reason, ...] = ()
    """The main one first."""
    explanation: str = ""
    """The reasons, or the error, in words for people, with the numbers of the checkpoint."""
    probability_fake: float | None = None
    """In [0, 1], calibrated at even odds: half of the pictures fake. None without calibration."""
    logit: float | None = None
    """The detector's score before calibration; above 0 leans fake."""
    thresholds: Thresholds | None = None
    stream_weights: dict[str, float] | None = None
    """Share of each stream in this score, in [0, 1], summing to 1."""
    stability: Stability | None = None
    """The re-test on re-encoded copies; None when it was not asked for."""
    domain: Domain | None = None
    """How far the picture lies from those trained on; None for a checkpoint without a domain model."""
    frames: Timeline | None = None
    """Of a video: its frames and their scores, whose mean is `logit`; None of a picture."""
    origin: tuple[OriginClaim, ...] = ()
    """What the file says of its own origin; claims that touch neither score nor verdict."""
    model: str
    error: str | None = None


@dataclass(frozen=True)
class _Prepared:
    """A picture on its way to the detector."""

    path: str | None
    sha256: str | None
    error: str | None = None
    shorter_side: int = 0
    crops: tuple[Float32, ...] = ()
    """f32[N, 3, H, W] in [0, 1], of the picture and of its re-encoded copies; none when it failed."""
    deliveries: tuple[Delivery, ...] = ()
    """What was done to the copies."""
    origin: tuple[OriginClaim, ...] = ()


class Predictor:
    """A detector ready to score pictures. Make one with `tristream.load()`.

    >>> from tristream import load                                     # doctest: +SKIP
    >>> load().predict("photo.jpg").verdict                            # doctest: +SKIP
    'likely_real'
    """

    def __init__(self, session: Session, metadata: ModelMetadata, describe: Callable[[], str] = lambda: "") -> None:
        """metadata: what travels with the weights. describe: gives, in words, what the session computes with."""
        self.session = session
        self.metadata = metadata
        self._describe = describe
        self.preprocessing: Preprocessing = metadata.preprocessing
        self.calibration: Calibration | None = metadata.calibration
        self.domain_model: DomainModel | None = metadata.domain
        self.model_name: str = metadata.name

    @cached_property
    def engine(self) -> str:
        """In words, what the session computes with. Waits for an engine that is still compiled."""
        return self._describe()

    def thresholds(self, false_alarm_rate: float = FALSE_ALARM_RATE, miss_rate: float = MISS_RATE) -> Thresholds | None:
        """Where the verdicts begin at these error rates, each in (0, 1); None without calibration.

        Raises UsageError for a rate that the n reserved pictures are too few to tell: below 1/(n+1).
        """
        return None if self.calibration is None else _thresholds(self.calibration, false_alarm_rate, miss_rate)

    def predict(
        self,
        picture: Scorable | Source,
        *,
        false_alarm_rate: float = FALSE_ALARM_RATE,
        miss_rate: float = MISS_RATE,
        stability: int = STABILITY,
        sampling: Sampling | None = None,
    ) -> Prediction:
        """Score one picture or video: a path, a file's bytes, a Pillow picture, or uint8[H, W, 3] RGB.

        stability: number of re-encoded copies on which a picture's verdict is tested; 0 for none, which is that much
        faster; sampling: what is scored of a video, by default 16 whole frames. What cannot be read is a
        Prediction whose `error` says why. Raises UsageError for impossible rates.
        """
        (prediction,) = self.predict_many(
            [picture],
            false_alarm_rate=false_alarm_rate,
            miss_rate=miss_rate,
            stability=stability,
            sampling=sampling,
            workers=1,
        )
        return prediction

    def predict_many(
        self,
        pictures: Iterable[Scorable | Source],
        progress: Callable[[int], None] | None = None,
        *,
        false_alarm_rate: float = FALSE_ALARM_RATE,
        miss_rate: float = MISS_RATE,
        stability: int = STABILITY,
        sampling: Sampling | None = None,
        batch_size: int = 8,
        workers: int | None = None,
    ) -> Generator[Prediction, None, None]:
        """Score pictures in the order given; each is decoded by one of `workers` threads while others are scored.

        pictures: may be endless: at most 3 * batch_size are held, as crops; progress: called with the number done so
        far; stability: re-encoded copies of each picture on which its verdict is tested, 0 to 32, each of which costs
        as much time and memory as a picture; a video is not re-tested; sampling: what is scored of a video, by default
        16 whole frames; batch_size: crops that are scored together; workers: by default one per processor, at most 8.
        Raises, at once, UsageError for impossible rates, and CheckpointError for a face model that is none.
        """
        if not 0 <= stability <= MAX_COPIES:
            raise UsageError(f"stability {stability}: expected 0 (no re-test) to {MAX_COPIES} re-encoded copies")
        if batch_size < 1 or (workers is not None and workers < 1):
            raise UsageError(f"batch size {batch_size}, workers {workers}: expected 1 or more")
        thresholds = self.thresholds(false_alarm_rate, miss_rate)
        threads = workers or min(8, usable_cores())
        score = partial(self._stream, thresholds=thresholds, batch_size=batch_size, threads=threads)
        reader = ClipReader(sampling or Sampling())

        def predictions() -> Generator[Prediction, None, None]:
            for is_clip, sources in itertools.groupby(map(Source.of, pictures), lambda source: source.is_clip):
                if is_clip:
                    yield from (self._clip(source, reader, score, thresholds) for source in sources)
                else:
                    yield from score(sources, stability=stability)

        return _counted(predictions(), progress or (lambda done: None))

    def _stream(
        self,
        sources: Iterable[Source],
        thresholds: Thresholds | None,
        batch_size: int,
        threads: int,
        stability: int = 0,
    ) -> Generator[Prediction, None, None]:
        """Score pictures."""
        remaining = iter(sources)
        pending: deque[Future[_Prepared]] = deque()
        pool = ThreadPoolExecutor(threads, "tristream-decode")
        try:
            while True:
                for source in itertools.islice(remaining, 2 * batch_size - len(pending)):
                    pending.append(pool.submit(self._prepare, source, stability))
                if not pending:
                    return
                batch = [pending.popleft().result() for _ in range(min(batch_size, len(pending)))]
                yield from self._score(batch, thresholds, batch_size)
        finally:  # also when the caller stops early: what nobody waits for is not decoded
            pool.shutdown(cancel_futures=True)

    def _prepare(self, source: Source, stability: int) -> _Prepared:
        path = None if source.name is None else _printable(source.name)
        digest = None
        try:
            content = source.read()
            digest = sha256(content)
            pixels = rgb(content, source.label)
            crops, deliveries = [self.preprocessing.crops(pixels)], []
            if stability:
                settings = draw(digest or fingerprint(pixels), stability)
                for delivery, copy in re_encoded(pixels, settings, self.preprocessing.least_side):
                    crops.append(self.preprocessing.crops(copy))
                    deliveries.append(delivery)
            origin = origin_claims(content) if isinstance(content, bytes) else ()
            return _Prepared(path, digest, None, min(pixels.shape[:2]), tuple(crops), tuple(deliveries), origin)
        except ImageError as error:
            return _Prepared(path, digest, _printable(str(error)))
        except MemoryError:
            return _Prepared(path, digest, _printable(f"{source.label}: not enough memory to decode this picture"))

    def _score(self, batch: list[_Prepared], thresholds: Thresholds | None, batch_size: int) -> Iterator[Prediction]:
        scores = score_pictures(self.session, [crops for picture in batch for crops in picture.crops], batch_size)
        start = 0
        for picture in batch:
            rows = slice(start, start + len(picture.crops))
            start = rows.stop
            if picture.error is not None:
                yield self._failure(picture, picture.error)
            elif not np.isfinite(scores.logits_B[rows]).all():
                worst = next(logit for logit in scores.logits_B[rows] if not np.isfinite(logit))
                yield self._failure(picture, f"{picture.path or 'picture in memory'}: the detector's score is {worst}")
            else:
                yield self._prediction(picture, scores, rows, thresholds)

    def _prediction(self, picture: _Prepared, scores: Scores, rows: slice, thresholds: Thresholds | None) -> Prediction:
        """What the scores of a picture and its copies come to. rows: those of `scores`, the picture's own first."""
        logit, *copies = scores.logits_B[rows].tolist()
        stability = compare(logit, thresholds, picture.deliveries, copies) if copies else None
        domain = domain_at(rows.start, scores, self.domain_model)
        weights_BS = scores.stream_weights_BS
        weights = None
        if weights_BS is not None:
            weights = dict(zip(self.session.stream_names, weights_BS[rows.start].tolist(), strict=True))
        return self._judged(picture, logit, thresholds, weights, domain, stability)

    def _clip(
        self,
        source: Source,
        reader: ClipReader,
        score: Callable[[Iterable[Source]], Iterator[Prediction]],
        thresholds: Thresholds | None,
    ) -> Prediction:
        """A video; score: of its frames."""
        path = None if source.name is None else _printable(source.name)
        content = source.content
        clip = _Prepared(path, None if isinstance(content, ImageError) else sha256(content))
        try:
            scores = reader.score(source, score)
        except NoFrameError as error:
            return self._failure(clip, _printable(str(error)), error.timeline)
        except ImageError as error:
            return self._failure(clip, _printable(str(error)))
        except MemoryError:
            return self._failure(clip, _printable(f"{source.label}: not enough memory to decode this video"))
        clip = replace(clip, shorter_side=scores.shorter_side)
        return self._judged(
            clip, scores.logit, thresholds, scores.stream_weights, scores.domain, timeline=scores.timeline
        )

    def _judged(
        self,
        picture: _Prepared,
        logit: float,
        thresholds: Thresholds | None,
        weights: dict[str, float] | None,
        domain: Domain | None,
        stability: Stability | None = None,
        timeline: Timeline | None = None,
    ) -> Prediction:
        """The record of what has been scored."""
        flips = stability.flips if stability else 0
        copies = tuple(copy.logit for copy in stability.copies) if stability else ()
        verdict, reasons = decide(logit, thresholds, picture.shorter_side, flips, domain)
        if strongest_stream(weights):
            reasons = (*reasons, Reason.STRONGEST_STREAM)
        evidence = Evidence(logit, thresholds, self.calibration, weights, copies, flips, domain, self.domain_model)
        words = [explain(reason, evidence) for reason in reasons]
        return Prediction(
            path=picture.path,
            sha256=picture.sha256,
            verdict=verdict,
            reasons=reasons,
            explanation="; ".join([*words, timeline.words] if timeline else words),
            probability_fake=None if self.calibration is None else float(self.calibration.probability(logit)),
            logit=logit,
            thresholds=thresholds,
            stream_weights=weights,
            stability=stability,
            domain=domain,
            frames=timeline,
            origin=picture.origin,
            model=self.model_name,
        )

    def _failure(self, picture: _Prepared, error: str, timeline: Timeline | None = None) -> Prediction:
        return Prediction(
            path=picture.path,
            sha256=picture.sha256,
            verdict=None,
            explanation=error,
            frames=timeline,
            model=self.model_name,
            error=error,
        )


def _counted(predictions: Iterable[Prediction], progress: Callable[[int], None]) -> Generator[Prediction, None, None]:
    for done, prediction in enumerate(predictions, 1):
        progress(done)
        yield prediction


def default_thresholds(calibration: Calibration | None) -> Thresholds | None:
    """Where the verdicts begin at the default error rates; None without calibration, or where it is too small for them.

    Where `Predictor.thresholds` raises, this has no answer: a report goes on without verdicts.
    """
    try:
        return None if calibration is None else default_rates(calibration)
    except UsageError:
        return None


def default_rates(calibration: Calibration) -> Thresholds:
    """As `default_thresholds`. Raises UsageError, which says how many pictures it takes."""
    return _thresholds(calibration, FALSE_ALARM_RATE, MISS_RATE)


def _thresholds(calibration: Calibration, false_alarm_rate: float, miss_rate: float) -> Thresholds:
    return Thresholds(fake=calibration.fake_threshold(false_alarm_rate), real=calibration.real_threshold(miss_rate))


def _printable(text: str) -> str:
    """Text that JSON, CSV and a terminal take: bytes NN of a file name that are not UTF-8 become \\udcNN."""
    return text.encode("utf-8", "backslashreplace").decode()
