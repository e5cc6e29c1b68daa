"""Broken and hostile files for `fuzz_pictures`: drawn pictures in every format, and what can be done to their bytes.

`mutant(seed, index)` is a pure function of its arguments and of the encoders installed; files are built in memory only.
"""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from containers import png_chunk, size_fields, split, with_checksums, with_number
from PIL import Image, PngImagePlugin

Draw = random.Random
EXTREMES = (0, 1, 2, 13, 255, 256, 4096, 14_000, 16_384, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
XMP = b"<x:xmpmeta><Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/composite</x:xmpmeta>"
C2PA = (
    b"\0\0\0\x50jumb\0\0\0\x20jumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\x03c2pa\0"
    b"\x74claim_generator_info\xa1\x64name\x65drawn" + bytes(16)
)
"""Content credentials, as far as they are read: a JUMBF box with the name of a generator (C2PA 2.1)."""
INFLATED = 64 << 20
"""Bytes that a compressed chunk of a bomb expands to."""


@dataclass(frozen=True)
class Mutant:
    """A file, what it was drawn as, and what was done to it."""

    drawn_as: str
    mutation: str
    data: bytes


def mutant(seed: int, index: int) -> Mutant:
    """The index-th mutant of a seed."""
    draw = Draw(f"{seed}/{index}")
    drawn_as = draw.choice(list(drawn()))
    mutation = draw.choices(list(MUTATIONS), list(MUTATIONS.values()))[0]
    return Mutant(drawn_as, mutation.__name__, mutation(draw, drawn()[drawn_as]))


@cache
def drawn() -> dict[str, bytes]:
    """Whole files in every format that `decode` reads, in the variants that take other paths through the decoders."""
    rows, columns = np.mgrid[0:32, 0:48]
    noise = np.random.default_rng(0).integers(0, 64, (32, 48, 3))
    rgb = Image.fromarray((np.stack([columns * 3, rows * 4, rows + columns], -1) + noise).astype(np.uint8))
    grey, ones = rgb.convert("L"), rgb.convert("1")
    alpha, palette = rgb.copy(), rgb.quantize(16)
    alpha.putalpha(grey)
    grey16 = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    real = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)

    def frames() -> dict[str, object]:  # new ones each time: saving a JPEG leaves its settings in the picture
        return {"save_all": True, "append_images": [rgb.rotate(90 * turn) for turn in range(1, 4)]}

    exif, text = Image.Exif(), PngImagePlugin.PngInfo()
    exif[0x0112], exif[0x0131] = 6, "drawn"
    text.add_text("parameters", "a drawing\nSteps: 20, Sampler: Euler", zip=True)
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    files = {
        "JPEG": [(rgb, {"xmp": XMP}), (rgb, {"progressive": True, "subsampling": 0, "exif": exif}), (grey, {}),
                 (rgb.convert("CMYK"), {})],
        "MPO": [(rgb.copy(), frames())],
        "PNG": [(rgb, {"exif": exif, "pnginfo": text}), (alpha, {}), (palette, {"transparency": 3}), (grey16, {}),
                (ones, {}), (rgb.copy(), frames())],
        "WEBP": [(rgb, {"exif": exif, "xmp": XMP}), (alpha, {"lossless": True}), (rgb.copy(), frames())],
        "AVIF": [(rgb, {}), (alpha, {}), (rgb.copy(), frames())],
        "TIFF": [(rgb, {}), (rgb, {"compression": "tiff_lzw"}), (alpha, {"compression": "tiff_adobe_deflate"}),
                 (rgb, {"compression": "jpeg"}), (ones, {"compression": "group4"}), (grey16, {}), (real, {}),
                 (rgb, {"big_tiff": True}), (rgb.copy(), frames())],
        "GIF": [(palette, {"transparency": 3}), (rgb.copy(), frames())],
        "BMP": [(rgb, {}), (palette, {})],
    }  # fmt: skip
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
        files["HEIF"] = [(rgb, {}), (alpha, {})]
    except ImportError:
        pass
    whole = {
        f"{format} {number}": _encoded(picture, format, **options)
        for format, variants in files.items()
        for number, (picture, options) in enumerate(variants)
    }
    start, jumbf = whole["JPEG 2"], b"\xff\xeb\0\x7aJP\0\1\0\0\0\1" + C2PA.ljust(112, b"\0")
    whole["JPEG C2PA"] = start[:2] + jumbf + start[2:]
    whole["PNG C2PA"] = whole["PNG 1"][:33] + png_chunk(b"caBX", C2PA) + whole["PNG 1"][33:]
    return whole


