"""Crafting: the best attack on a linear detector is known; starts and batches; every detector in the registry."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.attacks.planted import PATTERN, PIXELS, SIZE, THRESHOLD, Linear
from tests.detectors.conftest import small_detector
from tristream.attacks.budget import Attack, CarliniWagner, FastGradientSign, ProjectedGradientDescent
from tristream.attacks.crafting import Crafter
from tristream.detectors import DETECTORS, Detector
from tristream.errors import UsageError
from tristream.evaluation.conditions import PictureContext
from tristream.typing import Float32

CPU = torch.device("cpu")
REAL, FAKE = PictureContext("a", 0), PictureContext("b", 1)


def picture(level: float, crops: int = 1, seed: int = 0) -> Float32:
    """f32[crops, 3, SIZE, SIZE], mid-grey with noise, its logit at `level`."""
    noise = np.random.default_rng(seed).normal(0, 20, (crops, 3, SIZE, SIZE))
    noise -= PATTERN * (noise * PATTERN).mean((1, 2, 3), keepdims=True)
    return ((128 + noise + level * PATTERN) / 255).astype(np.float32)


def logits(detector: Detector, crops: Float32) -> np.ndarray:
    with torch.no_grad():
        return detector(torch.from_numpy(crops)).logits.numpy()


@pytest.fixture
def crafter() -> Crafter:
    return Crafter(Linear(), CPU, THRESHOLD, SIZE)


@pytest.mark.parametrize("attack", [FastGradientSign(4, 2), ProjectedGradientDescent(4, 2)], ids=lambda a: a.name)
def test_sign_attacks_reach_the_best_of_a_linear_detector(attack: Attack, crafter: Crafter) -> None:
    pictures = [picture(-2.5), picture(3.5)]
    crafted = crafter.craft(attack, pictures, [REAL, FAKE])
    assert logits(Linear(), crafted[0]) == pytest.approx(-2.5 + 4, abs=0.02), "a real is pushed up along every pixel"
    assert logits(Linear(), crafted[1]) == pytest.approx(3.5 - 4, abs=0.02), "a fake is pushed down"
    for before, after in zip(pictures, crafted, strict=True):
        assert np.abs(after - before).max() <= 4 / 255 + 1e-6
        assert after.min() >= 0
        assert after.max() <= 1


def test_carlini_wagner_finds_nearly_the_least_perturbation_across_the_stored_threshold(crafter: Crafter) -> None:
    pictures = [picture(-2.5), picture(3.5)]
    crafted = crafter.craft(CarliniWagner(2, 5, 30), pictures, [REAL, FAKE])
    least = 3 / 255 * np.sqrt(PIXELS)
    for before, after in zip(pictures, crafted, strict=True):
        assert least * 0.999 <= np.linalg.norm(after - before) <= least * 1.1
    assert logits(Linear(), crafted[0])[0] >= THRESHOLD > logits(Linear(), crafted[1])[0]


def test_confidence_goes_beyond_the_threshold(crafter: Crafter) -> None:
    (crafted,) = crafter.craft(CarliniWagner(2, 5, 30, confidence=1.0), [picture(3.5)], [FAKE])
    assert logits(Linear(), crafted)[0] <= THRESHOLD - 1 + 1e-3


def test_what_is_wrong_already_is_left_alone_by_carlini_wagner(crafter: Crafter) -> None:
    wrong = picture(-1)
    (crafted,) = crafter.craft(CarliniWagner(2, 2, 5), [wrong], [FAKE])
    np.testing.assert_allclose(crafted, wrong, atol=1e-5)


def test_signs_do_not_vanish_where_the_detector_is_sure() -> None:
    class Sure(Linear):
        def forward(self, pixels: torch.Tensor, stream_mask: torch.Tensor | None = None):  # type: ignore[no-untyped-def]
            output = super().forward(pixels)
            return type(output)(100 * output.logits)

    (crafted,) = Crafter(Sure(), CPU, 0.0, SIZE).craft(FastGradientSign(4, 2), [picture(9)], [FAKE])
    assert logits(Linear(), crafted)[0] == pytest.approx(5, abs=0.02), "cross-entropy has no gradient at a logit of 900"


def test_random_starts_follow_from_seed_and_picture_and_not_from_batch_mates(crafter: Crafter) -> None:
    attack, pictures = ProjectedGradientDescent(8, 2, steps=1), [picture(0), picture(3, seed=1)]

    def crafted(contexts: list[PictureContext], chosen: list[Float32]) -> list[Float32]:
        np.random.seed(len(chosen))  # the library's own state must not matter
        return crafter.craft(attack, chosen, contexts)

    together = crafted([REAL, FAKE], pictures)
    np.testing.assert_array_equal(crafted([FAKE], pictures[1:])[0], together[1])
    assert not np.array_equal(crafted([PictureContext("b", 1, seed=1)], pictures[1:])[0], together[1])
    assert not np.array_equal(crafted([PictureContext("c", 1)], pictures[1:])[0], together[1])


def test_every_crop_is_attacked_and_pictures_come_back_apart(crafter: Crafter) -> None:
    pictures = [picture(3.5, crops=3), picture(-2.5)]
    crafted = crafter.craft(FastGradientSign(4, 2), pictures, [FAKE, REAL])
    assert [crops.shape for crops in crafted] == [crops.shape for crops in pictures]
    assert logits(Linear(), crafted[0]) == pytest.approx([-0.5] * 3, abs=0.02)


@pytest.mark.parametrize("name", list(DETECTORS))
def test_every_detector_is_attacked_or_says_that_it_gives_no_gradients(name: str) -> None:
    detector, size = small_detector(name).requires_grad_(False), 64
    before = np.random.default_rng(0).random((1, 3, size, size), np.float32)
    with torch.inference_mode():
        start = float(detector(torch.from_numpy(before)).logits)
    if not detector(torch.from_numpy(before).requires_grad_()).logits.requires_grad:
        with pytest.raises(UsageError, match="gives no gradients of its pixels"):
            Crafter(detector, CPU, 0.0, size)
        return
    (crafted,) = Crafter(detector, CPU, start, size).craft(FastGradientSign(2, 2), [before], [FAKE])
    assert logits(detector, crafted)[0] < start, f"{name}: a step against the gradient lowers the logit"


def test_a_detector_without_gradients_is_refused() -> None:
    class Frozen(Linear):
        def forward(self, pixels: torch.Tensor, stream_mask: torch.Tensor | None = None):  # type: ignore[no-untyped-def]
            with torch.no_grad():
                return super().forward(pixels)

    with pytest.raises(UsageError, match="Frozen gives no gradients of its pixels"):
        Crafter(Frozen(), CPU, 0.0, SIZE)


def test_a_weight_that_is_too_small_finds_nothing(crafter: Crafter) -> None:
    weights = (1e-6, 1.0)
    (few,), (enough,) = (
        crafter.craft(CarliniWagner(2, 1, 10, initial_weight=w), [picture(3.5)], [FAKE]) for w in weights
    )
    assert np.array_equal(few, picture(3.5))
    assert not np.array_equal(enough, picture(3.5))
