"""What a picture gets depends on (seed, epoch, picture) alone."""

from __future__ import annotations

import numpy as np
import pytest

from tristream.data.dataset import TrainingOrder
from tristream.images import perturb
from tristream.images.preprocess import Preprocessing
from tristream.training.augment import Augmentation, sample_generator

PIXELS = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


def crop(seed: int, epoch: int, picture: str, **changes: object) -> np.ndarray:
    return Augmentation(**changes).apply(PIXELS, Preprocessing(), 64, sample_generator(seed, epoch, picture))


def test_the_same_key_gives_the_same_crop_and_another_key_another() -> None:
    first = crop(0, 0, "ab" * 32)
    assert first.shape == (3, 64, 64)
    assert first.dtype == np.float32
    assert 0 <= first.min() <= first.max() <= 1
    assert np.array_equal(first, crop(0, 0, "ab" * 32))
    for other in (crop(1, 0, "ab" * 32), crop(0, 1, "ab" * 32), crop(0, 0, "cd" * 32)):
        assert not np.array_equal(first, other)


def test_every_option_can_be_switched_off() -> None:
    off = {"scale": (1, 1), "encode": 0, "blur": 0, "noise": 0, "flip": 0}
    plain = crop(0, 0, "00" * 32, **off)
    rng = sample_generator(0, 0, "00" * 32)
    [rng.random() for _ in range(4)]  # scale, encode, blur, noise
    expected = Preprocessing().view(PIXELS, 64, rng.random(), rng.random())
    assert np.array_equal(np.rint(plain * 255).astype(np.uint8), expected.transpose(2, 0, 1))


@pytest.mark.parametrize(
    "changes", [{"encode": 1.0, "webp_share": 1.0}, {"encode": 1.0, "webp_share": 0.0}, {"blur": 1.0}, {"noise": 1.0}]
)
def test_each_step_changes_the_picture(changes: dict[str, float]) -> None:
    off = {"scale": (1, 1), "encode": 0, "blur": 0, "noise": 0, "flip": 0}
    assert not np.array_equal(crop(0, 0, "00" * 32, **off), crop(0, 0, "00" * 32, **{**off, **changes}))


def test_the_recipe_of_cnndetect_blurs_then_encodes_the_resized_picture() -> None:
    recipe = {"steps": ["resize", "blur", "encode"], "blur": 1, "blur_sigma_px": [0, 3], "encode": 1,
              "quality": [30, 100], "webp_share": 0, "full_colour_share": 0, "flip": 0}  # fmt: skip
    preprocessing, rng = Preprocessing(short_side=72, crop=64), sample_generator(0, 0, "00" * 32)
    found = Augmentation(**recipe).apply(PIXELS, preprocessing, 64, sample_generator(0, 0, "00" * 32))
    resized = perturb.rescale(PIXELS, 72 / 90)
    rng.random()
    blurred = perturb.gaussian_blur(resized, rng.uniform(0, 3))
    rng.random()
    quality = int(rng.integers(30, 101))
    [rng.random() for _ in range(2)]  # WebP or JPEG, subsampled or not
    encoded = perturb.jpeg(blurred, quality, "4:2:0")
    place_y, place_x = rng.random(), rng.random()
    top, left = round(place_y * (72 - 64)), round(place_x * (96 - 64))
    expected = encoded[top : top + 64, left : left + 64]
    assert np.array_equal(np.rint(found * 255).astype(np.uint8), expected.transpose(2, 0, 1)), "cropped, not resampled"


def test_a_small_picture_is_enlarged_no_more_than_inference_does() -> None:
    small, preprocessing = PIXELS[:30, :30], Preprocessing(short_side=240, crop=64)
    recipe = Augmentation(steps=("resize",), flip=0)
    found = recipe.apply(small, preprocessing, 64, sample_generator(0, 0, "00" * 32))
    expected = preprocessing.crops(small)[0]
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="`scale` before `resize`"):
        Augmentation(steps=("resize", "scale"))


def test_steps_that_are_not_listed_do_not_happen() -> None:
    plain = crop(0, 0, "00" * 32, steps=[], flip=0)
    rng = sample_generator(0, 0, "00" * 32)
    expected = Preprocessing().view(PIXELS, 64, rng.random(), rng.random())
    assert np.array_equal(np.rint(plain * 255).astype(np.uint8), expected.transpose(2, 0, 1))


def test_order_is_a_permutation_per_epoch_and_can_start_anywhere() -> None:
    order = TrainingOrder(50, 8, seed=3)
    steps = list(order.steps(0, 18))
    first = [row for step in steps[:6] for _, row in step]
    assert len(set(first)) == 48
    assert {epoch for step in steps[6:12] for epoch, _ in step} == {1}
    assert list(order.steps(7, 18)) == steps[7:]
    assert first != [row for step in steps[6:12] for _, row in step]
