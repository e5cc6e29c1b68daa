"""What is broken, hostile or no picture is an ImageError that says so; nothing of Pillow leaks out, even in threads."""

from __future__ import annotations

import io
import os
import random
import struct
import sys
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, TiffImagePlugin

from tests.images.drawn import FORMATS, HEIGHT, WIDTH, encode, scene
from tristream.errors import ImageError
from tristream.images.decode import MAX_JPEG_SCANS, decode, read_header
from tristream.images.silence import PILLOW_SILENCE


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated_file_says_so(format: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    data = encode(noise, format)
    kept = round(len(data) * share)
    with pytest.raises(ImageError) as caught:
        decode(data[:kept], "photo")
    message = str(caught.value)
    assert message.startswith("photo: ")
    assert format in message
    assert "download it again" in message
    if format in ("WEBP", "AVIF", "HEIF", "BMP") and share > 0.1:
        assert f"truncated {format} (read {kept} of {len(data)} bytes)" in message
    if format in ("JPEG", "PNG"):
        assert f"truncated {format} (its {kept} bytes end before the picture does)" in message


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF"])
def test_a_file_cut_anywhere_is_truncated_or_still_whole(format: str) -> None:
    data = encode(Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)), format)
    whole = decode(data).pixels
    for kept in range(10, len(data)):
        try:
            pixels = decode(data[:kept]).pixels
        except ImageError as error:
            if f"truncated {format} (its {kept} bytes end" not in str(error):
                raise
        else:
            np.testing.assert_array_equal(pixels, whole)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"hello, world", "not a picture"),
        (b"%PDF-1.7\n", "PDF"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b'<?xml version="1.0"?><svg>', "SVG"),
        (b'{"error": "not found"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video"),
        (b"II*\0\x10\0\0\0CR\x02\0", "raw file"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"P6 1 1 255\n\0\0\0", "not a picture"),
        (b"PK\x03\x04", "archive"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, words: str) -> None:
    for read in (decode, read_header):
        with pytest.raises(ImageError, match=words) as caught:
            read(data, "upload.jpg")
        assert str(caught.value).startswith("upload.jpg: ")


def test_every_signature_alone_is_an_image_error() -> None:
    starts = [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\0\0\0WEBP", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0"]
    starts += [b"BM\xff\0\0\0\0\0\0\0", b"\0\0\0\x14ftypavif\0\0\0\0mif1", b"\0\0\0\x14ftypheic\0\0\0\0mif1"]
    for start in starts:
        for data in (start, start + bytes(600)):
            with pytest.raises(ImageError, match=r"truncated|damaged"):
                decode(data)


def test_missing_file_folder_pipe_and_odd_paths(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg: no such file"):
        decode(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="a folder"):
        decode(tmp_path)
    with pytest.raises(ImageError, match=r"no such file|cannot be opened"):
        decode(tmp_path / "a\0b.jpg")
    with pytest.raises(ImageError, match="cannot be opened"):
        decode(tmp_path / ("long" * 100))
    if Path("/dev/null").exists():
        with pytest.raises(ImageError, match="device"):
            decode(Path("/dev/null"))


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(encode(scene(), "JPEG"))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")  # chmod would not stop root, who runs many a CI

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=r"photo\.jpg: no permission"):
        decode(file)


def test_a_bomb_is_refused_before_its_pixels_are_made() -> None:
    huge = bytearray(encode(scene(), "PNG"))
    huge[16:24] = struct.pack(">II", 60_000, 60_000)
    huge[29:33] = struct.pack(">I", zlib.crc32(huge[12:29]))
    with pytest.raises(ImageError, match=r"60000 x 60000 pixels, more than the limit of 200,000,000"):
        decode(bytes(huge))
    assert read_header(bytes(huge)).width == 60_000
    with pytest.raises(ImageError, match="limit of 3,071"):
        decode(encode(scene(), "PNG"), max_pixels=HEIGHT * WIDTH - 1)
    decode(encode(scene(), "PNG"), max_pixels=HEIGHT * WIDTH)


def test_a_jpeg_of_endless_scans_is_refused_and_other_pictures_behind_it_do_not_count() -> None:
    data = encode(scene(), "JPEG", progressive=True)
    own = data.count(b"\xff\xda")
    scan = data.rindex(b"\xff\xda")
    allowed = data[:scan] + data[scan:-2] * (MAX_JPEG_SCANS - own + 1) + data[-2:]
    assert decode(allowed).pixels.shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(ImageError, match=f"photo: a JPEG of {MAX_JPEG_SCANS + 1} scans, more than the limit"):
        decode(allowed[:-2] + data[scan:], "photo")
    np.testing.assert_array_equal(decode(data + b"\xff\xda\0\2" * 1000).pixels, decode(data).pixels)


def test_the_limit_is_ours_and_not_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode(encode(scene(), "PNG")).pixels.shape == (HEIGHT, WIDTH, 3)


def test_camera_raw_in_a_tiff_coat_is_refused() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254] = 1
    with pytest.raises(ImageError, match="raw file"):
        decode(encode(scene(), "TIFF", tiffinfo=tags))


