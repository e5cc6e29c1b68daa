"""What a file says of its own origin: content credentials, IPTC's source type, generation parameters, camera, software.

These are claims: anybody can write or strip them. They never touch the score, and no signature is checked. A file may
be hostile, so containers are walked in bounded steps, and XML is never parsed, but searched for single values.

Sources: C2PA Technical Specification, embedding of manifests; IPTC NewsCodes, Digital Source Type (2024); Exif; the
text chunks as Stable Diffusion web UI, ComfyUI, InvokeAI, NovelAI and Midjourney write them.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterator
from enum import StrEnum

from tristream.config import StrictModel

MAX_STEPS = 100_000
"""Segments, chunks or boxes of one file; what comes after is not read."""
MAX_BLOCKS = 256
MAX_BLOCK = 1 << 20
"""Blocks of metadata of one file, and bytes of each, that are looked at."""
MAX_VALUE = 200
"""Characters of a value."""

SOURCE_TYPES = {
    "algorithmicMedia": "made by an algorithm that was not trained on pictures",
    "algorithmicallyEnhanced": "altered by an algorithm",
    "composite": "composed of several elements, with or without generative AI",
    "compositeCapture": "composed of several captures of real life",
    "compositeSynthetic": "composed of several elements, at least one of them by generative AI",
    "compositeWithTrainedAlgorithmicMedia": "edited with generative AI",
    "computationalCapture": "captured from real life in several frames that were merged",
    "dataDrivenMedia": "made from data",
    "digitalArt": "drawn by a human with digital tools",
    "digitalCapture": "captured from real life with a digital camera",
    "digitalCreation": "made by a human without generative AI",
    "humanEdits": "edited by humans without generative AI",
    "minorHumanEdits": "with minor edits by humans",
    "negativeFilm": "scanned from a negative",
    "positiveFilm": "scanned from a transparency",
    "print": "scanned from a print",
    "screenCapture": "captured from a screen",
    "softwareImage": "made with software",
    "trainedAlgorithmicMedia": "made by generative AI",
    "virtualRecording": "recorded from a virtual event",
}
"""IPTC Digital Source Type: what each concept says of the picture, in our words."""

_TEXT_OF = {
    "parameters": "Stable Diffusion web UI",
    "prompt": "ComfyUI",
    "workflow": "ComfyUI",
    "invokeai_metadata": "InvokeAI",
    "sd-metadata": "InvokeAI",
    "Dream": "InvokeAI",
}
"""Keywords of PNG text chunks and the program, or the kin of it, that writes generation parameters there."""

_EXIF_ITEM = re.compile(rb"\0\0\0[\0\6](?:Exif\0\0)?(?=II\*\0|MM\0\*)")
"""How an Exif item of HEIF and AVIF starts (ISO/IEC 23008-12, annex A): offset of the TIFF header, then the header."""
_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_EXIF_TAGS = {0x010F: "Make", 0x0110: "Model", 0x0131: "Software", 0x8769: "ExifIFD", 0x9286: "UserComment"}


class OriginKind(StrEnum):
    """What a claim is about. This list is closed."""

    C2PA_MANIFEST = "c2pa_manifest"
    """Content credentials are in the file; value: the program that made the claim, where it can be read."""
    DIGITAL_SOURCE_TYPE = "digital_source_type"
    """IPTC Digital Source Type, in XMP or in the C2PA manifest; value: the concept.

    A manifest's may be that of something that went into the picture; `words` say so."""
    GENERATION_PARAMETERS = "generation_parameters"
    """A prompt or settings, as programs that generate pictures leave them; value: which program, and their start."""
    CAMERA = "camera"
    """EXIF make and model."""
    SOFTWARE = "software"
    """EXIF or PNG Software, or XMP CreatorTool: the last program that wrote the file and said so."""


class OriginClaim(StrictModel):
    """One thing that the file says of itself."""

    kind: OriginKind
    value: str
    """Printable, at most MAX_VALUE characters; may be empty."""
    words: str
    """The claim as a sentence about the file, without a full stop."""


def origin_claims(content: bytes) -> tuple[OriginClaim, ...]:
    """Claims of a picture file on its own origin, each once, in the order of `OriginKind`; empty where it says nothing.

    content: the bytes of a JPEG, PNG, WebP, AVIF, HEIF, TIFF or GIF. Does not raise, whatever the bytes are.
    """
    c2pa_only: dict[tuple[OriginKind, str], bool] = {}  # whether only content credentials say so
    for block, data in itertools.islice(_blocks(content), MAX_BLOCKS):
        for found in _READERS[block](data):
            c2pa_only[found] = c2pa_only.get(found, True) and block == "c2pa"
    order = list(OriginKind)
    claims = sorted(c2pa_only, key=lambda found: (order.index(found[0]), found[1]))
    return tuple(_claim(kind, value, c2pa_only[kind, value]) for kind, value in claims)


