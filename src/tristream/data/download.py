"""Fetching one file: resumed after a break, checked against its hash, never larger than allowed.

The standard library does it, so that fetching needs no extra and every byte passes these checks.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tristream.errors import TristreamError
from tristream.typing import ProgressInWords

ATTEMPTS = 5
"""How often a broken transfer is taken up again."""
TIMEOUT_S = 60.0
BLOCK = 1 << 20


class DownloadError(TristreamError):
    """A file could not be fetched, or is not what it has to be; the message names it and says what to do."""


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https; a token goes to the server that it was meant for, as safely as there."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise DownloadError(f"{req.full_url}: leads to {newurl}; expected http or https")
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and origin_of(newurl) != origin_of(req.full_url):
            new.remove_header("Authorization")
        return new


def origin_of(address: str) -> tuple[str, str]:
    """Scheme and host: what has to stay the same for a token to be sent along."""
    parts = urlsplit(address)
    return parts.scheme, parts.netloc


_OPENER = urllib.request.build_opener(_Redirect)


def open_address(address: str, headers: Mapping[str, str]) -> Any:
    """An HTTP response. Raises DownloadError for another scheme, HTTPError and URLError as urllib does."""
    if urlsplit(address).scheme not in ("http", "https"):
        raise DownloadError(f"{address}: expected an address that starts with http:// or https://")
    return _OPENER.open(urllib.request.Request(address, headers=dict(headers)), timeout=TIMEOUT_S)


def fetch(
    address: str,
    target: Path,
    *,
    max_bytes: int,
    sha256: str | None = None,
    size: int | None = None,
    headers: Mapping[str, str] | None = None,
    progress: ProgressInWords | None = None,
    pause_s: float = 1.0,
) -> bool:
    """Fetch `address` to `target`. Returns False when it was there already, whole and as wanted.

    The bytes gather in `target`.partial, and an interrupted transfer goes on there, if the server still has the same
    version of the file. sha256 (hex), size: what the file has to be. Raises DownloadError when it is not, when it grows
    beyond `max_bytes`, and when the transfer breaks off ATTEMPTS times without getting on.
    """
    fits = target.is_file() and (size is None or target.stat().st_size == size)
    if fits and (sha256 is None or _sha256(target) == sha256):
        return False
    if size is not None and size > max_bytes:
        raise DownloadError(f"{address}: {size:,} bytes, more than the limit of {max_bytes:,}; raise it with --max-gb")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    failures, reason = 0, ""
    while failures < ATTEMPTS:
        before = partial.stat().st_size if partial.is_file() else 0
        try:
            _transfer(address, partial, max_bytes, size, headers or {}, progress)
            break
        except urllib.error.HTTPError as error:
            if error.code == 416:  # what is there does not fit to the file any more
                partial.unlink(missing_ok=True)
            elif error.code < 500 and error.code != 429:
                raise refused(address, error) from None
            reason = f"{error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        got_on = partial.is_file() and partial.stat().st_size > before
        failures = 0 if got_on else failures + 1
        time.sleep(pause_s * 2 ** max(0, failures - 1))
    else:
        raise DownloadError(f"{address}: broke off {ATTEMPTS} times ({reason}); run the same command to go on")
    if size is not None and partial.stat().st_size != size:
        found = partial.stat().st_size
        partial.unlink()
        raise DownloadError(f"{address}: expected {size:,} bytes, got {found:,}; deleted, run the command again")
    if sha256 is not None and (found_hash := _sha256(partial)) != sha256:
        partial.unlink()
        raise DownloadError(f"{address}: expected sha256 {sha256}, got {found_hash}; deleted, run the command again")
    partial.replace(target)
    _note_of(partial).unlink(missing_ok=True)
    return True


def fetch_json(address: str, headers: Mapping[str, str], max_bytes: int = 64 << 20) -> tuple[Any, str]:
    """A JSON answer and the address of its next page ("" for none). Raises DownloadError."""
    try:
        with open_address(address, headers) as answer:
            text = answer.read(max_bytes + 1)
            link = answer.headers.get("Link", "")
    except urllib.error.HTTPError as error:
        raise refused(address, error) from None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise DownloadError(f"{address}: cannot be reached: {getattr(error, 'reason', error)}") from None
    if len(text) > max_bytes:
        raise DownloadError(f"{address}: an answer of more than {max_bytes:,} bytes")
    following = link.partition(">")[0].lstrip("<") if 'rel="next"' in link else ""
    try:
        return json.loads(text), following
    except ValueError:
        raise DownloadError(f"{address}: expected JSON, got {text[:60]!r}") from None


def _transfer(
    address: str,
    partial: Path,
    max_bytes: int,
    size: int | None,
    headers: Mapping[str, str],
    progress: ProgressInWords | None,
) -> None:
    """Fetch what is missing at the end of `partial`, or all of it when the file has changed meanwhile."""
    there = partial.stat().st_size if partial.is_file() else 0
    note = _note_of(partial)
    version = note.read_text("utf-8") if there and note.is_file() else ""
    if size is not None and there == size and version:
        return
    resume = {"Range": f"bytes={there}-", "If-Range": version} if there and version else {}
    with open_address(address, {**headers, **resume}) as answer:
        start = there if answer.status == 206 else 0  # 200: from the beginning
        if answer.status == 206 and not str(answer.headers.get("Content-Range", "")).startswith(f"bytes {there}-"):
            raise DownloadError(
                f"{address}: asked for the bytes from {there}, got {answer.headers.get('Content-Range')}"
            )
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length and length.isdecimal() else size or 0
        if total > max_bytes:
            raise DownloadError(
                f"{address}: {total:,} bytes, more than the limit of {max_bytes:,}; raise it with --max-gb"
            )
        etag = answer.headers.get("ETag", "")
        strong = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified", "")
        note.write_text(strong, "utf-8")
        with partial.open("ab" if start else "wb") as stream:
            done = start
            while block := answer.read(BLOCK):
                done += len(block)
                if done > max_bytes:
                    raise DownloadError(
                        f"{address}: grows beyond the limit of {max_bytes:,} bytes; raise it with --max-gb"
                    )
                stream.write(block)
                if progress is not None:
                    progress(done, max(total, done))
        if total and done < total:
            raise http.client.IncompleteRead(b"", total - done)


def _note_of(partial: Path) -> Path:
    """The file that keeps the version (ETag or date) of what is in `partial`."""
    return partial.with_name(partial.name + ".version")


def refused(address: str, error: urllib.error.HTTPError) -> DownloadError:
    """What to tell people of an answer that asking again does not change."""
    advice = {404: "; is the name right?"} | dict.fromkeys(
        (401, 403), "; accept the data set's terms on its page, and put your access token into the variable HF_TOKEN"
    )
    return DownloadError(f"{address}: the server says {error.code} {error.reason}{advice.get(error.code, '')}")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
