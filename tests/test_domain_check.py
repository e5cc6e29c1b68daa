"""A domain check that flags what is wrong improves the risk-coverage curve, one that flags at random does not."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture
def domain_check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(TOOLS)
    import domain_check

    return domain_check


def observed(module: ModuleType, strange: float, seed: int, count: int = 400) -> tuple[object, np.ndarray]:
    """Two classes in four token dimensions; of `strange` pictures the logit says nothing and the tokens lie far out."""
    random = np.random.default_rng(seed)
    label = np.arange(count) % 2
    odd = random.random(count) < strange
    tokens = random.normal(0, 1, (count, 4)) + label[:, None] + 12 * odd[:, None]
    found = module.Observed(
        logit_N=np.where(odd, random.normal(0, 4, count), random.normal(3.0 * label - 1.5, 1)),
        label_N=label,
        group_N=np.array([f"group {index // 2}" for index in range(count)]),
        token_NF=tokens,
        shorter_side_N=random.choice([100.0, 300.0], count),
        aspect_N=np.full(count, 1.5),
    )
    return found, odd


def test_distance_finds_what_is_strange_and_its_check_improves_the_curve(domain_check: ModuleType) -> None:
    reference, _ = observed(domain_check, 0.0, seed=0)
    found, odd = observed(domain_check, 0.2, seed=1)
    models = domain_check.domain_models(reference, [2], seed=0)
    assert list(models) == ["2 directions", "all directions"]
    checks = domain_check.flags(found, models)
    for name in models:
        np.testing.assert_array_equal(checks[f"farther than 99% of training pictures, {name}"] & odd, odd)
        assert 0 < checks[f"farther than 95% of training pictures, {name}"][~odd].mean() < 0.12
    result = domain_check.judge(found, 0.0, checks, resamples=1000, seed=0)
    rows = {row["check"]: row for row in result["checks"]}
    far, small = rows["farther than 99% of training pictures, 2 directions"], rows["shorter side under 128 px"]
    assert far["improves"]
    assert far["aurc"] < result["aurc"] - 0.01
    assert far["difference"] == pytest.approx(far["aurc"] - result["aurc"])
    assert not small["improves"]  # sizes were drawn regardless of what is strange


def test_a_check_that_flags_nothing_changes_nothing(domain_check: ModuleType) -> None:
    reference, _ = observed(domain_check, 0.0, seed=0)
    found, _ = observed(domain_check, 0.0, seed=1)
    checks = domain_check.flags(found, domain_check.domain_models(reference, [2], seed=0))
    result = domain_check.judge(found, 0.0, checks, resamples=50, seed=0)
    row = next(row for row in result["checks"] if row["check"] == "longer than 2:1")
    assert (row["n_real_flagged"], row["n_fake_flagged"], row["n_wrong_flagged"]) == (0, 0, 0)
    assert (row["difference"], row["interval"], row["improves"]) == (0.0, None, False)
