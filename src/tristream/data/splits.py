"""Splits by group and by hash: where a group falls depends on its name and a salt, on no other file and no seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import pandas as pd

from tristream.data.manifest import Manifest
from tristream.data.sample import hashed
from tristream.errors import ManifestError, UsageError


@dataclass(frozen=True)
class SplitSize:
    """How much a split holds."""

    split: str
    real: int
    fake: int
    groups: int
    sources: int
    """of the reals"""
    generators: int
    """of the fakes"""

    def __str__(self) -> str:
        real = f"{self.real:,} real of {self.sources} sources"
        fake = f"{self.fake:,} fake of {self.generators} generators"
        return f"{self.split or '(no split)'}: {real}, {fake}, {self.groups:,} groups"


def assign_splits(
    manifest: Manifest,
    fractions: Mapping[str, float],
    salt: str = "tristream",
    held_out: Mapping[str, Sequence[str]] | None = None,
    *,
    replace: bool = False,
) -> Manifest:
    """Put every group, whole, into a split by the hash of (salt, group), so that adding files moves no group.

    fractions: expected share of the groups per split, each in (0, 1], sum 1; their order is part of the rule. The sizes
    in pictures follow only roughly: see `split_sizes`. held_out: per split, the generators and photo sources that go
    there with all their groups; such a group takes its pictures of other sources along. replace: the manifest may have
    splits. Raises UsageError for the arguments, ManifestError when two splits hold out parts of one group.
    """
    _check_fractions(fractions)
    if not replace and (there := sorted(set(manifest.table["split"]) - {""})):
        raise UsageError(f"the manifest has splits already ({', '.join(there)}); add --replace if that is meant")
    held = _held_out_groups(manifest, held_out or {})
    groups = manifest.table["group"]
    split_of = {group: held.get(group) or _split_of(group, fractions, salt) for group in groups.unique()}
    return Manifest(manifest.table.assign(split=groups.map(split_of).astype(str)), manifest.root)


def parse_fractions(text: str) -> dict[str, float]:
    """Read "train=0.8,validation=0.1,test=0.1". Raises UsageError."""
    pairs = [part.partition("=") for part in text.split(",")]
    try:
        fractions = {name.strip(): float(share) for name, _, share in pairs}
    except ValueError:
        raise UsageError(f"expected shares such as train=0.8,validation=0.1,test=0.1, got '{text}'") from None
    if len(fractions) < len(pairs):
        raise UsageError(f"a split is named twice in '{text}'")
    return fractions


def parse_held_out(texts: Iterable[str]) -> dict[str, list[str]]:
    """Read "reserved=gigagan,photo-x", any number of them. Raises UsageError."""
    held_out: dict[str, list[str]] = {}
    for text in texts:
        split, _, names = (part.strip() for part in text.partition("="))
        wanted = [name for part in names.split(",") if (name := part.strip())]
        if not split or not wanted:
            raise UsageError(f"expected a split and what it holds, such as reserved=gigagan,photo-x, got '{text}'")
        held_out.setdefault(split, []).extend(wanted)
    return held_out


def check_splits(manifest: Manifest) -> None:
    """Raise ManifestError when a group, or one and the same file, lies in two splits.

    Rows without a split are left out. Reads the files whose sha256 is missing.
    """
    table = manifest.with_file_columns(["sha256"]).table
    _refuse(straddling(table), *_OF_GROUPS)
    advice = "put their copies into one group, or remove them"
    _refuse(straddling(table, "sha256"), "pictures lie in several splits, byte for byte", advice)


def check_groups(manifest: Manifest, splits: Collection[str]) -> None:
    """Raise ManifestError when a group of one of these splits lies in any other split, too. Reads no file."""
    found = straddling(manifest.table).items()
    _refuse({name: where for name, where in found if not set(where).isdisjoint(splits)}, *_OF_GROUPS)


_OF_GROUPS = ("groups straddle splits", "a group goes into one split as a whole")


def _refuse(wrong: Mapping[str, tuple[str, ...]], what: str, advice: str) -> None:
    if wrong:
        lines = [f"  {name}: {', '.join(names)}" for name, names in islice(wrong.items(), 10)]
        rest = [f"  and {len(wrong) - 10} more"] if len(wrong) > 10 else []
        raise ManifestError("\n".join([f"{len(wrong)} {what}; {advice}:", *lines, *rest]))


def straddling(table: pd.DataFrame, column: str = "group") -> dict[str, tuple[str, ...]]:
    """Groups of a manifest's table that lie in several splits, and in which. Rows without a split are left out."""
    splits = table[table["split"] != ""].groupby(column)["split"].unique()
    return {str(name): tuple(sorted(names)) for name, names in splits.items() if len(names) > 1}


def split_digest(manifest: Manifest) -> str:
    """sha256 (hex) over the sorted (group, split) pairs: do two manifests split alike? Reads no picture."""
    pairs = sorted(set(zip(manifest.table["group"], manifest.table["split"], strict=True)))
    return hashlib.sha256("".join(f"{group}\0{split}\n" for group, split in pairs).encode()).hexdigest()


def split_sizes(manifest: Manifest, splits: Iterable[str] = ()) -> list[SplitSize]:
    """Size of each split that there is or that is named in `splits`; rows without a split count as the split ""."""
    table = manifest.table
    return [_size(name, table[table["split"] == name]) for name in dict.fromkeys([*splits, *table["split"].unique()])]


def _size(name: str, rows: pd.DataFrame) -> SplitSize:
    real, fake = rows[rows["label"] == 0], rows[rows["label"] == 1]
    return SplitSize(
        name, len(real), len(fake), rows["group"].nunique(), real["source"].nunique(), fake["generator"].nunique()
    )


def _check_fractions(fractions: Mapping[str, float]) -> None:
    if not fractions or "" in fractions or not all(0 < share <= 1 for share in fractions.values()):
        raise UsageError(f"expected named shares in (0, 1], such as train=0.8, got {dict(fractions)}")
    if not math.isclose(total := math.fsum(fractions.values()), 1, abs_tol=1e-9):
        raise UsageError(f"expected the shares of the splits to add up to 1, got {total:g} from {dict(fractions)}")


def _split_of(group: str, fractions: Mapping[str, float], salt: str) -> str:
    position = int(hashed(group, salt)[:16], 16) / 16**16  # uniform in [0, 1]
    bound = 0.0
    for name, share in fractions.items():
        bound += share
        if position < bound:
            return name
    return name  # the shares add up to 1 only up to rounding


def _held_out_groups(manifest: Manifest, held_out: Mapping[str, Sequence[str]]) -> dict[str, str]:
    table, split_of = manifest.table, dict[str, str]()
    names = (set(table["generator"]) | set(table["source"])) - {""}
    for split, wanted in held_out.items():
        if unknown := sorted(set(wanted) - names):
            raise UsageError(
                f"no generator or source '{', '.join(unknown)}' to hold out; there are: {', '.join(sorted(names))}"
            )
        for group in table["group"][table["generator"].isin(wanted) | table["source"].isin(wanted)].unique():
            if split_of.setdefault(group, split) != split:
                raise ManifestError(
                    f"group '{group}' is held out in {split_of[group]} and in {split}; "
                    "hold its generators and sources out together"
                )
    return split_of
