"""From a checkpoint to ONNX and back to logits: what the light runtime says is what PyTorch says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.planted import planted_domain
from tristream.cli.app import app
from tristream.errors import CheckpointError, UsageError
from tristream.images.preprocess import Preprocessing
from tristream.metadata import ModelMetadata
from tristream.metrics.calibration import Calibration
from tristream.metrics.domain import fit_domain
from tristream.runtime import engines
from tristream.runtime.light_session import LightSession
from tristream.runtime.session import Scores
from tristream.typing import Float32

torch = pytest.importorskip("torch", reason="needs the research extra")

from tristream.detectors import build_detector  # noqa: E402
from tristream.detectors.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from tristream.detectors.multistream.spectral import SpectralMask  # noqa: E402
from tristream.export.checkpoint import export_checkpoint  # noqa: E402
from tristream.export.onnx import export_onnx  # noqa: E402
from tristream.export.parity import verdicts_changed  # noqa: E402
from tristream.export.spectral import SpectralProducts  # noqa: E402
from tristream.runtime.torch_session import TorchSession  # noqa: E402

SIZE = 64


@pytest.mark.parametrize(("height", "width"), [(16, 16), (15, 16), (16, 15), (9, 7)])
def test_matrix_products_compute_what_the_fft_does(height: int, width: int) -> None:
    torch.manual_seed(0)
    mask = SpectralMask(3, 16)
    with torch.no_grad():
        mask.component.copy_(torch.rand_like(mask.component) * 2)
        mask.band_weights.copy_(torch.tensor([0.5, 1.5, -1.0, 2.0]))
        image = torch.randn(2, 3, height, width)
        torch.testing.assert_close(SpectralProducts(mask, height, width)(image), mask(image), atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small detector of all three streams, with weights that make its logits differ between pictures."""
    torch.manual_seed(0)
    options = {
        "spatial": {"backbone": "tf_efficientnet_lite0", "features": 16},
        "frequency": {"backbone": "resnet10t", "features": 16},
        "semantic": {"backbone": "vit_tiny_patch16_224", "features": 16},
    }
    config = {"image_size": SIZE, "width": 32, "options": options}
    detector = build_detector("multistream", config, load_weights=False).eval()
    with torch.no_grad():
        detector.streams["frequency"].mask.component.mul_(torch.rand_like(detector.streams["frequency"].mask.component))  # type: ignore[index, union-attr, operator]
        detector.fusion.classifier[-1].weight.mul_(20)  # type: ignore[union-attr, index, operator]
    path = tmp_path_factory.mktemp("export") / "small.safetensors"
    preprocessing = Preprocessing(short_side=72, crop=SIZE)
    calibration = Calibration(
        slope=1.0,
        intercept=0.0,
        balanced_accuracy_threshold=0.0,
        real_logits=tuple(np.linspace(-9, 2, 19).tolist()),
        fake_logits=tuple(np.linspace(-2, 9, 19).tolist()),
        source="drawn",
    )
    metadata = ModelMetadata(
        name="small", detector="multistream", config=config, preprocessing=preprocessing, calibration=calibration
    )
    drawn = np.random.default_rng(2).random((60, 3, SIZE, SIZE), np.float32)
    tokens = TorchSession(detector).run(drawn).tokens_BSD
    assert tokens is not None
    domain = fit_domain(tokens.reshape(60, -1), np.arange(60) % 2, np.arange(60), source="drawn", directions=8)
    save_checkpoint(path, detector, metadata.model_copy(update={"domain": domain}))
    return path


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn pictures of both classes."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    rows = ["path,label,split"]
    for i in range(12):
        coarse = rng.integers(0, 256, (10, 12, 3), np.uint8)
        Image.fromarray(coarse).resize((120, 100), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{i % 2},train")
    (folder / "index.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "index.csv"


@pytest.fixture(scope="module")
def fp32(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fp32") / "small.onnx"
    export_onnx(checkpoint, path)
    return path


@pytest.fixture(scope="module")
def crops() -> Float32:
    return np.random.default_rng(1).random((7, 3, SIZE, SIZE), np.float32)


def test_the_exported_file_says_what_the_checkpoint_says(checkpoint: Path, fp32: Path, crops: Float32) -> None:
    light = LightSession(fp32)
    expected = TorchSession(load_checkpoint(checkpoint).detector).run(crops)
    found = light.run(crops)
    assert expected.logits_B.std() > 0.05, "the pictures must differ for the comparison to mean anything"
    np.testing.assert_allclose(found.logits_B, expected.logits_B, atol=1e-3)
    assert expected.stream_weights_BS is not None
    assert found.stream_weights_BS is not None
    np.testing.assert_allclose(found.stream_weights_BS, expected.stream_weights_BS, atol=1e-3)
    assert light.stream_names == ("spatial", "frequency", "semantic")
    assert light.metadata == load_checkpoint(checkpoint).metadata
    assert expected.tokens_BSD is not None
    assert found.tokens_BSD is not None
    assert found.tokens_BSD.shape == (7, 3, 32)
    assert expected.tokens_BSD.std(axis=0).mean() > 1e-3
    np.testing.assert_allclose(found.tokens_BSD, expected.tokens_BSD, atol=1e-3)


def test_the_exported_file_measures_the_same_distances(checkpoint: Path, fp32: Path) -> None:
    light, heavy = engines.load(fp32), engines.load(checkpoint, "cpu")
    random = np.random.default_rng(3)
    for pixels in (random.integers(0, 256, (72, 72, 3), np.uint8), np.zeros((72, 160, 3), np.uint8)):  # 1 and 3 crops
        found, expected = (p.predict(pixels, false_alarm_rate=0.1, stability=0).domain for p in (light, heavy))
        assert found is not None
        assert expected is not None
        assert found.limit == expected.limit
        assert found.distance == pytest.approx(expected.distance, rel=0.02)


def test_a_crop_that_is_far_for_one_of_the_two_changes_its_verdict(checkpoint: Path) -> None:
    metadata = load_checkpoint(checkpoint).metadata.model_copy(update={"domain": planted_domain((1.0, 2.0))})

    def scored(*distances: float) -> list[Scores]:
        logits = np.full(1, 9.0, np.float32)
        return [Scores(logits, None, np.array([[[distance], [0]]], np.float32)) for distance in distances]

    assert verdicts_changed(metadata, scored(0, 1, 1, 3), scored(0, 1.5, 3, 4)) == 1
    assert verdicts_changed(metadata.model_copy(update={"calibration": None}), scored(1), scored(3)) is None


def test_a_logit_depends_neither_on_batch_mates_nor_on_threads(fp32: Path, crops: Float32) -> None:
    together = LightSession(fp32, threads=2).run(crops).logits_B
    one = LightSession(fp32, threads=1)
    alone = np.concatenate([one.run(crop[None]).logits_B for crop in crops])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_int8_is_smaller_close_and_says_how_it_was_made(checkpoint: Path, manifest: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    out, whole = tmp_path / "small.int8.onnx", tmp_path / "small.onnx"
    parity = export_checkpoint(
        checkpoint, out, "int8", manifest, "train", 8, progress=lambda done, total: seen.append((done, total))
    )
    export_checkpoint(checkpoint, whole, "fp32", None, "train", 8)
    assert parity is not None
    assert parity.n == 6, "of 12 pictures, 6 set the ranges and the other 6 are compared"
    assert parity.mean < 0.5
    assert (seen[0], seen[-1]) == ((1, 6), (6, 6))
    assert out.stat().st_size < 0.6 * whole.stat().st_size
    record = LightSession(out).record
    assert (record.precision, "6 pictures" in record.quantisation) == ("int8", True)
    assert b"QuantizeLinear" in out.read_bytes()
    assert "int8" in engines.load(out).engine


def test_int8_without_pictures_and_another_suffix_are_wrong_usage(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data"):
        export_checkpoint(checkpoint, tmp_path / "a.onnx", "int8", None, "train", 8)
    with pytest.raises(UsageError, match=r"\.onnx"):
        export_checkpoint(checkpoint, tmp_path / "a.bin", "fp32", None, "train", 8)


def test_the_command_exports_and_predict_scores_with_it(checkpoint: Path, manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.onnx"
    arguments = ["--checkpoint", str(checkpoint), "--precision", "fp32", "--data", str(manifest), "-o", str(out)]
    done = CliRunner().invoke(app, ["export", *arguments])
    assert done.exit_code == 0, done.output
    assert "0 verdicts changed" in done.output
    scored = CliRunner().invoke(app, ["predict", str(manifest.parent / "0.png"), "--checkpoint", str(out)])
    assert scored.exit_code == 0, scored.output


def test_a_gpu_is_no_place_for_an_exported_file(fp32: Path) -> None:
    with pytest.raises(UsageError, match="safetensors"):
        engines.load(fp32, "cuda")


def test_an_onnx_file_of_somebody_else_is_refused(fp32: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(fp32))
    del model.metadata_props[:]
    foreign = tmp_path / "foreign.onnx"
    onnx.save(model, str(foreign))
    with pytest.raises(CheckpointError, match="tristream export"):
        LightSession(foreign)


def test_a_graph_that_the_runtime_cannot_read_is_refused(fp32: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(fp32))
    model.graph.node[0].op_type = "NoSuchOperator"
    broken = tmp_path / "broken.onnx"
    onnx.save(model, str(broken))
    with pytest.raises(CheckpointError, match="export it again"):
        LightSession(broken)


def test_the_light_path_loads_neither_pytorch_nor_telemetry(fp32: Path) -> None:
    """In a fresh interpreter. The runtime's package brings a telemetry client that its converters use: not loaded."""
    code = (
        "import sys, numpy; from tristream import load;"
        f"load({str(fp32)!r}).predict(numpy.zeros((80, 80, 3), numpy.uint8));"
        "loaded = {name for name, module in sys.modules.items() if module};"
        "found = {'torch', 'onnx', 'onnxruntime', 'pandas', 'scipy', 'openvino_telemetry'} & loaded;"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
