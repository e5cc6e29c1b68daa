"""Tables on the Hugging Face Hub, read over the network without storing them: hub:OWNER/NAME in place of a folder."""

from __future__ import annotations

import http.client
import io
import re
import time
import urllib.error
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from tristream.data.download import ATTEMPTS, DownloadError, open_address, refused
from tristream.data.hub import HubFile, list_files, request_headers
from tristream.data.readers.shards import Shard

PREFIX = "hub:"
READ_AT_ONCE = 4 << 20
MAX_TEXT = 4 << 20


def is_remote(root: Path) -> bool:
    """Whether it names a data set on the Hub."""
    return str(root).startswith(PREFIX)


def repository(root: Path) -> str:
    """OWNER/NAME."""
    return PurePosixPath(str(root).removeprefix(PREFIX)).as_posix()


class RemoteFile(io.RawIOBase):
    """A file on a server, by HTTP ranges: seek and read, as a Parquet reader does. Raises DownloadError."""

    def __init__(self, file: HubFile, pause_s: float = 1.0) -> None:
        self._file, self._position, self._pause_s = file, 0, pause_s

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.bytes}[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        stop = min(self._position + len(view), self._file.bytes)
        if stop <= self._position:
            return 0
        data = self._read(self._position, stop)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _read(self, start: int, stop: int) -> bytes:
        reason = ""
        for attempt in range(ATTEMPTS):
            try:
                with open_address(
                    self._file.address, {**request_headers(), "Range": f"bytes={start}-{stop - 1}"}
                ) as answer:
                    if answer.status != 206:
                        raise DownloadError(f"{self._file.address}: the server has no ranges; download it instead")
                    if len(data := bytes(answer.read(stop - start))) == stop - start:
                        return data
                    reason = "connection closed"
            except urllib.error.HTTPError as error:
                if error.code < 500 and error.code != 429:
                    raise refused(self._file.address, error) from None
                reason = f"{error.code} {error.reason}"
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                reason = str(getattr(error, "reason", error))
            time.sleep(self._pause_s * 2**attempt)
        raise DownloadError(
            f"{self._file.address}: broke off {ATTEMPTS} times ({reason}); run the same command to go on"
        )


@dataclass(frozen=True)
class RemoteShard(Shard):
    """A Parquet file on the Hub."""

    remote: HubFile
    card: str

    def source(self) -> Any:
        """See `Shard.source`."""
        return io.BufferedReader(RemoteFile(self.remote), READ_AT_ONCE)

    def text(self, path: PurePosixPath) -> str:
        """See `Shard.text`; of the texts, only the card is fetched."""
        return self.card if str(path) == "README.md" else ""

    @property
    def version(self) -> dict[str, Any]:
        """See `Shard.version`: the address holds the commit."""
        return {"bytes": self.remote.bytes, "address": self.remote.address}


def remote_shards(root: Path) -> list[Shard]:
    """The Parquet files of a data set on the Hub that hold pictures. Raises DownloadError when it cannot be had."""
    _, files = list_files(repository(root))
    card = next((_text(file.address) for file in files if file.path == "README.md" and file.bytes <= MAX_TEXT), "")
    tables = sorted((file for file in files if re.search(r"\.parquet$", file.path)), key=lambda file: file.path)
    found = [RemoteShard(root, PurePosixPath(file.path), file, card) for file in tables]
    return [shard for shard in found[:1] if shard.pictures] and list(found)


@cache
def _text(address: str) -> str:
    with open_address(address, request_headers()) as answer:
        return str(answer.read(MAX_TEXT).decode("utf-8", errors="replace"))
