"""The seam between scoring and the engine that computes: a Session turns pixel crops into logits.

Everything above it (Predictor, the evaluation runner, the trainer's selection) works with any Session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from tristream.errors import CheckpointError, UsageError
from tristream.metrics.domain import DomainModel
from tristream.runtime.verdict import Domain
from tristream.typing import Float32, Float64

# B crops, S streams, D fusion width


@dataclass(frozen=True)
class Scores:
    """What an engine returns for B crops (or B pictures, after averaging over each one's crops)."""

    logits_B: Float32
    """f32[B], before calibration; above 0 leans fake."""
    stream_weights_BS: Float32 | None
    """f32[B, S], rows sum to 1; None for a detector without streams."""
    tokens_BSD: Float32 | None = None
    """f32[B, S, D], each stream's token before the fusion; None for a detector without streams."""


class Session(Protocol):
    """One loaded detector on one inference engine."""

    @property
    def stream_names(self) -> tuple[str, ...]:
        """Names of the S streams, in the order of the columns of `stream_weights_BS`."""
        ...

    def run(self, pixels: Float32) -> Scores:
        """Score crops f32[B, 3, H, W] in [0, 1], RGB. The logit of a crop does not depend on its batch mates."""
        ...


@runtime_checkable
class MaskingSession(Session, Protocol):
    """A session that can leave streams out: an engine that still has the streams apart."""

    def run_subsets(self, pixels: Float32, subsets: Sequence[tuple[str, ...]]) -> list[Scores]:
        """As `run`, once for each subset of the streams, the others being masked; each stream is computed once."""
        ...


def score_pictures(session: Session, pictures: Sequence[Float32], batch_size: int = 16) -> Scores:
    """Score pictures of one or more crops each: the means over a picture's crops.

    pictures: per picture f32[N_crops, 3, H, W] in [0, 1], all of the same H and W.
    """
    (scores,) = _score(lambda crops: [session.run(crops)], pictures, batch_size, 1)
    return scores


def score_subsets(
    session: Session, pictures: Sequence[Float32], subsets: Sequence[tuple[str, ...]], batch_size: int = 16
) -> list[Scores]:
    """As `score_pictures`, once for each subset of the streams. subsets: names of those that take part.

    Raises UsageError where the engine cannot mask streams, or the detector lacks one.
    """
    if not isinstance(session, MaskingSession):
        raise UsageError("streams cannot be masked in an exported file; name a .safetensors checkpoint")
    if unknown := sorted({name for subset in subsets for name in subset} - set(session.stream_names)):
        there = ", ".join(session.stream_names) or "none"
        raise UsageError(f"the detector has no stream {', '.join(unknown)}; there are: {there}")
    masking = session
    return _score(lambda crops: masking.run_subsets(crops, subsets), pictures, batch_size, len(subsets))


def _score(
    run: Callable[[Float32], list[Scores]], pictures: Sequence[Float32], batch_size: int, count: int
) -> list[Scores]:
    if not pictures:
        return [Scores(np.zeros(0, np.float32), None)] * count
    crops = np.concatenate(list(pictures))
    batches = [run(crops[start : start + batch_size]) for start in range(0, len(crops), batch_size)]
    return [_means([batch[place] for batch in batches], [len(crops) for crops in pictures]) for place in range(count)]


def _means(parts: Sequence[Scores], counts: Sequence[int]) -> Scores:
    """Of crops in batches to those of pictures, which have so many crops each."""
    starts = np.cumsum([0, *counts[:-1]])

    def mean(parts: Sequence[Float32]) -> Float32:
        sums = np.add.reduceat(np.concatenate(parts), starts, axis=0)
        return (sums.T / np.array(counts, np.float32)).T.astype(np.float32)

    weights = [p.stream_weights_BS for p in parts if p.stream_weights_BS is not None]
    tokens = [p.tokens_BSD for p in parts if p.tokens_BSD is not None]
    return Scores(
        mean([p.logits_B for p in parts]), mean(weights) if weights else None, mean(tokens) if tokens else None
    )


def token_distances(tokens_BSD: Float32 | None, model: DomainModel) -> Float64:
    """How far each picture lies from those that the detector was trained on, f64[B]. tokens_BSD: of `Scores`.

    Raises CheckpointError where the engine gives no tokens, or tokens of another size.
    """
    if tokens_BSD is None:
        raise CheckpointError("the detector has a domain model, but its engine gives no tokens; export it again")
    return model.distance(tokens_BSD.reshape(len(tokens_BSD), -1))


def domain_at(row: int, scores: Scores, model: DomainModel | None) -> Domain | None:
    """Where the picture in one row of `scores` lies; None without a model. Raises as `token_distances`."""
    if model is None:
        return None
    tokens_BSD = None if scores.tokens_BSD is None else scores.tokens_BSD[row : row + 1]
    return Domain(distance=float(token_distances(tokens_BSD, model)[0]), limit=model.limit)
