from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from pandas.testing import assert_frame_equal
from typer.testing import CliRunner, Result

from tristream.cli.data import data_app
from tristream.data.manifest import Manifest


def _run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.add_typer(data_app)
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_index_writes_a_manifest_and_says_what_it_recognised(paint: Any, tmp_path: Path) -> None:
    paint("real/ffhq/a.png")
    paint("fake/flux/a.png")
    result = _run("index", tmp_path, "-o", tmp_path / "index.parquet")
    assert result.exit_code == 0, result.output
    assert "layout {real,fake}/<source>: 2 pictures" in result.stdout
    assert len(Manifest.read(tmp_path / "index.parquet")) == 2


def test_index_ends_with_1_when_pictures_are_unreadable(paint: Any, tmp_path: Path) -> None:
    paint("real/ffhq/a.png")
    (tmp_path / "real/b.png").write_text("not a picture")
    result = _run("index", tmp_path, "-o", tmp_path / "index.csv")
    assert result.exit_code == 1, result.output
    assert "unreadable, left out: 1 pictures" in result.stdout
    assert len(Manifest.read(tmp_path / "index.csv")) == 1


def test_split_holds_out_and_prints_the_sizes(paint: Any, tmp_path: Path) -> None:
    for path in [f"fake/{name}/{number}.png" for name in ("flux", "gigagan") for number in range(4)]:
        paint(path)
    assert _run("index", tmp_path, "-o", tmp_path / "index.csv").exit_code == 0
    fractions, held_out = ["--fractions", "train=0.5,test=0.5"], ["--hold-out", "reserved=gigagan"]
    result = _run("split", tmp_path / "index.csv", *fractions, *held_out, "-o", tmp_path / "split.parquet")
    assert result.exit_code == 0, result.output
    assert "reserved: 0 real of 0 sources, 4 fake of 1 generators, 4 groups" in result.stdout
    done = Manifest.read(tmp_path / "split.parquet")
    assert set(done.split("reserved").table["generator"]) == {"gigagan"}
    assert _run("split", tmp_path / "index.csv", *fractions, *held_out, "-o", tmp_path / "again.parquet").exit_code == 0
    assert_frame_equal(Manifest.read(tmp_path / "again.parquet").table, done.table)


def test_a_read_only_data_set_is_indexed_and_split_elsewhere(paint: Any, tmp_path: Path) -> None:
    paint("pool/real/a.png")
    pool, index, split = tmp_path / "pool", tmp_path / "other" / "index.csv", tmp_path / "other" / "split.csv"
    assert _run("index", pool, "-o", index, "--relative-to", pool).exit_code == 0
    result = _run("split", index, "-o", split, "--root", pool, "--fractions", "train=1")
    assert result.exit_code == 0, result.output
    assert Manifest.read(split, root=pool).split("train").file(0).samefile(pool / "real" / "a.png")
