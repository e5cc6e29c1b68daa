"""A part of a manifest in which neither class, nor any source inside its class, outweighs another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from tristream.data.manifest import Manifest


def balanced_sample(manifest: Manifest, pictures: int, salt: str = "tristream") -> Manifest:
    """At most so many pictures, half of each class, balanced over photo sources of reals and generators of fakes.

    A source with fewer pictures than its share gives all it has, and the others of its class share the rest. Which
    pictures of a source are taken depends on a hash of (salt, sha256): adding files changes little, no seed plays a
    part. The manifest needs its sha256 column. The order stays.
    """
    table = manifest.table
    origin = origins(table)
    order = table["sha256"].map(lambda picture: hashlib.sha256(f"{salt}\0{picture}".encode()).digest())
    taken = np.zeros(len(table), bool)
    for label in (0, 1):
        of_class = table.index[table["label"] == label]
        counts = {str(name): int(count) for name, count in origin[of_class].value_counts().items()}
        for name, share in even_shares(counts, pictures // 2).items():
            rows = of_class[origin[of_class] == name]
            taken[order[rows].sort_values(kind="stable").index[:share]] = True
    return manifest.where(taken)


def origins(table: pd.DataFrame) -> pd.Series[str]:
    """The photo source of each real and the generator of each fake."""
    return table["source"].where(table["label"] == 0, table["generator"])


def even_shares(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """How many to take of each, as even as the counts allow; the sum is `total`, or all there is.

    >>> even_shares({"a": 10, "b": 2, "c": 10}, 12)
    {'b': 2, 'a': 5, 'c': 5}
    """
    shares: dict[str, int] = {}
    left = total
    for position, name in enumerate(sorted(counts, key=lambda name: (counts[name], name))):
        shares[name] = min(counts[name], left // (len(counts) - position))
        left -= shares[name]
    return shares
