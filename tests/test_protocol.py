"""The protocol's commands are tristream's own, are run once, and one that fails does not stop the others."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.test_readme import complaint
from tristream.cli.app import app
from tristream.config import load_config
from tristream.evaluation.run_folder import read_run
from tristream.training.config import TrainConfig

ROOT = Path(__file__).parents[1]
TINY = """
name: tiny
data: manifest.csv
selection: {split: reserved, condition: alike}
input_size: 32
epochs: 1
optim: {learning_rate: 2e-3}
ema_decay: 0.5
batch_size: 8
workers: 0
accelerator: cpu
preprocessing: {short_side: 32, crop: 32}
detector:
  name: multistream
  streams: [frequency, semantic]
  image_size: 32
  width: 32
  options: {frequency: {weights: none}, semantic: {weights: none}}
"""


def brighter_fakes(folder: Path, counts: dict[str, int]) -> None:
    """A manifest of noise, brighter where it is fake: a difference that any detector finds in any view."""
    rng, rows = np.random.default_rng(0), []
    folder.mkdir(exist_ok=True)
    for split, count in counts.items():
        for index in range(count):
            label, name = index % 2, f"{split}-{index}.png"
            Image.fromarray(rng.integers(90 * label, 90 * label + 60, (40, 40, 3), dtype=np.uint8)).save(folder / name)
            rows.append({"path": name, "label": label, "source": "drawn", "split": split})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)


@pytest.fixture
def protocol(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    import protocol

    return protocol


def run(protocol: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["protocol.py", "--data", "manifest.csv", "--unseen", "more/manifest.csv", *words])
    with pytest.raises(SystemExit) as exit_:
        protocol.main()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def planned(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.removeprefix("$ ") for line in capsys.readouterr().out.splitlines() if line.startswith("$ ")]


def test_every_planned_command_and_config_is_understood(
    protocol: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    options = ("--dry-run", "--no-hub", "--clip", "clip.safetensors", "--set", "xception:seed=1", "--runs", "gone")
    assert run(protocol, monkeypatch, *options, "--results", "gone", "--precision", "bf16") == 0
    commands = planned(capsys)
    rounded = {shlex.split(line)[1] for line in commands if "--precision bf16" in line}
    assert rounded == {"evaluate", "robustness", "ablate"}
    assert {shlex.split(line)[1] for line in commands} >= {"train", "calibrate", "evaluate", "robustness", "ablate"}
    known = {command.name for command in app.registered_commands}
    assert [c for line in commands if shlex.split(line)[1] in known and (c := complaint(line))] == []
    training = {}
    for line in commands:
        words = shlex.split(line)
        if words[1] == "train":
            configs, changes = ([b for a, b in pairwise(words) if a == key] for key in ("-c", "--set"))
            config = load_config(TrainConfig, [Path(path) for path in configs], changes)
            training[Path(words[words.index("-o") + 1]).name] = config
    assert [row for row, config in training.items() if row != config.name] == [], "a row is a detector's name"
    pictures = {row: config.sample and config.sample.pictures for row, config in training.items()}
    assert {row for row, number in pictures.items() if number != 2000} == {"univfd"}
    assert all("none" in str(config.detector) for row, config in training.items() if "univfd" not in row)
    assert "clip.safetensors" in str(training["univfd"].detector)
    assert (training["xception"].seed, training["f3net"].seed) == (1, 0)
    assert run(protocol, monkeypatch, "--rows", "resnet") == 2
    assert "resnet: expected some of shipped, " in capsys.readouterr().err


def test_one_command_makes_the_records_as_they_are(
    protocol: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tables quote it without a precision."""
    data = ("--data", "../shared/data/corpus/index.csv", "--unseen", "../shared/data/unseen/index.csv")
    assert run(protocol, monkeypatch, *data, "--dry-run", "--no-hub", "--results", "gone") == 0
    commands = planned(capsys)
    recorded = {
        json.loads(path.read_text())["command"]
        for row in protocol.ROWS
        for path in (ROOT / "results" / row).rglob("record.json")
    }
    assert sorted(recorded - set(commands)) == []
    scored = [line for line in commands if shlex.split(line)[1] not in ("train", "calibrate")]
    exact = [line for line in scored if "attack" not in line.split() and "--precision" not in line.split()]
    assert {line.split()[3] for line in exact} == {protocol.SHIPPED, "runs/protocol/univfd/detector.safetensors"}
    of_subsets = [line for line in scored if "runs/protocol/shipped/ablation/retrained/" in line]
    assert len(of_subsets) == 7
    assert all("unseen/index.csv" in line for line in of_subsets)


@pytest.fixture
def ran(protocol: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The current folder has data in miniature and two rows; commands run in this process and are listed."""
    monkeypatch.chdir(tmp_path)
    brighter_fakes(tmp_path, {"train": 80, "reserved": 12, "test": 24})
    brighter_fakes(tmp_path / "more", {"": 12})
    Path("tiny.yaml").write_text(TINY)
    tiny = replace(protocol.ROWS["multistream"], configs=("tiny.yaml",), changes=("name=tiny",), weights=())
    broken = replace(tiny, changes=("colour=red",))
    monkeypatch.setattr(protocol, "ROWS", {"broken": broken, "tiny": tiny})
    commands: list[str] = []

    def in_process(command: list[str], **options: Any) -> SimpleNamespace:
        words = command[len(protocol.PROGRAM) :]
        monkeypatch.setattr(sys, "argv", ["tristream", *words])
        commands.append(words[0])
        done = CliRunner().invoke(app, words)
        sys.stderr.write(done.output)
        return SimpleNamespace(returncode=done.exit_code)

    monkeypatch.setattr(subprocess, "run", in_process)
    return commands


def test_steps_run_once_and_failures_do_not_stop_them(
    protocol: ModuleType, monkeypatch: pytest.MonkeyPatch, ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--rows", "broken,tiny", "--steps", "train,evaluate,ablate", "--runs", "runs", "--results", "results")
    assert run(protocol, monkeypatch, *options) == 1, "broken is"
    assert ran == ["train", "train", "calibrate", "evaluate", "ablate", "evaluate", "ablate"]
    output = capsys.readouterr()
    assert "failed: broken, train: status 2" in output.err
    assert "failed: broken, evaluate: no runs/broken/detector.safetensors" in output.err
    assert output.err.count(" h left") == 7
    kept = read_run(Path("results/tiny/corpus-test"))
    assert list(kept.summary.conditions) == ["delivered", "fakes_like_reals", "alike"]
    assert len(read_run(Path("results/tiny/unseen")).predictions) == 3 * 12
    for place in ("masked", "masked-unseen"):
        assert len(read_run(Path("results/tiny", place)).summary.conditions) == 3
    assert sorted(path.name for path in Path("results/tiny/training").iterdir()) == [
        "config.yaml", "environment.json", "log.jsonl",
    ]  # fmt: skip
    assert not [path for path in Path("results").rglob("*") if path.suffix == ".safetensors"]

    ran.clear()
    assert run(protocol, monkeypatch, *options[2:], "--rows", "tiny") == 0
    assert ran == []
    Path("results/tiny/unseen/DONE").unlink()
    assert run(protocol, monkeypatch, *options[2:], "--rows", "tiny") == 0
    assert ran == ["evaluate"]
    Path("runs/tiny/detector.safetensors").write_bytes(b"other weights")
    assert run(protocol, monkeypatch, *options[2:], "--rows", "tiny") == 1
    assert ran == ["evaluate", "evaluate", "ablate", "evaluate", "ablate"], "records of other weights do not count"
