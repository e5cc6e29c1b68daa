"""Pictures inside Parquet and Arrow: taken out byte for byte, labels by class name, resumed, hostile names refused."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.miniatures import (
    NEW_ORDER,
    OLD_ORDER,
    fakecoco,
    huggingface,
    picture,
    put,
    save_to_disk,
    sofake,
    table_of_pictures,
)
from tests.data.server import serving
from tristream.data.readers import layout_of, recognise
from tristream.data.readers import shards as shards_module
from tristream.errors import ManifestError, UsageError


def _parquet(file: Path, table: pa.Table) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)
    return file


@pytest.mark.parametrize("order", [OLD_ORDER, NEW_ORDER], ids=["first edition", "second edition"])
def test_sofake_labels_go_by_class_name_in_both_orders(tmp_path: Path, order: tuple[str, ...]) -> None:
    mini = sofake(tmp_path / "ood", order)
    table = recognise(mini.root, options=mini.options).manifest.table
    labels = table.groupby("manipulation")["label"].unique().map(list).to_dict()
    assert labels == {"real": [0], "full_synthetic": [1], "tampered": [1]}
    assert (table["original_name"].str.rsplit("_", n=1).str[0] == table["manipulation"]).all(), (
        "each row keeps its own label"
    )
    generators = table.groupby("manipulation")["generator"].unique().map(list).to_dict()
    assert generators == {"real": [""], "full_synthetic": ["GPT4o"], "tampered": ["tampered-GPT4o"]}
    assert set(table["source"]) == {"so-fake-reddit"}
    assert set(table["split"]) == {"test"}


def test_sofake_numbers_without_names_are_not_trusted(tmp_path: Path) -> None:
    rows = [{"image": picture(1), "label": 1}]
    _parquet(tmp_path / "so-fake-ood/data/test.parquet", table_of_pictures(rows))
    with pytest.raises(ManifestError, match="numbers without names are not trusted"):
        recognise(tmp_path / "so-fake-ood", options={"extract_to": tmp_path / "out"})


def test_class_names_may_stand_in_the_card(tmp_path: Path) -> None:
    rows = [{"image": picture(1), "label": 1}, {"image": picture(2), "label": 0}]
    _parquet(tmp_path / "set/data/train.parquet", table_of_pictures(rows).replace_schema_metadata(None))
    card = "---\ndataset_info:\n  features:\n  - name: image\n    dtype: image\n  - name: label\n    dtype:\n" \
           "      class_label:\n        names:\n          '0': fake\n          '1': real\n---\n# A set\n"  # fmt: skip
    put(tmp_path / "set/README.md", card.encode())
    table = recognise(tmp_path / "set", options={"extract_to": tmp_path / "out"}).manifest.table
    assert table["label"].tolist() == [0, 1]


def test_pictures_are_taken_out_byte_for_byte(tmp_path: Path) -> None:
    mini = huggingface(tmp_path / "set")
    manifest = recognise(mini.root, options=mini.options).manifest
    assert manifest.root == (tmp_path / "set-pictures").resolve()
    taken = {manifest.file(row).read_bytes() for row in range(len(manifest))}
    assert taken == {picture(seed + n) for seed in (1, 5) for n in range(4)}
    assert manifest.table["split"].value_counts().to_dict() == {"train": 4, "test": 4}
    assert manifest.table["path"].str.fullmatch(r"data/(train|test)-00000-of-00001/000000\d\.png").all()


def test_no_folder_for_the_pictures_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--extract-to FOLDER"):
        recognise(huggingface(tmp_path / "set").root)


def test_a_shard_that_is_done_is_not_read_again_and_a_stopped_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mini = sofake(tmp_path / "ood")
    first = recognise(mini.root, options=mini.options).manifest
    read = []
    rows = shards_module.Shard.rows
    monkeypatch.setattr(
        shards_module.Shard, "rows", lambda shard, columns: read.append(shard.path.name) or rows(shard, columns)
    )
    assert recognise(mini.root, options=mini.options).manifest.digest() == first.digest()
    assert read == []
    second = "data/test-00001-of-00002"
    (tmp_path / "ood-pictures" / second / "0000001.jpg").unlink()  # as after a kill
    kept = tmp_path / "ood-pictures" / second / "0000000.jpg"
    before = kept.stat().st_mtime_ns
    assert recognise(mini.root, options=mini.options).manifest.digest() == first.digest()
    assert read == ["test-00001-of-00002.parquet"]
    assert kept.stat().st_mtime_ns == before, "a picture that is there is not written again"


def test_what_is_broken_inside_a_table_is_counted_with_its_place(tmp_path: Path) -> None:
    rows = [{"image": picture(1), "label": 0}, {"image": b"no picture", "label": 1}, {"image": None, "label": 1},
            {"image": picture(2), "label": 1}]  # fmt: skip
    _parquet(tmp_path / "set/train.parquet", table_of_pictures(rows, ("real", "fake")))
    found = recognise(tmp_path / "set", options={"extract_to": tmp_path / "out"})
    assert found.manifest.table["label"].tolist() == [0, 1]
    assert found.unreadable.keys() == {"train.parquet, row 1", "train.parquet, row 2"}


def test_names_in_a_table_are_not_used_as_paths(tmp_path: Path) -> None:
    cell = pa.array([{"bytes": picture(1), "path": "../../evil.png"}, {"bytes": None, "path": "../secret.png"}],
                    pa.struct([("bytes", pa.binary()), ("path", pa.string())]))  # fmt: skip
    put(tmp_path / "secret.png", picture(7))
    _parquet(tmp_path / "set/train.parquet", pa.table({"image": cell, "label": ["real", "fake"]}))
    found = recognise(tmp_path / "set", options={"extract_to": tmp_path / "out"})
    assert found.manifest.table["path"].tolist() == ["train/0000000.png"]
    assert "leaves the folder" in found.unreadable["train.parquet, row 1"]
    assert not list(tmp_path.rglob("evil.png"))


def test_a_file_that_a_table_names_is_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = pa.array([{"bytes": None, "path": name} for name in ("small.png", "large.png", ".")],
                    pa.struct([("bytes", pa.binary()), ("path", pa.string())]))  # fmt: skip
    put(tmp_path / "set/small.png", picture(1))
    put(tmp_path / "set/large.png", picture(2) + bytes(2 << 20))
    _parquet(tmp_path / "set/train.parquet", pa.table({"image": cell, "label": ["real", "real", "fake"]}))
    monkeypatch.setattr(shards_module, "MAX_BYTES", 1 << 20)
    found = recognise(tmp_path / "set", options={"extract_to": tmp_path / "out"})
    assert found.manifest.table["path"].tolist() == ["train/0000000.png"]
    assert found.unreadable["train.parquet, row 1"] == "its picture large.png is larger than 1 MiB"
    assert found.unreadable["train.parquet, row 2"] == "its picture . is no file of the data set"


def test_one_label_for_a_table_without_labels(tmp_path: Path) -> None:
    _parquet(tmp_path / "ffhq-256/data/train.parquet", table_of_pictures([{"image": picture(n)} for n in range(3)]))
    options = {"extract_to": tmp_path / "out"}
    with pytest.raises(ManifestError, match="no column 'label'; there are: ; name the one"):
        recognise(tmp_path / "ffhq-256", options=options)
    table = recognise(tmp_path / "ffhq-256", options={**options, "label": "real"}).manifest.table
    assert set(table["label"]) == {0}
    assert set(table["source"]) == {"ffhq-256"}


def test_a_class_that_is_neither_real_nor_fake_by_its_name_has_to_be_explained(tmp_path: Path) -> None:
    rows = [{"image": picture(n), "label": n} for n in range(3)]
    _parquet(tmp_path / "set/train.parquet", table_of_pictures(rows, ("camera", "sd3", "flux")))
    options = {"extract_to": tmp_path / "out"}
    with pytest.raises(ManifestError, match="is the class 'camera' real or fake"):
        recognise(tmp_path / "set", options=options)
    table = recognise(tmp_path / "set", options={**options, "real": ["camera"], "fake": ["sd3", "flux"]}).manifest.table
    assert table["generator"].tolist() == ["", "sd3", "flux"]


def test_fakecoco_keeps_a_photograph_with_the_pictures_of_its_caption(tmp_path: Path) -> None:
    mini = fakecoco(tmp_path / "set")
    found = recognise(mini.root, options=mini.options)
    table = found.manifest.table
    assert (table.groupby("group").size() == 3).all()
    assert set(table["group"]) == {f"coco/{number:012d}" for number in range(139, 143)}
    assert set(table["generator"]) == {"", "stable-diffusion-v1-5", "PixArt-XL-2-1024-MS"}
    assert found.skipped == {"part of the FLUX archive (join and unpack: cat FLUX_a? | tar x)": 1}
    few = recognise(mini.root, options={**mini.options, "generators": ["stable-diffusion-v1-5"]}).manifest.table
    assert set(few["generator"]) == {"", "stable-diffusion-v1-5"}


def test_fakecoco_numbers_may_stand_in_a_mapping(tmp_path: Path) -> None:
    bare = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for folder, seed in (("real", 0), ("unidiffuser-v1", 10)):
        cells = pa.array([{"bytes": picture(seed + n), "path": None} for n in range(2)], bare)
        save_to_disk(tmp_path / "set" / folder, pa.table({"image": cells}), shards=2)  # the numbers run through both
    options = {"extract_to": tmp_path / "out"}
    with pytest.raises(ManifestError, match="no COCO number"):
        recognise(tmp_path / "set", options=options)
    for folder in ("real", "unidiffuser-v1"):
        put(tmp_path / "set" / folder / "mapping.json", json.dumps({"0": 139, "1": 285}).encode())
    table = recognise(tmp_path / "set", options=options).manifest.table
    assert table.groupby("group").size().to_dict() == {"coco/000000000139": 2, "coco/000000000285": 2}


def test_a_torn_shard_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = _parquet(tmp_path / "set/train.parquet", table_of_pictures([{"image": picture(1), "label": "real"}]))
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ManifestError, match=r"train\.parquet: not a whole Parquet or Arrow file"):
        recognise(tmp_path / "set", options={"extract_to": tmp_path / "out"})


def test_a_data_set_of_the_hub_is_read_without_storing_its_tables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    local = sofake(tmp_path / "ood").root
    files = {path.relative_to(local).as_posix(): path.read_bytes() for path in sorted(local.rglob("*.parquet"))}
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        server.hub("saberzl/So-Fake-OOD", files)
        hub = Path("hub:saberzl/So-Fake-OOD")
        assert layout_of(hub) == "sofake"
        found = recognise(hub, options={"extract_to": tmp_path / "out"})
        assert found.manifest.digest() == recognise(local, options={"extract_to": tmp_path / "local"}).manifest.digest()
        assert not list((tmp_path / "out").rglob("*.parquet"))
        first = recognise(hub, options={"extract_to": tmp_path / "few", "rows": 1}).manifest.table
        assert first["manipulation"].tolist() == ["real", "real"], "the first row of each shard"
        parquet = {path for path, _ in server.asked if path.endswith(".parquet")}
        server.asked.clear()
        recognise(hub, options={"extract_to": tmp_path / "few", "rows": 1})
        assert len(parquet) == 2
        assert sum(path.endswith("00001-of-00002.parquet") for path, _ in server.asked) <= 2, "only its schema again"
        server.hub("me/other", files)
        assert layout_of(Path("hub:me/other")) == "huggingface"
