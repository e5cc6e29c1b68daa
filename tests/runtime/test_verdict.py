"""Two thresholds and a logit: which verdict, and why."""

from __future__ import annotations

import numpy as np
import pytest

from tristream.metrics.calibration import Calibration
from tristream.runtime.verdict import MIN_SHORTER_SIDE, Reason, Thresholds, Verdict, decide, explain

APART = Thresholds(fake=1.0, real=-1.0)
OVERLAPPING = Thresholds(fake=-1.0, real=1.0)


@pytest.mark.parametrize(
    ("thresholds", "logit", "verdict", "reason"),
    [
        (APART, 1.1, "likely_fake", Reason.SCORE_ABOVE_FAKE_THRESHOLD),
        (APART, 1.0, "unsure", Reason.SCORE_BETWEEN_THRESHOLDS),
        (APART, 0.0, "unsure", Reason.SCORE_BETWEEN_THRESHOLDS),
        (APART, -1.0, "unsure", Reason.SCORE_BETWEEN_THRESHOLDS),
        (APART, -1.1, "likely_real", Reason.SCORE_BELOW_REAL_THRESHOLD),
        (OVERLAPPING, 1.1, "likely_fake", Reason.SCORE_ABOVE_FAKE_THRESHOLD),
        (OVERLAPPING, 0.0, "unsure", Reason.THRESHOLDS_OVERLAP),
        (OVERLAPPING, -1.1, "likely_real", Reason.SCORE_BELOW_REAL_THRESHOLD),
    ],
)
def test_a_verdict_needs_one_claim_to_hold_and_the_other_not(
    thresholds: Thresholds, logit: float, verdict: Verdict, reason: Reason
) -> None:
    assert decide(logit, thresholds) == (verdict, (reason,))


def test_without_thresholds_the_answer_is_unsure_and_names_the_command_that_helps() -> None:
    verdict, reasons = decide(9.0, None)
    assert verdict == "unsure"
    assert reasons == (Reason.NOT_CALIBRATED,)
    assert "tristream calibrate" in explain(reasons[0], 9.0, None)


def test_a_small_picture_is_unsure_however_clear_its_score() -> None:
    assert decide(9.0, APART, MIN_SHORTER_SIDE).verdict == "likely_fake"
    assert decide(9.0, APART, MIN_SHORTER_SIDE - 1) == ("unsure", (Reason.PICTURE_TOO_SMALL,))
    assert decide(9.0, None, 1).reasons == (Reason.NOT_CALIBRATED, Reason.PICTURE_TOO_SMALL)


def test_every_reason_is_worded_in_one_line_of_its_own() -> None:
    words = [explain(reason, 0.25, APART) for reason in Reason]
    assert len(set(words)) == len(Reason)
    assert all(text and "\n" not in text and not text.endswith(".") for text in words)


def test_false_alarms_on_new_reals_stay_within_the_rate() -> None:
    """Planted truth: exchangeable reals, ties included (logits rounded to 0.5), 5 % of them at most called fake."""
    rng = np.random.default_rng(0)
    alarms = []
    for _ in range(300):
        reals = np.round(rng.normal(size=(2, 99)) * 2) / 2
        calibration = Calibration(
            slope=1,
            intercept=0,
            balanced_accuracy_threshold=0,
            real_logits=tuple(sorted(reals[0].tolist())),
            fake_logits=(9.0,),
            source="",
        )
        thresholds = Thresholds(fake=calibration.fake_threshold(0.05), real=-99.0)
        alarms.append(np.mean([decide(logit, thresholds).verdict == "likely_fake" for logit in reals[1].tolist()]))
    assert np.mean(alarms) <= 0.05
