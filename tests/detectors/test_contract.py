"""What every detector in the registry keeps to; a new one is picked up the day it is registered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.detectors.conftest import SMALL, small_detector
from tests.pictures import band_noise, natural_noise
from tristream.detectors import DETECTORS, Detector, Probe
from tristream.detectors.checkpoint import load_checkpoint, save_checkpoint
from tristream.metadata import ModelMetadata


def pixels(count: int = 4, size: int = 64, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_shapes_are_as_stated_and_finite(detector: Detector) -> None:
    output = detector(pixels())
    streams = len(detector.stream_names)
    assert output.logits.shape == (4,)
    assert output.logits.dtype == torch.float32
    assert torch.isfinite(output.logits).all()
    if streams:
        assert output.tokens is not None
        assert output.tokens.shape[:2] == (4, streams)
        assert output.stream_weights is not None
        torch.testing.assert_close(output.stream_weights.sum(-1), torch.ones(4))
    assert output.features
    assert all(len(feature) == 4 for feature in output.features.values())


def test_other_input_sizes_are_taken(detector: Detector) -> None:
    for height, width in ((96, 64), (64, 128), (80, 80)):
        assert torch.isfinite(detector(torch.rand(2, 3, height, width)).logits).all()


def test_logit_does_not_depend_on_batch_mates(detector: Detector) -> None:
    batch = pixels()
    together = detector(batch).logits
    alone = torch.cat([detector(batch[i : i + 1]).logits for i in range(4)])
    other_mates = detector(torch.cat([batch[:1], pixels(3, seed=9) * 0.1])).logits
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[:1], other_mates[:1], atol=1e-5, rtol=1e-4)


def test_what_a_table_says_of_it_is_said(detector: Detector) -> None:
    assert "random" in detector.initialisation
    (name,) = (name for name in DETECTORS if isinstance(detector, DETECTORS[name]))
    assert "random" in small_detector(name, initialisation="ImageNet").initialisation, "a config cannot tell otherwise"
    assert all(isinstance(line, str) and line for line in detector.deviations)
    assert detector.deviations or isinstance(detector, DETECTORS["multistream"]), "a paper's name is a promise"


def test_a_step_lowers_the_loss_on_a_planted_set(detector: Detector) -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([natural_noise(rng) + (i % 2) * 14 * band_noise(rng) for i in range(8)])
    batch = torch.from_numpy(np.clip(drawn / 255, 0, 1).astype(np.float32)).permute(0, 3, 1, 2)
    labels = torch.arange(8).remainder(2).float()
    detector.train()
    optimiser = torch.optim.SGD([p for p in detector.parameters() if p.requires_grad], lr=1e-3)

    def loss() -> torch.Tensor:
        torch.manual_seed(1)  # the same dropout before and after
        return torch.nn.functional.binary_cross_entropy_with_logits(detector(batch).logits, labels)

    before = loss()
    before.backward()
    optimiser.step()
    assert loss() < before


def test_a_detector_in_two_parts_is_the_sum_of_them(detector: Detector) -> None:
    if not isinstance(detector, Probe):
        pytest.skip("is one part")
    pixels = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        whole, parts = detector(pixels), detector.classify(detector.embed(pixels))
    torch.testing.assert_close(parts.logits, whole.logits, atol=1e-5, rtol=1e-5)
    found = [embedder.embed(pixels) for embedder in detector.embedders().values()]
    assert len(found) >= 1
    assert all(len(part) == 3 for part in found)


def test_eval_is_deterministic(detector: Detector) -> None:
    assert torch.equal(detector(pixels()).logits, detector(pixels()).logits)


def test_gradients_reach_every_trainable_parameter(detector: Detector) -> None:
    detector.train()
    with torch.no_grad():  # ResNet starts its residual branches at gain 0, where nothing flows back for one step
        for parameter in detector.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    output = detector(pixels())
    (output.logits.sum() + output.logits.square().sum()).backward()
    missing = [
        name for name, p in detector.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert not missing


def test_checkpoint_round_trip_gives_the_same_logits(detector: Detector, tmp_path: Path) -> None:
    name = next(n for n in DETECTORS if isinstance(detector, DETECTORS[n]))
    metadata = ModelMetadata(name="test", detector=name, config=SMALL.get(name, {}))
    save_checkpoint(tmp_path / "a.safetensors", detector, metadata)
    loaded = load_checkpoint(tmp_path / "a.safetensors")
    assert loaded.metadata == metadata
    assert torch.equal(loaded.detector(pixels()).logits, detector(pixels()).logits)
    save_checkpoint(tmp_path / "half.safetensors", detector, metadata, half=True)
    half = load_checkpoint(tmp_path / "half.safetensors").detector(pixels()).logits
    torch.testing.assert_close(half, detector(pixels()).logits, atol=2e-2, rtol=2e-2)


MULTI = [name for name in DETECTORS if small_detector(name).stream_names]


@pytest.mark.parametrize("name", MULTI)
def test_a_masked_stream_has_exactly_no_influence(name: str) -> None:
    detector = small_detector(name)
    streams = len(detector.stream_names)
    for masked in range(streams):
        mask = torch.ones(2, streams, dtype=torch.bool)
        mask[:, masked] = False
        before = detector(pixels(2), mask)
        assert before.stream_weights is not None
        assert (before.stream_weights[:, masked] == 0).all()
        with torch.no_grad():
            for parameter in detector.streams[detector.stream_names[masked]].parameters():
                parameter.mul_(-3.0).add_(0.5)
        assert torch.equal(detector(pixels(2), mask).logits, before.logits)
        assert not torch.equal(detector(pixels(2)).logits, before.logits)
        detector = small_detector(name)


@pytest.mark.parametrize("name", MULTI)
def test_a_mask_without_any_stream_is_refused(name: str) -> None:
    detector = small_detector(name)
    with pytest.raises(ValueError, match="without any stream"):
        detector(pixels(2), torch.zeros(2, len(detector.stream_names), dtype=torch.bool))
