"""`tristream evaluate`, `robustness`, `ablate` and `compare` on the command line, on small pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from tests.detectors.conftest import SMALL, small_detector
from tests.pictures import planted_manifest
from tests.report.planted import plant_run
from tristream.cli.app import app
from tristream.data.manifest import Manifest
from tristream.detectors.checkpoint import save_checkpoint
from tristream.images.preprocess import Preprocessing
from tristream.metadata import ModelMetadata

CONFIG = """
name: tiny
data: DATA
selection: {split: reserved, condition: delivered}
input_size: 32
epochs: 1
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


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    planted_manifest(folder, {"train": 16, "reserved": 12, "test": 24}, strength=40)
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    streams = ["frequency", "semantic"]
    config = {**SMALL["multistream"], "streams": streams}
    metadata = ModelMetadata(
        name="small", detector="multistream", config=config, preprocessing=Preprocessing(short_side=64, crop=64), seed=7
    )
    save_checkpoint(path, small_detector("multistream", streams=streams), metadata)
    return path


def test_evaluate_takes_any_condition_a_limit_and_a_relation(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    words = ["evaluate", "--checkpoint", checkpoint, "--data", data, "--split", "test", "--device", "cpu"]
    done = run(*words, "-o", tmp_path / "a", "--condition", "jpeg-70", "--condition", "masked-semantic",
               "--limit", "8", "--matched-by", "source")  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "a/record.json").read_text())
    assert (record["limit"], record["pictures"], record["matched_by"]) == (8, 8, "source")
    assert record["conditions"]["jpeg-70"]["parameters"] == {"quality": 70, "subsampling": "4:2:0"}
    assert record["detector"] == {"name": "multistream", "deviations": [], "seed": 7,
                                  "streams": ["frequency", "semantic"]}  # fmt: skip
    metrics = json.loads((tmp_path / "a/metrics.json").read_text())
    assert metrics["conditions"]["jpeg-70"]["matched"]["drawn"]["n_real"] == 4, "all pictures are of one source"
    assert "same content" in " ".join(done.stdout.split())
    other = run(*words, "-o", tmp_path / "a", "--condition", "jpeg-70", "--limit", "8")
    assert other.exit_code == 2
    assert "holds another run (other conditions" in " ".join(other.stderr.split())
    assert "there are: path, label" in run(*words, "-o", tmp_path / "b", "--matched-by", "topic").stderr
    assert "no stream spatial" in run(*words, "-o", tmp_path / "c", "--condition", "masked-spatial").stderr


