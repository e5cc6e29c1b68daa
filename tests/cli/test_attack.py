"""`tristream attack` on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from tests.attacks.planted import planted_calibration
from tests.detectors.conftest import SMALL, small_detector
from tests.pictures import planted_manifest
from tristream.cli.app import app
from tristream.detectors.checkpoint import save_checkpoint
from tristream.images.preprocess import Preprocessing
from tristream.metadata import ModelMetadata

CHEAP = ("--pictures", "2", "--cw-pictures", "2", "--cw-search-steps", "1", "--cw-iterations", "1", "--device", "cpu")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with photos/split.csv and mine.safetensors."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    planted_manifest(tmp_path / "photos", {"train": 4, "test": 8})
    Path("photos/manifest.csv").rename("photos/split.csv")
    metadata = ModelMetadata(
        name="mine", detector="multistream", config={**SMALL["multistream"], "streams": ["frequency"]},
        preprocessing=Preprocessing(short_side=32, crop=32), calibration=planted_calibration(),
    )  # fmt: skip
    save_checkpoint(Path("mine.safetensors"), small_detector("multistream", streams=["frequency"]), metadata)
    return tmp_path


def test_every_attack_is_printed_in_both_directions_with_its_checks(workshop: Path) -> None:
    words = ["attack", "--checkpoint", "mine.safetensors", "--data", "photos/split.csv", "--split", "test", *CHEAP]
    done = run(*words, "-o", "out")
    assert done.exit_code == 0, done.output
    for name in ("fgsm-1", "fgsm-8", "pgd-2", "pgd-8", "pgd-128", "cw"):
        assert len(re.findall(rf"^│ {name} +│ (?:hide|accuse)", done.stdout, re.M)) == 2, name
    assert "8 of 8 checks hold, 12 cannot be decided on so few pictures" in done.stdout
    record = json.loads((workshop / "out/record.json").read_text())
    assert (record["limit"], record["pictures"]) == (2, 2)
    assert record["conditions"]["cw"]["parameters"]["pictures"] == 2
    table = pd.read_parquet("out/predictions.parquet")
    assert set(table["condition"][table["perturbation_l2"].isna()]) == {"delivered"}
    told = run(*words, "-o", "more", "--attack", "square")
    assert (told.exit_code, "there are: fgsm, pgd, cw" in told.stderr) == (2, True)


def test_the_full_budget_is_that_of_a_gpu(workshop: Path) -> None:
    words = ["attack", "--checkpoint", "mine.safetensors", "--data", "photos/split.csv", "--split", "test"]
    done = run(*words, "--attack", "fgsm", "--full", "--device", "cpu", "-o", "out")
    assert done.exit_code == 0, done.output
    assert json.loads((workshop / "out/record.json").read_text())["limit"] == 200


def test_without_its_library_the_extra_is_named(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "art.attacks.evasion", None)
    monkeypatch.delitem(sys.modules, "tristream.attacks.crafting", raising=False)
    monkeypatch.delitem(sys.modules, "tristream.attacks.run", raising=False)
    told = run("attack", "--data", "photos/split.csv", "-o", "out")
    assert told.exit_code == 2
    assert "attack needs the 'research' extra: pip install 'tristream[research]'" in told.stderr
