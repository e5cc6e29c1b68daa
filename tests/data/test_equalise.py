"""Equalising takes a planted file leak away, is the same every time, and goes on where it was interrupted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.data.leaky import leaky_manifest, noise_picture
from tristream.data.audit.examine import examine_manifest
from tristream.data.audit.leak import hold_out_sources, measure, out_of_fold
from tristream.data.audit.report import source_names
from tristream.data.audit.topics import FEATURES, TOPICS
from tristream.data.equalise import (
    COPIES,
    LEFT_OUT,
    MANIFEST,
    Equalised,
    Recipe,
    draw,
    equalise,
    equalise_manifest,
    equalised_file,
    recipe_for,
)
from tristream.data.manifest import Manifest
from tristream.errors import ManifestError, UsageError
from tristream.images.decode import decode

IDS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(400)]


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return leaky_manifest(tmp_path_factory.mktemp("leaky"), pictures=20)


@pytest.fixture(scope="module")
def equalised(leaky: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Equalised:
    return equalise_manifest(leaky, tmp_path_factory.mktemp("equalised"))


def _file_auroc(manifest: Manifest) -> float:
    """What an audit says of the file nuisances; the other families are left out to save time."""
    table = manifest.with_file_columns(["sha256"]).table
    topics = [topic for topic in TOPICS if topic.family == "file"]
    columns = [FEATURES.index(feature.name) for topic in topics for feature in topic.features]
    features_NF = examine_manifest(manifest.with_file_columns(["sha256"])).features_NF[:, columns]
    label_N, group_N = table["label"].to_numpy(np.int64), table["group"].to_numpy(object)
    holdout = hold_out_sources(label_N, source_names(table), group_N)
    auroc = measure(out_of_fold(features_NF, label_N, holdout), label_N, holdout.unit_N).auroc
    assert auroc is not None
    return auroc


def test_a_planted_file_leak_is_found_and_falls_to_chance(leaky: Manifest, equalised: Equalised) -> None:
    assert _file_auroc(leaky) > 0.95
    assert 0.4 < _file_auroc(equalised.manifest) <= 0.6


def test_the_copies_are_alike_and_say_what_they_were_made_from(leaky: Manifest, equalised: Equalised) -> None:
    table, recipe = equalised.manifest.table, equalised.recipe
    assert len(table) == len(leaky) - len(equalised.left_out) > 300
    assert set(table["format"]) == {"JPEG"}
    assert (table["width"] == table["height"]).all()
    assert table["width"].between(*recipe.side).all()
    assert table["from_path"].isin(leaky.table["path"]).all()
    assert set(table["from_format"]) == {"JPEG", "PNG"}
    written = Manifest.read(equalised.manifest.root / MANIFEST)
    assert written.digest() == equalised.manifest.digest()
    picture = Image.open(equalised.manifest.file(0))
    assert not picture.getexif()
    assert picture.layer[0][1:3] == (2, 2)  # type: ignore[attr-defined]


def test_draws_come_from_the_picture_and_the_seed_and_fill_their_ranges() -> None:
    recipe = Recipe(side=(96, 128), quality=(70, 92))
    draws = [draw(recipe, picture_id) for picture_id in IDS]
    assert draws == [draw(recipe, picture_id) for picture_id in IDS]
    assert draws != [draw(recipe.model_copy(update={"seed": 1}), picture_id) for picture_id in IDS]
    assert {drawn.side for drawn in draws} == set(range(96, 129))
    assert {drawn.quality for drawn in draws} == set(range(70, 93))
    assert 0.4 < np.mean([drawn.place for drawn in draws]) < 0.6


def test_the_loader_gets_what_the_file_holds() -> None:
    pixels = np.asarray(noise_picture(np.random.default_rng(0), 190, 150))
    recipe = Recipe(side=(96, 128))
    for picture_id in IDS[:5]:
        on_the_fly = equalise(pixels, picture_id, recipe)
        np.testing.assert_array_equal(on_the_fly, decode(equalised_file(pixels, picture_id, recipe), "copy").pixels)
        side = draw(recipe, picture_id).side
        assert on_the_fly.shape == (side, side, 3)
    with pytest.raises(UsageError, match="too small"):
        equalise(pixels[:100], IDS[0], recipe)


def test_a_second_run_writes_only_what_is_missing(tmp_path: Path) -> None:
    manifest = leaky_manifest(tmp_path / "in", sources=1, pictures=3)
    first = equalise_manifest(manifest, tmp_path / "out")
    copies = [first.manifest.file(row) for row in range(len(first.manifest))]
    times = [copy.stat().st_mtime_ns for copy in copies]
    content = copies[0].read_bytes()
    copies[0].unlink()
    (tmp_path / "out" / MANIFEST).unlink()
    second = equalise_manifest(manifest, tmp_path / "out")
    assert copies[0].read_bytes() == content
    assert [copy.stat().st_mtime_ns for copy in copies[1:]] == times[1:]
    assert second.manifest.digest() == first.manifest.digest()
    with pytest.raises(ManifestError, match="another recipe"):
        equalise_manifest(manifest, tmp_path / "out", Recipe(side=(64, 70)))


def test_a_copy_is_made_anew_when_its_picture_or_itself_has_changed(tmp_path: Path) -> None:
    manifest = leaky_manifest(tmp_path / "in", sources=1, pictures=3)
    first = equalise_manifest(manifest, tmp_path / "out")
    copies = [first.manifest.file(row) for row in range(len(first.manifest))]
    old = [copy.read_bytes() for copy in copies]
    noise_picture(np.random.default_rng(9), 150, 150).save(manifest.file(0))
    copies[1].write_bytes(b"half")
    with (tmp_path / "out" / COPIES).open("a") as lines:
        lines.write('["real/torn')
    second = equalise_manifest(manifest, tmp_path / "out", first.recipe)
    assert copies[0].read_bytes() != old[0]
    assert [copy.read_bytes() for copy in copies[1:]] == old[1:]
    assert second.manifest.table["from_sha256"].iloc[0] != first.manifest.table["from_sha256"].iloc[0]
    times = [copy.stat().st_mtime_ns for copy in copies]
    equalise_manifest(manifest, tmp_path / "out", first.recipe)
    assert [copy.stat().st_mtime_ns for copy in copies] == times


def test_a_picture_that_is_not_the_recorded_one_is_left_out(tmp_path: Path) -> None:
    manifest = leaky_manifest(tmp_path / "in", sources=1, pictures=2).with_file_columns()
    noise_picture(np.random.default_rng(9), 150, 150).save(manifest.file(0))
    done = equalise_manifest(manifest, tmp_path / "out")
    path = manifest.table["path"].iloc[0]
    assert done.left_out == {path: "another picture than recorded; run `tristream data verify`"}


def test_videos_alone_cannot_be_equalised(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"....ftypmp42")
    manifest = Manifest.from_table(pd.DataFrame({"path": ["clip.mp4"], "label": [1]}), tmp_path)
    with pytest.raises(ManifestError, match=r"no picture could be equalised, such as clip\.mp4: a video"):
        recipe_for(manifest)


def test_small_broken_and_moving_pictures_are_left_out_with_a_reason(tmp_path: Path) -> None:
    manifest = leaky_manifest(tmp_path, sources=1, pictures=6)
    rng = np.random.default_rng(1)
    noise_picture(rng, 80, 200).save(tmp_path / "small.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "clip.mp4").write_bytes(b"....ftypmp42")
    whole = (tmp_path / manifest.table["path"].iloc[1]).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    more = pd.DataFrame({"path": ["small.png", "text.png", "clip.mp4", "half.png"], "label": [0, 1, 1, 1]})
    spoilt = Manifest.from_table(pd.concat([manifest.table, more]), tmp_path)
    done = equalise_manifest(spoilt, tmp_path / "out", Recipe(side=(80, 96)))
    assert set(done.left_out) == {"small.png", "text.png", "clip.mp4", "half.png"}
    assert len(done.manifest) == len(manifest)
    listed = pd.read_csv(tmp_path / "out" / LEFT_OUT)
    assert dict(zip(listed["path"], listed["reason"], strict=True)) == done.left_out
    assert recipe_for(spoilt).side == (64, 72)


def test_the_recipe_fits_the_smaller_class(leaky: Manifest) -> None:
    recipe = recipe_for(leaky, quality=(80, 85), seed=3)
    assert (recipe.quality, recipe.seed) == ((80, 85), 3)
    shorter = leaky.with_file_columns().table[["width", "height"]].min(axis=1)
    assert recipe.least_side <= shorter.quantile(0.02)
    assert recipe.side[1] >= 0.85 * shorter.min()


def test_originals_are_not_overwritten_and_copies_not_equalised_again(equalised: Equalised, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="equalised already"):
        equalise_manifest(equalised.manifest, tmp_path)
    manifest = leaky_manifest(tmp_path / "in", sources=1, pictures=2)
    with pytest.raises(ManifestError, match="the pictures lie there"):
        equalise_manifest(manifest, tmp_path / "in")
