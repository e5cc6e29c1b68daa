"""Do the attacks deserve their name? Checks on the scores of a run, picture by picture, made again by every report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.stats import binomtest

from tristream.attacks.crafted import SHUFFLED, UNROUNDED, base_names
from tristream.config import StrictModel
from tristream.errors import UndefinedMetricError
from tristream.evaluation.attacked import right
from tristream.evaluation.figures import Stored
from tristream.evaluation.predictions import Pictures

SLACK = 0.5 / 255
"""Of a budget: rounding to 8 bits moves a pixel by half a grey level at most."""
LEVEL = 0.05
"""Of the one-sided sign test by which one attack is called weaker than another."""
UNBOUNDED = 100 / 255
ALMOST_ALWAYS = 0.95
"""From this epsilon on, this share of the attacks has to succeed, and noise may succeed as often: it hides the
picture."""
HEADLINE = Fraction(8, 255)
"""From this epsilon on, PGD has to be stronger than noise; at less a detector may withstand it."""
NOISE = "noise of equal norm"
LEAST = 5
"""Pictures that were called right before: fewer cannot tell an attack from noise at LEVEL."""


class Check(StrictModel):
    """One check."""

    passed: bool | None
    """None where there are too few pictures for the check to fail."""
    words: str
    """What was expected, and what came."""


def sanity(
    pictures: Mapping[str, Pictures], stored: Stored, parameters: Mapping[str, Mapping[str, Any]]
) -> list[Check]:
    """Check a run.

    pictures: by condition, `delivered` among them; parameters: of each condition, as its record has them. Nothing is
    checked where the detector has no threshold, or `delivered` was not scored.
    """
    if "delivered" not in pictures:
        return []
    try:
        hits = {name: _hits(pictures["delivered"], found, stored) for name, found in pictures.items()}
    except UndefinedMetricError:
        return []
    names = base_names(list(pictures))
    epsilon = {name: Fraction(parameters[name]["epsilon"]) for name in names if "epsilon" in parameters.get(name, {})}
    bounded = sorted(
        (name for name in names if epsilon.get(name, 0) < UNBOUNDED), key=lambda name: epsilon.get(name, 0)
    )
    strongest = {name.partition("-")[0]: name for name in sorted(bounded, key=lambda name: epsilon.get(name, 0))}
    found = [
        _stronger_than_noise(hits, name)
        if (name in strongest.values() or (name.startswith("pgd") and HEADLINE <= epsilon[name] < UNBOUNDED))
        and len(hits[name]) >= LEAST
        else _not_weaker(hits, name, name + SHUFFLED, NOISE)
        for name in names
    ]
    found += [_not_weaker(hits, strong, weak, weak) for weak, strong in _pairs(epsilon)]
    for name, bound in epsilon.items():
        found.append(_within(name, pictures[name], float(bound)))
        if bound >= UNBOUNDED and hits[name]:
            rate = float(np.mean(list(hits[name].values())))
            words = f"{name}, near-unbounded, succeeds on {rate:.0%} of {len(hits[name])} pictures"
            found.append(Check(passed=rate >= ALMOST_ALWAYS, words=f"{words}, expected {ALMOST_ALWAYS:.0%} or more"))
    return found


def _hits(before: Pictures, after: Pictures, stored: Stored) -> dict[str, bool]:
    """By id, whether a picture that was called right before is called wrong now."""
    was_right = set(before.id_N[~before.failed_N & right(before, stored)])
    scored = after.scored
    return {
        str(picture): bool(wrong)
        for picture, wrong in zip(scored.id_N, ~right(scored, stored), strict=True)
        if picture in was_right
    }


def _pairs(epsilon: Mapping[str, Fraction]) -> Iterator[tuple[str, str]]:
    """(weaker, stronger): PGD at growing epsilons, and FGSM against PGD at the same."""
    climbing = sorted((name for name in epsilon if name.startswith("pgd")), key=lambda name: epsilon[name])
    yield from pairwise(climbing)
    yield from ((n, m) for n in epsilon for m in climbing if n.startswith("fgsm") and epsilon[n] == epsilon[m])


def _stronger_than_noise(hits: Mapping[str, Mapping[str, bool]], name: str) -> Check:
    """Of the strongest attack of a method, before rounding where that was kept: one that does nothing must not pass."""
    strong, noise = name + UNROUNDED if name + UNROUNDED in hits else name, name + SHUFFLED
    pictures, only_strong, only_noise = _alone(hits, strong, noise)
    passed = _sign_test(only_strong, only_noise) < LEVEL or float(np.mean(list(hits[noise].values()))) >= ALMOST_ALWAYS
    words = f"{strong} is stronger than {NOISE}: of {pictures} pictures {only_strong} fell to {strong} alone"
    return Check(passed=passed, words=f"{words}, {only_noise} to the other alone")


def _not_weaker(hits: Mapping[str, Mapping[str, bool]], strong: str, weak: str, called: str) -> Check:
    pictures, only_strong, only_weak = _alone(hits, strong, weak)
    words = f"{strong} is not weaker than {called}: of {pictures} pictures {only_strong} fell to {strong} alone"
    passed = None if _sign_test(pictures, 0) >= LEVEL else _sign_test(only_weak, only_strong) >= LEVEL
    return Check(passed=passed, words=f"{words}, {only_weak} to the other alone")


def _alone(hits: Mapping[str, Mapping[str, bool]], one: str, other: str) -> tuple[int, int, int]:
    """How many pictures both attacked, and how many of them fell to one alone, and to the other alone."""
    both = hits[one].keys() & hits[other].keys()
    only_one = sum(hits[one][p] and not hits[other][p] for p in both)
    return len(both), only_one, sum(hits[other][p] and not hits[one][p] for p in both)


def _sign_test(more: int, fewer: int) -> float:
    """One-sided p-value of `more` being the larger by chance."""
    return float(binomtest(more, more + fewer, alternative="greater").pvalue) if more + fewer else 1.0


def _within(name: str, attacked: Pictures, epsilon: float) -> Check:
    """By the norms that the runner measured on the pixels that it scored."""
    largest = float(np.max(attacked.scored.perturbation_linf_N, initial=0.0))
    words = f"{name} changes no pixel by more than {255 * epsilon:g} grey levels (half a level of slack)"
    return Check(passed=largest <= epsilon + SLACK, words=f"{words}; the largest change is {255 * largest:.4g}")
