"""Crafted pictures on disk and what is done to them: rounding, JPEG, noise of exactly equal norm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tristream.attacks.budget import FULL, ON_CPU, CarliniWagner, FastGradientSign, attacks
from tristream.attacks.crafted import Store, conditions_of, rounded, shuffled, to_float
from tristream.errors import UsageError
from tristream.evaluation.conditions import PictureContext
from tristream.images import perturb
from tristream.images.drawn import draw_scene
from tristream.images.preprocess import Preprocessing

CONTEXT = PictureContext("a", 1)


def test_rounding_is_to_the_nearest_grey_level_and_untouched_pixels_come_back_bit_by_bit() -> None:
    crops = Preprocessing(short_side=32, crop=32).crops(np.asarray(draw_scene(40, 48, 0)))
    np.testing.assert_array_equal(to_float(rounded(crops)), crops)
    np.testing.assert_array_equal(rounded(np.array([-0.1, 0.4 / 255, 0.6 / 255, 1.2], np.float32)), [0, 0, 1, 255])


def test_a_store_returns_what_it_was_given_and_a_broken_off_write_is_not_there(tmp_path: Path) -> None:
    store, crops = Store(tmp_path), np.random.default_rng(0).random((3, 3, 8, 8), np.float32)
    assert ("fgsm-1", "a") not in store
    store.write("fgsm-1", "a", crops)
    assert ("fgsm-1", "a") in store
    np.testing.assert_array_equal(store.read("fgsm-1", "a"), rounded(crops))
    np.testing.assert_array_equal(store.read_unrounded("fgsm-1", "a"), crops)
    (tmp_path / "fgsm-1/b.tmp").write_bytes(b"half")
    assert ("fgsm-1", "b") not in store


@pytest.mark.parametrize("low", [0, 100])
def test_shuffled_changes_have_the_same_norms_and_stay_in_range(low: int) -> None:
    rng = np.random.default_rng(0)
    untouched = np.where(rng.random((2, 3, 16, 16)) < 0.3, low, rng.integers(0, 256, (2, 3, 16, 16))).astype(np.uint8)
    attacked = np.clip(untouched.astype(int) + rng.integers(-8, 9, untouched.shape), 0, 255).astype(np.uint8)
    noise = shuffled(untouched, attacked, rng)
    changes = [np.abs(x.astype(int) - untouched) for x in (attacked, noise)]
    np.testing.assert_array_equal(*(np.sort(change, axis=None) for change in changes))
    assert not np.array_equal(*changes)


def test_conditions_score_the_stored_picture_rounded_after_jpeg_and_as_noise(tmp_path: Path) -> None:
    store, attack = Store(tmp_path), FastGradientSign(4, 2)
    untouched = to_float(np.asarray(draw_scene(32, 32, 1)).transpose(2, 0, 1)[None])
    signs = np.random.default_rng(0).choice([-1, 1], untouched.shape)
    crafted = np.clip(untouched + 4 / 255 * signs, 0, 1).astype(np.float32)
    store.write(attack.name, "a", crafted)
    plain, coded, noise = conditions_of(attack, store, frozenset("a"), 2, 0.5, 0)
    assert [c.name for c in (plain, coded, noise)] == ["fgsm-4", "fgsm-4-jpeg-90", "fgsm-4-shuffled"]
    assert all(c.family == "attack" and c.on_crops is not None for c in (plain, coded, noise))
    found = plain.on_crops(untouched, CONTEXT)
    np.testing.assert_array_equal(found, to_float(rounded(crafted)))
    expected = perturb.jpeg(np.ascontiguousarray(rounded(found)[0].transpose(1, 2, 0)), 90, "4:2:0")
    np.testing.assert_array_equal(rounded(coded.on_crops(untouched, CONTEXT))[0].transpose(1, 2, 0), expected)
    reordered = noise.on_crops(untouched, CONTEXT)
    np.testing.assert_array_equal(reordered, noise.on_crops(untouched, CONTEXT))
    assert not np.array_equal(reordered, found)
    assert plain.description.endswith("method FGSM, epsilon 4/255, pictures 2, then 8 bits")
    assert "logit 0.5, seed 0" in plain.description


def test_budgets_are_those_that_the_documentation_promises() -> None:
    on_cpu = {attack.name: attack.pictures for attack in attacks((), ON_CPU)}
    assert on_cpu == {"fgsm-1": 100, "fgsm-2": 100, "fgsm-4": 100, "fgsm-8": 100, "pgd-2": 24, "pgd-8": 100,
                      "pgd-128": 24, "cw": 24}  # fmt: skip
    assert attacks(["cw"], FULL) == [CarliniWagner(200, 5, 200)]
    (_, pgd, _) = attacks(["pgd"], ON_CPU)
    assert pgd.parameters["step_size"] == "2/255"
    assert pgd.parameters["steps"] == 20
    with pytest.raises(UsageError, match="unknown attack 'square'; there are: fgsm, pgd, cw"):
        attacks(["square"], ON_CPU)
