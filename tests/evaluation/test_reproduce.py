"""Which conditions of a record can be made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.planted import planted_identity
from tristream.errors import UsageError
from tristream.evaluation.conditions import CONDITIONS, ConditionRecord
from tristream.evaluation.record import BootstrapRecord, RunRecord
from tristream.evaluation.reproduce import _conditions


def recorded(**changed: str) -> RunRecord:
    names = {name: CONDITIONS[name].description for name in ("delivered", "alike")} | changed
    return RunRecord(
        **dict(planted_identity()) | {"manifest_digest": "0" * 64},
        conditions={name: ConditionRecord(description=words) for name, words in names.items()},
        pictures=2,
        bootstrap=BootstrapRecord(seed=0, resamples=10),
    )


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
