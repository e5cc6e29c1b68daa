"""Two thresholds and a logit: which verdict, and why."""

from __future__ import annotations

import numpy as np
import pytest

from tests.planted import planted_domain
from tristream.metrics.answers import answers
from tristream.metrics.calibration import Calibration
from tristream.runtime.verdict import (
    MIN_SHORTER_SIDE,
    Domain,
    Evidence,
    Reason,
    Thresholds,
    Verdict,
    decide,
    explain,
    strongest_stream,
)

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
    called = answers([logit], thresholds.fake, thresholds.real)[0]  # the same rule, of many pictures at once
    assert {1: "likely_fake", 0: "likely_real", -1: "unsure"}[called] == verdict


def test_without_thresholds_the_answer_is_unsure_and_names_the_command_that_helps() -> None:
    verdict, reasons = decide(9.0, None)
    assert verdict == "unsure"
    assert reasons == (Reason.NOT_CALIBRATED,)
    assert "tristream calibrate" in explain(reasons[0], Evidence(9.0))


def test_a_small_picture_is_unsure_however_clear_its_score() -> None:
    assert decide(9.0, APART, MIN_SHORTER_SIDE).verdict == "likely_fake"
    assert decide(9.0, APART, MIN_SHORTER_SIDE - 1) == ("unsure", (Reason.PICTURE_TOO_SMALL,))
    assert decide(9.0, None, 1).reasons == (Reason.NOT_CALIBRATED, Reason.PICTURE_TOO_SMALL)
    assert decide(9.0, APART, 1, flips=3).reasons == (Reason.PICTURE_TOO_SMALL,)


def test_a_picture_far_from_the_training_pictures_is_unsure_however_clear_its_score() -> None:
    near, far = Domain(distance=3.0, limit=3.0), Domain(distance=3.1, limit=3.0)
    assert decide(9.0, APART, domain=near).verdict == "likely_fake"
    assert decide(9.0, APART, domain=far) == ("unsure", (Reason.FAR_FROM_TRAINING_DATA,))
    assert decide(0.0, APART, domain=far, flips=2).reasons == (Reason.FAR_FROM_TRAINING_DATA,)
    assert decide(9.0, APART, 1, domain=far).reasons == (Reason.PICTURE_TOO_SMALL, Reason.FAR_FROM_TRAINING_DATA)


def test_how_far_is_said_in_the_numbers_of_the_checkpoint() -> None:
    """Planted: 19 training pictures at 1 to 19, of which 95 % lie within the last."""
    model = planted_domain(tuple(float(d) for d in range(1, 20)))
    evidence = Evidence(9.0, APART, domain=Domain(distance=21.26, limit=model.limit), domain_model=model)
    assert explain(Reason.FAR_FROM_TRAINING_DATA, evidence) == (
        "unlike the pictures that this detector was trained on, its score says little: "
        "distance 21.3, 95 % of 19 training pictures lie within 19.0"
    )


def test_every_reason_is_worded_in_one_line_of_its_own() -> None:
    evidence = Evidence(0.25, APART, None, {"spatial": 0.6, "semantic": 0.4}, (0.5, -2.0), 1)
    words = [explain(reason, evidence) for reason in Reason]
    assert len(set(words)) == len(Reason)
    assert all(text and "\n" not in text and not text.endswith(".") for text in words)


def test_the_numbers_in_the_words_are_those_of_the_calibration() -> None:
    """Planted: 1 of 4 reals of 2 photo sources at 3 or above, 2 of 5 fakes at 3 or below."""
    calibration = Calibration(
        slope=1,
        intercept=0,
        balanced_accuracy_threshold=0,
        real_logits=(-3, -2, -1, 3),
        fake_logits=(1, 2, 4, 5, 6),
        source="",
        real_sources=("a", "a", "b", "b"),
    )
    evidence = Evidence(3.0, Thresholds(fake=2.0, real=-2.0), calibration)
    assert explain(Reason.SCORE_ABOVE_FAKE_THRESHOLD, evidence) == (
        "score 3.00 is above the fake threshold 2.00: "
        "25.0 % of 4 reserved real pictures of 2 photo sources score as high"
    )
    between = explain(Reason.SCORE_BETWEEN_THRESHOLDS, evidence)
    assert "25.0 % of 4 reserved real pictures of 2 photo sources score as high" in between
    assert "40.0 % of 5 reserved fakes score as low" in between
    assert "none of 4 reserved" in explain(Reason.SCORE_ABOVE_FAKE_THRESHOLD, evidence._replace(logit=3.1))


def test_a_flip_says_what_the_score_alone_says_and_what_the_copies_scored() -> None:
    words = explain(Reason.FLIPS_UNDER_REENCODING, Evidence(1.5, APART, copy_logits=(1.4, 0.2, 2.5), flips=1))
    assert (
        words == "score 1.50 alone says likely_fake, but 1 of 3 re-encoded copies do not: their scores are 0.20 to 2.50"
    )


def test_a_stream_is_named_only_when_it_outweighs_all_others() -> None:
    assert strongest_stream({"spatial": 0.51, "frequency": 0.29, "semantic": 0.2}) == "spatial"
    assert strongest_stream({"spatial": 0.5, "frequency": 0.3, "semantic": 0.2}) is None
    assert strongest_stream({"spatial": 1.0}) is None
    assert strongest_stream(None) is None
    words = explain(Reason.STRONGEST_STREAM, Evidence(0.0, stream_weights={"spatial": 0.2, "semantic": 0.8}))
    assert words == "mostly from the semantic stream (80 %)"


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


def test_numpy_logits_get_the_same_verdicts() -> None:
    assert [decide(logit, APART).verdict for logit in np.array([2.0, 0.0, -2.0])] == [
        "likely_fake",
        "unsure",
        "likely_real",
    ]
