"""What holds for every reader in the registry, on a miniature of its layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

from tests.data.miniatures import MINIATURES, Miniature
from tristream.data.manifest import Manifest
from tristream.data.readers import READERS, Recognised, layout_of, make_reader, recognise
from tristream.errors import ConfigError, ManifestError


@pytest.fixture(params=list(READERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def miniature(name: str, tmp_path: Path) -> Miniature:
    return MINIATURES[name](tmp_path / "data")


def _read(name: str, miniature: Miniature, **arguments: bool) -> Recognised:
    return recognise(miniature.root, layout=name, options=miniature.options, **arguments)


def test_it_is_recognised_and_read_whole(name: str, miniature: Miniature) -> None:
    assert layout_of(miniature.root) == name
    found = _read(name, miniature)
    table = found.manifest.table
    assert (int((table["label"] == 0).sum()), int((table["label"] == 1).sum())) == (miniature.real, miniature.fake)
    assert not found.unreadable
    assert not found.missing
    assert (table["source"] != "").all() or name == "csv"
    assert (table.loc[table["label"] == 0, "generator"] == "").all()
    assert table["sha256"].str.fullmatch("[0-9a-f]{64}").all()
    assert sum(found.layouts.values()) == len(table)
    assert found.lines()


def test_reading_again_gives_the_same_and_survives_being_written(
    name: str, miniature: Miniature, tmp_path: Path
) -> None:
    first, again = _read(name, miniature).manifest, _read(name, miniature).manifest
    assert_frame_equal(first.table, again.table)
    first.write(tmp_path / "index.parquet")
    assert Manifest.read(tmp_path / "index.parquet").digest() == first.digest()


def test_what_is_missing_is_an_error_that_counts_and_names_it(name: str, miniature: Miniature) -> None:
    if miniature.victim is None:
        pytest.skip("nothing in this layout says what is complete")
    whole = _read(name, miniature)
    if name in ("sofake", "fakecoco"):  # the pictures of an earlier run must not hide that a shard has gone
        assert whole.manifest.root.name == "data-pictures"
    miniature.victim.unlink()
    with pytest.raises(ManifestError, match=r"found [\d,]+ of [\d,]+ .*missing: .*--allow-missing") as error:
        _read(name, miniature)
    assert miniature.victim.stem in str(error.value) or miniature.victim.parent.name in str(error.value)
    found = _read(name, miniature, allow_missing=True)
    assert len(found.missing) == 1
    assert 0 < len(found.manifest) < len(whole.manifest)
    assert any(line.startswith("missing: found ") for line in found.lines())


def test_a_folder_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert not READERS[name].matches(tmp_path / "empty")


def test_it_says_what_people_need_to_know(name: str) -> None:
    layout = READERS[name].layout
    assert layout.title
    assert layout.terms
    assert layout.obtain
    assert all(len(line) <= 130 for tree in layout.trees for line in tree.splitlines())
    assert layout.address.startswith("https://") or name in ("folder", "csv", "mix")


def test_an_unknown_option_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"options of the layout {name}"):
        make_reader(name, {"compresion": "c23"})


def test_every_layout_has_a_miniature() -> None:
    assert set(MINIATURES) == set(READERS)