def _claim(kind: OriginKind, value: str, c2pa_only: bool) -> OriginClaim:
    """The claim in words. c2pa_only: made by content credentials alone, which also hold the claims of what went in."""
    value = "".join(c if c.isprintable() else " " for c in value).strip()[:MAX_VALUE]
    quoted = f"'{value}'"
    says = "has content credentials that say, of it or of something that went into it:" if c2pa_only else "says it was"
    words = {
        OriginKind.C2PA_MANIFEST: f"carries content credentials (C2PA){f' by {quoted}' if value else ''}, not verified",
        OriginKind.DIGITAL_SOURCE_TYPE: f"{says} {SOURCE_TYPES.get(value, 'made as ' + quoted)} (IPTC {value})",
        OriginKind.GENERATION_PARAMETERS: f"carries generation parameters, {quoted}",
        OriginKind.CAMERA: f"names a camera: {quoted}",
        OriginKind.SOFTWARE: f"names a program: {quoted}",
    }
    return OriginClaim(kind=kind, value=value, words=f"the file {words[kind]}")


# Containers: a file to its blocks of metadata, each named by the reader it is for


def _blocks(content: bytes) -> Iterator[tuple[str, bytes]]:
    if content.startswith(b"\xff\xd8"):
        return _jpeg_blocks(content)
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png_blocks(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _webp_blocks(content)
    return _other_blocks(content)


def _jpeg_blocks(content: bytes) -> Iterator[tuple[str, bytes]]:
    at, c2pa = 2, b""
    for _ in range(MAX_STEPS):
        if content[at : at + 1] != b"\xff" or content[at + 1 : at + 2] in (b"", b"\xda", b"\xd9"):  # pixels, end
            break
        if content[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        data = content[at + 4 : at + 2 + length]
        at += 2 + max(2, length)
        if marker == 0xE1 and data.startswith(b"Exif\0\0"):
            yield "exif", data[6:]
        elif marker == 0xE1 and data.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            yield "xmp", data
        elif marker == 0xEB and data.startswith(b"JP") and len(c2pa) < MAX_BLOCK:
            c2pa += data[16:]  # after identifier, instance, sequence number and the box header that each part repeats
    yield "c2pa", c2pa


def _png_blocks(content: bytes) -> Iterator[tuple[str, bytes]]:
    at = 8
    for _ in range(MAX_STEPS):
        length, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        data = content[at + 8 : at + 8 + min(length, MAX_BLOCK)]
        if len(name) < 4 or name == b"IEND":
            return
        at += 12 + length
        match name:
            case b"caBX":
                yield "c2pa", data
            case b"eXIf":
                yield "exif", data
            case b"tEXt" | b"zTXt" | b"iTXt":
                yield "text", name + data


def _webp_blocks(content: bytes) -> Iterator[tuple[str, bytes]]:
    at = 12
    for _ in range(MAX_STEPS):
        name, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        if len(name) < 4:
            return
        data = content[at + 8 : at + 8 + min(length, MAX_BLOCK)]
        at += 8 + length + length % 2
        match name:
            case b"EXIF":
                yield "exif", data.removeprefix(b"Exif\0\0")
            case b"XMP ":
                yield "xmp", data
            case b"C2PA":
                yield "c2pa", data


def _other_blocks(content: bytes) -> Iterator[tuple[str, bytes]]:
    """AVIF and HEIF (ISO base media), TIFF, GIF: XMP and EXIF are found by their signatures, wherever they lie."""
    if content[4:8] == b"ftyp":
        at = 0
        for _ in range(MAX_STEPS):
            length, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
            if name == b"uuid" and content[at + 8 : at + 24] == _C2PA_UUID:
                yield "c2pa", content[at + 24 : at + 24 + min(length, MAX_BLOCK)]
            if length < 8 or len(name) < 4:  # 0 and 1: to the end of the file, or a 64-bit length
                break
            at += length
        if exif := _EXIF_ITEM.search(content):
            yield "exif", content[exif.end() : exif.end() + MAX_BLOCK]
    elif content[:4] in (b"II*\0", b"MM\0*"):
        yield "exif", content
    if (xmp := content.find(b"<x:xmpmeta")) >= 0:
        yield "xmp", content[xmp : xmp + MAX_BLOCK]


# Blocks to claims

Found = Iterator[tuple[OriginKind, str]]
_XMP_VALUE = rb"\s{0,9}(?:rdf:resource)?\s{0,9}(?:=\s{0,9}[\"']|>)\s{0,99}([^\"'<>]{1,300})"
_SOURCE_TYPE = re.compile(rb"DigitalSourceType" + _XMP_VALUE)
_CREATOR_TOOL = re.compile(rb"CreatorTool" + _XMP_VALUE)
_SOURCE_TYPE_URI = re.compile(rb"cv\.iptc\.org/newscodes/digitalsourcetype/([A-Za-z]{1,60})")


def _read_xmp(data: bytes) -> Found:
    if match := _SOURCE_TYPE.search(data, 0, MAX_BLOCK):
        yield OriginKind.DIGITAL_SOURCE_TYPE, re.split("[/:]", _text(match[1]).rstrip("/"))[-1]
    if match := _CREATOR_TOOL.search(data, 0, MAX_BLOCK):
        yield OriginKind.SOFTWARE, _text(match[1])


def _read_c2pa(data: bytes) -> Found:
    if b"c2pa" not in data:  # the label of the outermost box
        return
    yield OriginKind.C2PA_MANIFEST, _claim_generator(data)
    for name in sorted(set(_SOURCE_TYPE_URI.findall(data, 0, MAX_BLOCK)))[: len(SOURCE_TYPES)]:
        yield OriginKind.DIGITAL_SOURCE_TYPE, _text(name)


def _claim_generator(data: bytes) -> str:
    """The program that made the last, active claim, from its CBOR: claim_generator_info's name, or claim_generator."""
    at = data.rfind(b"\x74claim_generator_info")  # 0x60 + length, then the key
    name = data.find(b"\x64name", at, at + 300) if at >= 0 else -1
    if name >= 0:
        return _cbor_text(data, name + 5)
    at = data.rfind(b"\x6fclaim_generator")
    return _cbor_text(data, at + 16) if at >= 0 else ""


def _cbor_text(data: bytes, at: int) -> str:
    """The text string (RFC 8949, major type 3) of up to 255 bytes that starts at `at`; "" where there is none."""
    head = data[at] if at < len(data) else 0
    if 0x60 <= head <= 0x77:
        return _text(data[at + 1 : at + 1 + head - 0x60])
    return _text(data[at + 2 : at + 2 + data[at + 1]]) if head == 0x78 and at + 1 < len(data) else ""


def _read_text(chunk: bytes) -> Found:
    """A PNG text chunk, its type in front (PNG 1.2, 11.3.4)."""
    kind, (keyword, _, rest) = chunk[:4], chunk[4:].partition(b"\0")
    name = _text(keyword[:80])
    if kind == b"zTXt":
        value = _inflated(rest[1:])
    elif kind == b"iTXt":
        flag, text = rest[:1], rest[2:].split(b"\0", 2)[-1]  # after language and translated keyword
        value = _inflated(text) if flag == b"\1" else text
    else:
        value = rest
    if name == "XML:com.adobe.xmp":
        yield from _read_xmp(value)
    elif name in _TEXT_OF:
        yield OriginKind.GENERATION_PARAMETERS, f"{_TEXT_OF[name]} ({name}): {_text(value)}"
    elif name == "Description" and b"Job ID: " in value:
        yield OriginKind.GENERATION_PARAMETERS, f"Midjourney (Description): {_text(value)}"
    elif name == "Comment" and value.startswith(b"{") and b'"prompt"' in value and b'"steps"' in value:
        yield OriginKind.GENERATION_PARAMETERS, f"NovelAI (Comment): {_text(value)}"
    elif name == "Software":
        yield OriginKind.SOFTWARE, _text(value)


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MAX_BLOCK)
    except zlib.error:
        return b""


def _read_exif(tiff: bytes) -> Found:
    fields = dict(_exif_fields(tiff))
    camera = " ".join(filter(None, (_text(fields.get(name, b"")) for name in ("Make", "Model"))))
    if camera:
        yield OriginKind.CAMERA, camera
    if software := _text(fields.get("Software", b"")):
        yield OriginKind.SOFTWARE, software
    code, comment = fields.get("UserComment", b"")[:8], fields.get("UserComment", b"")[8:]
    if code.startswith(b"UNICODE"):  # in either byte order: what is ASCII stays when zeros go
        comment = comment.replace(b"\0", b"")
    if b"Steps: " in comment and b"Sampler: " in comment:
        yield OriginKind.GENERATION_PARAMETERS, f"Stable Diffusion web UI (UserComment): {_text(comment)}"


def _exif_fields(tiff: bytes) -> Iterator[tuple[str, bytes]]:
    """The fields of `_EXIF_TAGS` in the first directory and in its EXIF directory, as bytes (TIFF 6.0, section 2)."""
    if tiff[:2] not in (b"II", b"MM"):
        return

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], "little" if tiff[:2] == b"II" else "big")

    directories = [number(4, 4)]
    for directory in directories:  # grows by one, the EXIF directory
        for entry in range(directory + 2, directory + 2 + 12 * min(number(directory, 2), 512), 12):
            name, kind, count = _EXIF_TAGS.get(number(entry, 2)), number(entry + 2, 2), number(entry + 4, 4)
            if name == "ExifIFD" and len(directories) == 1:
                directories.append(number(entry + 8, 4))
            elif name and kind in (1, 2, 7):  # byte, ASCII, undefined: one byte each
                at = entry + 8 if count <= 4 else number(entry + 8, 4)
                yield name, tiff[at : at + min(count, MAX_BLOCK)]


def _text(data: bytes) -> str:
    """At most MAX_VALUE characters of UTF-8, up to the first zero."""
    return data[: 4 * MAX_VALUE].partition(b"\0")[0].decode("utf-8", "replace").strip()[:MAX_VALUE]


_READERS = {"exif": _read_exif, "xmp": _read_xmp, "c2pa": _read_c2pa, "text": _read_text}
