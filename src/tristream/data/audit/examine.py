"""Every picture's features and perceptual hash, in parallel, each file once; a cache makes the second run quick."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tristream.data.audit.nuisances import declared_facts, pixel_facts
from tristream.data.audit.scene import perceptual_hash, scene_facts
from tristream.data.audit.topics import FEATURES
from tristream.data.files import in_threads, read_recorded
from tristream.data.manifest import Manifest
from tristream.errors import ImageError, MissingExtraError, UsageError
from tristream.images.decode import decode
from tristream.typing import Float32, Progress, UInt8

# N pictures, F features


_EDITION = "2"
"""Change it when a feature changes its meaning but not its name."""
_VERSION = hashlib.sha256("\n".join((_EDITION, *FEATURES)).encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Examined:
    """What is known of the pictures of a manifest, in its order."""

    features_NF: Float32
    """f32[N, F], columns as in `topics.FEATURES`; NaN where a picture has no such value."""
    hash_NW: UInt8
    """uint8[N, 32], see `scene.perceptual_hash`."""
    error_N: tuple[str, ...]
    """Why a picture could not be examined, "" where it could."""


def examine(content: bytes, name: str) -> tuple[Float32, UInt8]:
    """Features, f32[F], and perceptual hash, uint8[32], of one picture. Raises ImageError."""
    decoded = decode(content, name)
    facts = declared_facts(content, decoded) | pixel_facts(content, decoded)
    facts |= scene_facts(decoded.pixels, len(content))
    return np.array([facts.get(feature, np.nan) for feature in FEATURES], np.float32), perceptual_hash(decoded.pixels)


def examine_manifest(manifest: Manifest, cache: Path | None = None, progress: Progress | None = None) -> Examined:
    """Examine every picture of a manifest whose sha256 is known; copies are examined once.

    cache: a SQLite file that is read and added to; None for none. Videos, unreadable pictures, and files that are not
    those recorded (by hash where a file is read; by size, where one is recorded, for the cache and for copies) get an
    error. Raises UsageError for a cache that cannot be used.
    """
    table = manifest.table
    rows_of: dict[str, list[int]] = {}
    for row, (sha256, media) in enumerate(zip(table["sha256"], table["media"], strict=True)):
        if media == "image":
            rows_of.setdefault(str(sha256), []).append(row)
    features_NF = np.full((len(table), len(FEATURES)), np.nan, np.float32)
    hash_NW = np.zeros((len(table), 32), np.uint8)
    error_N = ["a video: make pictures of its frames first" if m == "video" else "" for m in table["media"]]
    with _opened(cache) as store:
        known = store.read(rows_of)
        wanted = list(rows_of)
        found = in_threads(lambda sha256: _copies(manifest, rows_of[sha256], known.get(sha256)), wanted, progress)
        for sha256, (result, errors) in zip(wanted, found, strict=True):
            for row, error in errors.items():
                error_N[row] = error
            if result is not None:
                rows = [row for row in rows_of[sha256] if row not in errors]
                features_NF[rows], hash_NW[rows] = result
                if sha256 not in known:
                    store.add(sha256, *result)
    return Examined(features_NF, hash_NW, tuple(error_N))


def default_cache() -> Path:
    """Where features are kept between runs: below $XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tristream" / "audit.sqlite"


def _copies(
    manifest: Manifest, rows: list[int], result: tuple[Float32, UInt8] | None
) -> tuple[tuple[Float32, UInt8] | None, dict[int, str]]:
    """What is known of the rows of one sha256, and the error of each row that it does not hold for.

    result: of an earlier run. The first row is examined where there is none, and every row whose size has changed.
    """
    errors: dict[int, str] = {}
    for row in rows:
        file, size = manifest.file(row), manifest.table["bytes"].iloc[row]
        if result is not None and _has_size(file, size):
            continue
        found = _examined(file, str(manifest.table["sha256"].iloc[row]))
        if isinstance(found, str):
            errors[row] = found
        else:
            result = found
    return result, errors


def _has_size(file: Path, size: object) -> bool:
    """Whether the file is there and, where a size is recorded, has that many bytes."""
    try:
        return bool(pd.isna(size) or file.stat().st_size == size) and file.is_file()  # type: ignore[call-overload]
    except OSError:
        return False


def _examined(file: Path, sha256: str) -> tuple[Float32, UInt8] | str:
    try:
        return examine(read_recorded(file, sha256), str(file))
    except (ImageError, MissingExtraError) as error:
        return str(error).removeprefix(f"{file}: ")


class _Store:
    """Features and hash by the sha256 of the file; without a connection it knows and keeps nothing."""

    def __init__(self, connection: sqlite3.Connection | None) -> None:
        self._connection = connection
        self._added = 0

    def read(self, wanted: Iterable[str]) -> dict[str, tuple[Float32, UInt8]]:
        if self._connection is None:
            return {}
        wanted = set(wanted)
        rows = self._connection.execute("SELECT sha256, features, hash FROM pictures WHERE version = ?", (_VERSION,))
        return {
            sha256: (np.frombuffer(features, np.float32), np.frombuffer(hash, np.uint8))
            for sha256, features, hash in rows
            if sha256 in wanted
        }

    def add(self, sha256: str, features_F: Float32, hash_W: UInt8) -> None:
        if self._connection is None:
            return
        row = (sha256, _VERSION, features_F.tobytes(), hash_W.tobytes())
        self._connection.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)", row)
        self._added += 1
        if self._added % 256 == 0:
            self._connection.commit()


@contextmanager
def _opened(cache: Path | None) -> Iterator[_Store]:
    if cache is None:
        yield _Store(None)
        return
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(cache, timeout=60)) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS pictures"
                " (sha256 TEXT, version TEXT, features BLOB, hash BLOB, PRIMARY KEY (sha256, version))"
            )
            try:
                yield _Store(connection)
            finally:
                connection.commit()
    except (sqlite3.Error, OSError) as error:
        raise UsageError(f"{cache}: cannot be used as a cache ({error}); delete it, or name another file") from error
