"""The distance to the training pictures: planted Gaussians, what travels, what is far."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from tristream.errors import CheckpointError, UndefinedMetricError, UsageError
from tristream.metrics.domain import DomainModel, fit_domain

WIDTH = 96


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of two classes that lie 6 apart, with a few wide directions and many narrow ones; labels."""
    random = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(np.random.default_rng(99).normal(size=(WIDTH, WIDTH)))
    deviation = np.r_[np.linspace(12, 4, 8), np.full(WIDTH - 8, 1.0)]
    label = np.arange(count) % 2
    token = random.normal(0, deviation, (count, WIDTH)) @ turned
    token[:, 0] += 6 * label
    return token, label


def fitted(count: int = 4000, **more: object) -> DomainModel:
    token, label = drawn(count, seed=0)
    return fit_domain(token, label, np.arange(count) // 2, source="drawn", **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model() -> DomainModel:
    return fitted(directions=8)


def test_mahalanobis_by_hand() -> None:
    random = np.random.default_rng(0)
    label = np.arange(8000) % 2
    token = random.normal(0, [1.0, 2.0], (8000, 2)) + np.stack([10 * label, 0 * label], axis=1)
    model = fit_domain(token, label, np.arange(8000), source="drawn", directions=1)
    found = model.distance([[0, 4.0], [10, 4.0], [13, 0.0], [5, 0.0]])
    np.testing.assert_allclose(found, [2, 2, 3, 5], atol=0.2)  # in deviations from the nearer mean


@pytest.mark.parametrize("share", [0.95, 0.99])
def test_fresh_pictures_of_the_same_kind_are_far_at_the_stated_rate(share: float) -> None:
    model = fitted(share=share, directions=8)
    far = model.distance(drawn(20_000, seed=1)[0]) > model.limit
    assert far.mean() == pytest.approx(1 - share, abs=0.01)


def test_what_lies_outside_is_far_also_along_directions_that_are_not_kept(model: DomainModel) -> None:
    token, _ = drawn(400, seed=2)
    strange = np.random.default_rng(3).normal(size=(400, WIDTH))  # mostly along narrow directions
    strange *= 15 / np.linalg.norm(strange, axis=1, keepdims=True)
    assert (model.distance(token) > model.limit).mean() < 0.12
    assert (model.distance(token + strange) > model.limit).mean() > 0.95


def test_a_few_directions_agree_with_all_of_them(model: DomainModel) -> None:
    token, _ = drawn(1000, seed=4)
    token[::10] += np.random.default_rng(5).normal(0, 3, (100, WIDTH))
    whole = fitted(directions=WIDTH)
    assert len(whole.variances) == WIDTH
    assert np.corrcoef(model.distance(token), whole.distance(token))[0, 1] > 0.99
    disagree = (model.distance(token) > model.limit) != (whole.distance(token) > whole.limit)
    assert disagree.mean() < 0.02
    too_few = fitted(directions=0)  # a sphere does not see what is strange among eight wide directions
    assert np.corrcoef(too_few.distance(token), whole.distance(token))[0, 1] < 0.9


def test_it_travels_as_json_and_stays_small(model: DomainModel) -> None:
    text = model.model_dump_json()
    again = DomainModel.model_validate_json(text)
    assert again == model
    token, _ = drawn(50, seed=6)
    np.testing.assert_array_equal(again.distance(token), model.distance(token))
    shipped_size = 768 * (32 + 2) * 2 * 4 / 3 + 10 * 1000
    assert len(text) < shipped_size < 200_000


def test_pictures_of_one_group_stay_on_one_side() -> None:
    token, label = drawn(200, seed=0)
    groups = np.repeat(["a", "b", "c", "d"], 50)
    model = fit_domain(token, label, groups, source="drawn")
    assert (model.n_fitted, len(model.distances)) == (100, 100)
    other = fit_domain(token, label, groups, source="drawn", seed=3)
    assert other.distances != model.distances, "the seed draws the halves"


def test_too_few_pictures_and_one_class_are_refused() -> None:
    token, label = drawn(60, seed=0)
    with pytest.raises(UsageError, match="it takes 38 training pictures"):
        fit_domain(token[:30], label[:30], np.arange(30), source="")
    with pytest.raises(UsageError, match="it takes 198 training pictures"):
        fit_domain(token, label, np.arange(60), source="", share=0.99)
    with pytest.raises(UndefinedMetricError, match="both classes, got 0 reals"):
        fit_domain(token, np.ones(60, int), np.arange(60), source="")


def test_tokens_of_another_size_are_not_guessed_at(model: DomainModel) -> None:
    with pytest.raises(CheckpointError, match="calibrate the detector again"):
        model.distance(np.zeros((2, WIDTH - 1)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"means": "AAA"}, "padding"),
        ({"means": "AHwAfA=="}, "infinity"),  # two infinities
        ({"variances": [1.0]}, "do not go with"),
        ({"distances": [2.0, 1.0]}, "ascending"),
        ({"distances": []}, "at least 1"),
        ({"rest_variance": 0.0}, "greater than 0"),
        ({"share": 1.0}, "less than 1"),
    ],
)
def test_a_damaged_model_is_refused(model: DomainModel, changed: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        DomainModel.model_validate(json.loads(model.model_dump_json()) | changed)


def test_scoring_needs_numpy_only() -> None:
    code = (
        "import sys, tristream.metrics.domain;"
        "assert not {'torch', 'scipy', 'sklearn', 'pandas'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
