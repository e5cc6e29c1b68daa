"""From a logit to a verdict that may abstain: two thresholds, and a closed list of reasons.

The two claims are tested apart. A picture is called `likely_fake` when its logit is as high as few real pictures have,
`likely_real` when it is as low as few fakes have; when neither or both hold, the answer is `unsure`, and it says why.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple

from tristream.config import StrictModel

Verdict = Literal["likely_fake", "likely_real", "unsure"]

MIN_SHORTER_SIDE = 64
"""px. Below it the verdict is `unsure`: enlarged at most twice, it would fill a crop mostly with its mirror images."""


class Thresholds(StrictModel):
    """Where the verdicts begin, in logits: likely fake strictly above `fake`, likely real strictly below `real`.

    `fake` can lie below `real`, where a detector separates the two well or the error rates are generous.
    """

    fake: float
    real: float


class Reason(StrEnum):
    """Why a verdict is what it is. This list is closed; `explain` words each of them."""

    SCORE_ABOVE_FAKE_THRESHOLD = "score_above_fake_threshold"
    """likely_fake: the logit is above the fake threshold, and not below the real one."""
    SCORE_BELOW_REAL_THRESHOLD = "score_below_real_threshold"
    """likely_real: the logit is below the real threshold, and not above the fake one."""
    SCORE_BETWEEN_THRESHOLDS = "score_between_thresholds"
    """unsure: neither above the fake threshold nor below the real one; the score is usual for both classes."""
    THRESHOLDS_OVERLAP = "thresholds_overlap"
    """unsure: above the fake threshold and below the real one, which is higher here; unusual for both classes."""
    PICTURE_TOO_SMALL = "picture_too_small"
    """unsure: the shorter side is under MIN_SHORTER_SIDE px."""
    NOT_CALIBRATED = "not_calibrated"
    """unsure: the checkpoint holds no calibration, so that the logit has no thresholds and no probability."""


class Decision(NamedTuple):
    """A verdict and the reasons for it, of which there is at least one."""

    verdict: Verdict
    reasons: tuple[Reason, ...]


def decide(logit: float, thresholds: Thresholds | None, shorter_side: int | None = None) -> Decision:
    """Verdict on one picture.

    logit: before calibration, above 0 leans fake; thresholds: None for a detector without calibration;
    shorter_side: of the picture as decoded, in px; None skips that check.

    >>> decide(2.0, Thresholds(fake=1.0, real=-1.0)).verdict
    'likely_fake'
    >>> decide(0.0, Thresholds(fake=1.0, real=-1.0)).reasons[0].value
    'score_between_thresholds'
    """
    obstacles = []
    if thresholds is None:
        obstacles.append(Reason.NOT_CALIBRATED)
    if shorter_side is not None and shorter_side < MIN_SHORTER_SIDE:
        obstacles.append(Reason.PICTURE_TOO_SMALL)
    if obstacles or thresholds is None:
        return Decision("unsure", tuple(obstacles))
    match logit > thresholds.fake, logit < thresholds.real:
        case True, True:
            return Decision("unsure", (Reason.THRESHOLDS_OVERLAP,))
        case True, False:
            return Decision("likely_fake", (Reason.SCORE_ABOVE_FAKE_THRESHOLD,))
        case False, True:
            return Decision("likely_real", (Reason.SCORE_BELOW_REAL_THRESHOLD,))
        case _:
            return Decision("unsure", (Reason.SCORE_BETWEEN_THRESHOLDS,))


def explain(reason: Reason, logit: float, thresholds: Thresholds | None) -> str:
    """One reason in words for people, without a full stop. The score that it speaks of is the logit."""
    score = f"score {logit:.2f}"
    fake, real = (f"{thresholds.fake:.2f}", f"{thresholds.real:.2f}") if thresholds else ("?", "?")
    match reason:
        case Reason.SCORE_ABOVE_FAKE_THRESHOLD:
            return f"{score} is above the fake threshold {fake}: few real pictures score so high"
        case Reason.SCORE_BELOW_REAL_THRESHOLD:
            return f"{score} is below the real threshold {real}: few fakes score so low"
        case Reason.SCORE_BETWEEN_THRESHOLDS:
            return f"{score} lies between the real threshold {real} and the fake threshold {fake}: usual for both"
        case Reason.THRESHOLDS_OVERLAP:
            return f"{score} is above the fake threshold {fake} and below the real threshold {real}: unusual for both"
        case Reason.PICTURE_TOO_SMALL:
            return f"the shorter side is under {MIN_SHORTER_SIDE} px: too little to judge by"
        case Reason.NOT_CALIBRATED:
            return "this detector is not calibrated, its score has no thresholds: run 'tristream calibrate'"
