"""Videos become pictures with their labels, no frame is lost without a reason, and a run can be resumed."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner, Result

from tests.clips import grey, scene, write_clip
from tristream.cli.data import data_app
from tristream.data import frames
from tristream.data.frames import FRAMES, MANIFEST, NO_FACE, FrameRecipe, make_frames, videos_of
from tristream.data.manifest import Manifest
from tristream.errors import ManifestError, MissingExtraError
from tristream.images.decode import decode
from tristream.images.faces import FaceDetector

pytest.importorskip("av", reason="needs the video extra")
FOUR = FrameRecipe(count=4)


@pytest.fixture
def videos(tmp_path: Path) -> Manifest:
    """Two videos of one group and one of its own, with a column of the layout's."""
    root = tmp_path / "videos"
    (root / "clips").mkdir(parents=True)
    for name, level in (("a", 40), ("b", 90), ("c", 140)):
        write_clip(root / f"clips/{name}.mp4", grey(*range(level, level + 40, 4)))
    table = pd.DataFrame(
        {
            "path": [f"clips/{name}.mp4" for name in "abc"],
            "label": [0, 1, 1],
            "source": ["youtube", "Face2Face", "FaceSwap"],
            "group": ["pair", "pair", ""],
            "split": ["train", "train", "test"],
            "compression": ["c23", "c23", "c40"],
        }
    )
    table.to_csv(root / "index.csv", index=False)
    return Manifest.read(root / "index.csv")


def listed(out: Path) -> list[dict[str, str]]:
    with (out / FRAMES).open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_pictures_carry_what_their_video_is(videos: Manifest, tmp_path: Path) -> None:
    made = make_frames(videos, tmp_path / "out", FOUR)
    table = Manifest.read(tmp_path / "out" / MANIFEST).table
    assert len(table) == len(made.manifest) == 12
    assert (table["media"] == "image").all()
    first = table[table["video"] == "clips/b.mp4"].iloc[0]
    assert (first["label"], first["generator"], first["source"]) == (1, "Face2Face", "Face2Face")
    assert (first["group"], first["split"], first["compression"]) == ("pair", "train", "c23")
    assert (first["width"], first["height"], first["format"]) == (96, 64, "PNG")
    groups = table.groupby("video")["group"].unique()
    assert [len(names) for names in groups] == [1, 1, 1]
    assert groups["clips/a.mp4"][0] == groups["clips/b.mp4"][0] != groups["clips/c.mp4"][0]
    assert (made.failed, made.without_face) == ({}, 0)


def test_frames_are_those_of_the_recipe(videos: Manifest, tmp_path: Path) -> None:
    make_frames(videos, tmp_path / "four", FOUR)
    make_frames(videos, tmp_path / "every", FrameRecipe(every_s=0.4))
    of_a = [row for row in listed(tmp_path / "four") if row["video"] == "clips/a.mp4"]
    assert [(row["frame"], row["time_s"]) for row in of_a] == [("1", "0.1"), ("3", "0.3"), ("6", "0.6"), ("8", "0.8")]
    for row in of_a:
        grey_level = decode(tmp_path / "four" / row["path"]).pixels.mean()
        assert grey_level == pytest.approx(40 + 4 * int(row["frame"]), abs=2)
    assert [row["frame"] for row in listed(tmp_path / "every")] == 3 * ["0", "4", "8"]


