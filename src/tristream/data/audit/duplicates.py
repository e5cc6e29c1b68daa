"""Pictures that are there more than once: byte for byte, or as good as, within and across groups, splits and labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tristream.config import StrictModel
from tristream.data.audit.scene import HASH_BITS
from tristream.typing import Float32, Int64, UInt8

# N pictures


NEAR_BITS = 26
"""Of 256: at most so many bits differ between near duplicates. Unrelated pictures differ in about 128."""
LISTED = 500
"""Near pairs that the report lists; the counts hold all."""
_BLOCK = 1024


class Copies(StrictModel):
    """One file that several rows hold, byte for byte."""

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    """Those that occur; two: a conflict, one of them is wrong."""
    splits: tuple[str, ...]
    groups: int


class NearPair(StrictModel):
    """Two files that show the same picture."""

    paths: tuple[str, str]
    bits: int
    """Of 256, that differ."""
    labels: tuple[int, int]
    splits: tuple[str, str]
    same_group: bool


class Duplicates(StrictModel):
    """What is there more than once."""

    copies: tuple[Copies, ...]
    n_near_within_groups: int
    """Frames of one video, for instance: no harm, for a group is never split."""
    n_near_across_groups: int
    n_near_across_splits: int
    n_near_across_labels: int
    """Of different groups: a fake made from a photograph, or a wrong label."""
    near: tuple[NearPair, ...]
    """Of different groups or splits, at most LISTED: across splits first, then across labels, then the nearest."""

    @property
    def conflicts(self) -> tuple[Copies, ...]:
        """Files that are there as real and as fake."""
        return tuple(copies for copies in self.copies if len(copies.labels) > 1)

    @property
    def n_copies_across_splits(self) -> int:
        """Files that lie in several splits."""
        return sum(len(copies.splits) > 1 for copies in self.copies)


def find_duplicates(table: pd.DataFrame, hash_NW: UInt8, contrast_N: Float32) -> Duplicates:
    """Compare all pictures of a manifest's table with each other.

    hash_NW: uint8[N, 32], of `scene.perceptual_hash`; contrast_N: spread of brightness in [0, 1], NaN for pictures that
    could not be read. A picture without contrast has no hash that means anything, so it has no near duplicates.
    """
    copies = [
        Copies(
            paths=tuple(rows["path"]),
            labels=tuple(sorted(set(rows["label"].tolist()))),
            splits=tuple(sorted(set(rows["split"]))),
            groups=int(rows["group"].nunique()),
        )
        for _, rows in table[table.duplicated("sha256", keep=False)].groupby("sha256", sort=False)
    ]
    first = ~table.duplicated("sha256").to_numpy() & (np.nan_to_num(contrast_N) > 0.02)
    rows = np.flatnonzero(first)
    path, label, split, group = (table[name].to_numpy() for name in ("path", "label", "split", "group"))
    within = across = splits = labels = 0
    listed: list[tuple[bool, bool, int, int, int]] = []  # those across splits and labels first
    for a_P, b_P, bits_P in near_pairs(hash_NW[rows]):
        a_P, b_P = rows[a_P], rows[b_P]
        same_group = group[a_P] == group[b_P]
        other_split, other_label = split[a_P] != split[b_P], label[a_P] != label[b_P]
        within += int(same_group.sum())
        across += int((~same_group).sum())
        splits += int(other_split.sum())
        labels += int((other_label & ~same_group).sum())
        for pair in np.flatnonzero(~same_group | other_split).tolist():
            listed.append(
                (not other_split[pair], not other_label[pair], int(bits_P[pair]), int(a_P[pair]), int(b_P[pair]))
            )
        listed = sorted(listed)[:LISTED]
    return Duplicates(
        copies=tuple(copies),
        n_near_within_groups=within,
        n_near_across_groups=across,
        n_near_across_splits=splits,
        n_near_across_labels=labels,
        near=tuple(
            NearPair(
                paths=(path[a], path[b]),
                bits=bits,
                labels=(int(label[a]), int(label[b])),
                splits=(split[a], split[b]),
                same_group=bool(group[a] == group[b]),
            )
            for _, _, bits, a, b in listed
        ),
    )


def near_pairs(hash_NW: UInt8, most_bits: int = NEAR_BITS) -> Iterator[tuple[Int64, Int64, Int64]]:
    """Yield blocks of pairs a < b whose hashes differ in at most `most_bits`: (a, b, bits that differ), each i64[P].

    Exact: the number of equal bits less that of different ones is a matrix product of signs.
    """
    sign = np.unpackbits(hash_NW, axis=1).astype(np.float32) * 2 - 1
    for start in range(0, len(sign), _BLOCK):
        for other in range(start, len(sign), _BLOCK):
            bits = (HASH_BITS - sign[start : start + _BLOCK] @ sign[other : other + _BLOCK].T) / 2
            a, b = np.nonzero(bits <= most_bits)
            a, b, bits_P = a + start, b + other, bits[a, b].astype(np.int64)
            if (keep := a < b).any():
                yield a[keep], b[keep], bits_P[keep]
