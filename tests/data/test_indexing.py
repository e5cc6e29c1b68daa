"""Reading many files: resumed from the journal, copies in one group."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tristream.data import indexing
from tristream.data.indexing import merge_copies, read_files
from tristream.data.manifest import Manifest
from tristream.data.readers import recognise
from tristream.data.readers.reader import Recognised
from tristream.errors import ManifestError


class StoppedError(Exception):
    """The run is killed here."""


def _stop_at(count: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done == count:
            raise StoppedError

    return progress


def test_an_interrupted_run_goes_on_from_the_journal(
    paint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        paint(f"data/real/{number:02d}.png")
    (tmp_path / "data/real/bad.png").write_text("not a picture")
    root, journal = tmp_path / "data", tmp_path / "journal"
    with pytest.raises(StoppedError):
        recognise(root, _stop_at(12), journal=journal)
    with journal.open("a") as lines:
        lines.write('["real/13.png", 1')  # cut off in the middle of a line
    paint("data/real/03.png", seed=99, size=(30, 30))  # changed meanwhile
    read = []
    inner = indexing._read
    monkeypatch.setattr(indexing, "_read", lambda *arguments: read.append(arguments[1]) or inner(*arguments))
    found = recognise(root, journal=journal)
    assert "real/03.png" in read
    assert 8 <= len(read) <= 11, "about twelve are known: those from before the break, without the changed one"
    assert found.manifest.digest() == recognise(root).manifest.digest()
    assert list(found.unreadable) == ["real/bad.png"]
    read.clear()
    recognise(root, journal=journal)
    assert read == []
    recognise(root, journal=journal, headers_only=True)
    assert len(read) == 21, "a journal of whole pictures says nothing of headers alone"


def test_a_journal_that_cannot_be_read_is_an_error(paint: Any, tmp_path: Path) -> None:
    paint("data/real/a.png")
    (tmp_path / "journal").mkdir()
    with pytest.raises(ManifestError, match="cannot go on from this journal"):
        recognise(tmp_path / "data", journal=tmp_path / "journal")


def test_each_line_of_the_journal_is_a_file(paint: Any, tmp_path: Path) -> None:
    paint("real/a.png")
    read_files(tmp_path, pd.DataFrame({"path": ["real/a.png"]}), False, tmp_path / "journal")
    head, line = (tmp_path / "journal").read_text().splitlines()
    assert json.loads(head) == {"journal": 1, "headers_only": False}
    assert json.loads(line)[0] == "real/a.png"


def test_an_empty_video_is_unreadable_and_a_whole_one_is_hashed(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"video")
    (tmp_path / "b.mp4").write_bytes(b"")
    facts, unreadable = read_files(tmp_path, pd.DataFrame({"path": ["a.mp4", "b.mp4", "c.mp4"]}), False)
    assert facts["bytes"].tolist() == [5]
    assert unreadable == {"b.mp4": "is empty", "c.mp4": "cannot be read: No such file or directory"}


def test_copies_join_the_groups_that_they_stand_in(paint: Any, tmp_path: Path) -> None:
    for name, seed in {"a": 1, "b": 1, "c": 2, "d": 2, "e": 3, "f": 4}.items():
        paint(f"{name}.png", seed)
    groups = {"a": "x", "b": "y", "c": "y", "d": "z", "e": "z", "f": "w"}
    table = pd.DataFrame({"path": [f"{name}.png" for name in groups], "label": 0, "group": list(groups.values())})
    merged = merge_copies(Manifest.from_table(table, tmp_path).with_file_columns(["sha256"])).table
    assert merged["group"].tolist() == ["x", "x", "x", "x", "x", "w"], "a=b joins x and y, c=d joins y and z"


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    for number in range(60):  # 2 MB each
        Image.fromarray(np.full((800, 833, 3), number, np.uint8)).save(tmp_path / f"real/{number}.bmp")
    tracemalloc.start()
    recognise(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6, "120 MB of files, of which a few per thread are in memory at once"


def test_a_list_with_facts_of_its_own_is_measured_anew_and_a_file_of_another_hash_is_told(
    paint: Any, tmp_path: Path
) -> None:
    """As the manifest of `data frames`, or one that is indexed again."""
    for name in ("a", "b"):
        paint(f"{name}.png")
    made = recognise_list(tmp_path, "a.png,0,,7\nb.png,1,,7\n")
    hashes = made.manifest.table["sha256"].tolist()
    assert made.manifest.table["width"].astype(int).tolist() != [7, 7]
    again = recognise_list(tmp_path, f"a.png,0,{hashes[0]},7\nb.png,1,{'0' * 64},7\n")
    assert again.manifest.table["path"].tolist() == ["a.png"]
    assert again.unreadable == {"b.png": "its SHA-256 is not the one that is listed"}


def recognise_list(folder: Path, rows: str) -> Recognised:
    (folder / "list.csv").write_text(f"path,label,sha256,width\n{rows}")
    return recognise(folder / "list.csv")