def test_a_frame_without_a_face_is_a_row_and_the_others_are_crops(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the video extra")
    for label in ("real", "fake/swap"):
        (tmp_path / "videos" / label).mkdir(parents=True)
    write_clip(tmp_path / "videos/real/walk.mp4", [scene(), scene((200, 100)), scene((20, 100))], g="1")
    write_clip(tmp_path / "videos/fake/swap/wall.mp4", [scene(), scene()])
    made = make_frames(videos_of(tmp_path / "videos"), tmp_path / "out", FOUR, FaceDetector())
    rows = listed(tmp_path / "out")
    assert [(row["video"], row["reason"]) for row in rows] == [
        ("fake/swap/wall.mp4", NO_FACE), ("fake/swap/wall.mp4", NO_FACE),
        ("real/walk.mp4", NO_FACE), ("real/walk.mp4", ""), ("real/walk.mp4", ""),
    ]  # fmt: skip
    assert (len(made.manifest), made.without_face, made.failed) == (2, 3, {})
    left, top, width, height = map(int, rows[3]["box"].split())
    assert width == height
    assert abs(left + width / 2 - 280) < 15
    assert abs(top + height / 2 - 185) < 15
    assert decode(tmp_path / "out" / rows[3]["path"]).pixels.shape == (height, width, 3)


def test_a_video_that_cannot_be_read_is_a_row_with_its_reason(videos: Manifest, tmp_path: Path) -> None:
    whole = videos.file(0).read_bytes()
    videos.file(0).write_bytes(whole[: len(whole) // 2])
    made = make_frames(Manifest.read(videos.root / "index.csv"), tmp_path / "out", FOUR)
    assert list(made.failed) == ["clips/a.mp4"]
    row = listed(tmp_path / "out")[0]
    assert (row["video"], row["label"], row["path"], row["frame"]) == ("clips/a.mp4", "0", "", "")
    assert row["reason"].startswith("truncated MP4 or MOV (read ")
    assert len(made.manifest) == 8
    videos.file(0).write_bytes(whole)
    mended = make_frames(Manifest.read(videos.root / "index.csv"), tmp_path / "out", FOUR)
    assert (len(mended.manifest), mended.failed) == (12, {})


def test_a_run_goes_on_where_it_was_interrupted(
    videos: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in the middle of the second video: the first is not decoded again, the second from its start."""
    opened: list[str] = []
    open_clip, write = frames.open_clip, frames.write_bytes

    def watched(path: Path) -> object:
        opened.append(path.name)
        return open_clip(path)

    def interrupted(path: Path, content: bytes) -> None:
        if path.match("b.mp4/000006.png"):
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(frames, "open_clip", watched)
    monkeypatch.setattr(frames, "write_bytes", interrupted)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make_frames(videos, out, FOUR)
    assert opened == ["a.mp4", "b.mp4"]
    assert not (out / MANIFEST).exists()
    monkeypatch.setattr(frames, "write_bytes", write)
    resumed = make_frames(videos, out, FOUR)
    assert opened == ["a.mp4", "b.mp4", "b.mp4", "c.mp4"]
    fresh = make_frames(videos, tmp_path / "fresh", FOUR)
    pd.testing.assert_frame_equal(resumed.manifest.table, fresh.manifest.table)
    assert (out / FRAMES).read_bytes() == (tmp_path / "fresh" / FRAMES).read_bytes()
    assert not [file for file in out.rglob(".*") if file.is_file()], "nothing half written stays"


def test_what_changed_or_went_missing_is_made_again(videos: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_frames(videos, out, FOUR)
    (out / "clips/a.mp4/000003.png").unlink()
    write_clip(videos.file(1), grey(*range(200, 240, 4)))
    make_frames(Manifest.read(videos.root / "index.csv"), out, FOUR)
    assert (out / "clips/a.mp4/000003.png").is_file()
    assert decode(out / "clips/b.mp4/000001.png").pixels.mean() == pytest.approx(204, abs=2)


def test_another_recipe_wants_another_folder(videos: Manifest, tmp_path: Path) -> None:
    make_frames(videos, tmp_path / "out", FOUR)
    with pytest.raises(ManifestError, match="another recipe"):
        make_frames(videos, tmp_path / "out", FrameRecipe(count=5))
    with pytest.raises(ManifestError, match="the videos lie there"):
        make_frames(videos, videos.root, FOUR)


def test_without_any_picture_it_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "videos/real").mkdir(parents=True)
    (tmp_path / "videos/real/a.mp4").write_text("no video")
    with pytest.raises(ManifestError, match="no picture was made of 1 videos"):
        make_frames(videos_of(tmp_path / "videos"), tmp_path / "out", FOUR)
    assert "not a video" in listed(tmp_path / "out")[0]["reason"]


def test_pictures_among_the_videos_are_left_out_with_a_reason(tmp_path: Path) -> None:
    root = tmp_path / "mixed"
    root.mkdir()
    write_clip(root / "a.mp4", grey(50, 60))
    frames.write_bytes(root / "b.png", frames._png(np.zeros((8, 8, 3), np.uint8)))
    (root / "index.csv").write_text("path,label\na.mp4,real\nb.png,fake\n")
    made = make_frames(videos_of(root / "index.csv"), tmp_path / "out", FOUR)
    assert made.failed == {"b.png": "a picture, not a video"}


def test_without_the_extra_the_reason_names_the_command(
    videos: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tristream\[video\]'"):
        make_frames(videos, tmp_path / "out", FOUR)


def run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.add_typer(data_app)
    return CliRunner().invoke(app, ["data", "frames", *map(str, arguments)])


def test_frames_are_encoded_again_among_their_neighbours(videos: Manifest, tmp_path: Path) -> None:
    as_it_comes = make_frames(videos, tmp_path / "out", FOUR).manifest
    again = make_frames(videos, tmp_path / "crf", FOUR.model_copy(update={"crf": 51})).manifest
    assert again.table["path"].tolist() == as_it_comes.table["path"].tolist()
    before, after = ([decode(m.file(row)).pixels.mean() for row in range(len(m))] for m in (as_it_comes, again))
    assert again.table["sha256"].tolist() != as_it_comes.table["sha256"].tolist()
    assert after == pytest.approx(before, abs=6), "the same frame, at the worst quality"
    with pytest.raises(ManifestError, match="another recipe"):
        make_frames(videos, tmp_path / "crf", FOUR)


def test_the_command(videos: Manifest, tmp_path: Path) -> None:
    result = run(videos.root / "index.csv", "-o", tmp_path / "out", "--count", "2")
    assert result.exit_code == 0, result.output
    assert "6 pictures of 3 videos, 0 frames without a face" in result.stdout
    assert "give one of them" in str(run(videos.root, "-o", tmp_path / "o", "--count", "2", "--every", "1").exception)
    assert "above 0" in str(run(videos.root, "-o", tmp_path / "o", "--every", "0").exception)
    (videos.root / "clips/a.mp4").write_bytes(b"")
    broken = run(videos.root / "index.csv", "-o", tmp_path / "out", "--count", "2")
    assert broken.exit_code == 1
    assert "could not be used: 1 videos" in broken.stdout


def test_layouts_of_videos_are_recognised(tmp_path: Path) -> None:
    """Celeb-DF from its folder, with one of the 518 videos of the official test list."""
    for name in ("Celeb-real/id0_9999.mp4", "YouTube-real/00170.mp4", "Celeb-synthesis/id0_id1_9999.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_clip(tmp_path / name, grey(*range(30, 60, 10)))
    layout = next(name for name in frames.VIDEO_LAYOUTS if frames.READERS[name].matches(tmp_path))
    assert layout == "celebdf"
    with pytest.raises(ManifestError, match="found 1 of 518 videos"):
        videos_of(tmp_path)
    made = make_frames(videos_of(tmp_path, allow_missing=True), tmp_path.with_name("made"), FOUR)
    assert set(made.manifest.table["group"]) == {"YouTube-real/00170"}
    assert len(made.manifest) == 3
