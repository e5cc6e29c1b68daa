"""Which conditions of a record can be made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tristream.errors import UsageError
from tristream.evaluation.conditions import CONDITIONS
from tristream.evaluation.reproduce import _conditions


def recorded(**changed: str) -> dict[str, object]:
    names = {name: CONDITIONS[name].description for name in ("delivered", "alike")} | changed
    return {"conditions": {name: {"description": words} for name, words in names.items()}, "command": ""}


def test_a_condition_that_is_made_otherwise_now_is_left_out_with_the_reason() -> None:
    found, left_out = _conditions(recorded(alike="as it was", mine="of my own"), Path("run"))
    assert [condition.name for condition in found] == ["delivered"]
    assert left_out == {
        "alike": "this release makes it otherwise than its record: as it was",
        "mine": "cannot be made again from its record",
    }


def test_a_run_of_nothing_else_cannot_be_scored_again() -> None:
    with pytest.raises(UsageError, match="the condition alike: this release makes it otherwise"):
        _conditions(recorded(delivered="other", alike="as it was"), Path("run"))
