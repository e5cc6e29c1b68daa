"""Exact Shapley values: how much of what a coalition of streams achieves each stream brings."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

from tristream.errors import UsageError
from tristream.typing import Float64

# R resamples

CHANCE_AUROC = 0.5
"""Of no stream at all."""


def shapley_values(value: Mapping[frozenset[str], npt.ArrayLike], empty: float = CHANCE_AUROC) -> dict[str, Float64]:
    """The Shapley value of each player (Shapley 1953): its mean gain over all orders in which the players may join.

    value: of each non-empty coalition, a number or f64[R]; empty: of the coalition without players. Returns per player
    an array of that shape; together they sum to the value of all players minus `empty`. Raises UsageError where a
    coalition is missing.

    >>> found = shapley_values({frozenset("a"): 0.8, frozenset("b"): 0.6, frozenset("ab"): 0.9})
    >>> {player: round(float(share), 3) for player, share in found.items()}
    {'a': 0.3, 'b': 0.1}
    """
    players = sorted(frozenset[str]().union(*value))
    known: dict[frozenset[str], Float64] = {coalition: np.asarray(v, np.float64) for coalition, v in value.items()}
    wanted = [frozenset(c) for size in range(1, len(players) + 1) for c in combinations(players, size)]
    if missing := [coalition for coalition in wanted if coalition not in known]:
        raise UsageError(
            f"no value for the coalition {' + '.join(sorted(missing[0]))}, and for {len(missing) - 1} more"
        )
    known[frozenset()] = np.asarray(empty, np.float64)
    shares = {}
    for player in players:
        others = [name for name in players if name != player]
        gains = [
            (known[frozenset({*before, player})] - known[frozenset(before)]) / (len(players) * comb(len(others), size))
            for size in range(len(players))
            for before in combinations(others, size)
        ]
        shares[player] = np.asarray(np.sum(gains, axis=0))
    return shares
