"""docs/from-the-seed.md: every command runs, on data in miniature and with a server of this machine as the network."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.attacks.planted import planted_calibration
from tests.data.server import Server
from tests.docs.workshop import data_sets_of_the_network
from tests.pictures import planted_manifest
from tests.training.test_shipped_configs import frames
from tristream.cli.app import app
from tristream.data.manifest import Manifest
from tristream.detectors.checkpoint import load_checkpoint, read_metadata, save_checkpoint

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


def commands() -> list[list[str]]:
    """The words of every inline command, without the program's name, in the page's order."""
    found = re.findall(r"`tristream ([^`]+)`", PAGE.read_text(encoding="utf-8"))
    return [shlex.split(line.replace("…", "")) for line in found]


def streams() -> list[str]:
    """The streams of the ablation modes that the page shortens to what differs, such as [frequency]."""
    row = r"^\| … `(?:freq_only|spatial_freq)`.*$"
    lines = re.findall(row, PAGE.read_text(encoding="utf-8"), re.M)
    return [found for line in lines for found in re.findall(r"\[[a-z,]+\]", line)]


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Server) -> Path:
    """The current folder, as a clone in which somebody has the data sets: as little of each as makes a run."""
    monkeypatch.chdir(tmp_path)
    data_sets_of_the_network(hub, monkeypatch)
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


def test_every_command_runs(workshop: Path) -> None:
    todo = commands()
    assert len(todo) >= 22
    for words in todo:
        if words[:2] == ["data", "split"]:
            words = [*words, "--replace"]
        run([*words, *CHEAPER.get(words[0], ())])
    assert sorted(folder.name for folder in Path("runs/seeds").iterdir()) == [f"seed-{n}" for n in range(5)]
    only = shlex.split("train -c configs/seed_mix.yaml --set data=seed-split.parquet -c tiny.yaml")
    for number, chosen in enumerate(streams()):
        run([*only, "--set", f"detector.streams={chosen}", "-o", f"runs/mode-{number}"])
        (best,) = Path(f"runs/mode-{number}").glob("checkpoints/best.safetensors")
        assert read_metadata(best).config["streams"] == chosen.strip("[]").split(",")
    assert len(streams()) == 5
    assert pd.read_parquet("ffpp.parquet")["split"].nunique() == 3
