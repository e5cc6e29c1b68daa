"""Shapley values: the axioms that define them, the definition by orders, and the textbook's glove game."""

from __future__ import annotations

from itertools import chain, combinations, permutations

import numpy as np
import pytest

from tristream.errors import UsageError
from tristream.metrics.shapley import shapley_values

PLAYERS = ("a", "b", "c")
COALITIONS = [frozenset(c) for c in chain.from_iterable(combinations(PLAYERS, n) for n in (1, 2, 3))]


def planted(seed: int) -> dict[frozenset[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    return {coalition: rng.random(4) for coalition in COALITIONS}


def test_they_are_the_mean_gain_over_all_orders() -> None:
    value = planted(0)
    known = value | {frozenset(): np.full(4, 0.5)}
    for player in PLAYERS:
        gains = []
        for order in permutations(PLAYERS):
            before = frozenset(order[: order.index(player)])
            gains.append(known[before | {player}] - known[before])
        np.testing.assert_allclose(shapley_values(value)[player], np.mean(gains, axis=0))


def test_they_sum_to_what_all_achieve_over_chance() -> None:
    value = planted(1)
    np.testing.assert_allclose(sum(shapley_values(value).values()), value[frozenset(PLAYERS)] - 0.5)


def test_a_player_that_adds_nothing_gets_nothing_and_equals_get_equal_shares() -> None:
    value = {c: 0.5 + 0.1 * len(c - {"c"}) for c in COALITIONS}
    shares = shapley_values(value)
    assert float(shares["c"]) == pytest.approx(0)
    assert float(shares["a"]) == pytest.approx(float(shares["b"])) == pytest.approx(0.1)


def test_the_glove_game() -> None:
    """One left glove and two right ones; a pair is worth 1 (Shapley & Shubik)."""
    value = {c: float("a" in c and len(c) > 1) for c in COALITIONS}
    shares = {player: float(share) for player, share in shapley_values(value, empty=0).items()}
    assert shares == pytest.approx({"a": 2 / 3, "b": 1 / 6, "c": 1 / 6})


def test_a_missing_coalition_is_named() -> None:
    value = planted(2)
    del value[frozenset("ab")]
    with pytest.raises(UsageError, match=r"no value for the coalition a \+ b, and for 0 more"):
        shapley_values(value)
