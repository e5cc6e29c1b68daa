"""Fetching a data set: which files, in which order, what to unpack; a record of what came from where."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tristream.atomic import write_text
from tristream.data.download import DownloadError, fetch
from tristream.data.hub import HubFile, chosen, fetch_file, list_files
from tristream.data.readers.layout import Hub, Layout, WebFile
from tristream.data.unpack import unpack
from tristream.errors import UsageError
from tristream.typing import ProgressInWords

RECORD = "download.json"


@dataclass(frozen=True)
class Job:
    """One file to fetch."""

    path: str
    """below the folder"""
    bytes: int
    source: HubFile | WebFile
    commit: str = ""
    unpack_to: str | None = None
    """folder for what a zip archive holds, below the folder; None: leave it"""


@dataclass(frozen=True)
class Fetched:
    """What a run has brought."""

    files: int
    bytes: int
    unpacked: int


def jobs_of(about: Layout, repository: str | None, revision: str, include: Sequence[str], parts: str) -> list[Job]:
    """The files to fetch of a layout, or of a repository that is named instead. Raises DownloadError, UsageError."""
    if repository is None and about.files:
        names = {PurePosixPath(file.address).name: file for file in about.files}
        wanted = [name for name in names if any(PurePosixPath(name).match(pattern) for pattern in include)]
        if include and not wanted:
            raise UsageError(f"no file fits {', '.join(include)}; there are: {', '.join(names)}")
        return [Job(name, names[name].bytes, names[name], unpack_to=".") for name in wanted or list(names)[:1]]
    hub = about.hub
    if repository is not None:
        hub = Hub(repository, hub.patterns, hub.unpack) if hub else Hub(repository)
    if hub is None:
        raise UsageError("name a data set on the Hub: --repository OWNER/NAME")
    commit, files = list_files(hub.repository, revision)
    patterns = [pattern for given in (include or hub.patterns) for pattern in _numbered(given, parts)]
    return [
        Job(file.path, file.bytes, file, commit, _unpack_to(file.path) if hub.unpack else None)
        for file in chosen(files, patterns)
    ]


def run(
    jobs: Sequence[Job],
    folder: Path,
    max_bytes: int,
    *,
    keep_archives: bool = False,
    progress: ProgressInWords | None = None,
) -> Fetched:
    """Fetch, check and unpack, one by one; RECORD in the folder says what came from where, with hashes.

    An archive that has been unpacked and deleted is not fetched again. max_bytes: of each file, and of what an archive
    unpacks to. Raises DownloadError at the first file that cannot be had; what is there stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record, unpacked, size = _record(folder), 0, 0
    for number, job in enumerate(jobs, 1):
        entry = {"address": job.source.address, "bytes": job.bytes, "sha256": job.source.sha256, "commit": job.commit}
        if record.get(job.path) == {**entry, "unpacked": True} and not keep_archives:
            continue
        words = f"{number}/{len(jobs)} {job.path}"

        def show(done: int, total: int, _: str = "", words: str = words) -> None:
            if progress is not None:
                progress(done, total, words)

        file = _fetch(job, folder, max_bytes, show)
        size += job.bytes
        if job.unpack_to is not None and file.suffix == ".zip":
            unpacked += unpack(file, folder / job.unpack_to, max_bytes)
            if not keep_archives:
                file.unlink()
        record[job.path] = {**entry, "unpacked": job.unpack_to is not None and not file.exists()}
        _write(folder, record)
    return Fetched(len(jobs), size, unpacked)


def _fetch(job: Job, folder: Path, max_bytes: int, progress: ProgressInWords) -> Path:
    if isinstance(job.source, HubFile):
        return fetch_file(job.source, folder, max_bytes, progress)
    target, source = folder / job.path, job.source
    size, sha256 = source.bytes, source.sha256
    fetch(source.address, target, max_bytes=max_bytes, sha256=sha256, size=size, progress=progress)
    return target


def _unpack_to(path: str) -> str:
    """A part of DiffusionDB holds its pictures without a folder; other archives bring their own."""
    place = PurePosixPath(path)
    return str(place.with_suffix("")) if place.name.startswith("part-") else str(place.parent)


def _numbered(pattern: str, parts: str) -> Iterator[str]:
    if "{part}" not in pattern:
        yield pattern
        return
    for piece in parts.split(","):
        first, _, last = piece.partition("-")
        if not first.strip().isdecimal() or not (last.strip() or first.strip()).isdecimal():
            raise UsageError(f"--parts {parts}: expected numbers such as 1-10 or 1,5,9")
        yield from (pattern.format(part=f"{number:06d}") for number in range(int(first), int(last or first) + 1))


def _record(folder: Path) -> dict[str, dict[str, object]]:
    file = folder / RECORD
    if not file.is_file():
        return {}
    try:
        return {str(path): dict(entry) for path, entry in json.loads(file.read_text("utf-8")).items()}
    except (ValueError, AttributeError, TypeError):
        raise DownloadError(f"{file}: not the record of a download; delete it to start anew") from None


def _write(folder: Path, record: dict[str, dict[str, object]]) -> None:
    write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")
