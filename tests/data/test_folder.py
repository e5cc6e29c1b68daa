from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tristream.data.manifest import Manifest
from tristream.data.readers import READERS, recognise
from tristream.errors import ManifestError


def _rows(manifest: Manifest, *columns: str) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in manifest.table[["path", *columns]].itertuples(index=False)}


@pytest.mark.parametrize(("real", "fake"), [("real", "fake"), ("0_real", "1_fake"), ("nature", "ai"), ("REAL", "Fake")])
def test_label_folders_in_any_spelling(paint: Any, tmp_path: Path, real: str, fake: str) -> None:
    paint(f"{real}/a.png")
    paint(f"{fake}/b.JPG")
    manifest = recognise(tmp_path).manifest
    assert _rows(manifest, "label") == {f"{real}/a.png": (0,), f"{fake}/b.JPG": (1,)}
    assert manifest.table["source"].tolist() == ["", ""]


def test_folder_below_the_label_is_the_generator_or_source(paint: Any, tmp_path: Path) -> None:
    paint("real/ffhq/deep/er/a.png")
    paint("fake/flux/b.png")
    found = recognise(tmp_path)
    assert _rows(found.manifest, "generator", "source") == {
        "fake/flux/b.png": ("flux", "flux"),
        "real/ffhq/deep/er/a.png": ("", "ffhq"),
    }
    assert found.layouts == {"{real,fake}/<source>": 1, "{real,fake}/<source>/…/…": 1}


def test_what_lies_in_a_folder_below_the_source_is_a_group(paint: Any, tmp_path: Path) -> None:
    clips = ["fake/sora/clip0/0.png", "fake/sora/clip0/1.png", "fake/sora/clip1/0.png"]
    singles = ["fake/flux/a.png", "real/b.png"]
    for name in (*clips, *singles):
        paint(name)
    table = recognise(tmp_path).manifest.table.set_index("path")
    assert table.loc[clips, "group"].tolist() == ["fake/sora/clip0", "fake/sora/clip0", "fake/sora/clip1"]
    assert table.loc[singles, "group"].tolist() == table.loc[singles, "sha256"].tolist()


def test_forensynths_with_and_without_classes(paint: Any, tmp_path: Path) -> None:
    for folder in ("progan/car/0_real", "progan/train/0_real", "progan/car/1_fake", "biggan/1_fake"):
        paint(f"{folder}/a.png")
    found = recognise(tmp_path)
    assert _rows(found.manifest, "label", "generator", "source", "class", "split") == {
        "progan/car/0_real/a.png": (0, "", "progan", "car", ""),
        "progan/train/0_real/a.png": (0, "", "progan", "train", ""),  # LSUN's class of trains, not a split
        "progan/car/1_fake/a.png": (1, "progan", "progan", "car", ""),
        "biggan/1_fake/a.png": (1, "biggan", "biggan", "", ""),
    }
    assert found.layouts == {"<generator>/{0_real,1_fake}": 1, "<generator>/<class>/{0_real,1_fake}": 3}


def test_folders_of_splits_say_the_split(paint: Any, tmp_path: Path) -> None:
    for folder in ("Midjourney/train/ai", "Midjourney/val/ai", "Midjourney/val/nature", "BigGAN/train/nature"):
        paint(f"{folder}/a.png")
    found = recognise(tmp_path, layout="folder")
    assert _rows(found.manifest, "label", "generator", "source", "split") == {
        "BigGAN/train/nature/a.png": (0, "", "BigGAN", "train"),
        "Midjourney/train/ai/a.png": (1, "Midjourney", "Midjourney", "train"),
        "Midjourney/val/ai/a.png": (1, "Midjourney", "Midjourney", "validation"),
        "Midjourney/val/nature/a.png": (0, "", "Midjourney", "validation"),
    }
    assert "class" not in found.manifest.table
    assert found.layouts == {"<generator>/<split>/{nature,ai}": 4}


