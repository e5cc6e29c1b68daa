"""What an attack came to, for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from tristream.attacks.budget import Attack
from tristream.attacks.checks import Check
from tristream.attacks.crafted import AFTER_JPEG, JPEG_QUALITY, SHUFFLED, base_names
from tristream.evaluation.attacked import DIRECTIONS, Direction
from tristream.evaluation.figures import Figure
from tristream.evaluation.summary import ConditionSummary, Summary
from tristream.evaluation.text import figure_text, parameters_in_words

DIRECTION_WORDS = {"hide": "hide a fake", "accuse": "accuse a real"}
"""By the names of DIRECTIONS."""


def budget_lines(attacks: Sequence[Attack]) -> str:
    """What each attack may do."""
    return "\n".join(f"{a.name}: {parameters_in_words(a.parameters)}, pictures {a.pictures}" for a in attacks)


def attacks_table(summary: Summary) -> Table:
    """One line per attack and direction; all figures but the first without their intervals."""
    title = "Success on pictures that were called right before, after 8 bits [95 % interval], after JPEG, of mere noise"
    table = Table(title=title, title_justify="left")
    for column in ("attack", "direction"):
        table.add_column(column, no_wrap=True)
    for column in ("right", "success", f"JPEG {JPEG_QUALITY}", "noise", "median L2", "robust accuracy", "auroc"):
        table.add_column(column, overflow="fold")
    for name in base_names(list(summary.conditions)):
        for side in DIRECTIONS:
            rounded, coded, control = (
                direction_of(summary.conditions[name + end], side) for end in ("", AFTER_JPEG, SHUFFLED)
            )
            if rounded is None or coded is None or control is None:
                continue
            others = [coded.figures["success_rate"], control.figures["success_rate"],
                      *(rounded.figures[measure] for measure in ("median_l2", "robust_accuracy", "auroc"))]  # fmt: skip
            attacked = rounded.n_fake if DIRECTIONS[side] else rounded.n_real
            success = figure_text(rounded.figures["success_rate"])
            table.add_row(name, side, f"{rounded.n_right} of {attacked}", success, *map(_value, others))
    return table


def direction_of(condition: ConditionSummary, side: str) -> Direction | None:
    """One direction of an attack; None for a condition that is none."""
    return None if condition.attack is None else condition.attack.directions[side]


def checks_line(checks: Sequence[Check]) -> str:
    """How many checks hold, and each that fails."""
    return "\n".join([held(checks), *(f"FAILS: {check.words}" for check in checks if check.passed is False)])


def held(checks: Sequence[Check], of: str = "checks") -> str:
    """How many hold, of those that could have failed.

    >>> held([Check(passed=True, words=""), Check(passed=False, words=""), Check(passed=None, words="")])
    '1 of 2 checks hold, 1 cannot be decided on so few pictures'
    """
    open_ = sum(check.passed is None for check in checks)
    words = f"{sum(bool(check.passed) for check in checks)} of {len(checks) - open_} {of} hold"
    return f"{words}, {open_} cannot be decided on so few pictures" if open_ else words


def _value(figure: Figure) -> str:
    return figure_text(Figure(value=figure.value))
