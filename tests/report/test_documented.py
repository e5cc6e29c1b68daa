"""The commands of docs/reporting.md run, on planted runs and a tiny detector, in the order in which they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.detectors.conftest import SMALL, small_detector
from tristream.cli.app import app
from tristream.detectors.checkpoint import save_checkpoint
from tristream.images.preprocess import Preprocessing
from tristream.metadata import ModelMetadata

PAGE = Path(__file__).parents[2] / "docs/reporting.md"


def commands() -> list[list[str]]:
    """The words of each command, without comments and redirections."""
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    lines = [line.partition(" > ")[0] for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files that the page names: photos/, two detectors, results/, theirs.csv."""
    monkeypatch.chdir(tmp_path)
    rng, rows = np.random.default_rng(0), []
    Path("photos").mkdir()
    for index in range(24):
        Image.fromarray(rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)).save(f"photos/{index}.png")
        rows.append({"path": f"{index}.png", "label": index % 2, "source": "drawn", "split": "test"})
    table = pd.DataFrame(rows)
    table.to_csv("photos/split.csv", index=False)
    table.assign(score=rng.uniform(size=24))[["path", "score"]].to_csv("theirs.csv", index=False)
    for name, stream in (("mine", "frequency"), ("theirs", "spatial")):
        config = {**SMALL["multistream"], "streams": [stream]}
        metadata = ModelMetadata(
            name=name, detector="multistream", config=config, preprocessing=Preprocessing(short_side=64, crop=64)
        )
        save_checkpoint(Path(f"{name}.safetensors"), small_detector("multistream", streams=[stream]), metadata)
        words = ["evaluate", "--checkpoint", f"{name}.safetensors", "--data", "photos/split.csv", "--split", "test"]
        done = CliRunner().invoke(app, [*words, "--out", f"results/{name}", "--condition", "delivered"])
        assert done.exit_code == 0, done.output
    return tmp_path


def test_every_command_runs(workshop: Path) -> None:
    found = commands()
    assert len(found) == 9
    for words in found:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{shlex.join(words)}: {done.output}"
    assert (workshop / "report/theirs/DONE").is_file()
    assert (workshop / "report/their-detector/DONE").is_file()
    assert sorted(p.name for p in (workshop / "report").glob("report.*")) == [
        "report.csv", "report.html", "report.md", "report.tex",
    ]  # fmt: skip
