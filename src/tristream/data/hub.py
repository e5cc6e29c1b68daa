"""Data sets on the Hugging Face Hub, by its HTTP interface: which files there are, with their hashes; fetching them.

HF_ENDPOINT names another server, HF_TOKEN a token for gated data sets, as with the Hub's own tools. A revision is
resolved to a commit first, so that all files are of one state.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tristream.data.download import DownloadError, fetch, fetch_json, origin_of
from tristream.data.files import path_problem
from tristream.typing import ProgressInWords

ENDPOINT = "https://huggingface.co"


@dataclass(frozen=True)
class HubFile:
    """A file of a data set at one commit."""

    path: str
    bytes: int
    sha256: str | None
    """None for the small files that the Hub keeps in git itself"""
    address: str
    blob: str | None = None
    """git's hash of such a file"""


def list_files(repository: str, revision: str = "main") -> tuple[str, list[HubFile]]:
    """The commit that a revision stands for, and the files at it. Raises DownloadError."""
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repository):
        raise DownloadError(f"{repository}: expected OWNER/NAME, as in poloclub/diffusiondb")
    api = f"{_endpoint()}/api/datasets/{repository}"
    facts, _ = fetch_json(f"{api}/revision/{quote(revision, safe='')}", request_headers())
    commit = str(facts.get("sha", "")) if isinstance(facts, dict) else ""
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise DownloadError(f"{api}: expected a commit, got {commit!r}")
    files, page = list[HubFile](), f"{api}/tree/{commit}?recursive=true"
    while page:
        entries, page = fetch_json(page, request_headers())
        if page and origin_of(page) != origin_of(_endpoint()):
            raise DownloadError(f"{api}: the list goes on at another server, {page}")
        files += [_file(repository, commit, entry) for entry in entries if entry.get("type") == "file"]
    return commit, files


def chosen(files: Iterable[HubFile], patterns: Iterable[str]) -> list[HubFile]:
    """Files whose path fits one of the patterns, as for `fnmatch`. Raises DownloadError when none does."""
    files, patterns = list(files), list(patterns)
    found = [file for file in files if any(fnmatch.fnmatchcase(file.path, pattern) for pattern in patterns)]
    if not found:
        first = ", ".join(file.path for file in files[:8])
        raise DownloadError(f"no file fits {', '.join(patterns)}; there are {len(files):,}, such as {first}")
    return found


def fetch_file(file: HubFile, into: Path, max_bytes: int, progress: ProgressInWords | None = None) -> Path:
    """Fetch a file to its path below `into`. Raises DownloadError; also for a path that leaves the folder."""
    into.mkdir(parents=True, exist_ok=True)
    if problem := path_problem(file.path, into.resolve()):
        raise DownloadError(f"{file.address}: its path {file.path} {problem}")
    target = into / file.path
    fetch(
        file.address,
        target,
        max_bytes=max_bytes,
        sha256=file.sha256,
        size=file.bytes,
        headers=request_headers(),
        progress=progress,
    )
    if file.sha256 is None and file.blob is not None and (found := _blob(target)) != file.blob:
        target.unlink()
        raise DownloadError(f"{file.address}: is not the file that the Hub lists (git hash {found}, not {file.blob})")
    return target


def _blob(file: Path) -> str:
    data = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _file(repository: str, commit: str, entry: dict[str, object]) -> HubFile:
    path, lfs = str(entry["path"]), entry.get("lfs")
    oid = str(lfs.get("oid", "")) if isinstance(lfs, dict) else ""
    sha256 = oid.removeprefix("sha256:") if re.fullmatch(r"(sha256:)?[0-9a-f]{64}", oid) else None
    size = (lfs.get("size") if isinstance(lfs, dict) else None) or entry.get("size")
    address = f"{_endpoint()}/datasets/{repository}/resolve/{commit}/{quote(path)}"
    blob = entry.get("oid") if lfs is None else None
    return HubFile(path, int(str(size or 0)), sha256, address, str(blob) if blob else None)


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", ENDPOINT).rstrip("/")


def request_headers() -> dict[str, str]:
    """What every request to the Hub carries: the token of HF_TOKEN, if there is one."""
    token = os.environ.get("HF_TOKEN", "")
    return {"Authorization": f"Bearer {token}"} if token else {}
