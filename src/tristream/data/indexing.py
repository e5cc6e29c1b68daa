"""Reading the files of a listing: many at once, with a journal from which an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TextIO

import pandas as pd

from tristream.atomic import replaced
from tristream.data.files import FILE_COLUMNS, in_threads, media_of, path_problem
from tristream.data.manifest import Manifest
from tristream.errors import ImageError, ManifestError, MissingExtraError
from tristream.images.decode import MAX_BYTES, decode, read_header
from tristream.typing import Progress


class FileFacts(NamedTuple):
    """What is known of one file; a line of the journal, after its path."""

    bytes: int
    mtime_ns: int
    width: int | None
    height: int | None
    format: str
    sha256: str
    problem: str
    """why it cannot be used, or "" """


def read_files(
    root: Path,
    listed: pd.DataFrame,
    headers_only: bool,
    journal: Path | None = None,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """The file columns of the rows of `listed` (path, maybe media) that can be used, by its index; and why others not.

    root: absolute, without links. What the journal knows of a file whose size and time are unchanged is not read again.
    Videos are hashed, not decoded. Memory grows with the table, not with the files.
    """
    paths = listed["path"].astype(str).tolist()
    media = listed.get("media")
    with ExitStack() as stack:
        known, note = _journal(journal, headers_only, stack) if journal is not None else ({}, None)

        def facts_of(row: int) -> FileFacts:
            path = paths[row]
            kind = media_of(path) if media is None else str(media.iat[row])
            seen = known.get(path)
            return seen if seen is not None and _unchanged(root / path, seen) else _read(root, path, kind, headers_only)

        columns: dict[str, list[object]] = {name: [] for name in FILE_COLUMNS}
        kept, unreadable = [], dict[str, str]()
        read = in_threads(facts_of, range(len(paths)), progress)
        for row, path, facts in zip(listed.index, paths, read, strict=True):
            if note is not None and known.get(path) != facts:
                note(path, facts)
            if facts.problem:
                unreadable[path.encode(errors="backslashreplace").decode()] = facts.problem
            else:
                kept.append(row)
                for name in FILE_COLUMNS:
                    columns[name].append(getattr(facts, name))
    return pd.DataFrame(columns, index=pd.Index(kept, dtype=listed.index.dtype)), unreadable


def merge_copies(manifest: Manifest) -> Manifest:
    """Put exact copies, and all that shares a group with one of them, into one group: the first by name."""
    table = manifest.table
    copies = table[table.duplicated("sha256", keep=False) & (table["sha256"] != "")]
    leader: dict[str, str] = {}

    def lead(group: str) -> str:
        while (above := leader.get(group, group)) != group:
            group = above
        return group

    for _, groups in copies.groupby("sha256")["group"]:
        names = sorted({lead(group) for group in groups})
        leader.update(dict.fromkeys(names[1:], names[0]))
    if not leader:
        return manifest
    return Manifest(table.assign(group=table["group"].map(lead).astype(str)), manifest.root)


def _read(root: Path, path: str, media: str, headers_only: bool) -> FileFacts:
    """Read a file once. What is wrong with it is part of the answer."""
    size = mtime_ns = 0
    try:
        path.encode()
        if problem := path_problem(path, root):
            return FileFacts(0, 0, None, None, "", "", problem)
        file = root / path
        status = file.stat()
        size, mtime_ns = status.st_size, status.st_mtime_ns
        if media == "video":  # may be larger than the memory
            with file.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            return FileFacts(size, mtime_ns, None, None, "", sha256, "" if size else "is empty")
        if size > MAX_BYTES:
            return FileFacts(size, mtime_ns, None, None, "", "", f"is larger than {MAX_BYTES >> 20} MiB")
        data = file.read_bytes()
        header = read_header(data, path)
        if not headers_only:
            decode(data, path)
    except UnicodeEncodeError:
        return FileFacts(size, mtime_ns, None, None, "", "", "its name is not UTF-8; rename it")
    except OSError as error:
        return FileFacts(size, mtime_ns, None, None, "", "", f"cannot be read: {error.strerror}")
    except (ImageError, MissingExtraError) as error:
        return FileFacts(size, mtime_ns, None, None, "", "", str(error).removeprefix(f"{path}: "))
    sha256 = hashlib.sha256(data).hexdigest()
    return FileFacts(size, mtime_ns, header.width, header.height, header.format, sha256, "")


def _unchanged(file: Path, seen: FileFacts) -> bool:
    try:
        status = file.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (seen.bytes, seen.mtime_ns)


def _journal(
    path: Path, headers_only: bool, stack: ExitStack
) -> tuple[dict[str, FileFacts], Callable[[str, FileFacts], None]]:
    """What an earlier run has read, and a function that notes more. A JSON list per line; a torn last line is lost."""
    head = json.dumps({"journal": 1, "headers_only": headers_only}) + "\n"
    known: dict[str, FileFacts] = {}
    try:
        with path.open(encoding="utf-8", errors="surrogatepass") as lines:
            if next(lines, "") == head:
                known = dict(_entries(lines))
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot go on from this journal ({error}); delete it to start anew") from None
    with replaced(path) as part, part.open("w", encoding="utf-8", errors="surrogatepass") as stream:  # no torn line
        stream.write(head)
        note = _writer(stream)
        for name, facts in known.items():
            note(name, facts)
    return known, _writer(stack.enter_context(path.open("a", encoding="utf-8", errors="surrogatepass")))


def _entries(lines: Iterator[str]) -> Iterator[tuple[str, FileFacts]]:
    for line in lines:
        try:
            path, *facts = json.loads(line)
            yield path, FileFacts(*facts)
        except (ValueError, TypeError):  # cut off when the run was killed
            return


def _writer(stream: TextIO) -> Callable[[str, FileFacts], None]:
    def note(path: str, facts: FileFacts) -> None:
        entry: Sequence[object] = (path, *facts)
        stream.write(json.dumps(entry) + "\n")

    return note
