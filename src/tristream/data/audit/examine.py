"""Every picture's features and perceptual hash, in parallel, each file once; a cache makes the second run quick."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tristream.data.audit.nuisances import declared_facts, pixel_facts
from tristream.data.audit.scene import perceptual_hash, scene_facts
from tristream.data.audit.topics import FEATURES
from tristream.data.files import Progress, in_threads
from tristream.data.manifest import Manifest
from tristream.errors import ImageError, MissingExtraError, UsageError
from tristream.images.decode import decode

# N pictures, F features

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

_EDITION = "1"
"""Change it when a feature changes its meaning but not its name."""
_VERSION = hashlib.sha256("\n".join((_EDITION, *FEATURES)).encode()).hexdigest()[:16]


_HEADER_ERRORS = (OSError, ValueError, SyntaxError, ArithmeticError, TypeError, KeyError, IndexError, struct.error)
"""What Pillow's parsers raise for metadata that are damaged."""


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
    try:
        facts = declared_facts(content, decoded) | pixel_facts(content, decoded)
    except _HEADER_ERRORS as error:
        raise ImageError(f"{name}: its header cannot be read ({error}); save it again") from error
    facts |= scene_facts(decoded.pixels, len(content))
    return np.array([facts.get(feature, np.nan) for feature in FEATURES], np.float32), perceptual_hash(decoded.pixels)


def examine_manifest(manifest: Manifest, cache: Path | None = None, progress: Progress | None = None) -> Examined:
    """Examine every picture of a manifest whose sha256 is known; copies are examined once.

    cache: a SQLite file that is read and added to; None for none. Videos and unreadable pictures get an error.
    Raises UsageError for a cache that cannot be used.
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
        for sha256, (features_F, hash_W) in known.items():
            features_NF[rows_of[sha256]], hash_NW[rows_of[sha256]] = features_F, hash_W
        wanted = [sha256 for sha256 in rows_of if sha256 not in known]
        found = in_threads(lambda sha256: _examined(manifest.file(rows_of[sha256][0])), wanted, progress)
        for sha256, result in zip(wanted, found, strict=True):
            if isinstance(result, str):
                for row in rows_of[sha256]:
                    error_N[row] = result
            else:
                features_NF[rows_of[sha256]], hash_NW[rows_of[sha256]] = result
                store.add(sha256, *result)
    return Examined(features_NF, hash_NW, tuple(error_N))


def default_cache() -> Path:
    """Where features are kept between runs: below $XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tristream" / "audit.sqlite"


def _examined(file: Path) -> tuple[Float32, UInt8] | str:
    try:
        return examine(file.read_bytes(), str(file))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
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
