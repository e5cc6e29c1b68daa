"""What a verdict means at a given share of fakes: Bayes' rule on planted counts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tristream.errors import UsageError
from tristream.metrics.calibration import Calibration
from tristream.metrics.reserved import GroupVerdicts, ReservedVerdicts
from tristream.runtime.verdict import Thresholds, decide


def group(name: str, pictures: int, likely_fake: int, likely_real: int) -> GroupVerdicts:
    return GroupVerdicts(name=name, pictures=pictures, likely_fake=likely_fake, likely_real=likely_real)


VERDICTS = ReservedVerdicts(reals=(group("", 99, 4, 60),), fakes=(group("", 50, 30, 5),))


def test_of_100_pictures_called_fake_how_many_are_real() -> None:
    """Planted: 5/100 of reals, none seen counted as one, and 30/50 of fakes are called likely_fake."""
    for fake_share, wrong in ((0.5, 0.05 / 0.65), (0.1, 0.9 * 0.05 / (0.9 * 0.05 + 0.1 * 0.6))):
        assert VERDICTS.real_among_likely_fake(fake_share).wrong == pytest.approx(wrong)
    assert VERDICTS.real_among_likely_fake(0.01).wrong == pytest.approx(99 * 5 / (99 * 5 + 60))
    called_real = VERDICTS.fake_among_likely_real(0.1)
    assert called_real.wrong == pytest.approx(0.1 * 6 / 51 / (0.1 * 6 / 51 + 0.9 * 60 / 99))
    assert called_real.interval is None, "no groups, no interval"
    assert (VERDICTS.n_real, VERDICTS.n_fake, VERDICTS.false_alarms, VERDICTS.misses) == (99, 50, 4, 5)


def test_none_seen_does_not_mean_none() -> None:
    rare = ReservedVerdicts(reals=(group("", 99, 0, 60),), fakes=(group("", 50, 25, 0),))
    assert rare.real_among_likely_fake(0.5).wrong == pytest.approx(0.01 / 0.51)
    never = ReservedVerdicts(reals=(group("", 99, 0, 60),), fakes=(group("", 50, 0, 0),))
    assert never.real_among_likely_fake(0.5).wrong is None


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_of_fakes_lies_between_0_and_1(share: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        VERDICTS.real_among_likely_fake(share)


def test_the_interval_is_over_sources_and_repeats() -> None:
    fakes = tuple(group(f"g{i}", 20, 12, 1) for i in range(6))
    equal = ReservedVerdicts(reals=tuple(group(f"s{i}", 20, 1, 9) for i in range(6)), fakes=fakes)
    one_bad = ReservedVerdicts(
        reals=(group("s0", 20, 6, 9), *(group(f"s{i}", 20, 0, 9) for i in range(1, 6))), fakes=fakes
    )
    narrow, wide = (v.real_among_likely_fake(0.5) for v in (equal, one_bad))
    assert narrow.wrong == pytest.approx(wide.wrong)
    assert narrow.interval is not None
    assert wide.interval is not None
    assert narrow.interval[1] - narrow.interval[0] < 1e-9
    assert wide.interval[0] < wide.wrong < wide.interval[1]
    assert wide.interval[1] - wide.interval[0] > 0.1
    assert wide == one_bad.real_among_likely_fake(0.5)
    assert ReservedVerdicts(reals=equal.reals[:4], fakes=fakes).real_among_likely_fake(0.5).interval is None


@pytest.mark.parametrize("thresholds", [Thresholds(fake=1, real=-1), Thresholds(fake=-1, real=1)])
def test_the_verdicts_on_reserved_pictures_are_those_of_decide(thresholds: Thresholds) -> None:
    random = np.random.default_rng(0)
    logits = np.round(np.sort(random.normal(0, 2, (2, 200))), 1)
    names = [str(name) for name in random.choice(["a", "b", "c"], 200)]
    calibration = Calibration(
        slope=1,
        intercept=0,
        balanced_accuracy_threshold=0,
        real_logits=tuple(logits[0]),
        fake_logits=tuple(logits[1]),
        source="",
        real_sources=tuple(names),
    )
    verdicts = calibration.verdicts(thresholds.fake, thresholds.real)
    for found in verdicts.reals:
        decided = [
            decide(x, thresholds).verdict for x, name in zip(logits[0], names, strict=True) if name == found.name
        ]
        assert found.pictures == len(decided)
        assert (found.likely_fake, found.likely_real) == (decided.count("likely_fake"), decided.count("likely_real"))
    (fakes,) = verdicts.fakes
    assert (fakes.name, fakes.pictures) == ("", 200)


def test_importing_it_is_light() -> None:
    code = (
        "import sys, tristream.metrics.reserved\n"
        "print([name for name in ('scipy', 'sklearn', 'pandas', 'torch') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
