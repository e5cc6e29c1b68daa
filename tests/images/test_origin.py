"""What files say of their own origin: each kind planted in a drawn file, and files that mean harm."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from tests.images.drawn import FORMATS, encode, scene
from tristream.images.origin import MAX_BLOCK, MAX_VALUE, SOURCE_TYPES, OriginClaim, OriginKind, origin_claims

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
XMP = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description {attributes}>{elements}</rdf:Description>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
MANIFEST = (
    b"\0\0\1\0jumb\0\0\0\x1ejumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\3c2pa\0"
    b"\xa2\x6fclaim_generator\x70drawing program "
    b"\x71digitalSourceType\x78\x46" + IPTC.encode() + b"trainedAlgorithmicMedia"
)


def said(content: bytes) -> list[tuple[str, str]]:
    return [(claim.kind.value, claim.value) for claim in origin_claims(content)]


def xmp(attributes: str = "", elements: str = "") -> bytes:
    return XMP.format(attributes=attributes, elements=elements).encode()


def png(**texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword.replace("__", "-"), text)
    return encode(scene(), "PNG", pnginfo=info)


def with_chunk(name: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk before its pixels."""
    plain = encode(scene(), "PNG")
    chunk = struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return plain[:33] + chunk + plain[33:]


def with_segments(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG with more segments at its start."""
    plain = encode(scene(), "JPEG")
    added = b"".join(bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data for marker, data in segments)
    return plain[:2] + added + plain[2:]


@pytest.mark.parametrize("format", FORMATS)
def test_a_plain_file_says_nothing(format: str) -> None:
    assert origin_claims(encode(scene(), format)) == ()


@pytest.mark.parametrize("format", ["AVIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_camera_and_software_of_exif(format: str) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131] = "Drawn", "Model 3", "Firmware 1.2"
    assert said(encode(scene(), format, exif=exif.tobytes())) == [
        ("camera", "Drawn Model 3"),
        ("software", "Firmware 1.2"),
    ]


@pytest.mark.parametrize("format", ["AVIF", "HEIF", "JPEG", "TIFF", "WEBP"])
def test_source_type_and_creator_tool_of_xmp(format: str) -> None:
    packet = xmp(f'Iptc4xmpExt:DigitalSourceType="{IPTC}trainedAlgorithmicMedia" xmp:CreatorTool="Drawing 2"')
    options = {"tiffinfo": {700: packet}} if format == "TIFF" else {"xmp": packet}
    assert said(encode(scene(), format, **options)) == [
        ("digital_source_type", "trainedAlgorithmicMedia"),
        ("software", "Drawing 2"),
    ]


@pytest.mark.parametrize("source_type", sorted(SOURCE_TYPES))
def test_every_source_type_is_worded(source_type: str) -> None:
    packet = xmp(elements=f"<Iptc4xmpExt:DigitalSourceType>{IPTC}{source_type}</Iptc4xmpExt:DigitalSourceType>")
    (claim,) = origin_claims(encode(scene(), "JPEG", xmp=packet))
    assert claim.value == source_type
    assert SOURCE_TYPES[source_type] in claim.words


def test_other_ways_to_write_a_source_type() -> None:
    resource = xmp(elements=f"<a:DigitalSourceType rdf:resource='{IPTC}digitalCapture'/>")
    png_itxt = with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + resource)
    packed = with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(resource))
    unknown = encode(scene(), "WEBP", xmp=xmp('i:DigitalSourceType="http://example.org/dreamt"'))
    assert said(png_itxt) == said(packed) == [("digital_source_type", "digitalCapture")]
    assert said(unknown) == [("digital_source_type", "dreamt")]


@pytest.mark.parametrize(
    ("texts", "program"),
    [
        ({"parameters": "a cat\nSteps: 20, Sampler: Euler"}, "Stable Diffusion web UI (parameters): a cat"),
        ({"prompt": '{"3": {"class_type": "KSampler"}}'}, "ComfyUI (prompt): {"),
        ({"workflow": '{"nodes": []}'}, "ComfyUI (workflow): {"),
        ({"invokeai_metadata": '{"positive_prompt": "a cat"}'}, "InvokeAI (invokeai_metadata): {"),
        ({"sd__metadata": "{}"}, "InvokeAI (sd-metadata): {}"),
        ({"Comment": '{"prompt": "a cat", "steps": 28}'}, "NovelAI (Comment): {"),
        ({"Description": "a cat --v 6 Job ID: 00000000-0000"}, "Midjourney (Description): a cat"),
    ],
)
def test_generation_parameters_of_png(texts: dict[str, str], program: str) -> None:
    ((kind, value),) = said(png(**texts))
    assert kind == "generation_parameters"
    assert value.startswith(program)


def test_png_software_is_a_claim_and_other_texts_are_none() -> None:
    assert said(png(Software="NovelAI", Title="a cat", Comment="a prompt, steps", Description="a day")) == [
        ("software", "NovelAI")
    ]
    assert said(with_chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"a dog")))[0][1].endswith("a dog")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_generation_parameters_of_jpeg(encoding: str) -> None:
    exif = Image.Exif()
    exif[0x8769] = {0x9286: b"UNICODE\0" + "a cat\nSteps: 20, Sampler: Euler".encode(encoding)}
    ((kind, value),) = said(encode(scene(), "JPEG", exif=exif.tobytes()))
    assert kind == "generation_parameters"
    assert "a cat" in value


def c2pa_files() -> dict[str, bytes]:
    plain, avif = encode(scene(), "WEBP"), encode(scene(), "AVIF")
    webp = plain + b"C2PA" + struct.pack("<I", len(MANIFEST)) + MANIFEST
    uuid = bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + b"\0\0\0\0manifest\0" + bytes(8) + MANIFEST
    head = b"JP\0\1"  # identifier, instance; then the sequence number, and in each part the box header
    parts = [head + struct.pack(">I", 1) + MANIFEST[:100], head + struct.pack(">I", 2) + MANIFEST[:8] + MANIFEST[100:]]
    return {
        "JPEG": with_segments(*((0xEB, part) for part in parts)),
        "PNG": with_chunk(b"caBX", MANIFEST),
        "WEBP": webp,
        "AVIF": avif + struct.pack(">I", len(uuid) + 8) + b"uuid" + uuid,
    }


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_content_credentials(format: str) -> None:
    manifest, source_type = origin_claims(c2pa_files()[format])
    assert (manifest.kind, manifest.value) == (OriginKind.C2PA_MANIFEST, "drawing program")
    assert "not verified" in manifest.words
    assert (source_type.kind, source_type.value) == (OriginKind.DIGITAL_SOURCE_TYPE, "trainedAlgorithmicMedia")


def test_what_only_content_credentials_say_may_be_about_what_went_into_the_picture() -> None:
    """A manifest holds those of its ingredients, too; XMP is about the picture itself."""
    packet = xmp(f'Iptc4xmpExt:DigitalSourceType="{IPTC}trainedAlgorithmicMedia"')
    said_twice = with_segments(
        (0xEB, b"JP\0\1" + struct.pack(">I", 1) + MANIFEST), (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)
    )
    (_, credentials), (_, own) = origin_claims(c2pa_files()["JPEG"]), origin_claims(said_twice)
    assert credentials.words == (
        "the file has content credentials that say, of it or of something that went into it: "
        "made by generative AI (IPTC trainedAlgorithmicMedia)"
    )
    assert own.words == "the file says it was made by generative AI (IPTC trainedAlgorithmicMedia)"


def test_the_generator_is_read_from_its_info_where_there_is_one() -> None:
    info = b"c2pa \x74claim_generator_info\x81\xa1\x64name\x78\x1ba camera with a longer name"
    assert said(with_chunk(b"caBX", info)) == [("c2pa_manifest", "a camera with a longer name")]
    assert said(with_chunk(b"caBX", b"c2pa \x6fclaim_generator\x78")) == [("c2pa_manifest", "")]
    assert said(with_chunk(b"caBX", b"something else")) == []


def test_values_are_short_and_printable() -> None:
    (claim,) = origin_claims(png(Software="\x1b[31m evil\u202e\n" + "x" * 10_000))
    assert claim.value.startswith("[31m evil")
    assert claim.value.isprintable()
    assert len(claim.value) <= MAX_VALUE


def test_a_claim_is_made_once_and_in_a_fixed_order() -> None:
    claims = said(png(Software="b", prompt="{}"))
    assert claims == [("generation_parameters", "ComfyUI (prompt): {}"), ("software", "b")]
    twice = with_segments(*[(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp('x:CreatorTool="one"'))] * 2)
    assert said(twice) == [("software", "one")]


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8" + b"\xff" * 5_000_000,
        b"\xff\xd8" + b"\xff\xe0\0\0" * 1_000_000,
        b"\xff\xd8" + (b"\xff\xe1\xff\xffExif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 65_519) * 50,
        b"\x89PNG\r\n\x1a\n" + bytes(12) * 1_000_000,
        with_chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(200_000_000), 9)),
        b"RIFF\0\0\0\0WEBP" + bytes(8) * 1_000_000,
        b"\0\0\0\x18ftypavif" + b"\0\0\0\x08free" * 1_000_000,
        b"II*\0\x08\0\0\0" + (b"\xff\xff" + b"\x69\x87\x04\0\1\0\0\0\x08\0\0\0") * 50_000,
        b"GIF89a<x:xmpmeta" + b"DigitalSourceType" + b" " * 5_000_000,
        b"GIF89a<x:xmpmeta" + b"CreatorTool   " * 300_000,
        b"GIF89a<x:xmpmeta" + b'<!DOCTYPE x [<!ENTITY a "&b;&b;">]>' * 100_000,
    ],
    ids=[
        "fill bytes",
        "empty segments",
        "many huge EXIF",
        "empty chunks",
        "zlib bomb",
        "empty RIFF",
        "empty boxes",
        "EXIF that contains itself",
        "blanks",
        "half values",
        "entities",
    ],
)
def test_a_file_that_means_harm_costs_little(content: bytes) -> None:
    start = time.process_time()
    assert all(isinstance(claim, OriginClaim) for claim in origin_claims(content))
    assert time.process_time() - start < 3  # 0.3 s at most on an idle machine


def test_a_compressed_text_is_inflated_no_further_than_it_is_read() -> None:
    bomb = with_chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(100_000_000)))
    tracemalloc.start()
    try:
        assert said(bomb) == [("generation_parameters", "Stable Diffusion web UI (parameters):")]
        assert tracemalloc.get_traced_memory()[1] < 10 * MAX_BLOCK
    finally:
        tracemalloc.stop()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_files_never_raise(data: st.DataObject) -> None:
    files = [*c2pa_files().values(), png(parameters="a cat", Software="b")]
    content = bytearray(data.draw(st.sampled_from(files)))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for claim in origin_claims(bytes(content[: data.draw(st.integers(0, len(content)))])):
        assert claim.value.isprintable()


def test_reading_claims_leaves_the_picture_readable() -> None:
    for content in c2pa_files().values():
        Image.open(io.BytesIO(content)).load()
