"""A part of a manifest that follows from its pictures, not from the order of its rows."""

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
    origin, order = origins(table), shuffled(table["sha256"], salt)
    taken = np.zeros(len(table), bool)
    for label in (0, 1):
        of_class = table.index[table["label"] == label]
        counts = {str(name): int(count) for name, count in origin[of_class].value_counts().items()}
        for name, share in even_shares(counts, pictures // 2).items():
            rows = of_class[origin[of_class] == name]
            taken[order[rows].sort_values(kind="stable").index[:share]] = True
    return manifest.where(taken)


def sample(manifest: Manifest, count: int | None, salt: str) -> Manifest:
    """At most so many pictures, None for all, drawn by a hash of (salt, sha256). The order stays."""
    if count is None or count >= len(manifest):
        return manifest
    manifest = manifest.with_file_columns(["sha256"])
    return manifest.where((shuffled(manifest.table["sha256"], salt).rank(method="first") <= count).to_numpy(bool))


def shuffled(name: pd.Series[str], salt: str) -> pd.Series[str]:
    """By what to sort for an order as good as random, that of a hash of (salt, name)."""
    return name.map(lambda one: hashed(one, salt))


def hashed(name: str, salt: str) -> str:
    """A number as good as random that follows from a name: 64 hexadecimal digits."""
    return hashlib.sha256(f"{salt}\0{name}".encode()).hexdigest()


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
