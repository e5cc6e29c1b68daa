"""The Python API behind `predict`: pictures in, one Prediction each out, in order, whatever happens to the others."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tristream.config import StrictModel
from tristream.errors import ImageError, UsageError
from tristream.images.preprocess import Preprocessing
from tristream.metrics.calibration import Calibration
from tristream.runtime.session import Session, score_pictures
from tristream.runtime.sources import Scorable, Source, rgb, sha256
from tristream.runtime.verdict import Reason, Thresholds, Verdict, decide, explain

FALSE_ALARM_RATE = 0.05
MISS_RATE = 0.10
"""Default error rates of the two verdicts: real pictures called likely_fake, fakes called likely_real."""


class Prediction(StrictModel):
    """What is said about one picture; the record that `predict --format json` prints.

    Of a picture that could not be scored, `error` says why and everything that needs a score is None.
    """

    path: str | None
    """As given; `-` from a pipe, None for a picture in memory. Bytes NN that are not UTF-8 stand as \\udcNN."""
    sha256: str | None
    """Of the file's bytes; None where there are none: a missing file, or pixels in memory."""
    verdict: Verdict | None
    reasons: tuple[Reason, ...] = ()
    probability_fake: float | None = None
    """In [0, 1], calibrated at even odds: half of the pictures fake. None without calibration."""
    logit: float | None = None
    """The detector's score before calibration; above 0 leans fake."""
    thresholds: Thresholds | None = None
    stream_weights: dict[str, float] | None = None
    """Share of each stream in this score, in [0, 1], summing to 1."""
    stability: None = None
    """Kept for the re-test under re-encoding, which is not there yet."""
    frames: None = None
    """Kept for videos, which are not there yet."""
    model: str
    error: str | None = None

    @property
    def explanation(self) -> str:
        """The reasons, or the error, in words for people."""
        if self.logit is None:
            return self.error or ""
        return "; ".join(explain(reason, self.logit, self.thresholds) for reason in self.reasons)


@dataclass(frozen=True)
class _Prepared:
    """A picture on its way to the detector."""

    path: str | None
    sha256: str | None
    shorter_side: int
    crops: npt.NDArray[np.float32] | None
    """f32[N, 3, H, W] in [0, 1]; None when it failed."""
    error: str | None


