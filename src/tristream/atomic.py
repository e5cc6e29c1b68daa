"""Files that are there whole or not at all: a reader sees the old one or the new one, whatever kills the writer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A name beside `path` to write to, which takes its place at the end of the block, and vanishes on an error.

    The folder is made where it is missing. Processes that write the same file do not meet. durable: also when the
    machine loses its power; for files that took long to make.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield part
        if durable:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """In UTF-8, with the line ends of the text."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """As `Path.write_bytes`, but whole or not at all."""
    with replaced(path) as part:
        part.write_bytes(content)
