"""The domain model of a detector, from the tokens of pictures that it was trained on."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tristream.data.manifest import Manifest
from tristream.data.sample import sample
from tristream.errors import ImageError, UsageError
from tristream.evaluation.conditions import Condition, contexts_of
from tristream.evaluation.runner import WORKERS, listed_pixels, prefetched
from tristream.images.preprocess import Preprocessing
from tristream.metrics.domain import DomainModel, fit_domain
from tristream.runtime.session import Scores, Session, score_pictures
from tristream.typing import Float32, Float64, Progress

log = logging.getLogger(__name__)

# N pictures, F = streams x fusion width


TRAINED_ON = "train"
"""The usual name of the split that a detector was trained on."""


@dataclass(frozen=True)
class DomainPictures:
    """Which pictures a domain model is fitted on."""

    split: str | None = None
    """None for TRAINED_ON, where the manifest has such a split."""
    count: int = 2000
    """At most; half of their groups say where they lie, the other half how far from there is far."""
    condition: str = "delivered"
    """As the pictures that will be judged: the evidence that the check helps is of pictures as delivered."""
    seed: int = 0
    """Of the sample and of the halves."""

    def drawn(self, manifest: Manifest) -> Manifest | None:
        """The pictures; None where no split is named and none is called so. Raises ManifestError for an unknown one."""
        if self.split is None and TRAINED_ON not in set(manifest.table["split"]):
            return None
        return sample(manifest.split(self.split or TRAINED_ON), self.count, f"domain {self.seed}")


TRAINING_PICTURES = DomainPictures()


@dataclass(frozen=True)
class Located:
    """Pictures that can be read, and what a detector with streams says of them."""

    manifest: Manifest
    logit_N: Float64
    token_NF: Float32
    """The streams' tokens before the fusion, side by side."""


def locate(
    session: Session,
    preprocessing: Preprocessing,
    drawn: Manifest,
    condition: Condition,
    progress: Progress | None = None,
) -> Located:
    """Score pictures. One that cannot be read is left out, with a warning.

    Raises UsageError where none is left, and for a detector without streams.
    """
    if not session.stream_names:
        raise UsageError("the detector has no streams, so no tokens that say where a picture lies")
    contexts = contexts_of(drawn)

    def prepare(row: int) -> Float32 | None:
        try:
            return preprocessing.crops(condition.apply(listed_pixels(drawn, row), contexts[row]))
        except ImageError as error:
            log.warning("left out: %s", error)
            return None

    scores: list[Scores] = []
    is_read = np.ones(len(drawn), np.bool_)
    for rows, prepared in prefetched(prepare, len(drawn), batch_size=16, workers=WORKERS):
        crops = [picture for picture in prepared if picture is not None]
        is_read[rows] = [picture is not None for picture in prepared]
        if crops:
            scores.append(score_pictures(session, crops))
        if progress:
            progress(rows[-1] + 1, len(drawn))
    if not scores:
        raise UsageError(f"none of {len(drawn)} pictures can be read; see the warnings")
    tokens = [found.tokens_BSD for found in scores if found.tokens_BSD is not None]
    token_NSD = np.concatenate(tokens)
    return Located(
        drawn.where(is_read),
        np.concatenate([found.logits_B for found in scores]).astype(np.float64),
        token_NSD.reshape(len(token_NSD), -1),
    )


def fit_on(
    session: Session,
    preprocessing: Preprocessing,
    drawn: Manifest,
    condition: Condition,
    seed: int = 0,
    progress: Progress | None = None,
) -> DomainModel:
    """Score pictures that a detector with streams was trained on, all of one split, and fit where they lie.

    Raises UsageError and UndefinedMetricError as `locate` and `fit_domain`.
    """
    found = locate(session, preprocessing, drawn, condition, progress)
    table = found.manifest.table
    return fit_domain(
        found.token_NF,
        table["label"].to_numpy(np.int64),
        groups(found.manifest),
        source=f"{len(table)} pictures of the split '{table['split'].iloc[0]}', {condition.description}",
        seed=seed,
    )


def groups(manifest: Manifest) -> npt.NDArray[np.str_]:
    """The group of each picture; without one it is a group of its own."""
    table = manifest.table
    return table["group"].where(table["group"] != "", table["path"]).to_numpy(str)
