"""Delivery stability: what is drawn, what a copy is, what counts as a flip."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pictures import natural_noise
from tristream.runtime.stability import (
    MAX_LONGER_SIDE,
    MAX_SHORTER_SIDE,
    QUALITY,
    SCALE,
    Delivery,
    ReEncoding,
    compare,
    draw,
    re_encoded,
)
from tristream.runtime.verdict import Reason, Thresholds, decide

THRESHOLDS = Thresholds(fake=1.0, real=-1.0)
JPEG = Delivery(codec="jpeg", quality=80, width=96, height=80)


def picture(height: int, width: int) -> np.ndarray:
    tile = np.clip(natural_noise(np.random.default_rng(0)), 0, 255).astype(np.uint8)
    return np.tile(tile, (-(-height // 64), -(-width // 64), 1))[:height, :width]


def test_what_is_drawn_follows_from_the_seed_alone_and_stays_within_the_stated_ranges() -> None:
    drawn = draw("a" * 64, 400)
    assert drawn == draw("a" * 64, 400)
    assert drawn != draw("b" * 64, 400)
    assert drawn[:3] == draw("a" * 64, 3)
    assert {d.codec for d in drawn} == {"jpeg", "webp"}
    assert min(d.quality for d in drawn) == QUALITY[0]
    assert max(d.quality for d in drawn) == QUALITY[1]
    scales = [d.scale for d in drawn]
    assert SCALE[0] <= min(scales) < SCALE[0] + 0.02
    assert SCALE[1] - 0.02 < max(scales) <= SCALE[1]


def test_the_draw_is_the_same_in_every_release() -> None:
    """A recorded number for once: if it changes, yesterday's verdicts cannot be repeated."""
    assert draw("00" * 32, 2) == [ReEncoding("jpeg", 94, 0.961), ReEncoding("jpeg", 65, 0.673)]


def test_a_copy_is_smaller_and_encoded_with_loss() -> None:
    pixels = picture(300, 400)
    settings = [ReEncoding("jpeg", 90, 0.5), ReEncoding("jpeg", 60, 0.5), ReEncoding("webp", 80, 1.0)]
    (first, fine), (_, coarse), (webp, whole) = re_encoded(pixels, settings, 64)
    assert first == Delivery(codec="jpeg", quality=90, width=200, height=150)
    assert (fine.shape, fine.dtype) == ((150, 200, 3), np.uint8)
    assert (webp.codec, whole.shape) == ("webp", pixels.shape)
    assert 0 < np.abs(whole.astype(int) - pixels).mean() < 20
    assert (coarse != fine).any()


@pytest.mark.parametrize(
    ("size", "shorter"),
    [((200, 300), 128), ((120, 300), 120), ((40, 40), 40), ((2160, 2200), MAX_SHORTER_SIDE * 0.6)],
)
def test_copies_still_fill_a_crop_and_are_not_huge(size: tuple[int, int], shorter: float) -> None:
    ((_, copy),) = re_encoded(picture(*size), [ReEncoding("jpeg", 80, 0.6)], 128)
    assert min(copy.shape[:2]) == shorter


def test_a_shape_that_no_codec_holds_is_shrunk_until_one_does() -> None:
    ((delivery, _),) = re_encoded(np.zeros((8, 70_000, 3), np.uint8), [ReEncoding("webp", 80, 1.0)], 128)
    assert (delivery.width, delivery.height) == (MAX_LONGER_SIDE, 2)


@pytest.mark.parametrize(
    ("logit", "copies", "flips", "verdict"),
    [
        (2.0, [1.5, 3.0], 0, "likely_fake"),
        (2.0, [1.5, 0.9], 1, "unsure"),  # unsure is not what the picture was called: the claim does not survive
        (2.0, [-2.0, 0.0], 2, "unsure"),
        (-2.0, [-1.5, -9.0], 0, "likely_real"),
        (-2.0, [-0.5, -9.0], 1, "unsure"),
        (0.0, [0.5, 2.0], 1, "unsure"),
    ],
)
def test_one_copy_with_another_verdict_makes_it_unsure(
    logit: float, copies: list[float], flips: int, verdict: str
) -> None:
    stability = compare(logit, THRESHOLDS, [JPEG] * 2, copies)
    assert stability.flips == flips
    assert stability.spread == pytest.approx(max(logit, *copies) - min(logit, *copies))
    assert [copy.logit for copy in stability.copies] == copies
    decision = decide(logit, THRESHOLDS, 99, stability.flips)
    assert decision.verdict == verdict
    assert (decision.reasons == (Reason.FLIPS_UNDER_REENCODING,)) == (verdict == "unsure" and logit != 0)


def test_without_thresholds_there_is_a_spread_and_no_flip() -> None:
    stability = compare(1.0, None, [JPEG], [4.0])
    assert (stability.flips, stability.spread, stability.copies[0].verdict) == (0, 3.0, "unsure")
