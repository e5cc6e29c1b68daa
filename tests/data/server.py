"""A local server of files: ranges, versions, interrupted transfers, redirects, and the Hub's interface."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Server:
    """What it serves, and what it was asked."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """by path"""
    redirects: dict[str, str] = field(default_factory=dict)
    cut_after: dict[str, int] = field(default_factory=dict)
    """bytes after which the connection breaks, once"""
    broken: dict[str, int] = field(default_factory=dict)
    """how many more times a path answers 503"""
    ranges: bool = True
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """path and headers of every request"""

    def asked_ranges(self, path: str) -> list[str]:
        """The Range headers of the requests for a path; "" without one."""
        return [headers.get("range", "") for asked, headers in self.asked if asked == path]

    def hub(self, repository: str, files: dict[str, bytes], commit: str = "c0ffee" + "0" * 34) -> None:
        """Serve a data set as the Hub does, its list in pages of three."""
        entries = [{"type": "directory", "path": "data", "size": 0}]
        for path, data in files.items():
            self.files[f"/datasets/{repository}/resolve/{commit}/{path}"] = data
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": blob}
            if path.endswith((".parquet", ".arrow", ".zip")):
                entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}
            entries.append(entry)
        self.files[f"/api/datasets/{repository}/revision/main"] = json.dumps({"sha": commit}).encode()
        self.pages[f"/api/datasets/{repository}/tree/{commit}"] = [
            entries[i : i + 3] for i in range(0, len(entries), 3)
        ]

    pages: dict[str, list[list[dict[str, Any]]]] = field(default_factory=dict)


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port of this machine."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            path = unquote(url.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.asked.append((path, headers))
            if state.broken.get(path, 0) > 0:
                state.broken[path] -= 1
                self._say(503, b"")
            elif path in state.redirects:
                self._say(302, b"", {"Location": state.redirects[path]})
            elif path in state.pages:
                number = int(url.query.rpartition("page=")[2] or 0) if "page=" in url.query else 0
                more = number + 1 < len(state.pages[path])
                link = {"Link": f'<{state.address}{url.path}?page={number + 1}>; rel="next"'} if more else {}
                self._say(200, json.dumps(state.pages[path][number]).encode(), link)
            elif path in state.files:
                self._file(path, headers)
            else:
                self._say(404, b"")

        def _file(self, path: str, headers: dict[str, str]) -> None:
            data = state.files[path]
            etag = f'"{hashlib.md5(data).hexdigest()}"'
            start, status, extra = 0, 200, {"ETag": etag}
            stop = len(data)
            if state.ranges and "range" in headers and headers.get("if-range", etag) == etag:
                first, _, last = headers["range"].removeprefix("bytes=").partition("-")
                start, stop, status = int(first), int(last) + 1 if last else len(data), 206
                extra["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            self._say(status, data[start:stop], extra, state.cut_after.pop(path, None))

        def _say(self, status: int, data: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data if cut is None else data[:cut])
            if cut is not None:
                self.wfile.flush()
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
