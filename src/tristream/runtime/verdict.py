"""From a logit to a verdict that may abstain: two thresholds, and a closed list of reasons.

The two claims are tested apart. A picture is called `likely_fake` when its logit is as high as few real pictures have,
`likely_real` when it is as low as few fakes have; when neither or both hold, a re-encoded copy gets another verdict, or
the picture is unlike what the detector was trained on, the answer is `unsure`, and it says why. The numbers in the
words are those of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, NamedTuple

from tristream.config import StrictModel
from tristream.metrics.calibration import Calibration
from tristream.metrics.domain import DomainModel

Verdict = Literal["likely_fake", "likely_real", "unsure"]

MIN_SHORTER_SIDE = 64
"""px. Below it the verdict is `unsure`: enlarged at most twice, it would fill a crop mostly with its mirror images."""
STRONGEST_SHARE = 0.5
"""A stream whose weight is above it is named: it counts for more than all others together."""


class Thresholds(StrictModel):
    """Where the verdicts begin, in logits: likely fake strictly above `fake`, likely real strictly below `real`.

    `fake` can lie below `real`, where a detector separates the two well or the error rates are generous.
    """

    fake: float
    real: float


class Domain(StrictModel):
    """How far a picture lies from those that the detector was trained on: too far to judge, strictly above `limit`."""

    distance: float
    """Mahalanobis's, of the streams' tokens; at least 0."""
    limit: float

    @property
    def far(self) -> bool:
        """Whether the verdict is `unsure` for that."""
        return self.distance > self.limit


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
    FLIPS_UNDER_REENCODING = "flips_under_reencoding"
    """unsure: the logit alone would give a verdict, but at least one re-encoded copy gets another one."""
    PICTURE_TOO_SMALL = "picture_too_small"
    """unsure: the shorter side is under MIN_SHORTER_SIDE px."""
    FAR_FROM_TRAINING_DATA = "far_from_training_data"
    """unsure: what the streams see lies farther from the training pictures than nearly all of these do."""
    NOT_CALIBRATED = "not_calibrated"
    """unsure: the checkpoint holds no calibration, so that the logit has no thresholds and no probability."""
    STRONGEST_STREAM = "strongest_stream"
    """Beside one of the others: one stream has more than half of the weight in this score."""


class Decision(NamedTuple):
    """A verdict and the reasons for it, of which there is at least one."""

    verdict: Verdict
    reasons: tuple[Reason, ...]


def decide(
    logit: float,
    thresholds: Thresholds | None,
    shorter_side: int | None = None,
    flips: int = 0,
    domain: Domain | None = None,
) -> Decision:
    """Verdict on one picture.

    logit: before calibration, above 0 leans fake; thresholds: None for a detector without calibration;
    shorter_side: of the picture as decoded, in px; None skips that check; flips: re-encoded copies whose own verdict
    is another one. One is enough to abstain: a verdict then holds however the picture was delivered, and neither error
    can become more frequent than without the re-test; domain: None for a detector that has no check of it.

    >>> decide(2.0, Thresholds(fake=1.0, real=-1.0)).verdict
    'likely_fake'
    >>> decide(2.0, Thresholds(fake=1.0, real=-1.0), flips=1).verdict
    'unsure'
    >>> decide(0.0, Thresholds(fake=1.0, real=-1.0)).reasons[0].value
    'score_between_thresholds'
    """
    obstacles = []
    if thresholds is None:
        obstacles.append(Reason.NOT_CALIBRATED)
    if shorter_side is not None and shorter_side < MIN_SHORTER_SIDE:
        obstacles.append(Reason.PICTURE_TOO_SMALL)
    if domain is not None and domain.far:
        obstacles.append(Reason.FAR_FROM_TRAINING_DATA)
    if obstacles or thresholds is None:
        return Decision("unsure", tuple(obstacles))
    match bool(logit > thresholds.fake), bool(logit < thresholds.real):  # numpy's own bool matches neither pattern
        case True, True:
            return Decision("unsure", (Reason.THRESHOLDS_OVERLAP,))
        case False, False:
            return Decision("unsure", (Reason.SCORE_BETWEEN_THRESHOLDS,))
        case _ if flips:
            return Decision("unsure", (Reason.FLIPS_UNDER_REENCODING,))
        case True, False:
            return Decision("likely_fake", (Reason.SCORE_ABOVE_FAKE_THRESHOLD,))
        case _:
            return Decision("likely_real", (Reason.SCORE_BELOW_REAL_THRESHOLD,))


def strongest_stream(stream_weights: Mapping[str, float] | None) -> str | None:
    """The stream with more than half of the weight; None where there is none, or only one stream.

    >>> strongest_stream({"spatial": 0.7, "frequency": 0.2, "semantic": 0.1})
    'spatial'
    """
    if stream_weights is None or len(stream_weights) < 2:
        return None
    name = max(stream_weights, key=lambda stream: stream_weights[stream])
    return name if stream_weights[name] > STRONGEST_SHARE else None


class Evidence(NamedTuple):
    """What the reasons speak of."""

    logit: float
    thresholds: Thresholds | None = None
    calibration: Calibration | None = None
    stream_weights: Mapping[str, float] | None = None
    copy_logits: tuple[float, ...] = ()
    """Of the re-encoded copies; some where there are flips."""
    flips: int = 0
    domain: Domain | None = None
    domain_model: DomainModel | None = None


def explain(reason: Reason, evidence: Evidence) -> str:
    """One reason in words for people, without a full stop. The score that it speaks of is the logit."""
    thresholds, logit = evidence.thresholds, evidence.logit
    fake, real = (f"{thresholds.fake:.2f}", f"{thresholds.real:.2f}") if thresholds else ("?", "?")
    score, as_high, as_low = f"score {logit:.2f}", _as_high(evidence), _as_low(evidence)
    match reason:
        case Reason.SCORE_ABOVE_FAKE_THRESHOLD:
            return f"{score} is above the fake threshold {fake}: {as_high}"
        case Reason.SCORE_BELOW_REAL_THRESHOLD:
            return f"{score} is below the real threshold {real}: {as_low}"
        case Reason.SCORE_BETWEEN_THRESHOLDS:
            where = f"between the real threshold {real} and the fake threshold {fake}"
            return f"{score} supports no verdict, it lies {where}: {as_high}, {as_low}"
        case Reason.THRESHOLDS_OVERLAP:
            where = f"above the fake threshold {fake} and below the real threshold {real}"
            return f"{score} lies {where}, unusual for both: {as_high}, {as_low}"
        case Reason.FLIPS_UNDER_REENCODING:
            verdict = decide(logit, thresholds).verdict
            copies = f"{evidence.flips} of {len(evidence.copy_logits)} re-encoded copies do not"
            low, high = min(evidence.copy_logits), max(evidence.copy_logits)
            return f"{score} alone says {verdict}, but {copies}: their scores are {low:.2f} to {high:.2f}"
        case Reason.PICTURE_TOO_SMALL:
            return f"the shorter side is under {MIN_SHORTER_SIDE} px: too little to judge by"
        case Reason.FAR_FROM_TRAINING_DATA:
            return f"unlike the pictures that this detector was trained on, its score says little: {_far(evidence)}"
        case Reason.NOT_CALIBRATED:
            return "this detector is not calibrated, its score has no thresholds: run 'tristream calibrate'"
        case Reason.STRONGEST_STREAM:
            weights = evidence.stream_weights or {}
            name = strongest_stream(weights)
            return f"mostly from the {name} stream ({100 * weights[name]:.0f} %)" if name else "no stream stands out"


def _as_high(evidence: Evidence) -> str:
    calibration = evidence.calibration
    if calibration is None:
        return "few real pictures score so high"
    share = _share(calibration.reals_as_high(evidence.logit), len(calibration.real_logits))
    return f"{share} reserved real pictures{_of(calibration.n_sources, 'photo source')} score as high"


def _as_low(evidence: Evidence) -> str:
    calibration = evidence.calibration
    if calibration is None:
        return "few fakes score so low"
    share = _share(calibration.fakes_as_low(evidence.logit), len(calibration.fake_logits))
    return f"{share} reserved fakes{_of(calibration.n_generators, 'generator')} score as low"


def _far(evidence: Evidence) -> str:
    domain, model = evidence.domain, evidence.domain_model
    if domain is None or model is None:
        return "its distance from them is beyond the limit"
    near = f"{100 * model.share:g} % of {len(model.distances)} training pictures"
    return f"distance {domain.distance:.1f}, {near} lie within {domain.limit:.1f}"


def _share(count: int, n: int) -> str:
    return f"{100 * count / n:.1f} % of {n}" if count else f"none of {n}"


def _of(count: int | None, noun: str) -> str:
    return "" if count is None else f" of {count} {noun}{'' if count == 1 else 's'}"
