from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from tristream.data.files import media_of
from tristream.data.manifest import COLUMNS, Manifest
from tristream.errors import ManifestError


@pytest.fixture
def pair(paint: Any, tmp_path: Path) -> Path:
    """A folder with a.png and b.jpg."""
    paint("a.png", size=(20, 16))
    paint("b.jpg", size=(12, 30))
    return tmp_path


def _csv(folder: Path, text: str, name: str = "index.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("labels", [("real", "fake"), ("0", "1"), ("Real", " FAKE ")])
def test_labels_parse_as_words_and_as_numbers(pair: Path, labels: tuple[str, str]) -> None:
    manifest = Manifest.read(_csv(pair, f"path,label\na.png,{labels[0]}\nb.jpg,{labels[1]}\n"))
    assert manifest.table["label"].tolist() == [0, 1]
    assert manifest.table["label"].dtype == np.int64


def test_labels_parse_as_integers_from_parquet(pair: Path) -> None:
    pd.DataFrame({"path": ["a.png", "b.jpg"], "label": [1, 0]}).to_parquet(pair / "index.parquet")
    assert Manifest.read(pair / "index.parquet").table["label"].tolist() == [1, 0]


def test_missing_columns_are_filled_and_others_kept(pair: Path) -> None:
    table = Manifest.read(_csv(pair, "path,label,source,camera\na.png,0,ffhq,007\nb.jpg,1,flux,\n")).table
    assert list(table.columns) == [*COLUMNS, "camera"]
    assert table["camera"].tolist() == ["007", ""]
    assert table["group"].tolist() == ["a.png", "b.jpg"]
    assert table["generator"].tolist() == ["", "flux"]
    assert table["split"].tolist() == ["", ""]
    assert set(table["media"]) == {"image"}


def test_a_video_is_told_from_its_suffix_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimetypes.guess_type", lambda path: (None, None))
    assert [media_of(path) for path in ("a.MTS", "b/c.mkv", "d.flv")] == ["video"] * 3
    assert [media_of(path) for path in ("a.png", "mp4", "b.ts")] == ["image"] * 3


def test_group_of_a_lone_picture_is_its_hash_where_known(pair: Path) -> None:
    text = f"path,label,group,sha256\na.png,0,,{'A' * 64}\nb.jpg,1,{'b' * 3},{'b' * 64}\n"
    assert Manifest.read(_csv(pair, text)).table["group"].tolist() == ["a" * 64, "bbb"]


def test_a_real_has_no_generator(pair: Path) -> None:
    table = Manifest.read(_csv(pair, "path,label,generator,source\na.png,0,sdv4,\nb.jpg,1,sdv4,genimage\n")).table
    assert table[["generator", "source"]].to_numpy().tolist() == [["", "sdv4"], ["sdv4", "genimage"]]


def test_file_columns_are_read_from_the_files_and_only_when_missing(pair: Path) -> None:
    manifest = Manifest.read(_csv(pair, "path,label,width\na.png,0,999\nb.jpg,1,\n"))
    assert manifest.table["bytes"].isna().all()
    seen: list[tuple[int, int]] = []
    full = manifest.with_file_columns(progress=lambda done, total: seen.append((done, total)))
    assert full.table["width"].tolist() == [999, 12]
    assert full.table["height"].tolist() == [16, 30]
    assert full.table["format"].tolist() == ["PNG", "JPEG"]
    assert full.table["bytes"].tolist() == [(pair / name).stat().st_size for name in ("a.png", "b.jpg")]
    assert full.table["sha256"].tolist() == [_sha256(pair / "a.png"), _sha256(pair / "b.jpg")]
    assert seen == [(1, 2), (2, 2)]
    assert_frame_equal(full.with_file_columns().table, full.table)
    assert manifest.table["bytes"].isna().all(), "the first manifest has not changed"


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_video_keeps_its_picture_columns_empty(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no picture")
    row = Manifest.read(_csv(tmp_path, "path,label\na.mp4,1\n")).with_file_columns().table.iloc[0]
    assert (row["media"], row["bytes"], row["format"]) == ("video", 10, "")
    assert pd.isna(row["width"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_written_and_read_again_is_the_same(pair: Path, suffix: str) -> None:
    text = 'path,label,source,camera,original_width\na.png,0,"x, ""y""\nz",007,1\nb.jpg,1,NA,,\n'
    manifest = Manifest.read(_csv(pair, text)).with_file_columns(["bytes", "sha256"])
    assert manifest.table["source"].tolist() == ['x, "y"\nz', "NA"]
    manifest.write(pair / f"again{suffix}")
    again = Manifest.read(pair / f"again{suffix}")
    assert_frame_equal(again.table, manifest.table)
    assert again.root == manifest.root
    assert sorted(file.name for file in pair.iterdir()) == sorted({"a.png", "b.jpg", "index.csv", f"again{suffix}"})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_null_of_another_column_is_the_empty_text(pair: Path, suffix: str) -> None:
    table = pd.DataFrame({"path": ["a.png", "b.jpg"], "label": [0, 1], "video": [None, "v"], "depth": [1.5, None]})
    path = pair / f"nulls{suffix}"
    (table.to_csv if suffix == ".csv" else table.to_parquet)(path, index=False)
    read = Manifest.read(path).table
    assert read["video"].tolist() == ["", "v"]
    assert read["depth"].astype(str).tolist()[0] == "1.5"


def test_written_above_the_pictures_prefixes_the_paths(paint: Any, tmp_path: Path) -> None:
    paint("pool/real/a.png")
    manifest = Manifest.read(_csv(tmp_path / "pool", "path,label\nreal/a.png,0\n"))
    manifest.write(tmp_path / "all.csv")
    again = Manifest.read(tmp_path / "all.csv")
    assert again.table["path"].tolist() == ["pool/real/a.png"]
    assert again.file(0).samefile(manifest.file(0))


def test_written_elsewhere_needs_the_folder_that_paths_start_from(pair: Path, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "index.csv"
    manifest = Manifest.read(_csv(pair, "path,label\na.png,0\n"))
    with pytest.raises(ManifestError, match="outside"):
        manifest.write(elsewhere)
    manifest.write(elsewhere, relative_to=pair)
    with pytest.raises(ManifestError, match="do not exist"):
        Manifest.read(elsewhere)
    assert Manifest.read(elsewhere, root=pair).file(0).samefile(pair / "a.png")


def test_digest_sees_content_label_and_split_only(paint: Any, tmp_path: Path) -> None:
    for path, seed in {"a.png": 1, "b.png": 2, "moved/a.png": 1}.items():
        paint(path, seed)

    def digest(text: str) -> str:
        return Manifest.read(_csv(tmp_path, "path,label,split\n" + text)).digest()

    first = digest("a.png,0,train\nb.png,1,test\n")
    assert digest("b.png,1,test\na.png,0,train\n") == first
    assert digest("moved/a.png,0,train\nb.png,1,test\n") == first
    assert digest("a.png,1,train\nb.png,1,test\n") != first
    assert digest("a.png,0,test\nb.png,1,test\n") != first
    paint("a.png", 3)
    assert digest("a.png,0,train\nb.png,1,test\n") != first


def test_split_selects_and_an_unknown_one_lists_those_there_are(pair: Path) -> None:
    manifest = Manifest.read(_csv(pair, "path,label,split\na.png,0,train\nb.jpg,1,test\n"))
    assert manifest.split("test").table["path"].tolist() == ["b.jpg"]
    assert manifest.split("test").file(0) == pair.resolve() / "b.jpg"
    with pytest.raises(ManifestError, match="no split 'val'; there are: test, train"):
        manifest.split("val")


def test_where_wants_one_boolean_per_row(pair: Path) -> None:
    manifest = Manifest.read(_csv(pair, "path,label\na.png,0\nb.jpg,1\n"))
    assert len(manifest.where(manifest.table["label"] == 1)) == 1
    assert len(manifest.where([False, False])) == 0
    with pytest.raises(ManifestError, match="2 booleans"):
        manifest.where([True])
    with pytest.raises(ManifestError, match="2 booleans"):
        manifest.where(np.array([0, 1]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,label\na.png,0\nb.jpg,maybe\n",
            r"index\.csv: row 2, column label: expected real, fake, 0 or 1, .* 'maybe'",
        ),
        ("path,label\na.png,\n", "row 1, column label"),
        ("file,label\na.png,0\n", "no column path; found: file, label"),
        ("path\na.png\n", "no column label"),
        ("path,label\n", "no rows"),
        ("", "is empty"),
        ("path,label\na.png,0\nb.jpg,1\n./a.png,0\n", r"row 3, column path: expected every path once, found 'a\.png'"),
        ("path,label\na.png,0\n/etc/hostname,0\n", "row 2, column path: '/etc/hostname' leaves the folder"),
        ("path,label\nx/../../a.png,0\n", "row 1, column path: .* leaves the folder"),
        ("path,label\n..\\a.png,0\n", "leaves the folder"),
        ("path,label\nC:\\a.png,0\n", "leaves the folder"),
        ("path,label\n,0\n", "row 1, column path: expected a path"),
        ("path,label\na.png,0\nx.png,0\ny.png,1\n", r"2 of 3 files do not exist under .*, such as x\.png, y\.png"),
        ("path,label,width\na.png,0,wide\n", "row 1, column width: expected a whole number above 0, .* 'wide'"),
        ("path,label,sha256\na.png,0,abc\n", "row 1, column sha256: expected 64 hexadecimal digits"),
        ("path,label,media\na.png,0,sound\n", "row 1, column media: expected image or video"),
        ("path,label\na.png,0,1\n", "more cells than the header"),
    ],
)
def test_errors_name_file_row_column_and_what_was_expected(pair: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        Manifest.read(_csv(pair, text))
    assert "index.csv" in str(caught.value)


def test_what_is_no_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such file"):
        Manifest.read(tmp_path / "index.csv")
    with pytest.raises(ManifestError, match="not a Parquet table"):
        Manifest.read(_csv(tmp_path, "path,label\n", "index.parquet"))
    with pytest.raises(ManifestError, match=r"\.csv or a \.parquet"):
        Manifest.read(_csv(tmp_path, "path,label\n", "index.xlsx"))


@pytest.mark.parametrize("missing", ["pandas", "pyarrow"])
def test_a_missing_library_is_the_command_that_installs_it(pair: Path, missing: str) -> None:
    (pair / "index.parquet").write_bytes(b"PAR1")
    code = f"""if True:
        import pathlib, sys
        sys.modules[{missing!r}] = None
        from tristream.data.manifest import Manifest
        Manifest.read(pathlib.Path({str(pair / "index.parquet")!r}))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError" in done.stderr
    assert "pip install 'tristream[data]'" in done.stderr


def test_links_may_not_leave_the_root(paint: Any, tmp_path: Path) -> None:
    paint("secret/a.png")
    paint("root/b.png")
    (tmp_path / "root" / "inside.png").symlink_to(tmp_path / "root" / "b.png")
    (tmp_path / "root" / "outside.png").symlink_to(tmp_path / "secret" / "a.png")
    (tmp_path / "root" / "folder").symlink_to(tmp_path / "secret")
    manifest = Manifest.read(_csv(tmp_path / "root", "path,label\nb.png,0\ninside.png,1\n"))
    for path in ("outside.png", "folder/a.png"):
        with pytest.raises(ManifestError, match="link that leaves"):
            Manifest.read(_csv(tmp_path / "root", f"path,label\n{path},0\n"))
    (tmp_path / "root" / "b.png").unlink()
    (tmp_path / "root" / "b.png").symlink_to(tmp_path / "secret" / "a.png")
    with pytest.raises(ManifestError, match="link that leaves"):
        manifest.file(0)


@pytest.mark.parametrize(("pool", "real", "fake", "sources"), [("corpus", 3738, 4633, 46), ("unseen", 791, 1229, 15)])
def test_shared_pools_are_read_as_they_stand(shared_data: Path, pool: str, real: int, fake: int, sources: int) -> None:
    table = Manifest.read(shared_data / pool / "index.csv").table
    assert table["label"].value_counts().to_dict() == {0: real, 1: fake}
    assert table["source"][table["label"] == 0].nunique() == sources
    assert (table["generator"] != "").eq(table["label"] == 1).all()


def test_shared_pictures_are_those_that_their_manifest_describes(shared_data: Path) -> None:
    manifest = Manifest.read(shared_data / "raw" / "index.csv")
    assert len(manifest) == 185
    assert (manifest.table["group"] == manifest.table["sha256"]).all()
    from_files = Manifest.from_table(manifest.table[["path", "label"]], manifest.root).with_file_columns()
    for column in ("sha256", "width", "height", "format"):
        assert from_files.table[column].tolist() == manifest.table[column].tolist()
