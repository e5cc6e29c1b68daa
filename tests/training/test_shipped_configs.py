"""Baselines and the seed's protocols train from their shipped configs, on data sets in miniature and at a tiny size."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.data.miniatures import mix, put, put_pictures
from tests.pictures import planted_manifest
from tristream.cli.app import app
from tristream.config import load_config
from tristream.data.readers.ffpp import METHODS
from tristream.detectors import DETECTORS
from tristream.detectors.checkpoint import read_metadata
from tristream.training.config import TrainConfig
from tristream.training.departures import departures
from tristream.training.trainer import train

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = ["input_size=32", "preprocessing={short_side: 32, crop: 32}", "epochs=1", "batch_size=6", "precision=32-true",
        "accelerator=cpu", "workers=0", "selection.condition=delivered"]  # fmt: skip
NO_STREAM_WEIGHTS = [f"detector.options.{name}.weights=none" for name in ("spatial", "frequency", "semantic")]


def tristream(*command: str | Path) -> None:
    result = CliRunner().invoke(app, [str(word) for word in command])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("cnndetect", ["detector.backbone=resnet18"]),
        ("xception", []),
        ("f3net", ["detector.image_size=32"]),
        ("univfd", ["detector.backbone=vit_tiny_patch16_224", "detector.image_size=32", "embedded_copies=2"]),
    ],
)
def test_a_baseline_takes_a_step_under_the_cpu_protocol(name: str, weights: list[str], tmp_path: Path) -> None:
    planted_manifest(tmp_path, {"train": 20, "reserved": 6})
    overrides = [f"data={tmp_path / 'manifest.csv'}", "detector.weights=none", *TINY, *weights, "sample.pictures=8"]
    config = load_config(TrainConfig, [CONFIGS / f"{name}.yaml", CONFIGS / "protocols/cpu.yaml"], overrides)
    steps: list[int] = []
    best = train(config, tmp_path / "run", on_step=lambda report: steps.append(report.step))
    assert steps == [1], "8 of 20 pictures make one batch of 6"
    assert len((tmp_path / "run" / "training_pictures.csv").read_text().splitlines()) == 1 + 8
    metadata = read_metadata(best)
    assert (metadata.detector, metadata.initialisation) == (name, "random")
    assert metadata.deviations


def frames(folder: Path) -> Path:
    """FaceForensics++ as frames, two of each video."""
    root = folder / "FaceForensics"
    put(root / "splits/train.json", b'[["071", "054"]]')
    put(root / "splits/val.json", b'[["720", "672"]]')
    put(root / "splits/test.json", b'[["953", "974"]]')
    found: list[str] = []
    for pair in (("071", "054"), ("720", "672"), ("953", "974")):
        videos = [("original_sequences/youtube", name) for name in pair]
        videos += [(f"manipulated_sequences/{m}", "_".join(names)) for m in METHODS for names in (pair, pair[::-1])]
        found += [f"{base}/c23/frames/{name}/{k:04d}.png" for base, name in videos for k in range(2)]
    put_pictures(root, *found)
    return root


def ffpp(folder: Path) -> Path:
    made = folder / "c23.parquet"
    tristream("data", "index", frames(folder), "-o", made, "--set", "compression=c23", "--set", "media=frames")
    return made


def cross_generator(folder: Path) -> Path:
    """One generator's train folders, split as the config's comment says."""
    base = folder / "GenImage/stable_diffusion_v_1_4/imagenet_ai_0419_sdv4/train"
    put_pictures(base, *(f"nature/n{k}.JPEG" for k in range(40)), *(f"ai/{k}.png" for k in range(40)))
    listed, made = folder / "sd14-files.parquet", folder / "sd14.parquet"
    only = ["--set", "generators=[SD-1.4]", "--set", "splits=[train]"]
    tristream("data", "index", folder / "GenImage", "-o", listed, "--layout", "genimage", *only)
    tristream("data", "split", listed, "-o", made, "--fractions", "train=0.85,validation=0.15", "--replace")
    return made


def seed_mix(folder: Path) -> Path:
    listed, made = folder / "seed.parquet", folder / "seed-split.parquet"
    tristream("data", "index", mix(folder / "mix").root, "-o", listed)
    tristream("data", "split", listed, "-o", made, "--fractions", "train=0.6,validation=0.4", "--replace")
    return made


def default(folder: Path) -> Path:
    planted_manifest(folder, {"train": 12, "validation": 4})
    return folder / "manifest.csv"


@pytest.mark.parametrize("make", [ffpp, cross_generator, seed_mix, default])
def test_a_protocol_of_the_seed_takes_a_step(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = make(tmp_path)
    overrides = [f"data={data}", "detector.image_size=32", *NO_STREAM_WEIGHTS, *TINY, "batch_size=4"]
    best = train(load_config(TrainConfig, CONFIGS / f"{make.__name__}.yaml", overrides), tmp_path / "run")
    assert read_metadata(best).initialisation == "spatial random, frequency random, semantic random"


def test_several_seeds_are_several_runs_on_the_same_pictures(tmp_path: Path) -> None:
    planted_manifest(tmp_path, {"train": 20, "reserved": 6})
    config, run = CONFIGS / "univfd.yaml", tmp_path / "run"
    options = [f"data={tmp_path / 'manifest.csv'}", "detector.weights=none", *TINY, "sample.pictures=8",
               "detector.backbone=vit_tiny_patch16_224", "detector.image_size=32", "embedded_copies=1"]  # fmt: skip
    command = ["train", "-c", config, "-c", CONFIGS / "protocols/cpu.yaml", "-o", run, "--seeds", "0-1"]
    words = [*map(str, command), *(word for option in options for word in ("--set", option))]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (shlex.join(words), result.output)
    folders = [run / f"seed-{n}" for n in (0, 1)]
    assert result.stdout.split() == [str(folder / "checkpoints/best.safetensors") for folder in folders]
    pictures, weights = zip(
        *((f / "training_pictures.csv", load_file(f / "checkpoints/best.safetensors")) for f in folders), strict=True
    )
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    assert not (weights[0]["classifier.weight"] == weights[1]["classifier.weight"]).all()
    again = CliRunner().invoke(app, [*words, "--resume"])
    assert again.exit_code == 0, again.output
    wrong = CliRunner().invoke(app, ["train", "-c", str(config), "--seeds", "4-0"])
    assert wrong.exit_code == 2
    assert "rising ranges" in wrong.output


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        (["cnndetect"], ["Pillow alone encodes and blurs"]),
        (["cnndetect", "protocols/cpu"], ["crops of 192 px; the paper: 224 px", "batches of 32", "Pillow alone"]),
        (["xception"], ["tristream's augmentation in place of the paper's face crops as they are"]),
        (["f3net"], ["batches of 32 pictures; the paper: 128", "tristream's augmentation"]),
        (["univfd"], ["batches of 64", "rate of 0.002; the paper: 0.0001", "4 augmented copies", "Pillow alone"]),
        (["default"], []),
    ],
)  # fmt: skip
def test_what_a_config_changes_of_its_paper_is_told(configs: list[str], expected: list[str]) -> None:
    config = load_config(TrainConfig, [CONFIGS / f"{name}.yaml" for name in configs])
    told = departures(config, DETECTORS[config.detector.get("name", "multistream")])
    assert len(told) == len(expected)
    for line, words in zip(told, expected, strict=True):
        assert words in line
