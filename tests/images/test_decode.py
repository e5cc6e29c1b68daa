"""A zoo of pictures, drawn here: formats, bit depths, colour modes and turns all decode to what a person sees."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, TiffImagePlugin

from tests.images.drawn import FORMATS, HEIGHT, WIDTH, encode, scene
from tristream.errors import ImageError
from tristream.images.decode import DecodedImage, decode, read_header
from tristream.images.formats import PICTURE_SUFFIXES

EXAMPLES = Path(__file__).parents[2] / "examples"
RED = (200, 30, 20)
WHITE = (255, 255, 255)


def solid(mode: str, colour: float | tuple[int, ...]) -> Image.Image:
    return Image.new(mode, (8, 8), colour)


def lut_profile(space: bytes, lightness: dict[int, int]) -> bytes:
    """An ICC profile by hand: Lab greys by which channels are full (bits, the first is highest), else black."""
    channels = len(space.strip())
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    ramp = bytes(range(256))
    grid = b"".join(bytes([lightness.get(full, 0), 128, 128]) for full in range(2**channels))
    table = b"mft1" + bytes(4) + bytes([channels, 3, 2, 0]) + identity + ramp * channels + grid + ramp * 3
    size = 128 + 4 + 12 + len(table)
    header = struct.pack(">I4sI4s4s4s", size, b"test", 0x02400000, b"prtr", space, b"Lab ").ljust(36, b"\0") + b"acsp"
    header = header.ljust(68, b"\0") + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)  # the D50 white of the ICC
    return header.ljust(128, b"\0") + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table


def exif_turn(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    return exif.tobytes()


def assert_colour(decoded: DecodedImage, colour: tuple[int, ...], tolerance: int = 0) -> None:
    assert decoded.pixels.shape[2] == 3
    assert decoded.pixels.dtype == np.uint8
    assert np.abs(decoded.pixels.astype(int) - colour).max() <= tolerance


def png(width: int, height: int, bits: int, colour_type: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG by hand, for what Pillow does not write. rows: each row led by its filter byte."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    transparency = chunk(b"tRNS", extra) if extra else b""
    return b"\x89PNG\r\n\x1a\n" + header + transparency + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(width: int, height: int, bits: int, samples: bytes, subfile: int = 0) -> bytes:
    """A grey TIFF of one strip by hand."""
    fields = [(254, subfile), (256, width), (257, height), (258, bits), (259, 1), (262, 1), (277, 1), (278, height)]
    fields += [(273, 0), (279, len(samples))]
    start = 8 + 2 + 12 * len(fields) + 4
    entries = [struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value) for tag, value in sorted(fields)]
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + b"".join(entries) + bytes(4) + samples


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_gives_the_picture_back(format: str, tmp_path: Path) -> None:
    data = encode(scene(), format)
    file = tmp_path / "misleading-name.gif"
    file.write_bytes(data)
    for decoded in (decode(data), decode(file)):
        assert decoded.format == format
        assert decoded.pixels.shape == (HEIGHT, WIDTH, 3)
        tolerance = {"GIF": 40, "JPEG": 12, "WEBP": 14, "AVIF": 14, "HEIF": 20}.get(format, 0)
        assert np.abs(decoded.pixels.astype(int) - np.asarray(scene())).max() <= tolerance
    header = read_header(file)
    assert (header.width, header.height, header.format) == (WIDTH, HEIGHT, format)


def test_name_is_the_path_unless_told() -> None:
    assert decode(EXAMPLES / "rocket.jpg").name == str(EXAMPLES / "rocket.jpg")
    assert decode((EXAMPLES / "rocket.jpg").read_bytes(), "upload 7").name == "upload 7"


def test_rgb_samples_are_those_of_the_file_whatever_its_colour_profile() -> None:
    all_black = lut_profile(b"RGB ", {0b111: 255})
    np.testing.assert_array_equal(decode(encode(scene(), "PNG", icc_profile=all_black)).pixels, np.asarray(scene()))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turn_shows_the_picture_upright(format: str, orientation: int) -> None:
    upright = np.asarray(scene())
    stored = {
        1: upright,
        2: np.fliplr(upright),
        3: np.rot90(upright, 2),
        4: np.flipud(upright),
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, 3),
    }[orientation]
    data = encode(Image.fromarray(np.ascontiguousarray(stored)), format, exif=exif_turn(orientation))
    decoded = decode(data)
    assert np.abs(decoded.pixels.astype(int) - upright).max() <= 20
    header = read_header(data)
    assert (header.height, header.width) == decoded.pixels.shape[:2] == (HEIGHT, WIDTH)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0garbage", exif_turn(9), exif_turn(0)])
def test_a_damaged_or_senseless_exif_block_does_not_spoil_the_picture(format: str, exif: bytes) -> None:
    assert decode(encode(scene(), format, exif=exif)).pixels.shape == (HEIGHT, WIDTH, 3)


def ramp16() -> npt.NDArray[np.uint16]:
    return np.tile(np.linspace(0, 65535, 256).round().astype(np.uint16), (4, 1))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_gradation(format: str) -> None:
    decoded = decode(encode(Image.fromarray(ramp16()), format))
    np.testing.assert_array_equal(decoded.pixels[..., 1], np.tile(np.arange(256), (4, 1)))


def test_16_bit_rgb_keeps_its_gradation() -> None:
    samples = np.repeat(ramp16()[..., None], 3, -1).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    np.testing.assert_array_equal(decode(png(256, 4, 16, 2, rows)).pixels[..., 2], np.tile(np.arange(256), (4, 1)))


def test_big_endian_12_bit_and_inverted_grey_tiff() -> None:
    big = encode(Image.fromarray(ramp16().astype(">u2")), "TIFF")
    assert decode(big).pixels[0, [0, 128, 255], 0].tolist() == [0, 128, 255]
    assert decode(tiff(2, 1, 12, b"\xff\xf0\x00")).pixels[0, :, 0].tolist() == [255, 0]
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    inverted = encode(Image.fromarray(ramp16()), "TIFF", tiffinfo=tags)
    assert decode(inverted).pixels[0, [0, 255], 0].tolist() == [255, 0]


def test_transparency_is_flattened_on_white() -> None:
    half = solid("RGBA", (200, 0, 0, 128))
    for format in ("PNG", "TIFF"):
        assert_colour(decode(encode(half, format)), (227, 127, 127), 1)
    assert_colour(decode(encode(half, "WEBP", lossless=True)), (227, 127, 127), 1)
    assert_colour(decode(encode(half, "AVIF", quality=100)), (227, 127, 127), 4)
    assert_colour(decode(encode(half, "HEIF", quality=100)), (227, 127, 127), 4)
    assert_colour(decode(encode(solid("RGBA", (9, 9, 9, 0)), "PNG")), WHITE)
    assert_colour(decode(encode(solid("LA", (0, 51)), "PNG")), (204, 204, 204), 1)


def test_opaque_alpha_changes_nothing() -> None:
    opaque = scene().convert("RGBA")
    np.testing.assert_array_equal(decode(encode(opaque, "PNG")).pixels, np.asarray(scene()))


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_palette_with_a_transparent_entry(format: str) -> None:
    picture = solid("P", 1)
    picture.putpalette([0, 0, 0, *RED, 0, 0, 255])
    picture.paste(2, (0, 0, 4, 8))
    pixels = decode(encode(picture, format, transparency=2)).pixels
    assert (pixels[:, :4] == WHITE).all()
    assert (pixels[:, 4:] == RED).all()


def test_colour_keys_of_8_and_16_bits_become_white() -> None:
    assert_colour(decode(encode(solid("L", 7), "PNG", transparency=7)), WHITE)
    assert_colour(decode(encode(solid("RGB", RED), "PNG", transparency=RED)), WHITE)
    grey = b"\0" + struct.pack(">HH", 1000, 65535 // 5)
    assert decode(png(2, 1, 16, 0, grey, struct.pack(">H", 1000))).pixels[0, :, 0].tolist() == [255, 51]
    rgb = b"\0" + struct.pack(">6H", 1000, 2000, 3000, 0, 0, 0)
    assert (decode(png(2, 1, 16, 2, rgb, struct.pack(">3H", 1000, 2000, 3000))).pixels[0, 1] == 0).all()


def test_one_bit_and_plain_grey() -> None:
    one_bit = solid("1", 0)
    one_bit.paste(1, (0, 0, 4, 8))
    for format in ("PNG", "TIFF", "BMP", "GIF"):
        pixels = decode(encode(one_bit, format)).pixels
        assert (pixels[:, :4] == 255).all()
        assert (pixels[:, 4:] == 0).all()
    assert_colour(decode(encode(solid("L", 77), "PNG")), (77, 77, 77))


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_has_its_colours(format: str) -> None:
    # Pillow writes CMYK JPEGs as Adobe does: inverted, with the APP14 marker
    data = encode(solid("CMYK", (0, 255, 255, 0)), format)
    assert_colour(decode(data), (255, 0, 0), 3)
    assert_colour(decode(encode(solid("CMYK", (0, 0, 0, 0)), format)), WHITE, 2)


def test_cmyk_is_converted_by_its_profile() -> None:
    white_and_grey = {0b0000: 255, 0b0110: 128}
    data = encode(solid("CMYK", (0, 255, 255, 0)), "TIFF", icc_profile=lut_profile(b"CMYK", white_and_grey))
    assert_colour(decode(data), (119, 119, 119), 2)  # sRGB of Lab (50, 0, 0)


def test_an_unreadable_cmyk_profile_is_ignored() -> None:
    data = encode(solid("CMYK", (0, 255, 255, 0)), "JPEG", icc_profile=b"not a profile" * 20)
    assert_colour(decode(data), (255, 0, 0), 3)


def test_ycbcr_jpeg_in_tiff() -> None:
    decoded = decode(encode(scene(), "TIFF", compression="jpeg"))
    assert np.abs(decoded.pixels.astype(int) - np.asarray(scene())).max() <= 30


def test_float_tiff_from_0_to_1_is_scaled_and_any_other_refused() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    np.testing.assert_array_equal(decode(encode(Image.fromarray(ramp), "TIFF")).pixels[0, :, 0], np.arange(256))
    with pytest.raises(ImageError, match=r"samples from 0 to 300, expected 0 to 1"):
        decode(encode(Image.fromarray(ramp * 300), "TIFF"))
    with pytest.raises(ImageError, match="nan"):
        decode(encode(Image.fromarray(ramp * np.float32("nan")), "TIFF"))
    with pytest.raises(ImageError, match="32-bit integer"):
        decode(encode(Image.fromarray(ramp.astype(np.int32)), "TIFF"))


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_first_frame_of_an_animation(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {"quality": 100} if format == "AVIF" else {}
    later = [solid("RGB", (0, 0, 255))]
    data = encode(solid("RGB", RED), format, save_all=True, append_images=later, **options)
    assert_colour(decode(data), RED, 4 if format == "AVIF" else 0)


def test_first_picture_of_an_mpo() -> None:
    data = encode(solid("RGB", RED), "MPO", save_all=True, append_images=[solid("RGB", (0, 0, 255))])
    decoded = decode(data)
    assert decoded.format == "JPEG"
    assert_colour(decoded, RED, 4)


def test_suffixes_are_those_of_the_formats() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".gif", ".heic", ".bmp"} <= PICTURE_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in PICTURE_SUFFIXES)


def test_every_example_decodes_and_is_documented() -> None:
    files = sorted(file for file in EXAMPLES.iterdir() if file.suffix in PICTURE_SUFFIXES)
    assert len(files) >= 5
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for file in files:
        assert min(decode(file).pixels.shape[:2]) >= 256
        assert f"| `{file.name}` |" in table
    assert sum(file.stat().st_size for file in files) < 1_500_000
