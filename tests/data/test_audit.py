"""The audit of a manifest: planted duplicates and broken files are found, and said in words that hide nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.data.leaky import leaky_manifest, noise_picture
from tristream.data.audit import duplicates, examine
from tristream.data.audit.duplicates import near_pairs
from tristream.data.audit.page import audit_page
from tristream.data.audit.report import AuditReport, audit_manifest, sample_sources
from tristream.data.audit.words import facts, short_answer, text
from tristream.data.manifest import Manifest
from tristream.errors import ManifestError, UsageError

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, AuditReport]:
    """24 pictures, then: a copy with another label, a near copy in another split, a broken file, a straddling group."""
    folder = tmp_path_factory.mktemp("spoilt")
    table = leaky_manifest(folder, sources=3, pictures=4).table
    table["split"] = np.where(table.index < 12, "train", "test")
    table.loc[table.index[[0, 23]], "group"] = "one video"
    first, second = (folder / path for path in table["path"].iloc[:2])
    (folder / "<i>copy.jpg").write_bytes(first.read_bytes())
    Image.open(second).resize((150, 150)).save(folder / "near.jpg", quality=70)
    (folder / "broken.png").write_bytes(second.read_bytes()[:500])
    more = [
        {"path": "<i>copy.jpg", "label": 1, "source": EVIL, "split": "train"},
        {"path": "near.jpg", "label": 1, "source": EVIL, "split": "test"},
        {"path": "broken.png", "label": 1, "source": EVIL, "split": "test"},
    ]
    manifest = Manifest.from_table(pd.concat([table, pd.DataFrame(more)]), folder)
    return manifest, audit_manifest(manifest, data=EVIL)


def test_copies_and_near_copies_are_found_across_labels_and_splits(spoilt: tuple[Manifest, AuditReport]) -> None:
    manifest, report = spoilt
    first, second = manifest.table["path"].iloc[:2]
    found = report.duplicates
    assert [set(copies.paths) for copies in found.copies] == [{first, "<i>copy.jpg"}]
    assert found.conflicts[0].labels == (0, 1)
    assert [(set(pair.paths), pair.same_group) for pair in found.near] == [({second, "near.jpg"}, False)]
    assert (found.n_near_across_groups, found.n_near_across_splits, found.n_near_across_labels) == (1, 1, 0)


def test_broken_files_straddling_groups_and_sides_are_listed(spoilt: tuple[Manifest, AuditReport]) -> None:
    _, report = spoilt
    assert list(report.unreadable) == ["broken.png"]
    assert report.straddling_groups == {"one video": ("test", "train")}
    assert (report.n_real, report.n_fake) == (12, 14)
    assert report.one_sided_sources[EVIL] == 2
    assert report.two_sided_sources == {}
    assert {(size.split, size.real, size.fake) for size in report.splits} == {("train", 6, 7), ("test", 6, 8)}


def test_people_read_all_of_it(spoilt: tuple[Manifest, AuditReport]) -> None:
    _, report = spoilt
    said = text(report, 160)
    for words in (
        "1 files are there as real and as fake, byte for byte",
        "1 pairs of near duplicates lie in two splits",
        "1 groups lie in several splits",
        "1 pictures could not be examined",
        "not examined: broken.png:",
        "JPEG files: 14% of the fakes, 100% of the reals",
        "tristream data equalise",
    ):
        assert words in said, words
    assert short_answer(report)[0].startswith("Can the label be told from file nuisances? ")


def test_the_page_is_one_file_without_scripts_and_shows_pictures_unless_told_not_to(
    spoilt: tuple[Manifest, AuditReport],
) -> None:
    manifest, report = spoilt
    page = audit_page(report, manifest)
    assert EVIL not in page
    assert "<i>" not in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count('<img alt="" src="data:image/jpeg;base64,') >= 6
    assert "<img" not in audit_page(report, manifest, pictures=False)


def test_the_record_survives_json(spoilt: tuple[Manifest, AuditReport]) -> None:
    _, report = spoilt
    assert AuditReport.model_validate_json(report.model_dump_json()) == report


def test_the_limit_is_compared_with_the_lower_end(spoilt: tuple[Manifest, AuditReport]) -> None:
    _, report = spoilt
    leak = report.families["file"].held_out
    assert leak.interval is not None
    assert report.exceeds(leak.interval.low - 0.01)
    assert not report.exceeds(leak.interval.low + 0.01)
    unknown = leak.model_copy(update={"interval": None, "reason": "no interval: 3 real pictures in 3 groups"})
    families = {**report.families, "file": report.families["file"].model_copy(update={"held_out": unknown})}
    with pytest.raises(UsageError, match="3 real pictures"):
        report.model_copy(update={"families": families}).exceeds(0.5)


def test_one_class_cannot_be_audited(spoilt: tuple[Manifest, AuditReport]) -> None:
    manifest, _ = spoilt
    with pytest.raises(ManifestError, match="real and readable"):
        audit_manifest(manifest.where((manifest.table["label"] == 1).to_numpy()))


def test_the_cache_saves_a_second_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = leaky_manifest(tmp_path, sources=1, pictures=3).with_file_columns()
    once = examine.examine_manifest(manifest, tmp_path / "cache.sqlite")
    monkeypatch.setattr(examine, "examine", None)
    again = examine.examine_manifest(manifest, tmp_path / "cache.sqlite")
    np.testing.assert_array_equal(once.features_NF, again.features_NF)
    np.testing.assert_array_equal(once.hash_NW, again.hash_NW)
    (tmp_path / "cache.sqlite").write_text("not a data base " * 100)
    with pytest.raises(UsageError, match="delete it"):
        examine.examine_manifest(manifest, tmp_path / "cache.sqlite")


@pytest.mark.parametrize("cached", [False, True])
def test_a_file_that_is_not_the_recorded_one_is_not_examined(tmp_path: Path, cached: bool) -> None:
    manifest = leaky_manifest(tmp_path, sources=1, pictures=2).with_file_columns()
    cache = tmp_path / "cache.sqlite"
    if cached:
        examine.examine_manifest(manifest, cache)
    manifest.file(0).write_bytes(manifest.file(2).read_bytes())
    manifest.file(1).unlink()
    found = examine.examine_manifest(manifest, cache)
    assert found.error_N[0] == "another picture than recorded; run `tristream data verify`"
    assert found.error_N[1] == "cannot be read: No such file or directory"
    assert found.error_N[2:] == ("", "")
    assert np.isnan(found.features_NF[:2]).all()
    with sqlite3.connect(cache) as connection:
        kept = {sha256 for (sha256,) in connection.execute("SELECT sha256 FROM pictures")}
    assert kept == set(manifest.table["sha256"][0 if cached else 2 :])


def test_a_changed_copy_spoils_no_other_copy(tmp_path: Path) -> None:
    leaky_manifest(tmp_path, sources=1, pictures=1)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes((tmp_path / "fake/fake-0/0.png").read_bytes())
    table = pd.DataFrame({"path": ["a.png", "b.png"], "label": [1, 1]})
    manifest = Manifest.from_table(table, tmp_path).with_file_columns()
    (tmp_path / "a.png").write_bytes(b"no picture")
    found = examine.examine_manifest(manifest)
    assert [bool(error) for error in found.error_N] == [True, False]
    assert np.isnan(found.features_NF[0]).all()
    assert not np.isnan(found.features_NF[1]).all()


def test_names_are_shown_as_they_are(spoilt: tuple[Manifest, AuditReport]) -> None:
    _, report = spoilt
    odd = {"a[/b]": next(iter(report.families["file"].fake_sources.values()))}
    families = {name: leak.model_copy(update={"fake_sources": odd}) for name, leak in report.families.items()}
    assert "a[/b] (fake)" in text(report.model_copy(update={"families": families}), 160)


def test_the_words_say_what_was_done_once(spoilt: tuple[Manifest, AuditReport]) -> None:
    _, report = spoilt
    protocol = dict(facts(report))["protocol"]
    assert "3 times with other folds (each topic alone, and known sources: once)" in protocol


def test_a_sample_takes_some_of_each_source_and_the_same_again(tmp_path: Path) -> None:
    manifest = leaky_manifest(tmp_path, sources=2, pictures=5)
    sample = sample_sources(manifest, 2)
    assert sample.table.groupby(["label", "source"]).size().tolist() == [2, 2, 2, 2]
    shuffled = replace(manifest, table=manifest.table.sample(frac=1, random_state=1))
    assert set(sample_sources(shuffled, 2).table["path"]) == set(sample.table["path"])


def test_near_pairs_are_those_of_a_comparison_of_all_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 256, (30, 32), np.uint8)
    hashes[[5, 20, 29]] = hashes[3] ^ np.eye(3, 32, dtype=np.uint8)
    found = {(int(a), int(b), int(n)) for block in near_pairs(hashes) for a, b, n in zip(*block, strict=True)}
    bits = np.unpackbits(hashes[:, None] ^ hashes[None], axis=2).sum(axis=2)
    assert found == {
        (a, b, int(bits[a, b])) for a in range(30) for b in range(a + 1, 30) if bits[a, b] <= duplicates.NEAR_BITS
    }
    assert len(found) == 6


def test_pictures_without_contrast_are_not_duplicates_of_each_other(tmp_path: Path) -> None:
    for number in range(3):
        Image.new("RGB", (80, 80), (number, 200, 90)).save(tmp_path / f"{number}.png")
    noise_picture(np.random.default_rng(0), 80, 80).save(tmp_path / "3.png")
    table = pd.DataFrame({"path": [f"{number}.png" for number in range(4)], "label": [0, 0, 1, 1]})
    manifest = Manifest.from_table(table, tmp_path).with_file_columns()
    found = examine.examine_manifest(manifest)
    contrast = found.features_NF[:, examine.FEATURES.index("luma_spread")]
    assert duplicates.find_duplicates(manifest.table, found.hash_NW, contrast).near == ()
