"""docs/from-the-seed.md: every command is known, and those that need no network run, on data in miniature."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.attacks.planted import planted_calibration
from tests.pictures import planted_manifest
from tests.training.test_shipped_configs import frames
from tristream.cli.app import app
from tristream.data.manifest import Manifest
from tristream.detectors.checkpoint import load_checkpoint, save_checkpoint

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/from-the-seed.md"
TINY = """
input_size: 32
preprocessing: {short_side: 32, crop: 32}
epochs: 1
batch_size: 6
precision: 32-true
accelerator: cpu
workers: 0
selection: {split: validation, condition: delivered}
detector:
  image_size: 32
  options:
    spatial: {backbone: mobilenetv3_small_050, weights: none}
    frequency: {weights: none}
    semantic: {weights: none}
"""
"""Laid over every training config."""
CHEAPER = {
    "train": ("-c", "tiny.yaml"),
    "attack": ("--pictures", "2", "--cw-pictures", "2", "--cw-search-steps", "1", "--cw-iterations", "1"),
}
"""Words that a command gets in addition."""
OF_THE_NETWORK = ("data download", "data index hub:")


def commands() -> list[list[str]]:
    """The words of every inline command, without the program's name, in the page's order."""
    found = re.findall(r"`tristream ([^`]+)`", PAGE.read_text(encoding="utf-8"))
    return [shlex.split(line.replace("…", "")) for line in found]


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, as a clone in which somebody has the data sets: as little of each as makes a run."""
    monkeypatch.chdir(tmp_path)
    for name in ("configs", "examples"):
        Path(name).symlink_to(ROOT / name, target_is_directory=True)
    Path("tiny.yaml").write_text(TINY)
    Path("manifests").mkdir()
    planted = planted_manifest(tmp_path / "manifests", {"train": 12, "validation": 6, "test": 12, "reserved": 6})
    planted = Manifest(planted.table.assign(manipulation="real"), planted.root)
    for name in ("seed-split", "genimage", "manifests/genimage", "manifests/celebdf", "manifests/so-fake-ood"):
        planted.write(tmp_path / f"{name}.parquet")
    Manifest(planted.table.assign(split=""), planted.root).write(tmp_path / "seed.parquet")
    frames(tmp_path)
    words = ["train", "-c", "configs/seed_mix.yaml", "--set", "data=seed-split.parquet", "-o", "runs/mine"]
    run([*words, "-c", "tiny.yaml"])
    trained = load_checkpoint(Path("runs/mine/checkpoints/best.safetensors"))
    calibrated = trained.metadata.model_copy(update={"calibration": planted_calibration()})
    save_checkpoint(Path("mine.safetensors"), trained.detector, calibrated)
    run(["evaluate", "--checkpoint", "mine.safetensors", "--data", "seed-split.parquet", "--split", "test",
         "--out", "results/shipped/corpus-test", "--condition", "delivered"])  # fmt: skip
    return tmp_path


def run(words: list[str]) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, f"{shlex.join(words)}: {done.output} {done.exception!r}"


def test_every_command_without_a_network_runs(workshop: Path) -> None:
    todo = [words for words in commands() if not shlex.join(words).startswith(OF_THE_NETWORK)]
    assert len(todo) >= 16
    for words in todo:
        if words[:2] == ["data", "split"]:
            words = [*words, "--replace"]
        run([*words, *CHEAPER.get(words[0], ())])
    assert sorted(folder.name for folder in Path("runs/seeds").iterdir()) == [f"seed-{n}" for n in range(5)]
    assert pd.read_parquet("ffpp.parquet")["split"].nunique() == 3
