"""`tristream report` and `tristream reproduce` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.detectors.conftest import SMALL, small_detector
from tests.report.planted import plant_run, planted_predictions
from tristream.cli.app import app
from tristream.detectors.checkpoint import save_checkpoint
from tristream.evaluation.checkpoint import PictureSet, evaluate_checkpoint
from tristream.evaluation.run_folder import finish
from tristream.images.preprocess import Preprocessing
from tristream.metadata import ModelMetadata


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_all_formats_are_written(tmp_path: Path) -> None:
    plant_run(tmp_path / "runs/ours")
    done = run("report", tmp_path / "runs/ours", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "report.csv", "report.html", "report.md", "report.tex",
    ]  # fmt: skip
    assert done.stdout.split() == [str(tmp_path / "out" / f"report.{end}") for end in ("md", "tex", "csv", "html")]


def test_the_baseline_is_named_by_its_folder_or_as_in_a_table(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        plant_run(tmp_path / f"runs/{name}-folder", name)
    for baseline in (str(tmp_path / "runs/theirs-folder"), "theirs"):
        done = run("report", tmp_path / "runs", "--baseline", baseline)
        assert done.exit_code == 0, done.output
        assert "| ours − theirs | as delivered |" in done.stdout
    assert run("report", tmp_path / "runs", "--baseline", "theirs-folder").exit_code == 2


def test_without_a_folder_one_format_is_printed(tmp_path: Path) -> None:
    plant_run(tmp_path / "ours")
    assert run("report", tmp_path / "ours").stdout.startswith("# Report\n")
    assert r"\toprule" in run("report", tmp_path / "ours", "--format", "latex").stdout
    assert "need --out" in run("report", tmp_path / "ours", "--format", "latex", "--format", "csv").stderr
    assert run("report").exit_code == 2


def test_a_file_of_scores_is_reported_beside_a_run(tmp_path: Path) -> None:
    predictions = planted_predictions({"delivered": 1.0})
    pictures = predictions.rename(columns={"id": "sha256"})[["path", "label", "generator", "source", "group", "split"]]
    for path in pictures["path"]:  # a hash is of the file, whatever it holds
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path)
    pictures.to_csv(tmp_path / "index.csv", index=False)
    theirs = predictions.rename(columns={"logit": "score"})[["path", "score"]].iloc[1:]
    theirs.to_csv(tmp_path / "theirs.csv", index=False)
    words = ["report", "--scores", tmp_path / "theirs.csv", "--data", tmp_path / "index.csv"]
    done = run(*words, "--split", "test", "-o", tmp_path / "out", "--format", "csv", "--name", "Closed Detector")
    assert done.exit_code == 0, done.output
    assert "1 pictures have no score and count as failed" in done.stderr
    record = json.loads((tmp_path / "out/closed-detector/record.json").read_text())
    assert (record["engine"], record["checkpoint"]["name"]) == ("scores from a file", "Closed Detector")
    table = pd.read_csv(tmp_path / "out/report.csv")
    assert set(table["detector"]) == {"Closed Detector"}
    assert "needs --data" in run(*words[:3], "-o", tmp_path / "out").stderr


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A run of a small detector on 20 pictures, one of them broken; its folder, the manifest and the checkpoint."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(20):
        pixels = rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
        rows.append({"path": f"{index}.png", "label": index % 2, "source": "drawn", "split": "test"})
    (tmp_path / "19.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    pd.DataFrame(rows).to_csv(tmp_path / "index.csv", index=False)
    checkpoint = tmp_path / "small.safetensors"
    config = {**SMALL["multistream"], "streams": ["frequency"]}
    metadata = ModelMetadata(
        name="small", detector="multistream", config=config, preprocessing=Preprocessing(short_side=64, crop=64)
    )
    save_checkpoint(checkpoint, small_detector("multistream", streams=["frequency"]), metadata)
    evaluate_checkpoint(
        checkpoint, PictureSet(tmp_path / "index.csv", "test"), tmp_path / "run", conditions=["delivered", "alike"]
    )
    return tmp_path / "run", tmp_path / "index.csv", checkpoint


def test_a_run_is_reproduced_and_a_changed_one_is_not(recorded: tuple[Path, Path, Path]) -> None:
    folder, data, checkpoint = recorded
    words = ["reproduce", folder, "--data", data, "--checkpoint", checkpoint]
    done = run(*words, "--format", "json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["conditions"]["alike"]
    assert (found["pictures"], found["failures_changed"]) == (19, 0)
    assert found["max_logit_change"] <= 1e-3
    assert found["figures"]["auroc"] == 0
    table = pd.read_parquet(folder / "predictions.parquet")
    changed = table.assign(logit=table["logit"] + np.where(table["path"] == "3.png", 0.5, 0))
    changed.to_parquet(folder / "predictions.parquet")
    done = run(*words)
    assert (done.exit_code, "predictions.parquet: is not what the run wrote" in done.stderr) == (2, True)
    finish(folder)
    done = run(*words)
    assert done.exit_code == 3
    assert "logits differ by at most 0.5" in done.stdout
    assert run(*words, "--tolerance", "0.6").exit_code == 0
    table.assign(error=np.where(table["path"] == "3.png", "gone", table["error"])).to_parquet(
        folder / "predictions.parquet"
    )
    finish(folder)
    done = run(*words)
    assert (done.exit_code, "1 failed only once" in done.stdout) == (3, True)


def test_other_weights_or_pictures_are_refused_before_anything_is_scored(recorded: tuple[Path, Path, Path]) -> None:
    folder, data, checkpoint = recorded
    other = checkpoint.with_name("other.safetensors")
    other.write_bytes(checkpoint.read_bytes() + b" ")
    done = run("reproduce", folder, "--data", data, "--checkpoint", other)
    assert done.exit_code == 2
    assert "the run was made with" in done.stderr
    pd.read_csv(data).iloc[:-1].to_csv(data, index=False)
    done = run("reproduce", folder, "--data", data, "--checkpoint", checkpoint)
    assert done.exit_code == 2
    assert "its 19 pictures and labels have the digest" in done.stderr
    record = json.loads((folder / "record.json").read_text())
    del record["precision"]
    (folder / "record.json").write_text(json.dumps(record | {"engine": "scores from a file"}))
    done = run("reproduce", folder, "--data", data, "--checkpoint", checkpoint)
    assert "cannot be scored again, for its engine is: scores from a file" in done.stderr
