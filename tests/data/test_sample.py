"""A balanced part of a manifest: even over classes and sources, the same every time, stable as files come and go."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tristream.data.manifest import Manifest
from tristream.data.sample import balanced_sample, even_shares


def listed(counts: dict[tuple[int, str], int]) -> Manifest:
    """So many pictures of each (label, origin), known by name and sha256 alone."""
    rows = [
        {"path": f"{label}/{origin}/{n}.png", "label": label, "split": "train",
         "generator": origin if label else "", "source": f"collection-{n % 3}" if label else origin,
         "sha256": hashlib.sha256(f"{label}{origin}{n}".encode()).hexdigest()}
        for (label, origin), count in counts.items() for n in range(count)
    ]  # fmt: skip
    return Manifest.from_table(pd.DataFrame(rows), Path("."), absent_ok=True)


COUNTS = {(0, "camera"): 40, (0, "phone"): 3, (0, "scan"): 40, (1, "flux"): 50, (1, "sdxl"): 50}


def origins(manifest: Manifest) -> Counter[tuple[int, str]]:
    table = manifest.table
    origin = table["generator"].where(table["label"] == 1, table["source"])
    return Counter(zip(table["label"].tolist(), origin.tolist(), strict=True))


def test_classes_and_sources_are_even_and_small_sources_give_all() -> None:
    found = origins(balanced_sample(listed(COUNTS), 42))
    assert found == {(0, "phone"): 3, (0, "camera"): 9, (0, "scan"): 9, (1, "flux"): 10, (1, "sdxl"): 11}


def test_asking_for_more_than_there_is_takes_all() -> None:
    assert len(balanced_sample(listed(COUNTS), 10_000)) == sum(COUNTS.values())


def test_which_pictures_depends_on_names_and_salt_alone() -> None:
    manifest = listed(COUNTS)
    chosen = set(balanced_sample(manifest, 42).table["path"])
    shuffled = manifest.table.sample(frac=1, random_state=3).reset_index(drop=True)
    assert set(balanced_sample(Manifest(shuffled, manifest.root), 42).table["path"]) == chosen
    assert set(balanced_sample(manifest, 42, "another").table["path"]) != chosen
    fewer = manifest.where(~np.isin(manifest.table["path"], [sorted(chosen)[-1]]))
    assert len(set(balanced_sample(fewer, 42).table["path"]) - chosen) == 1, "one leaves, one comes in its place"
    assert balanced_sample(manifest, 42).table["path"].tolist() == [p for p in manifest.table["path"] if p in chosen]


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 30), max_size=8), st.integers(0, 100))
def test_shares_are_as_even_as_counts_allow(counts: dict[str, int], total: int) -> None:
    shares = even_shares(counts, total)
    assert sum(shares.values()) == min(total, sum(counts.values()))
    assert all(share <= counts[name] for name, share in shares.items())
    cut = [share for name, share in shares.items() if share < counts[name]]
    if cut:
        assert max(shares.values()) - min(cut) <= 1
