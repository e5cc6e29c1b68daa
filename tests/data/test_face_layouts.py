"""FaceForensics++ and Celeb-DF-v2: the official lists, both orders of each pair, labels by their own sign."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.miniatures import official_celebdf, official_ffpp, put, put_pictures
from tristream.data.readers import CelebDFReader, FFPPReader, layout_of, recognise
from tristream.data.readers.celebdf import OFFICIAL_LIST, read_test_list
from tristream.data.readers.ffpp import OFFICIAL_SPLITS, read_splits
from tristream.data.splits import check_splits
from tristream.errors import ManifestError


@pytest.fixture(scope="module")
def ffpp_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ffpp")
    official_ffpp(root, compression="c40")
    return root


def test_ffpp_official_splits_have_720_140_140_reals_and_four_times_as_many_fakes(ffpp_root: Path) -> None:
    assert layout_of(ffpp_root) == "ffpp"
    listing = FFPPReader(compression="c40").listing(ffpp_root)
    assert listing.expected == 5000
    assert not listing.missing
    counts = listing.table.groupby(["split", "label"]).size().to_dict()
    assert counts == {("train", 0): 720, ("train", 1): 2880, ("validation", 0): 140, ("validation", 1): 560,
                      ("test", 0): 140, ("test", 1): 560}  # fmt: skip
    fakes = listing.table[listing.table["label"] == 1]
    assert fakes.groupby("generator").size().to_dict() == dict.fromkeys(
        ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"), 1000
    )
    assert {"Deepfakes/071_054", "Deepfakes/054_071"} <= set(fakes["video"]), "both orders of a pair"
    groups = listing.table.groupby("group")
    assert (groups.size() == 10).all(), "two originals, and two orders of four methods"
    assert (groups["split"].nunique() == 1).all()


def test_ffpp_of_another_compression_names_the_one_that_is_there(ffpp_root: Path) -> None:
    with pytest.raises(ManifestError, match=r"found 0 of 5,000 raw videos;.*compressions there: c40, asked for: raw"):
        recognise(ffpp_root, layout="ffpp", options={"compression": "c0"})


def test_ffpp_frames_are_pictures_of_one_video(tmp_path: Path) -> None:
    for split, pairs in {"train": [["001", "002"]], "val": [], "test": []}.items():
        put(tmp_path / f"splits/{split}.json", json.dumps(pairs).encode())
    videos = ["original_sequences/youtube/c23/frames/001", "original_sequences/youtube/c23/frames/002",
              "manipulated_sequences/FaceSwap/c23/frames/001_002",
              "manipulated_sequences/FaceSwap/c23/frames/002_001"]  # fmt: skip
    put_pictures(tmp_path, *(f"{video}/{frame:03d}.png" for video in videos for frame in range(3)))
    found = recognise(tmp_path, options={"media": "frames", "methods": ["FaceSwap"]})
    table = found.manifest.table
    assert len(table) == 12
    assert set(table["media"]) == {"image"}
    assert table["group"].nunique() == 1
    assert table["video"].value_counts().to_dict() == dict.fromkeys(
        ("youtube/001", "youtube/002", "FaceSwap/001_002", "FaceSwap/002_001"), 3
    )
    check_splits(found.manifest)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [('{"a": 1}', "expected a JSON list of pairs"), ("[[1]]", "expected a JSON list"),
     ('[["../x", "1"]]', "is no number"), ('[["071", "054"], ["953", "002"]]', "is in test as well")],
)  # fmt: skip
def test_ffpp_split_files_are_checked(tmp_path: Path, text: str, wrong: str) -> None:
    put(tmp_path / "train.json", text.encode())
    with pytest.raises(ManifestError, match=wrong):
        read_splits({"test": OFFICIAL_SPLITS / "ffpp_test.json", "train": tmp_path / "train.json"})


def test_the_shipped_lists_are_the_official_ones(shared_data: Path) -> None:
    for file in sorted((shared_data / "protocols").iterdir()):
        assert (OFFICIAL_SPLITS / file.name).read_bytes() == file.read_bytes()


def test_celebdf_test_set_is_178_real_and_340_fake_by_the_folders(tmp_path: Path) -> None:
    official_celebdf(tmp_path)
    found = recognise(tmp_path)
    table = found.manifest.table
    assert found.expected == 518
    assert table.groupby(["folder", "label"]).size().to_dict() == {
        ("Celeb-real", 0): 108, ("Celeb-synthesis", 1): 340, ("YouTube-real", 0): 70}  # fmt: skip
    assert set(table["split"]) == {"test"}
    assert set(table["media"]) == {"video"}
    first = OFFICIAL_LIST.read_text().splitlines()[0]
    assert first == "1 YouTube-real/00170.mp4"
    assert table.set_index("path").at["YouTube-real/00170.mp4", "label"] == 0, (
        "1 means real in the list, 0 in a manifest"
    )


def test_celebdf_groups_an_original_with_its_fakes(tmp_path: Path) -> None:
    official_celebdf(tmp_path)
    put(tmp_path / "Celeb-real/id1_0007.mp4", b"the original of id1_id0_0007")
    listing = CelebDFReader(everything=True).listing(tmp_path)
    group = listing.table.set_index("path")["group"]
    assert group["Celeb-synthesis/id1_id0_0007.mp4"] == group["Celeb-real/id1_0007.mp4"] == "Celeb-real/id1_0007"
    assert listing.table.set_index("path")["split"]["Celeb-real/id61_9999.mp4"] == "train"
    assert listing.expected == 590 + 300 + 5639
    assert len(listing.missing) == listing.expected - len(listing.table)


def test_celebdf_puts_nothing_of_a_tested_group_into_train(tmp_path: Path) -> None:
    official_celebdf(tmp_path)
    for path in ("Celeb-real/id4_0003.mp4", "Celeb-synthesis/id4_id9_0003.mp4"):
        put(tmp_path / path, path.encode())
    found = CelebDFReader(everything=True).read(tmp_path, allow_missing=True)
    split = found.manifest.table.set_index("path")["split"]
    assert split["Celeb-synthesis/id4_id1_0003.mp4"] == "test"
    assert split["Celeb-real/id4_0003.mp4"] == split["Celeb-synthesis/id4_id9_0003.mp4"] == ""
    assert (split == "train").sum() == 2
    check_splits(found.manifest)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [("0 YouTube-real/00170.mp4", "line 2: says 0 of a video in YouTube-real; 1 has to mean real"),
     ("1 Celeb-synthesis/id1_id0_0007.mp4", "line 2: says 1 of a video in Celeb-synthesis"),
     ("1 ../etc/passwd.mp4", "line 2: expected '1 YouTube-real/00170.mp4'"), ("real", "line 2: expected")],
)  # fmt: skip
def test_celebdf_list_has_to_agree_with_the_folders(tmp_path: Path, line: str, wrong: str) -> None:
    listed = put(tmp_path / "list.txt", f"1 Celeb-real/id0_0001.mp4\n{line}\n".encode())
    with pytest.raises(ManifestError, match=wrong):
        read_test_list(listed)