class Predictor:
    """A detector ready to score pictures. Make one with `tristream.load()`.

    >>> from tristream import load                                     # doctest: +SKIP
    >>> load().predict("photo.jpg").verdict                            # doctest: +SKIP
    'likely_real'
    """

    def __init__(
        self, session: Session, preprocessing: Preprocessing, calibration: Calibration | None, model_name: str
    ) -> None:
        self.session = session
        self.preprocessing = preprocessing
        self.calibration = calibration
        self.model_name = model_name

    def thresholds(self, false_alarm_rate: float = FALSE_ALARM_RATE, miss_rate: float = MISS_RATE) -> Thresholds | None:
        """Where the verdicts begin at these error rates, each in (0, 1); None without calibration.

        Raises UsageError for a rate that the n reserved pictures are too few to tell: below 1/(n+1).
        """
        if self.calibration is None:
            return None
        return Thresholds(
            fake=self.calibration.fake_threshold(false_alarm_rate), real=self.calibration.real_threshold(miss_rate)
        )

    def predict(
        self,
        picture: Scorable | Source,
        *,
        false_alarm_rate: float = FALSE_ALARM_RATE,
        miss_rate: float = MISS_RATE,
    ) -> Prediction:
        """Score one picture: a path, a file's bytes, a Pillow picture, or uint8[H, W, 3] RGB.

        A picture that cannot be read is a Prediction whose `error` says why. Raises UsageError for impossible rates.
        """
        (prediction,) = self.predict_many(
            [picture], false_alarm_rate=false_alarm_rate, miss_rate=miss_rate, batch_size=1, workers=1
        )
        return prediction

    def predict_many(
        self,
        pictures: Iterable[Scorable | Source],
        progress: Callable[[int], None] | None = None,
        *,
        false_alarm_rate: float = FALSE_ALARM_RATE,
        miss_rate: float = MISS_RATE,
        batch_size: int = 8,
        workers: int | None = None,
    ) -> Generator[Prediction, None, None]:
        """Score pictures in the order given; each is decoded by one of `workers` threads while others are scored.

        pictures: may be endless: at most 3 * batch_size are held, as crops; progress: called with the number done so
        far; workers: by default one per processor, at most 8. Raises UsageError for impossible rates, at once.
        """
        if batch_size < 1 or (workers is not None and workers < 1):
            raise UsageError(f"batch size {batch_size}, workers {workers}: expected 1 or more")
        thresholds = self.thresholds(false_alarm_rate, miss_rate)
        threads = workers or min(8, os.cpu_count() or 1)
        return self._stream(pictures, progress or (lambda done: None), thresholds, batch_size, threads)

    def _stream(
        self,
        pictures: Iterable[Scorable | Source],
        progress: Callable[[int], None],
        thresholds: Thresholds | None,
        batch_size: int,
        threads: int,
    ) -> Generator[Prediction, None, None]:
        done = itertools.count(1)
        remaining = iter(pictures)
        pending: deque[Future[_Prepared]] = deque()
        pool = ThreadPoolExecutor(threads, "tristream-decode")
        try:
            while True:
                for picture in itertools.islice(remaining, 2 * batch_size - len(pending)):
                    pending.append(pool.submit(self._prepare, Source.of(picture)))
                if not pending:
                    return
                batch = [pending.popleft().result() for _ in range(min(batch_size, len(pending)))]
                for prediction in self._score(batch, thresholds, batch_size):
                    progress(next(done))
                    yield prediction
        finally:  # also when the caller stops early: what nobody waits for is not decoded
            pool.shutdown(cancel_futures=True)

    def _prepare(self, source: Source) -> _Prepared:
        path = None if source.name is None else _printable(source.name)
        digest = None
        try:
            content = source.read()
            digest = sha256(content)
            pixels = rgb(content, source.label)
            return _Prepared(path, digest, min(pixels.shape[:2]), self.preprocessing.crops(pixels), None)
        except ImageError as error:
            return _Prepared(path, digest, 0, None, _printable(str(error)))
        except MemoryError:
            return _Prepared(
                path, digest, 0, None, _printable(f"{source.label}: not enough memory to decode this picture")
            )

    def _score(self, batch: list[_Prepared], thresholds: Thresholds | None, batch_size: int) -> Iterator[Prediction]:
        scores = score_pictures(self.session, [p.crops for p in batch if p.crops is not None], batch_size)
        probabilities = None if self.calibration is None else self.calibration.probability(scores.logits_B)
        row = itertools.count()
        for picture in batch:
            if picture.crops is None:
                yield self._failure(picture, picture.error)
                continue
            i = next(row)
            logit = float(scores.logits_B[i])
            if not np.isfinite(logit):
                yield self._failure(picture, f"{picture.path or 'picture in memory'}: the detector's score is {logit}")
                continue
            verdict, reasons = decide(logit, thresholds, picture.shorter_side)
            weights = scores.stream_weights_BS
            yield Prediction(
                path=picture.path,
                sha256=picture.sha256,
                verdict=verdict,
                reasons=reasons,
                probability_fake=None if probabilities is None else float(probabilities[i]),
                logit=logit,
                thresholds=thresholds,
                stream_weights=None
                if weights is None
                else dict(zip(self.session.stream_names, map(float, weights[i]), strict=True)),
                model=self.model_name,
            )

    def _failure(self, picture: _Prepared, error: str | None) -> Prediction:
        return Prediction(path=picture.path, sha256=picture.sha256, verdict=None, model=self.model_name, error=error)


def _printable(text: str) -> str:
    """Text that JSON, CSV and a terminal take: bytes NN of a file name that are not UTF-8 become \\udcNN."""
    return text.encode("utf-8", "backslashreplace").decode()