def test_views_print_the_shortcut_gap_and_suites_are_checked(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    words = ["evaluate", "--checkpoint", checkpoint, "--data", data, "--device", "cpu", "-o", tmp_path / "out"]
    done = run(*words, "--split", "test", "--suite", "views")
    assert done.exit_code == 0, done.output
    assert list(json.loads((tmp_path / "out/record.json").read_text())["conditions"]) == [
        "delivered", "fakes_like_reals", "alike",
    ]  # fmt: skip
    assert "shortcut gap, AUROC as delivered minus everything alike: " in done.stdout
    assert "leave out --condition or --suite" in run(*words, "--suite", "ood", "--condition", "alike").stderr
    assert "leave out --split" in run(*words, "--suite", "ood", "--split", "test").stderr
    assert "several checkpoints are for a suite" in run(*words, "--checkpoint", checkpoint).stderr
    suite = run("evaluate", "--checkpoint", checkpoint, "--data", data, "--device", "cpu", "-o", tmp_path / "suite",
                "--suite", "in-distribution", "--limit", "8")  # fmt: skip
    assert suite.exit_code == 0, suite.output
    assert (tmp_path / "suite/suite.json").is_file()


def test_robustness_scores_delivered_and_every_severity(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    words = ["robustness", "--checkpoint", checkpoint, "--data", data, "--split", "test", "-o", tmp_path / "out"]
    done = run(*words, "--family", "resize", "--family", "noise", "--limit", "8", "--device", "cpu")
    assert done.exit_code == 0, done.output
    conditions = json.loads((tmp_path / "out/record.json").read_text())["conditions"]
    assert list(conditions) == [
        "delivered",
        "resize-0.75",
        "resize-0.5",
        "resize-0.25",
        "noise-5",
        "noise-10",
        "noise-20",
    ]
    assert [conditions[f"noise-{sigma}"]["severity"] for sigma in (5, 10, 20)] == [1, 2, 3]
    assert "resize-0.25" in done.stdout
    assert "unknown family of perturbations 'rain'" in run(*words, "--family", "rain").stderr


def test_ablate_masks_and_retrains_into_two_tables(data: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(CONFIG.replace("DATA", str(data)))
    words = ["ablate", "--data", data, "--split", "test", "--device", "cpu", "-o", tmp_path / "out"]
    done = run(*words, "--retrain", tmp_path / "tiny.yaml", "--precision", "bf16")
    assert done.exit_code == 0, done.output
    assert "retrained with these streams only, delivered" in done.stdout
    assert "tiny-frequency+semantic: the other streams masked at inference" in done.stdout.replace("\n", " ")
    assert (tmp_path / "out/masked/DONE").is_file()
    for folder in ("masked", "retrained/semantic/evaluation"):
        assert json.loads((tmp_path / "out" / folder / "record.json").read_text())["precision"] == "bf16"
    assert sorted(p.name for p in (tmp_path / "out/retrained").iterdir()) == [
        "frequency", "frequency+semantic", "retrained.json", "semantic",
    ]  # fmt: skip


def test_ablate_says_what_to_do_without_a_split_to_calibrate_on(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    words = ["ablate", "--checkpoint", checkpoint, "--data", data, "--split", "test", "--device", "cpu"]
    told = run(*words, "-o", tmp_path / "out", "--calibrate-on", "spare")
    assert told.exit_code == 2
    assert "no split 'spare'; there are: reserved, test, train; name other pictures with" in told.stderr
    done = run(*words, "-o", tmp_path / "out", "--no-calibration", "--limit", "8")
    assert done.exit_code == 0, done.output
    assert "—" in done.stdout


def test_compare_prints_a_table_or_json(tmp_path: Path) -> None:
    plant_run(tmp_path / "a", "ours")
    plant_run(tmp_path / "b", "theirs", seed=1)
    words = ["compare", tmp_path / "a", tmp_path / "b", "--resamples", "100"]
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert all(word in done.stdout for word in ("A - B", "Holm", "DeLong", "alike: 28 real, 28 fake"))
    printed = json.loads(run(*words, "--format", "json").stdout)
    assert {d["condition"] for d in printed["differences"]} == {"delivered", "alike"}
    assert run("compare", tmp_path / "a").exit_code == 2


def test_evaluate_says_where_it_wrote_and_what_it_could_not_score(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    planted_manifest(tmp_path / "few", {"test": 12}, strength=40)
    table = pd.read_csv(tmp_path / "few/manifest.csv")
    (tmp_path / "few" / table["path"].iloc[0]).write_bytes(b"no picture")
    done = run(
        "evaluate", "--checkpoint", checkpoint, "--data", tmp_path / "few/manifest.csv", "--condition", "delivered",
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert f"not scored: {tmp_path / 'few' / table['path'].iloc[0]}" in done.stderr
    assert f"tristream report {tmp_path / 'run'}" in done.stderr


def test_a_changed_file_is_not_scored_under_the_digest_of_another(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    planted_manifest(tmp_path / "few", {"test": 12}, strength=40)
    listed = tmp_path / "few/listed.csv"
    Manifest.read(tmp_path / "few/manifest.csv").with_file_columns(["sha256"]).write(listed)
    first, second = (tmp_path / "few" / path for path in pd.read_csv(listed)["path"][:2])
    first.write_bytes(second.read_bytes())
    done = run(
        "evaluate", "--checkpoint", checkpoint, "--data", listed, "--condition", "delivered", "-o", tmp_path / "r"
    )
    assert done.exit_code == 0, done.output
    assert f"not scored: {first}: its SHA-256 is not the one that the manifest lists" in done.stderr
    assert json.loads((tmp_path / "r/metrics.json").read_text())["conditions"]["delivered"]["overall"]["n_failed"] == 1


def test_set_without_retrain_is_refused(data: Path, checkpoint: Path, tmp_path: Path) -> None:
    done = run("ablate", "--checkpoint", checkpoint, "--data", data, "--set", "epochs=3", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "--set changes a key of the config of --retrain" in done.stderr


def test_an_interrupted_command_says_how_to_go_on(
    data: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("tristream.evaluation.checkpoint.evaluate_opened", interrupted)
    done = run("evaluate", "--checkpoint", checkpoint, "--data", data, "--split", "test", "--out", tmp_path / "out")
    assert done.exit_code == 130
    assert "interrupted; the same command goes on where it was" in done.stderr