def test_what_is_left_out_is_counted_with_its_reason(paint: Any, tmp_path: Path) -> None:
    paint("real/a.png")
    paint("stray.png")
    whole = paint("fake/cut.png", size=(200, 200)).read_bytes()
    (tmp_path / "fake/cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "fake/text.jpg").write_text("not a picture")
    (tmp_path / "fake/gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    (tmp_path / "fake/passwd.jpg").symlink_to("/etc/passwd")
    (tmp_path / "fake/folder").symlink_to("/etc")
    (tmp_path / "real/notes.txt").write_text("")
    (tmp_path / "real/.hidden.png").write_text("")
    found = recognise(tmp_path)
    assert found.manifest.table["path"].tolist() == ["real/a.png"]
    assert found.skipped == {"picture outside the label folders": 1, "no picture (.txt)": 1, "folder behind a link": 1}
    assert found.unreadable.keys() == {"fake/cut.png", "fake/text.jpg", "fake/gone.jpg", "fake/passwd.jpg"}
    assert "link that leaves" in found.unreadable["fake/passwd.jpg"]
    assert not any(reason.startswith("fake/") for reason in found.unreadable.values()), "the path is named once"
    text = "\n".join(found.lines())
    assert "1 real of no named source" in text
    assert "unreadable, left out: 4 pictures" in text
    assert "  fake/cut.png: " in text
    trusted = recognise(tmp_path, headers_only=True)
    assert "fake/cut.png" in trusted.manifest.table["path"].tolist(), "its header is whole"


def test_file_columns_are_filled_and_progress_is_told(paint: Any, tmp_path: Path) -> None:
    paint("real/a.png", size=(20, 16))
    paint("fake/b.jpg", size=(12, 30))
    seen: list[tuple[int, int]] = []
    manifest = recognise(tmp_path, lambda done, total: seen.append((done, total))).manifest
    assert seen == [(1, 2), (2, 2)]
    full = Manifest.from_table(manifest.table[["path", "label"]], tmp_path).with_file_columns().table
    for column in ("width", "height", "bytes", "format", "sha256"):
        assert manifest.table[column].tolist() == full[column].tolist()


def test_exact_copies_share_a_group_and_contradictions_are_told(paint: Any, tmp_path: Path) -> None:
    for path in ("real/a.png", "real/copy.png", "fake/same.png"):
        paint(path, seed=1)
    found = recognise(tmp_path)
    assert found.manifest.table["group"].nunique() == 1
    assert "2 exact copies of other pictures: each shares their group" in found.lines()
    assert "1 pictures are there as real and as fake: find out which is right" in found.lines()


def test_description_counts_sources_generators_and_splits(paint: Any, tmp_path: Path) -> None:
    for path in ("train/real/ffhq/a.png", "train/fake/flux/a.png", "train/fake/flux/b.png", "test/fake/sdxl/a.png"):
        paint(path)
    assert recognise(tmp_path).lines() == [
        "layout <split>/{real,fake}/<source>: 4 pictures",
        "1 real of 1 source: ffhq 1",
        "3 fake of 2 generators: flux 2, sdxl 1",
        "splits: train 3, test 1",
    ]


def test_a_folder_without_labels_says_what_to_make(paint: Any, tmp_path: Path) -> None:
    paint("holiday/a.png")
    with pytest.raises(ManifestError, match="no layout that tristream knows") as caught:
        recognise(tmp_path)
    assert f"{tmp_path}/real and {tmp_path}/fake" in str(caught.value)
    assert f"`tristream data layouts` lists all {len(READERS)} layouts" in str(caught.value)
    with pytest.raises(ManifestError, match="no such folder"):
        recognise(tmp_path / "nothing")
    with pytest.raises(ManifestError, match="no picture below a folder named real, fake"):
        READERS["folder"]().read(tmp_path)


def test_a_path_that_says_both_is_refused(paint: Any, tmp_path: Path) -> None:
    paint("real/ai/a.png")
    with pytest.raises(ManifestError, match="real/ai: its folders say both real and fake"):
        recognise(tmp_path)


def test_a_folder_of_broken_pictures_only_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").write_text("not a picture")
    with pytest.raises(ManifestError, match=r"none of 1 pictures can be read, such as real/a\.png"):
        recognise(tmp_path)


def test_the_raw_pool_is_recognised_from_its_folders(shared_data: Path) -> None:
    found = recognise(shared_data / "raw", headers_only=True)
    listed = Manifest.read(shared_data / "raw" / "index.csv")
    assert found.manifest.digest() == listed.digest()
    assert _rows(found.manifest, "source") == _rows(listed, "source")
    assert not found.unreadable
