"""Whether the files of a manifest are still those that it records: broken, missing, moved or changed ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from tristream.data.files import file_facts, in_threads
from tristream.data.manifest import Manifest
from tristream.data.readers.walk import walk
from tristream.errors import ImageError, ManifestError, MissingExtraError
from tristream.images.decode import decode
from tristream.typing import Progress

Fault = Literal["broken", "changed", "moved", "missing", "unreadable", "unverifiable"]
FAULTS: Mapping[Fault, str] = {
    "broken": "is not the file that was recorded, and no whole picture any more",
    "changed": "is another picture than the one that was recorded",
    "moved": "is not there; the same bytes are elsewhere",
    "missing": "is not there",
    "unreadable": "cannot be read",
    "unverifiable": "nothing was recorded to compare it with: no sha256",
}


class Finding(NamedTuple):
    """One row of the manifest whose file is not as recorded."""

    path: str
    fault: Fault
    detail: str
    """where a moved file is now; what is wrong with a broken one"""

    def __str__(self) -> str:
        return f"{self.path}: {FAULTS[self.fault]}{f' ({self.detail})' if self.detail else ''}"


def verify(manifest: Manifest, progress: Progress | None = None) -> list[Finding]:
    """Hash every file again and compare; look for the missing ones among the files that the manifest does not name.

    manifest: read with `absent_ok`. Findings come in the order of the rows.
    """
    rows = list(manifest.table[["path", "sha256", "bytes", "media"]].itertuples(index=False, name=None))
    checked = in_threads(lambda row: _check(manifest.root, *row), rows, progress)
    findings = [finding for finding in checked if finding is not None]
    lost = {finding.path for finding in findings if finding.fault == "missing"}
    now_at = dict(_found_again(manifest, lost)) if lost else {}
    return [Finding(one.path, "moved", now_at[one.path]) if one.path in now_at else one for one in findings]


def _check(root: Path, path: str, sha256: str, bytes_: object, media: str) -> Finding | None:
    file = root / path
    if not file.is_file():
        return Finding(path, "missing", "")
    if not sha256:
        return Finding(path, "unverifiable", "")
    try:
        if file_facts(file, ["sha256"])["sha256"] == sha256:
            return None
        size = file.stat().st_size
    except (ManifestError, OSError) as error:
        return Finding(path, "unreadable", str(error).removeprefix(f"{file}: "))
    sizes = "" if pd.isna(bytes_) or bytes_ == size else f"{size:,} bytes, recorded were {bytes_:,}"  # type: ignore[call-overload]
    if media == "video":
        return Finding(path, "changed", sizes)
    try:
        decode(file)
    except (ImageError, MissingExtraError) as error:
        return Finding(path, "broken", str(error).removeprefix(f"{file}: "))
    return Finding(path, "changed", sizes)


def _found_again(manifest: Manifest, lost: set[str]) -> Iterator[tuple[str, str]]:
    """(path in the manifest, path now) of lost files; where all sizes are known, only files of these are hashed."""
    table, named = manifest.table, set(manifest.table["path"])
    wanted: dict[str, list[str]] = defaultdict(list)
    chosen = table[table["path"].isin(lost) & (table["sha256"] != "")]
    for path, sha256 in zip(chosen["path"], chosen["sha256"], strict=True):
        wanted[sha256].append(path)
    sizes = set() if chosen["bytes"].isna().any() else set(chosen["bytes"].astype(int))
    for found, linked in walk(manifest.root):
        file = manifest.root / found
        try:
            if linked or str(found) in named or not file.is_file() or (sizes and file.stat().st_size not in sizes):
                continue
            sha256 = file_facts(file, ["sha256"])["sha256"]
        except (ManifestError, OSError):  # a file that cannot be read is not where a lost one can be found again
            continue
        for path in wanted.pop(sha256, ()):
            yield path, str(found)
