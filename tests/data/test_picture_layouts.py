"""What is particular to each layout of pictures in folders, in lists and in mixes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.miniatures import coco, csv, diffusiondb, ffhq, forensynths, genimage, mix, put, put_pictures
from tristream.data.readers import FFHQReader, recognise
from tristream.errors import ConfigError, ManifestError


def test_forensynths_pairs_each_generator_with_its_own_reals(tmp_path: Path) -> None:
    table = recognise(forensynths(tmp_path).root).manifest.table
    assert set(table["split"]) == {"test"}
    assert table.groupby("source")["label"].nunique().eq(2).all()
    row = table.set_index("path").loc["progan/cat/1_fake/00001.png"]
    assert (row["generator"], row["source"], row["class"]) == ("progan", "forensynths-progan", "cat")


def test_forensynths_with_training_data_keeps_its_splits(tmp_path: Path) -> None:
    forensynths(tmp_path / "test")
    put_pictures(
        tmp_path,
        *(f"{part}/progan/cat/{label}/t{part}.png" for part in ("train", "val") for label in ("0_real", "1_fake")),
    )
    found = recognise(tmp_path)
    assert found.manifest.table["split"].value_counts().to_dict() == {"test": 34, "train": 2, "validation": 2}


def test_forensynths_of_some_generators_takes_no_other_of_the_test_set(tmp_path: Path) -> None:
    forensynths(tmp_path / "test")
    put_pictures(tmp_path, *(f"train/biggan/{label}/t.png" for label in ("0_real", "1_fake")))
    put_pictures(tmp_path, *(f"val/biggan/{label}/v.png" for label in ("0_real", "1_fake")))
    found = recognise(tmp_path, options={"generators": ["progan", "stylegan"]})
    table = found.manifest.table
    assert set(table.loc[table["split"] == "test", "source"]) == {"forensynths-progan", "forensynths-stylegan"}
    assert set(table.loc[table["split"] != "test", "source"]) == {"forensynths-biggan"}
    assert sum(found.layouts.values()) == len(table)
    assert found.skipped == {"picture that is not asked for": 34 + 4 - len(table)}
    with pytest.raises(ManifestError, match="none of its pictures is asked for"):
        recognise(forensynths(tmp_path / "alone").root, options={"generators": ["dalle"]})


def test_genimage_finds_a_generator_by_any_of_its_folder_names(tmp_path: Path) -> None:
    table = recognise(genimage(tmp_path).root).manifest.table.set_index("path")
    row = table.loc["stable_diffusion_v_1_4/imagenet_ai_0419_sdv4/val/ai/6_x.png"]
    assert (row["generator"], row["source"], row["split"]) == ("SD-1.4", "genimage-SD-1.4", "validation")
    assert table.at["ADM/train/nature/n01440764_1.JPEG", "source"] == "genimage-ADM"


def test_genimage_of_some_generators_is_complete_when_asked_for_them(tmp_path: Path) -> None:
    put_pictures(tmp_path, *(f"imagenet_midjourney/val/{label}/{label}.png" for label in ("ai", "nature")))
    with pytest.raises(ManifestError, match="found 2 of 32 folders of pictures"):
        recognise(tmp_path)
    found = recognise(tmp_path, options={"generators": ["Midjourney"], "splits": ["val"]})
    assert found.expected == 2
    with pytest.raises(ManifestError, match="GenImage has no DALL-E"):
        recognise(tmp_path, layout="genimage", options={"generators": ["DALL-E"]})


def test_diffusiondb_groups_by_user_and_the_deleted_ones_by_prompt(tmp_path: Path) -> None:
    found = recognise(diffusiondb(tmp_path).root)
    groups = found.manifest.table["group"].tolist()
    assert groups == ["diffusiondb/user/user1"] * 2 + ["diffusiondb/user/user2"] * 2 + ["diffusiondb/prompt/prompt 0"]
    assert found.skipped == {"NSFW score above 0.5": 1}
    by_prompt = recognise(tmp_path, options={"group": "prompt", "max_nsfw": 2}).manifest.table
    assert by_prompt["group"].value_counts().to_dict() == {
        "diffusiondb/prompt/prompt 0": 4,
        "diffusiondb/prompt/prompt 1": 2,
    }
    assert set(by_prompt["prompt"]) == {"prompt 0", "prompt 1"}


def test_diffusiondb_without_its_metadata_is_incomplete_and_has_prompts_alone(tmp_path: Path) -> None:
    diffusiondb(tmp_path)
    (tmp_path / "metadata.parquet").unlink()
    with pytest.raises(ManifestError, match=r"found 6 of 7 pictures and tables; missing: metadata\.parquet"):
        recognise(tmp_path)
    table = recognise(tmp_path, allow_missing=True).manifest.table
    assert len(table) == 6
    assert set(table["group"]) == {"diffusiondb/prompt/prompt 0", "diffusiondb/prompt/prompt 1"}


def test_diffusiondb_large_lies_in_two_folders(tmp_path: Path) -> None:
    mini = diffusiondb(tmp_path / "small").root
    for part, place in (("part-000001", "diffusiondb-large-part-1"), ("part-000002", "diffusiondb-large-part-2")):
        (tmp_path / place).mkdir()
        (mini / "images" / part).rename(tmp_path / place / part)
    (mini / "metadata.parquet").rename(tmp_path / "metadata-large.parquet")
    found = recognise(tmp_path, layout="diffusiondb")
    assert found.layouts == {"diffusiondb-large": 5}


def test_a_part_of_diffusiondb_without_its_list_is_an_error(tmp_path: Path) -> None:
    diffusiondb(tmp_path)
    (tmp_path / "images/part-000001/part-000001.json").write_text("[]")
    with pytest.raises(ManifestError, match="expected a JSON object"):
        recognise(tmp_path)
    (tmp_path / "images/part-000001/part-000001.json").unlink()
    with pytest.raises(ManifestError, match=r"part-000001\.json: is not there"):
        recognise(tmp_path)


def test_ffhq_splits_by_number_and_expects_70000(tmp_path: Path) -> None:
    ffhq(tmp_path)
    put_pictures(tmp_path, "images1024x1024/69000/69999.png", "images1024x1024/cover.png")
    listing = FFHQReader().listing(tmp_path)
    assert listing.expected == 70_000
    assert len(listing.missing) == 70_000 - 13
    assert listing.table["split"].tolist() == ["train"] * 12 + ["validation"]
    assert listing.skipped == {"no picture of FFHQ by its name": 1}


def test_coco_says_which_pictures_of_its_annotations_are_missing(tmp_path: Path) -> None:
    mini = coco(tmp_path)
    assert recognise(tmp_path).manifest.table["group"].tolist()[0] == "coco/000000000139"
    assert mini.victim is not None
    mini.victim.unlink()
    with pytest.raises(ManifestError, match=r"found 2 of 3 pictures; missing: val2017/000000000285\.jpg"):
        recognise(tmp_path)


def test_coco_without_annotations_has_to_have_its_number_of_pictures(tmp_path: Path) -> None:
    coco(tmp_path)
    (tmp_path / "annotations/captions_val2017.json").unlink()
    with pytest.raises(ManifestError, match="found 3 of 5,000 pictures; missing: a picture of val2017"):
        recognise(tmp_path)


def test_a_csv_list_may_say_1_for_real(tmp_path: Path) -> None:
    mini = csv(tmp_path)
    table = recognise(mini.root, options=mini.options).manifest.table
    assert dict(zip(table["path"], table["label"], strict=True)) == {"a.png": 0, "b.png": 1, "c.png": 1}
    assert table["camera"].tolist() == ["x", "", ""]
    with pytest.raises(ManifestError, match=r"no column path \(--set path_column=…\), label .*there are: file, target"):
        recognise(mini.root)
    assert recognise(mini.root, options={**mini.options, "real": [1], "fake": [0]}).manifest.table["label"].sum() == 2
    with pytest.raises(ManifestError, match=r"row 2: label '0' is neither real \(1\) nor fake \(2\)"):
        recognise(mini.root, options={**mini.options, "fake": ["2"]})


def test_a_csv_list_cannot_name_files_outside(tmp_path: Path) -> None:
    put_pictures(tmp_path, "outside.png", "data/a.png")
    listed = put(tmp_path / "data/list.csv", b"path,label\na.png,0\n../outside.png,1\n")
    found = recognise(listed)
    assert found.manifest.table["path"].tolist() == ["a.png"]
    assert "leaves the folder" in found.unreadable["../outside.png"]


def test_a_mix_keeps_its_shares(tmp_path: Path) -> None:
    table = recognise(mix(tmp_path).root).manifest.table
    assert table.groupby("source").size().to_dict() == {"ffhq": 5, "mscoco": 3, "flux": 2, "sdxl": 2}
    assert set(table.loc[table["source"] == "ffhq", "split"]) == {"train"}
    assert table["path"].str.startswith(("faces/", "photos/", "mine/fake/")).all()


def test_a_cap_takes_the_same_pictures_again_and_others_with_another_salt(tmp_path: Path) -> None:
    config = mix(tmp_path).root
    first = recognise(config).manifest.table["path"].tolist()
    put_pictures(tmp_path / "mine", "fake/flux/new.png")
    kept = recognise(config).manifest.table["path"].tolist()
    assert len(set(first) - set(kept)) <= 1, "one new file displaces one picture at most"
    config.write_text(config.read_text() + "\n    salt: other\n")
    assert recognise(config).manifest.table["path"].tolist() != kept


def test_a_mix_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    config = put(tmp_path / "mix.yaml", b"sources: [{root: nowhere, layout: ffhq}]")
    with pytest.raises(ManifestError, match=r"nowhere: no such file or folder; expected FFHQ"):
        recognise(config)
    put_pictures(tmp_path / "mine", "real/a.png")
    config.write_text("sources: [{root: mine, layout: folder, keep: {label: [1]}}]")
    with pytest.raises(ManifestError, match="mine: nothing is left of 1 pictures by keep"):
        recognise(config)
    config.write_text("sources: [{root: mine, layout: folder, keep: {camera: [x]}}]")
    with pytest.raises(ManifestError, match="no column 'camera' to choose by; there are: path, label"):
        recognise(config)
    config.write_text("sources: [{root: mine, layout: foldr}]")
    with pytest.raises(ConfigError, match="unknown layout 'foldr'; there are: mix, csv"):
        recognise(config)
    config.write_text(json.dumps({"sources": []}))
    with pytest.raises(ConfigError, match="sources"):
        recognise(config)
