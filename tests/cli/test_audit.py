"""`tristream audit` and `tristream data equalise` on the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.data.leaky import leaky_manifest
from tests.data.miniatures import forensynths
from tristream.cli.app import app
from tristream.data.manifest import Manifest


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    leaky_manifest(folder, sources=5, pictures=3)
    return folder


def test_a_leak_above_the_limit_ends_with_3_and_all_forms_are_written(folder: Path, tmp_path: Path) -> None:
    forms = [tmp_path / f"audit.{suffix}" for suffix in ("json", "html", "txt")]
    options = [option for form in forms for option in ("-o", form)]
    result = _run("audit", folder / "manifest.csv", "--no-cache", "--fail-above", "0.6", *options)
    assert result.exit_code == 3, result.output
    assert "above 0.6" in result.stderr
    assert "container" in result.stdout
    record = json.loads(forms[0].read_text())
    assert record["families"]["file"]["held_out"]["interval"]["low"] > 0.6
    assert forms[1].read_text().startswith("<!doctype html>")
    assert "In short" in forms[2].read_text()


def test_a_labelled_folder_with_a_broken_file_is_audited_and_ends_with_1(tmp_path: Path) -> None:
    leaky_manifest(tmp_path, sources=2, pictures=3)
    (tmp_path / "real" / "real-0" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    result = _run("audit", tmp_path, "--cache", tmp_path / "cache.sqlite", "--format", "json", "--no-pictures")
    assert result.exit_code == 1, result.output
    record = json.loads(result.stdout)
    assert (record["n_real"], record["n_fake"]) == (6, 6)
    assert [Path(path).name for path in record["unreadable"]] == ["broken.jpg"]


def test_wrong_usage_ends_with_2_before_anything_is_read(folder: Path) -> None:
    assert _run("audit", folder / "manifest.csv", "-o", "audit.pdf").exit_code == 2
    assert _run("audit", folder / "none.csv").exit_code == 2
    assert _run("audit", folder / "manifest.csv", "--split", "test").exit_code == 2


def test_outputs_are_checked_first_and_written_whole(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.txt").mkdir()
    for output, words in {"file/audit.txt": "its folder cannot be made", "folder.txt": "a folder; name the"}.items():
        wrong = _run("audit", folder / "none.csv", "-o", tmp_path / output)
        assert wrong.exit_code == 2
        assert words in wrong.stderr
    (tmp_path / "audit.html").write_text("an older one")
    monkeypatch.setattr("tristream.data.audit.page.audit_page", lambda *_, **__: "\ud800 cannot be written")
    broken = _run("audit", folder / "manifest.csv", "--no-cache", "-o", tmp_path / "audit.html")
    assert broken.exit_code != 0
    assert (tmp_path / "audit.html").read_text() == "an older one"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["audit.html", "file", "folder.txt"]


def test_an_incomplete_folder_is_to_be_indexed_first(tmp_path: Path) -> None:
    mini = forensynths(tmp_path / "set")
    shutil.rmtree(mini.root / "biggan")
    result = _run("audit", mini.root, "--no-cache")
    assert result.exit_code == 2
    assert "missing: biggan/0_real" in result.stderr
    assert "options of `tristream data index`: make a manifest with it first" in result.stderr


def test_equalise_writes_copies_and_says_where(folder: Path, tmp_path: Path) -> None:
    result = _run("data", "equalise", folder / "manifest.csv", tmp_path, "--side", "80-100", "--quality", "75-80")
    assert result.exit_code == 0, result.output
    assert "30 pictures of 80-100 pixels" in result.stdout
    assert len(Manifest.read(tmp_path / "manifest.csv")) == 30
    assert _run("data", "equalise", folder / "manifest.csv", tmp_path / "b", "--side", "100-80").exit_code == 2


def test_auditing_and_equalising_need_no_torch() -> None:
    code = (
        "import sys; import tristream.data.audit.page, tristream.data.audit.words, tristream.data.equalise;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
