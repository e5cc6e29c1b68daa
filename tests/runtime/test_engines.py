"""The seam: which checkpoint is opened by what, and what is refused before anything is opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tristream
from tests.planted import planted_metadata
from tristream.errors import CheckpointError, MissingExtraError, UsageError
from tristream.images.preprocess import Preprocessing
from tristream.metrics.calibration import Calibration
from tristream.runtime import engines

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin", ".PKL"])
def test_pickles_are_refused_by_their_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"anything")
    with pytest.raises(CheckpointError, match=r"pickle.*safetensors"):
        engines.load(path)


def test_other_wrong_checkpoints_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.txt").touch()
    for path, words in (("gone.safetensors", "no such"), ("", "folder"), ("model.txt", "expected a .onnx")):
        with pytest.raises(CheckpointError, match=words):
            engines.load(tmp_path / path)


def test_load_hands_over_what_the_checkpoint_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session: object, calibration: object
) -> None:
    asked: list[tuple[Path, str, int | None]] = []

    def open_session(checkpoint: Path, device: str, threads: int | None) -> engines.OpenDetector:
        asked.append((checkpoint, device, threads))
        metadata = planted_metadata("mine", calibration, preprocessing=Preprocessing(crop=224))
        return engines.OpenDetector(session, metadata, "abacus")  # type: ignore[arg-type]

    monkeypatch.setattr(engines, "open_session", open_session)
    path = tmp_path / "mine.safetensors"
    path.touch()
    predictor = tristream.load(path, device="cpu", threads=3)
    assert (asked, predictor.engine) == ([(path, "cpu", 3)], "abacus")
    assert predictor.preprocessing.crop == 224
    assert (predictor.session, predictor.calibration, predictor.model_name) == (session, calibration, "mine")


def test_an_installation_without_weights_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engines, "files", lambda package: tmp_path)
    with pytest.raises(CheckpointError, match="--checkpoint"):
        engines.load()


def test_without_pytorch_the_message_is_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    path.touch()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"checkpoint needs .* pip install 'tristream\[research\]'"):
        engines.load(path)


def test_the_front_door_is_light() -> None:
    """In a fresh interpreter: neither `import tristream` nor the predictor's module loads an engine; names are lazy."""
    code = (
        "import sys, tristream; assert not {'torch', 'numpy', 'PIL', 'pydantic'} & set(sys.modules), 'tristream';"
        "assert tristream.__version__ and {'load', 'Predictor', 'Prediction'} <= set(dir(tristream));"
        "tristream.Predictor, tristream.Prediction, tristream.load;"
        "assert not {'torch', 'timm', 'pandas', 'scipy'} & set(sys.modules), 'tristream.load'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=REPOSITORY)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        tristream.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_a_checkpoint_scores_through_pytorch_as_its_detector_does(tmp_path: Path, calibration: Calibration) -> None:
    torch = pytest.importorskip("torch", reason="needs the research extra")
    from tristream.detectors import build_detector
    from tristream.detectors.checkpoint import save_checkpoint
    from tristream.metadata import ModelMetadata

    torch.manual_seed(0)
    config = {"streams": ["frequency"], "image_size": 64, "options": {"frequency": {"weights": "none"}}}
    detector = build_detector("multistream", config, load_weights=False).eval()
    preprocessing = Preprocessing(short_side=64, crop=64)
    metadata = ModelMetadata(
        name="tiny", detector="multistream", config=config, preprocessing=preprocessing, calibration=calibration
    )
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, detector, metadata)
    pixels = np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)
    with torch.inference_mode():
        expected = detector(torch.from_numpy(preprocessing.crops(pixels))).logits.item()

    predictor = engines.load(path, "cpu")
    prediction = predictor.predict(pixels)
    assert prediction.logit == pytest.approx(expected, abs=1e-5)
    assert prediction.stream_weights == pytest.approx({"frequency": 1.0})
    assert (prediction.model, predictor.calibration, predictor.preprocessing) == ("tiny", calibration, preprocessing)
    assert engines.load(path).predict(pixels).verdict == prediction.verdict


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "cuda:99"])
def test_a_device_that_is_not_there_is_wrong_usage(tmp_path: Path, device: str) -> None:
    pytest.importorskip("torch", reason="needs the research extra")
    path = tmp_path / "mine.safetensors"
    path.touch()
    with pytest.raises(UsageError, match=device):
        engines.load(path, device)