def _encoded(picture: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


# What happens to files by accident.


def intact(draw: Draw, data: bytes) -> bytes:
    """Nothing: these must decode."""
    return data


def flipped_bits(draw: Draw, data: bytes) -> bytes:
    """One to 64 bits, anywhere or near the start, where headers are."""
    changed, reach = bytearray(data), draw.choice([len(data), min(64, len(data)), min(512, len(data))])
    for _ in range(draw.choice([1, 2, 8, 64])):
        changed[draw.randrange(reach)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def random_header(draw: Draw, data: bytes) -> bytes:
    """Random bytes behind the signature."""
    start, length = draw.randrange(4, 48), draw.randrange(1, 24)
    return data[:start] + draw.randbytes(length) + data[start + length :]


def extreme_field(draw: Draw, data: bytes) -> bytes:
    """A number of 2 or 4 bytes, anywhere near the start, set to an extreme."""
    code = draw.choice(["<H", ">H", "<I", ">I"])
    return with_number(data, draw.randrange(4, min(len(data) - 4, 512)), code, draw.choice(EXTREMES))


def truncated(draw: Draw, data: bytes) -> bytes:
    """The end is missing."""
    return data[: draw.choice([draw.randrange(len(data)), draw.randrange(min(64, len(data))), len(data) - 1])]


def missing_slice(draw: Draw, data: bytes) -> bytes:
    """A slice is missing, repeated, zeroed or random."""
    start = draw.randrange(len(data))
    stop = min(len(data), start + draw.choice([1, 4, 16, 512]))
    hole = draw.choice([b"", data[start:stop] * 2, bytes(stop - start), draw.randbytes(stop - start)])
    return data[:start] + hole + data[stop:]


# What happens to them on purpose.


def sizes(draw: Draw, data: bytes) -> bytes:
    """Width and height as the header declares them, set to an extreme; checksums are made to fit."""
    fields = size_fields(data)
    for offset, code in draw.sample(fields, draw.randint(1, len(fields))) if fields else []:
        data = with_number(data, offset, code, draw.choice([*EXTREMES, draw.randrange(20_000)]))
    return with_checksums(data)


def chunks(draw: Draw, data: bytes) -> bytes:
    """Chunks dropped, repeated, moved, taken from another file, or changed inside; checksums are made to fit."""
    parts = split(data)
    for _ in range(draw.choice([1, 2, 4])):
        place, other = draw.randrange(len(parts)), draw.randrange(len(parts))
        match draw.randrange(5):
            case 0 if len(parts) > 1:
                del parts[place]
            case 1:
                parts[place] *= draw.choice([2, 3, 500])
            case 2:
                parts[place], parts[other] = parts[other], parts[place]
            case 3:
                parts.insert(place, draw.choice(split(draw.choice(list(drawn().values())))))
            case _:
                parts[place] = flipped_bits(draw, parts[place]) if parts[place] else b""
    return with_checksums(b"".join(parts))


def spliced(draw: Draw, data: bytes) -> bytes:
    """The head of one file and the tail of another, or one inside the other."""
    other = draw.choice(list(drawn().values()))
    cut = draw.randrange(len(data))
    return draw.choice([data[:cut] + other[draw.randrange(len(other)) :], data[:cut] + other + data[cut:]])


def bomb(draw: Draw, data: bytes) -> bytes:
    """A small file that asks for much memory or time."""
    return draw.choice(BOMBS)(draw)


def polyglot(draw: Draw, data: bytes) -> bytes:
    """A picture that is something else, too, or has something before or behind it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("run.js", "alert(1)" * 50)
    page = b"<html><script>alert(1)</script></html>"
    gif = drawn()["GIF 0"]
    return draw.choice(
        [
            data + archive.getvalue(),
            data + page,
            data + data,
            data + draw.randbytes(4096),
            b"GIF89a/*" + gif[8:13] + page + b"*/" + gif[13:],
            b"%PDF-1.4\n" + data,
            page + data,
            archive.getvalue() + data,
            b"\n" + data,
            data[:2] + b"\xff\xfe" + struct.pack(">H", len(page) + 2) + page + data[2:],
        ]
    )


def no_picture(draw: Draw, data: bytes) -> bytes:
    """Nothing, text, noise, noise behind a picture's signature."""
    noise = draw.randbytes(draw.choice([1, 3, 64, 4096]))
    texts = [
        b"",
        b"\0",
        b" " * 600,
        b"hello, world\n",
        b'{"error": 404}',
        b"<!doctype html>",
        b"%PDF-1.7",
        b"PK\x03\x04",
    ]
    return draw.choice([noise, data[: draw.choice([3, 4, 8, 12, 24])] + noise, draw.choice(texts), b"x" * 100_000])


# Bombs, each a few kilobytes to a few megabytes.


def _png(width: int, height: int, bits: int, colour: int, *parts: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(parts) + png_chunk(b"IEND", b"")


@cache
def _zeros(count: int) -> bytes:
    return zlib.compress(bytes(count), 9)


def _wide_png(draw: Draw) -> bytes:
    side = draw.choice([2_000, 6_000, 14_100])  # the last is just under the limit of decode
    return _png(side, side, 1, 0, png_chunk(b"IDAT", _zeros((side // 8 + 1) * side)))


def _inflating_png(draw: Draw) -> bytes:
    return _png(8, 8, 8, 0, png_chunk(b"IDAT", _zeros(INFLATED)))


def _inflating_metadata(draw: Draw) -> bytes:
    name, head = draw.choice([(b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\x01\0\0\0"), (b"iCCP", b"k\0\0")])
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(72)))
    return _png(8, 8, 8, 0, *[png_chunk(name, head + _zeros(INFLATED))] * draw.choice([1, 20]), pixels)


def _many_chunks(draw: Draw) -> bytes:
    return _png(8, 8, 8, 0, png_chunk(b"tEXt", b"k\0v") * 20_000, png_chunk(b"IDAT", zlib.compress(bytes(72))))


def _endless_animation(draw: Draw) -> bytes:
    control = png_chunk(b"acTL", struct.pack(">II", draw.choice([0, 2**31 - 1, 2**32 - 1]), 0))
    return _png(8, 8, 8, 0, control, png_chunk(b"IDAT", zlib.compress(bytes(72))))


def _many_scans(draw: Draw) -> bytes:
    """A progressive JPEG whose last scan is there hundreds of times, each a pass over all of its coefficients."""
    data = drawn()["JPEG 1"]
    scan = data.rindex(b"\xff\xda")
    side = draw.choice([(1_000, 1_000), (8_000, 8_000)])
    frame = data.index(b"\xff\xc2")
    data = data[: frame + 5] + struct.pack(">HH", *side) + data[frame + 9 :]
    return data[:scan] + data[scan:-2] * draw.choice([50, 2_000]) + data[-2:]


def _many_frames(draw: Draw) -> bytes:
    data = drawn()["GIF 1"]
    first = data.index(b"\x21\xf9")
    return data[:first] + data[first:-1] * draw.choice([100, 3_000]) + b";"


def _long_comment(draw: Draw) -> bytes:
    data = drawn()["GIF 0"]
    first = data.index(b"\x21\xf9")
    comment = b"\x21\xfe" + (b"\xff" + b"c" * 255) * draw.choice([100, 10_000]) + b"\0"
    return data[:first] + comment + data[first:]


def _wide_tiff(draw: Draw) -> bytes:
    side = draw.choice([2_000, 14_100])
    return _encoded(Image.new("1", (side, side)), "TIFF", compression=draw.choice(["group4", "tiff_adobe_deflate"]))


def _circular_tiff(draw: Draw) -> bytes:
    """Whose directory is its own successor."""
    data = drawn()["TIFF 8"]
    directory = struct.unpack_from("<I", data, 4)[0]
    return with_number(data, directory + 2 + 12 * data[directory], "<I", directory)


BOMBS: tuple[Callable[[Draw], bytes], ...] = (
    _wide_png, _inflating_png, _inflating_metadata, _many_chunks, _endless_animation, _many_scans, _many_frames,
    _long_comment, _wide_tiff, _circular_tiff,
)  # fmt: skip

MUTATIONS: dict[Callable[[Draw, bytes], bytes], float] = {
    intact: 4, flipped_bits: 20, random_header: 10, extreme_field: 10, truncated: 10, missing_slice: 10,
    sizes: 8, chunks: 14, spliced: 5, bomb: 1, polyglot: 5, no_picture: 3,
}  # fmt: skip
"""The weight of each. Bombs are few, for each takes seconds."""
