"""How picture files are built, so that `mutants` can change what is inside and no checksum stops it at once."""

from __future__ import annotations

import re
import struct
import zlib
from itertools import pairwise


def with_number(data: bytes, offset: int, code: str, value: int) -> bytes:
    """The file with one number, packed by a struct code, written over what is there."""
    size = struct.calcsize(code)
    return data[:offset] + struct.pack(code, value % 256**size) + data[offset + size :]


def size_fields(data: bytes) -> list[tuple[int, str]]:
    """(offset, struct code) of what declares a size, found by the signature."""
    if data.startswith(b"\x89PNG"):
        return [(16, ">I"), (20, ">I")]
    if data.startswith(b"\xff\xd8"):
        start = re.search(rb"\xff[\xc0\xc2]\0.\x08", data, re.DOTALL)
        return [(start.start() + 5, ">H"), (start.start() + 7, ">H")] if start else []
    if data.startswith(b"GIF8"):
        frame = data.find(b"\x2c\0\0\0\0")
        return [(6, "<H"), (8, "<H"), (frame + 5, "<H"), (frame + 7, "<H")]
    if data.startswith(b"BM"):
        return [(10, "<I"), (14, "<I"), (18, "<I"), (22, "<I"), (28, "<H")]
    if data.startswith(b"RIFF"):
        return {b"X": [(24, "<H"), (27, "<H")], b"L": [(21, "<I")]}.get(data[15:16], [(26, "<H"), (28, "<H")])
    if data.startswith(b"II*\0"):  # width, height, bits, compression, strips, samples, rows per strip: TIFF 6.0
        directory = struct.unpack_from("<I", data, 4)[0]
        entries = range(directory + 2, min(len(data) - 12, directory + 2 + 12 * data[directory]), 12)
        return [(entry + 8, "<I") for entry in entries] + [(entry + 4, "<I") for entry in entries]
    return [(m.start() + place, ">I") for m in re.finditer(rb"ispe", data) for place in (8, 12)]


def split(data: bytes) -> list[bytes]:
    """A file cut into the pieces that its container is made of; into runs of 64 bytes where it has none."""
    ends = [0]
    if data.startswith(b"\x89PNG"):
        ends.append(8)
        while ends[-1] + 12 <= len(data):
            ends.append(ends[-1] + 12 + struct.unpack_from(">I", data, ends[-1])[0])
    elif data.startswith(b"\xff\xd8"):
        ends.append(2)
        while ends[-1] + 4 <= len(data) and data[ends[-1]] == 0xFF:
            ends.append(ends[-1] + 2 + struct.unpack_from(">H", data, ends[-1] + 2)[0])
    elif data.startswith(b"RIFF"):
        ends.append(12)
        while ends[-1] + 8 <= len(data):
            length = struct.unpack_from("<I", data, ends[-1] + 4)[0]
            ends.append(ends[-1] + 8 + length + length % 2)
    elif data[4:8] == b"ftyp":
        while ends[-1] + 8 <= len(data):
            ends.append(ends[-1] + max(8, struct.unpack_from(">I", data, ends[-1])[0]))
    else:
        ends += range(64, len(data), 64)
    return [data[start:end] for start, end in pairwise([*(e for e in ends if e < len(data)), len(data)])]


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the checksum of what they hold now; any other file as it is."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    return b"".join(
        part if len(part) < 12 else part[:-4] + struct.pack(">I", zlib.crc32(part[4:-4])) for part in split(data)
    )


def png_chunk(name: bytes, payload: bytes) -> bytes:
    """A chunk of a PNG with its length and checksum."""
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))
