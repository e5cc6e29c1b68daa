"""The tool that times the index: its files differ, everyone reads them all, the figures are what they are called."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tristream.images.decode import decode

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture
def index_speed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(TOOLS)
    import index_speed

    return index_speed


def test_drawn_files_are_whole_pictures_of_both_labels_and_formats_and_no_two_are_alike(
    index_speed: ModuleType, tmp_path: Path
) -> None:
    count = index_speed.DRAWN + 8  # the last eight repeat the pictures of the first
    written = index_speed.draw(tmp_path, count, 24)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len({hashlib.sha256(path.read_bytes()).digest() for path in files}) == count
    assert written == sum(path.stat().st_size for path in files)
    assert {(path.relative_to(tmp_path).parts[0], decode(path).format) for path in files} == {
        (label, format) for label in ("real", "fake") for format in ("JPEG", "PNG")
    }


def test_a_disk_without_room_is_refused_before_anything_is_written(
    index_speed: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_speed.shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000))
    with pytest.raises(OSError, match="more than half of"):
        index_speed.draw(tmp_path, 10, 24)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_alike_are_no_measurement(index_speed: ModuleType, tmp_path: Path) -> None:
    index_speed.draw(tmp_path, 2, 24)
    first, second = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    second.write_bytes(first.read_bytes())
    with pytest.raises(RuntimeError, match="1 different files among 2"):
        index_speed.bare_loop(tmp_path, 1)


def test_the_figures_are_medians_of_turns_and_highest_peaks(
    index_speed: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted clocks: 10 files in so many seconds, of which each round takes the next."""
    bare_s = {1: iter([1.0, 5.0, 2.0]), 4: iter([0.5, 0.5, 0.5])}
    index_s = {("--headers-only",): iter([(2.0, 90.0), (10.0, 80.0), (16.0, 70.0)]), (): iter([(10.0, 100.0)] * 3)}
    monkeypatch.setattr(index_speed, "bare_loop", lambda root, processes: next(bare_s[processes]))
    monkeypatch.setattr(index_speed, "index", lambda root, *options: next(index_s[options]))
    shown: list[tuple[int, int]] = []
    found = index_speed.measure(10, 3, 4, lambda done, total, words="": shown.append((done, total)))
    assert found["files_per_s"] == {"bare": 5.0, "bare_on_all_cores": 20.0, "index_headers_only": 1.0, "index": 1.0}
    assert found["ratio_to_bare"]["index_headers_only"] == 0.5, "the median of 1/2, 5/10 and 2/16"
    assert found["peak_mb"] == {"index_headers_only": 90.0, "index": 100.0}
    assert shown[-1] == (3, 3)


def test_the_tool_measures_and_writes_its_record(tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    command = [sys.executable, str(TOOLS / "index_speed.py"), "--files", "100", "--rounds", "1", "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text(encoding="utf-8"))
    assert [size["files"] for size in record["sizes"]] == [10, 100]
    assert all(rate > 0 for size in record["sizes"] for rate in size["files_per_s"].values())
    assert all(20 < peak < 2000 for size in record["sizes"] for peak in size["peak_mb"].values())
    assert done.stdout.startswith("10 files: ")


def test_the_page_says_what_the_record_says() -> None:
    record = json.loads((TOOLS.parent / "results/index-speed.json").read_text(encoding="utf-8"))
    page = (TOOLS.parent / "docs/data.md").read_text(encoding="utf-8")
    many = record["sizes"][-1]
    assert many["files"] >= 100_000
    assert f"{many['files']:,} drawn pictures of {many['mean_bytes'] / 1000:.0f} kB" in page
    for name in ("index", "index_headers_only", "bare"):
        assert f" {many['files_per_s'][name]:,.0f}" in page
    further_kb = record["peak_bytes_per_further_file"] / 1000
    assert f"{many['peak_mb']['index']:.0f} MB at most, {further_kb:.1f} kB for each further file" in page
    assert f"`{record['command']}`" in page
