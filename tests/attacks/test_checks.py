"""Checks on planted scores: each passes on what it should and fails on what it should not."""

from __future__ import annotations

import numpy as np
import pytest

from tristream.attacks.checks import Check, sanity
from tristream.attacks.text import held
from tristream.evaluation.figures import Stored
from tristream.evaluation.predictions import Pictures

N = 20
LABEL_N = np.arange(N) % 2
STORED = Stored(balanced_accuracy=0.0)
EPSILON = {"pgd-2": {"epsilon": "2/255"}, "pgd-8": {"epsilon": "8/255"}, "pgd-128": {"epsilon": "128/255"}}


def planted(fallen: int, linf: float = 0.0) -> Pictures:
    """All right but the first so many."""
    right_N = np.arange(N) >= fallen
    strings, nothing = np.array([str(n) for n in range(N)], object), np.full(N, np.nan)
    return Pictures(
        id_N=strings, label_N=LABEL_N, generator_N=strings, source_N=strings, group_N=strings, content_N=strings,
        logit_N=np.where((LABEL_N == 1) == right_N, 1.0, -1.0), probability_N=nothing, distance_N=nothing,
        perturbation_l2_N=nothing, perturbation_linf_N=np.full(N, linf), failed_N=np.zeros(N, np.bool_),
    )  # fmt: skip


def failed(**fallen: Pictures) -> list[str]:
    """First words of the checks that fail. fallen: by condition, `_` for `-`."""
    pictures = {"delivered": planted(0)} | {name.replace("_", "-"): found for name, found in fallen.items()}
    return [c.words.split(",")[0].split(":")[0] for c in sanity(pictures, STORED, EPSILON) if not c.passed]


def run(weak: int = 5, strong: int = 12, noise: int = 0, near: int = N) -> dict[str, Pictures]:
    """A sound run, unless told otherwise."""
    return {
        "pgd_2": planted(weak, 2 / 255), "pgd_8": planted(strong, 8 / 255), "pgd_128": planted(near, 128 / 255),
        "pgd_2_shuffled": planted(0), "pgd_8_shuffled": planted(noise), "pgd_128_shuffled": planted(0),
    }  # fmt: skip


def test_a_sound_run_passes_every_check() -> None:
    pictures = {"delivered": planted(0)} | {name.replace("_", "-"): p for name, p in run().items()}
    checks = sanity(pictures, STORED, EPSILON)
    assert [check for check in checks if not check.passed] == []
    assert len(checks) == 3 + 2 + 3 + 1


@pytest.mark.parametrize(
    ("faulty", "words"),
    [
        (run(noise=18), "pgd-8 is stronger than noise of equal norm"),
        (run(strong=1, noise=1), "pgd-8 is stronger than noise of equal norm"),
        ({"cw": planted(0), "cw_shuffled": planted(0)}, "cw is stronger than noise of equal norm"),
        ({"cw": planted(9), "cw_unrounded": planted(4), "cw_shuffled": planted(0)}, "cw-unrounded is stronger"),
        (run(weak=18), "pgd-8 is not weaker than pgd-2"),
        (run(near=18), "pgd-128"),
        (run() | {"pgd_8": planted(12, 9 / 255)}, "pgd-8 changes no pixel by more than 8 grey levels"),
    ],
    ids=[
        "noise is stronger", "noise does as much", "nothing is done", "next to nothing is done before rounding",
        "a larger epsilon is weaker", "unbounded and not almost always", "out of the budget",
    ],
)  # fmt: skip
def test_a_fault_fails_its_check(faulty: dict[str, Pictures], words: str) -> None:
    found = failed(**faulty)
    assert found
    assert found[0].startswith(words)


def test_noise_that_nearly_always_succeeds_leaves_nothing_to_beat() -> None:
    assert failed(cw=planted(N), cw_shuffled=planted(N)) == []
    assert failed(cw=planted(6), cw_shuffled=planted(0)) == []


def test_noise_that_hides_the_picture_may_succeed_as_often() -> None:
    assert failed(**run() | {"pgd_128_shuffled": run()["pgd_128"]}) == []


def test_a_difference_within_chance_is_no_fault() -> None:
    assert failed(**run(weak=14, strong=12)) == [], "2 pictures against none: p = 0.25"


def test_rounding_is_granted_half_a_grey_level() -> None:
    assert failed(**run() | {"pgd_8": planted(12, 8.5 / 255)}) == []


def test_without_a_threshold_or_untouched_pictures_nothing_is_checked() -> None:
    assert sanity({"delivered": planted(0)} | run(), Stored(), EPSILON) == []
    assert sanity(run(), STORED, EPSILON) == []


def test_a_check_says_what_came() -> None:
    pictures = {"delivered": planted(0), "pgd-8": planted(12, 8 / 255), "pgd-8-shuffled": planted(3)}
    assert sanity(pictures, STORED, EPSILON)[0] == Check(
        passed=True,
        words="pgd-8 is stronger than noise of equal norm: of 20 pictures 9 fell to pgd-8 alone, 0 to the other alone",
    )


def test_what_could_not_fail_does_not_hold() -> None:
    pictures = {"delivered": planted(N - 4)} | {name.replace("_", "-"): p for name, p in run().items()}
    checks = sanity(pictures, STORED, EPSILON)
    assert [check.passed for check in checks if "weaker" in check.words or "stronger" in check.words] == [None] * 5
    assert held(checks) == "4 of 4 checks hold, 5 cannot be decided on so few pictures"
