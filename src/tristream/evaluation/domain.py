"""The domain model of a detector, from the tokens of pictures that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tristream.data.manifest import Manifest
from tristream.evaluation.conditions import Condition, contexts_of
from tristream.evaluation.runner import Progress, prefetched
from tristream.images.decode import decode
from tristream.images.preprocess import Preprocessing
from tristream.metrics.domain import DomainModel, fit_domain
from tristream.runtime.session import Session, score_pictures

# N pictures, F = streams x fusion width

Float32 = npt.NDArray[np.float32]

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
        return sample(manifest.split(self.split or TRAINED_ON), self.count, self.seed)


TRAINING_PICTURES = DomainPictures()


def sample(manifest: Manifest, count: int | None, seed: int) -> Manifest:
    """So many pictures drawn at random, or all; in the manifest's order."""
    chosen = np.random.default_rng(seed).permutation(len(manifest))[:count]
    return manifest.where(np.isin(np.arange(len(manifest)), chosen))


def fit_on(
    session: Session,
    preprocessing: Preprocessing,
    drawn: Manifest,
    condition: Condition,
    seed: int = 0,
    progress: Progress | None = None,
) -> DomainModel:
    """Score pictures that a detector with streams was trained on, all of one split, and fit where they lie.

    Raises ImageError for a picture that cannot be read, UsageError and UndefinedMetricError as `fit_domain`.
    """

    contexts = contexts_of(drawn)

    def prepare(row: int) -> Float32:
        return preprocessing.crops(condition.apply(decode(drawn.file(row)).pixels, contexts[row]))

    tokens: list[Float32] = []
    for rows, crops in prefetched(prepare, len(drawn), batch_size=16, workers=2):
        tokens_BSD = score_pictures(session, crops).tokens_BSD
        assert tokens_BSD is not None, "a session with streams gives tokens"
        tokens.append(tokens_BSD.reshape(len(rows), -1))
        if progress:
            progress(rows[-1] + 1, len(drawn))
    return fit_domain(
        np.concatenate(tokens),
        drawn.table["label"].to_numpy(np.int64),
        groups(drawn),
        source=f"{len(drawn)} pictures of the split '{drawn.table['split'].iloc[0]}', {condition.description}",
        seed=seed,
    )


def groups(manifest: Manifest) -> npt.NDArray[np.str_]:
    """The group of each picture; without one it is a group of its own."""
    table = manifest.table
    return table["group"].where(table["group"] != "", table["path"]).to_numpy(str)
