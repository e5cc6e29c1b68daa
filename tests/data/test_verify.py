"""What has happened to the files of a manifest since it was made."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tristream.data.files import file_facts
from tristream.data.manifest import Manifest
from tristream.data.readers import recognise
from tristream.data.verify import verify
from tristream.errors import ManifestError


def _recorded(tmp_path: Path) -> Manifest:
    recognise(tmp_path / "data").manifest.write(tmp_path / "data/index.csv")
    return Manifest.read(tmp_path / "data/index.csv")


def _again(tmp_path: Path) -> Manifest:
    return Manifest.read(tmp_path / "data/index.csv", absent_ok=True)


def test_untouched_files_have_no_findings(paint: Any, tmp_path: Path) -> None:
    for name in "abc":
        paint(f"data/real/{name}.png")
    assert verify(_recorded(tmp_path)) == []


def test_broken_changed_moved_and_missing_files_are_told_apart(paint: Any, tmp_path: Path) -> None:
    for name in "abcdef":
        paint(f"data/real/{name}.png", size=(64, 64))
    (tmp_path / "data/real/copy-of-nothing.txt").write_text("no picture")
    _recorded(tmp_path)
    folder = tmp_path / "data/real"
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:-400])
    paint("data/real/b.png", seed=7)
    (folder / "elsewhere").mkdir()
    (folder / "c.png").rename(folder / "elsewhere/c-renamed.png")
    (folder / "d.png").unlink()
    seen: list[tuple[int, int]] = []
    findings = {one.path: one for one in verify(_again(tmp_path), lambda done, total: seen.append((done, total)))}
    assert {path: one.fault for path, one in findings.items()} == {
        "real/a.png": "broken", "real/b.png": "changed", "real/c.png": "moved", "real/d.png": "missing"}  # fmt: skip
    assert findings["real/c.png"].detail == "real/elsewhere/c-renamed.png"
    assert "recorded were" in findings["real/b.png"].detail
    assert str(findings["real/d.png"]) == "real/d.png: is not there"
    assert seen[-1] == (6, 6)


def test_moved_files_are_found_where_only_some_sizes_were_recorded(paint: Any, tmp_path: Path) -> None:
    for name in "ab":
        paint(f"data/real/{name}.png")
    manifest = _recorded(tmp_path)
    manifest.table.loc[0, "bytes"] = pd.NA
    manifest.write(tmp_path / "data" / "index.csv")
    for name in "ab":
        (tmp_path / f"data/real/{name}.png").rename(tmp_path / f"data/real/z{name}.png")
    findings = {one.path: (one.fault, one.detail) for one in verify(_again(tmp_path))}
    assert findings == {f"real/{name}.png": ("moved", f"real/z{name}.png") for name in "ab"}


def test_dangling_links_and_unreadable_files_do_not_stop_the_search(
    paint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        paint(f"data/real/{name}.png")
    _recorded(tmp_path)
    folder = tmp_path / "data/real"
    (folder / "0-dangling").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "0-pipe")
    (folder / "0-locked").write_bytes((folder / "a.png").read_bytes())
    (folder / "a.png").rename(folder / "z.png")
    (folder / "b.png").unlink()

    def facts(file: Path, columns: list[str]) -> dict[str, Any]:
        if file.name == "0-locked":
            raise ManifestError("0-locked: cannot be read: Permission denied")
        return file_facts(file, columns)

    monkeypatch.setattr(importlib.import_module("tristream.data.verify"), "file_facts", facts)
    findings = {one.path: one for one in verify(_again(tmp_path))}
    assert (findings["real/a.png"].fault, findings["real/a.png"].detail) == ("moved", "real/z.png")
    assert findings["real/b.png"].fault == "missing"


def test_a_row_without_a_hash_cannot_be_verified(paint: Any, tmp_path: Path) -> None:
    paint("data/a.png")
    (tmp_path / "data/index.csv").write_text("path,label\na.png,0\n")
    assert [one.fault for one in verify(_again(tmp_path))] == ["unverifiable"]


def test_a_changed_video_is_changed_not_broken(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.mp4").write_bytes(b"video")
    (tmp_path / "data/list.csv").write_text("path,label\na.mp4,1\n")
    recognise(tmp_path / "data/list.csv").manifest.write(tmp_path / "data/index.csv")
    (tmp_path / "data/a.mp4").write_bytes(b"other")
    assert [one.fault for one in verify(_again(tmp_path))] == ["changed"]
