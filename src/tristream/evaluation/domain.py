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
from tristream.evaluation.runner import WORKERS, prefetched
from tristream.images.decode import decode
from tristream.images.preprocess import Preprocessing
from tristream.metrics.domain import DomainModel, fit_domain
from tristream.runtime.session import Session, score_pictures
from tristream.typing import Float32, Progress

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


def fit_on(
    session: Session,
    preprocessing: Preprocessing,
    drawn: Manifest,
    condition: Condition,
    seed: int = 0,
    progress: Progress | None = None,
) -> DomainModel:
    """Score pictures that a detector with streams was trained on, all of one split, and fit where they lie.

    One that cannot be read is left out, with a warning. Raises UsageError and UndefinedMetricError as `fit_domain`.
    """

    contexts = contexts_of(drawn)

    def prepare(row: int) -> Float32 | None:
        try:
            return preprocessing.crops(condition.apply(decode(drawn.file(row)).pixels, contexts[row]))
        except ImageError as error:
            log.warning("not among the training pictures: %s", error)
            return None

    tokens: list[Float32] = []
    is_read = np.ones(len(drawn), np.bool_)
    for rows, prepared in prefetched(prepare, len(drawn), batch_size=16, workers=WORKERS):
        crops = [picture for picture in prepared if picture is not None]
        is_read[rows] = [picture is not None for picture in prepared]
        if crops:
            tokens_BSD = score_pictures(session, crops).tokens_BSD
            assert tokens_BSD is not None, "a session with streams gives tokens"
            tokens.append(tokens_BSD.reshape(len(crops), -1))
        if progress:
            progress(rows[-1] + 1, len(drawn))
    read = drawn.where(is_read)
    if not tokens:
        raise UsageError(f"none of {len(drawn)} training pictures can be read; see the warnings")
    return fit_domain(
        np.concatenate(tokens),
        read.table["label"].to_numpy(np.int64),
        groups(read),
        source=f"{len(read)} pictures of the split '{read.table['split'].iloc[0]}', {condition.description}",
        seed=seed,
    )


def groups(manifest: Manifest) -> npt.NDArray[np.str_]:
    """The group of each picture; without one it is a group of its own."""
    table = manifest.table
    return table["group"].where(table["group"] != "", table["path"]).to_numpy(str)