def test_heic_without_its_extra_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"photo\.heic: .*pip install 'tristream\[heif\]'"):
        decode(b"\0\0\0\x14ftypheic\0\0\0\0mif1", "photo.heic")


def warning_picture() -> bytes:
    """A TIFF of which Pillow warns: the data of a tag lie beyond the end of the file."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[65000] = 2  # text, and after all that the picture needs
    tags[65000] = "a private remark"
    data = encode(scene(), "TIFF", tiffinfo=tags)
    entry = data.index(struct.pack("<HH", 65000, 2))
    return data[: entry + 8] + struct.pack("<I", 0x7FFFFFF0) + data[entry + 12 :]


def test_warnings_of_pillow_stay_inside_and_others_come_through() -> None:
    with warnings.catch_warnings(record=True) as outside:
        warnings.simplefilter("always")
        Image.open(io.BytesIO(warning_picture())).load()
    assert outside, "the picture no longer makes Pillow warn: this test tests nothing"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        decode(warning_picture())
        assert caught == []
        assert list(warnings.filters) == filters
        warnings.warn("ours", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["ours"]


def test_a_thread_that_ends_does_not_unmute_the_others() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with PILLOW_SILENCE:  # one thread decodes
            decode(encode(scene(), "PNG"))  # another comes and goes
            Image.open(io.BytesIO(warning_picture())).load()


def test_threads_decode_alike_and_leave_no_trace() -> None:
    data = [encode(scene(), format) for format in FORMATS if format != "HEIF"] + [warning_picture()]
    expected = [decode(item).pixels for item in data]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filters = list(warnings.filters)
        settings = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
        with ThreadPoolExecutor(8) as pool:
            for index, decoded in enumerate(pool.map(decode, data * 40)):
                np.testing.assert_array_equal(decoded.pixels, expected[index % len(data)])
        assert list(warnings.filters) == filters
        assert settings == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


@pytest.mark.parametrize(("big", "at_once"), [(HEIGHT * WIDTH, 2), (HEIGHT * WIDTH - 1, 1)])
def test_big_pictures_are_decoded_one_at_a_time(big: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    both, seen = threading.Barrier(2), []

    def watched(picture: Image.Image, name: str) -> Image.Image:
        try:
            both.wait(timeout=30 if at_once == 2 else 0.3)  # for the other thread to come here, too
            seen.append(2)
        except threading.BrokenBarrierError:
            both.reset()
            seen.append(1)
        return picture.convert("RGB")

    monkeypatch.setattr("tristream.images.decode.BIG_PICTURE", big)
    monkeypatch.setattr("tristream.images.decode.to_rgb", watched)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(decode, [encode(scene(), "PNG")] * 2))
    assert seen == [at_once] * 2


def outcome(data: bytes) -> str | None:
    """The message where `data` is refused, None where it is a picture; any other exception passes through."""
    try:
        decoded = decode(data, "mutant", max_pixels=1_000_000)
    except ImageError as error:
        return str(error)
    assert decoded.pixels.ndim == 3
    assert decoded.pixels.dtype == np.uint8
    return None


def test_a_file_larger_than_any_picture_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    os.truncate(path, (1 << 30) + 1)  # a hole: nothing on the disk
    with pytest.raises(ImageError, match="larger than 1024 MiB; not read"):
        decode(path)


@pytest.mark.parametrize("format", FORMATS)
def test_mutated_files_decode_or_are_image_errors(format: str, capfd: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(f"seed of {format}")
    whole = encode(scene().resize((24, 16)), format)
    failures = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(draw.choice([1, 2, 8])):
                data[draw.randrange(len(data))] = draw.randrange(256)
            if draw.random() < 0.3:
                del data[draw.randrange(1, len(data)) :]
            if draw.random() < 0.2:
                start = draw.randrange(len(data))
                data[start:start] = draw.randbytes(draw.randrange(1, 9))
            message = outcome(bytes(data))
            assert message is None or message.startswith("mutant: ")
            failures += message is not None
    assert failures > 20
    assert capfd.readouterr().out == ""  # standard output is for results; libdav1d may complain on standard error
