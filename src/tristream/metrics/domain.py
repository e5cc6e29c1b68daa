"""How far a picture lies from what a detector was trained on, measured in the detector's own tokens.

The distance is Mahalanobis's to the nearer class mean, with one covariance for both classes (Lee et al. 2018), shrunk
(Ledoit & Wolf 2004), for there are hardly more pictures than dimensions. What we changed, so that it travels with the
weights: the covariance keeps the variance of each of its K largest principal directions and one mean variance for all
others, as probabilistic PCA does (Tipping & Bishop 1999). The light runtime imports this file: at module level it needs
numpy and pydantic only.
"""

from __future__ import annotations

import base64
import math
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from tristream.config import StrictModel
from tristream.errors import CheckpointError, MissingExtraError, UndefinedMetricError, UsageError
from tristream.typing import Bool, Float64

# N pictures, F = streams x fusion width, C = 2 classes, K principal directions


DIRECTIONS = 32
"""So many, stored, change the risk-coverage curve of reserved pictures as all do: results/domain-directions.json."""
SHARE = 0.95
"""Chosen over 0.99 by the same curve: results/domain-check.json."""


class DomainModel(StrictModel):
    """What a detector's tokens look like on pictures that it was trained on, and which distance from there is far."""

    means: str
    """Of the real and of the fake pictures' tokens, one after the other, [C, F]: float16, little-endian, as base64."""
    directions: str
    """Principal directions within a class, of unit length, [K, F]: float16, little-endian, as base64."""
    variances: tuple[float, ...]
    """Along each direction, descending."""
    rest_variance: float = Field(gt=0)
    """Along every direction that is orthogonal to all of these."""
    distances: tuple[float, ...] = Field(min_length=1)
    """Of training pictures that nothing above was fitted on, ascending."""
    share: float = Field(gt=0, lt=1)
    """So many of the training pictures are near; what is farther than these is far."""
    n_fitted: int
    """Pictures that means, directions and variances were fitted on."""
    source: str
    """In words: which pictures, and how they were delivered."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        means, directions = _decoded(self.means), _decoded(self.directions)
        if not means.size or means.size % 2 or directions.size != len(self.variances) * (means.size // 2):
            raise ValueError(
                f"{means.size} numbers of two means and {len(self.variances)} variances do not go with "
                f"{directions.size} numbers of directions"
            )
        if any(variance <= 0 for variance in self.variances):
            raise ValueError("a variance is not above 0")
        if list(self.distances) != sorted(self.distances):
            raise ValueError("distances are not in ascending order")
        return self

    @property
    def limit(self) -> float:
        """The distance beyond which a picture is far.

        A picture like those that were trained on is with a chance of at most 1 - `share` (split conformal prediction;
        Vovk et al. 2005), if there are at least `share`/(1 - `share`) distances.
        """
        rank = math.ceil((len(self.distances) + 1) * self.share - 1e-9)
        return self.distances[min(rank, len(self.distances)) - 1]

    @property
    def words(self) -> str:
        """Which pictures are near, in one line."""
        return (
            f"{100 * self.share:g} % of {len(self.distances)} training pictures lie within distance {self.limit:.1f} "
            f"of {self.n_fitted} others ({self.source})"
        )

    def distance(self, token_NF: npt.ArrayLike) -> Float64:
        """f64[N], at least 0. token_NF: the streams' tokens side by side, averaged over a picture's crops.

        Raises CheckpointError for tokens of another length than those that it was fitted on.
        """
        token = np.asarray(token_NF, np.float64)
        mean_CF = _decoded(self.means).reshape(2, -1)
        if token.ndim != 2 or token.shape[1] != mean_CF.shape[1]:
            raise CheckpointError(
                f"tokens of shape {token.shape} do not fit a domain model of {mean_CF.shape[1]} numbers per picture; "
                "calibrate the detector again"
            )
        direction_KF = _decoded(self.directions).reshape(-1, mean_CF.shape[1])
        variance_K = np.array(self.variances)
        squares = []
        for mean_F in mean_CF:
            gap_NF = token - mean_F
            along_NK = (gap_NF @ direction_KF.T) ** 2
            rest_N = np.maximum((gap_NF**2).sum(axis=1) - along_NK.sum(axis=1), 0)  # float16 leaves a little too much
            squares.append(rest_N / self.rest_variance + (along_NK / variance_K).sum(axis=1))
        return np.asarray(np.sqrt(np.min(squares, axis=0)))


def halves(group_N: npt.ArrayLike, share: float = SHARE, seed: int = 0) -> Bool:
    """Which pictures say where they lie, bool[N]; the other groups say how far is far.

    Raises UsageError where these are too few; to be asked before anything is scored.
    """
    group = np.asarray(group_N)
    groups = np.random.default_rng(seed).permutation(np.unique(group))
    fitted_N = np.isin(group, groups[: len(groups) // 2])
    least = math.ceil(share / (1 - share) - 1e-9)
    if (n_held_out := int((~fitted_N).sum())) < least:
        raise UsageError(
            f"the domain model: half of the groups of the training pictures are {n_held_out} pictures, which cannot "
            f"say how far {share:.0%} of them lie at most: it takes {2 * least} training pictures; with fewer, "
            "calibrate without the domain model (--no-domain)"
        )
    return fitted_N


def fit_domain(
    token_NF: npt.ArrayLike,
    label_N: npt.ArrayLike,
    group_N: npt.ArrayLike,
    *,
    source: str,
    directions: int = DIRECTIONS,
    share: float = SHARE,
    seed: int = 0,
) -> DomainModel:
    """Fit on pictures that the detector was trained on: half of the groups say where they lie, the others what is far.

    token_NF: f[N, F]; label_N: i64[N], 0 real, 1 fake; group_N: pictures of one group stay on one side; source: in
    words, which pictures these are; directions: K, at most F, which is the full covariance; seed: of the halves. Raises
    UndefinedMetricError where a class is missing, UsageError for too few pictures, MissingExtraError without the data
    extra.
    """
    try:
        from sklearn.covariance import ledoit_wolf
    except ImportError:
        raise MissingExtraError("the domain model", "data") from None
    token, label, group = np.asarray(token_NF, np.float64), np.asarray(label_N), np.asarray(group_N)
    fitted_N = halves(group, share, seed)
    counts = [int((label[fitted_N] == value).sum()) for value in (0, 1)]
    if min(counts) < 2:
        raise UndefinedMetricError(
            f"the domain model needs both classes, got {counts[0]} reals and {counts[1]} fakes in half of the groups"
        )
    mean_CF = np.stack([token[fitted_N & (label == value)].mean(axis=0) for value in (0, 1)])
    covariance_FF, _ = ledoit_wolf(token[fitted_N] - mean_CF[label[fitted_N]], assume_centered=True)
    variance_F, vector_FF = np.linalg.eigh(covariance_FF)
    kept = slice(None, -directions - 1, -1)
    rest = variance_F[: max(0, variance_F.size - directions)]
    model = DomainModel(
        means=encoded(mean_CF),
        directions=encoded(vector_FF.T[kept]),
        variances=tuple(variance_F[kept].tolist()),
        rest_variance=float(rest.mean() if rest.size else variance_F[0]),
        distances=(0.0,),
        share=share,
        n_fitted=sum(counts),
        source=source,
    )
    distance = np.sort(model.distance(token[~fitted_N])).round(4)
    return model.model_copy(update={"distances": tuple(distance.tolist())})


def encoded(values: Float64) -> str:
    """Numbers as a string of base64: float16, little-endian, row by row."""
    return base64.b64encode(values.astype("<f2").tobytes()).decode()


def _decoded(text: str) -> Float64:
    """f64[numbers]. Raises ValueError."""
    data = base64.b64decode(text, validate=True)
    if len(data) % 2:
        raise ValueError("these are not whole float16 numbers")
    values = np.frombuffer(data, "<f2").astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("there is an infinity or NaN among the numbers")
    return values
