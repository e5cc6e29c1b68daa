"""The multi-stream detector: spectral mask, fusion weights, subsets of streams, weights from files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.detectors.conftest import SMALL, small_detector
from tristream.detectors.backbones import create_backbone
from tristream.detectors.base import build_detector
from tristream.detectors.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from tristream.detectors.multistream.fusion import MLAFFusion
from tristream.detectors.multistream.spectral import BANDS, SpectralMask, band_index
from tristream.errors import CheckpointError, ConfigError
from tristream.metadata import ModelMetadata


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (33, 47), (16, 16)])
def test_all_ones_mask_returns_the_input_with_its_sign(size: tuple[int, int]) -> None:
    image = torch.randn(2, 3, *size)
    torch.testing.assert_close(SpectralMask(3, 64)(image), image, atol=1e-5, rtol=0)


def test_component_is_held_at_mean_one_in_each_band() -> None:
    mask = SpectralMask(3, 32)
    with torch.no_grad():
        mask.component.copy_(torch.rand_like(mask.component) * 5)
        mask.band_weights.copy_(torch.tensor([0.5, 1.0, 2.0, 4.0]))
    for height, width in ((32, 32), (40, 24)):
        bands = band_index(height, width)
        applied = mask.mask(height, width)
        for band, weight in enumerate((0.5, 1.0, 2.0, 4.0)):
            means = applied[:, bands == band].mean(-1)
            torch.testing.assert_close(means, torch.full((3,), weight), atol=1e-4, rtol=1e-4)


def test_a_band_weight_of_zero_removes_that_band_alone() -> None:
    axis = torch.arange(64)
    low, high = torch.cos(2 * torch.pi * 2 * axis / 64), torch.cos(2 * torch.pi * 28 * axis / 64)
    image = (low + high).expand(1, 3, 64, 64)
    mask = SpectralMask(3, 64)
    with torch.no_grad():
        mask.band_weights[BANDS.index("high")] = 0
    torch.testing.assert_close(mask(image), low.expand(1, 3, 64, 64), atol=1e-5, rtol=0)


def test_the_frequency_stream_starts_from_the_band_weights_of_its_config() -> None:
    options = {"frequency": {"backbone": "resnet18", "weights": "none", "band_weights": [0, 0.5, 1, 2]}}
    detector = small_detector("multistream", streams=["frequency"], options=options)
    mask = detector.get_submodule("streams.frequency.mask")
    assert isinstance(mask, SpectralMask)
    assert mask.band_weights.tolist() == [0, 0.5, 1, 2]
    flat = torch.full((1, 3, 64, 64), 0.7)
    torch.testing.assert_close(mask(flat), torch.zeros_like(flat), atol=1e-5, rtol=0)


def test_bands_cover_the_axis_nyquist_and_the_corners() -> None:
    bands = band_index(64, 64)
    assert bands[0, 0] == 0
    assert bands[0, 32] == 3
    assert bands[32, 0] == 3
    assert bands[32, 32] == 3
    assert bands[0, 7] == 0
    assert bands[0, 8] == 1
    assert bands[0, 24] == 3
    assert set(bands.unique().tolist()) == {0, 1, 2, 3}


def test_mask_means_the_same_frequency_at_another_size() -> None:
    """A notch at 0.25 cycles/px, learnt at 64 px, removes that frequency from a 128 px picture."""
    mask = SpectralMask(1, 64)
    with torch.no_grad():
        mask.component[:, :, 15:18] = 0
        scale = mask.mask(64, 64)
    assert scale[0, 0, 16] < 0.2
    axis = torch.arange(128)
    wave = torch.cos(2 * torch.pi * 0.25 * axis).expand(1, 1, 128, 128)
    kept = mask(wave).std() / wave.std()
    assert kept < 0.2
    other = torch.cos(2 * torch.pi * 0.125 * axis).expand(1, 1, 128, 128)
    assert mask(other).std() / other.std() > 0.9


def test_output_row_belongs_to_its_own_image() -> None:
    images = torch.randn(3, 3, 32, 32)
    mask = SpectralMask(3, 32)
    with torch.no_grad():
        mask.component.uniform_(0, 2)
    torch.testing.assert_close(mask(images)[1:2], mask(images[1:2]), atol=1e-5, rtol=1e-4)


def test_stream_weights_start_equal_and_reach_zero_and_one() -> None:
    torch.manual_seed(0)
    fusion = MLAFFusion([8, 8, 8], width=16, heads=2)
    features, alive = [torch.randn(64, 8) for _ in range(3)], torch.ones(64, 3, dtype=torch.bool)
    torch.testing.assert_close(fusion(features, alive)[2], torch.full((64, 3), 1 / 3))
    with torch.no_grad():
        fusion.score.weight.normal_(0, 100)
    weights = fusion(features, alive)[2]
    assert weights.max() > 0.999
    assert weights.min() < 0.001
    assert (weights.argmax(-1).unique().numel()) > 1, "weights are per sample"


def test_tokens_come_before_type_embedding_and_mask() -> None:
    fusion = MLAFFusion([8, 8], width=16, heads=2).eval()
    features = [torch.randn(4, 8), torch.randn(4, 8)]
    before = fusion(features, torch.ones(4, 2, dtype=torch.bool))[1]
    with torch.no_grad():
        fusion.type_embedding.add_(7)
    after = fusion(features, torch.tensor([[True, False]]).expand(4, 2))[1]
    assert torch.equal(before, after)


@pytest.mark.parametrize("streams", [["spatial"], ["frequency", "semantic"]])
def test_any_subset_of_streams_can_be_built(streams: list[str]) -> None:
    detector = small_detector("multistream", streams=streams)
    output = detector(torch.rand(2, 3, 64, 64))
    assert detector.stream_names == tuple(streams)
    assert output.stream_weights.shape == (2, len(streams))


def test_unknown_streams_and_keys_are_named() -> None:
    with pytest.raises(ConfigError, match="spatial, frequency, semantic"):
        build_detector("multistream", {"streams": ["temporal"]}, load_weights=False)
    with pytest.raises(ConfigError, match="widht"):
        build_detector("multistream", {"widht": 3}, load_weights=False)
    with pytest.raises(ConfigError, match="unknown detector 'mutlistream'"):
        build_detector("mutlistream", {}, load_weights=False)


def test_stream_weights_come_from_a_backbone_file_or_a_checkpoint(tmp_path: Path) -> None:
    backbone = create_backbone("resnet18", "none")
    save_file(backbone.state_dict(), tmp_path / "resnet18.safetensors")
    options = {"frequency": {"weights": str(tmp_path / "resnet18.safetensors")}}
    detector = build_detector("multistream", {**SMALL["multistream"], "streams": ["frequency"], "options": options})
    assert torch.equal(detector.streams["frequency"].backbone.conv1.weight, backbone.conv1.weight)

    config = {**SMALL["multistream"], "streams": ["frequency"]}
    source = build_detector("multistream", config, load_weights=False)
    torch.nn.init.uniform_(source.streams["frequency"].mask.component)
    save_checkpoint(
        tmp_path / "source.safetensors", source, ModelMetadata(name="s", detector="multistream", config=config)
    )
    options = {"frequency": {"weights": str(tmp_path / "source.safetensors")}}
    copy = build_detector("multistream", {**SMALL["multistream"], "streams": ["frequency"], "options": options})
    assert torch.equal(copy.streams["frequency"].project.weight, source.streams["frequency"].project.weight)
    options["frequency"]["takes"] = "backbone"
    part = build_detector("multistream", {**SMALL["multistream"], "streams": ["frequency"], "options": options})
    for parameter, is_taken in (("backbone.conv1.weight", True), ("mask.component", True), ("project.weight", False)):
        ours, theirs = (d.streams["frequency"].get_parameter(parameter) for d in (part, source))
        assert torch.equal(ours, theirs) == is_taken, parameter


def test_a_transformer_file_of_another_size_is_resampled(tmp_path: Path) -> None:
    save_file(create_backbone("vit_tiny_patch16_224", "none").state_dict(), tmp_path / "vit.safetensors")
    loaded = create_backbone("vit_tiny_patch16_224", str(tmp_path / "vit.safetensors"), image_size=64)
    assert loaded.pos_embed.shape == (1, 17, 192)


def test_files_that_are_no_checkpoint_are_refused_in_words(tmp_path: Path) -> None:
    pickle = tmp_path / "model.pth"
    pickle.write_bytes(b"anything")
    with pytest.raises(CheckpointError, match="pickled files can run code"):
        load_checkpoint(pickle)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x00" * 20)
    with pytest.raises(CheckpointError, match="not a readable safetensors"):
        load_checkpoint(broken)
    save_file({"a": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(CheckpointError, match="no tristream metadata"):
        read_metadata(tmp_path / "bare.safetensors")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "absent.safetensors")


def test_half_precision_keeps_norms_and_mask_in_float32(tmp_path: Path) -> None:
    from safetensors import safe_open

    config = {**SMALL["multistream"], "streams": ["frequency"]}
    detector = build_detector("multistream", config, load_weights=False)
    path = tmp_path / "half.safetensors"
    save_checkpoint(path, detector, ModelMetadata(name="h", detector="multistream", config=config), half=True)
    with safe_open(path, framework="pt") as file:
        kinds = {key: file.get_tensor(key).dtype for key in file.keys()}  # noqa: SIM118
    assert kinds["streams.frequency.backbone.conv1.weight"] == torch.float16
    assert kinds["streams.frequency.backbone.bn1.running_var"] == torch.float32
    assert kinds["streams.frequency.mask.component"] == torch.float32
