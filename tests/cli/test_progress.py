"""What a long command says of the time that is left."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tristream.cli import progress


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def test_a_log_gets_a_line_now_and_then(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar("scoring") as show:
        for done in range(1, 31):
            clock.now += 10
            show(done, 30)
    assert capsys.readouterr().err.splitlines() == [
        "scoring: 3/30, 4.5 min left",
        *(f"scoring: {done}/30, {(30 - done) / 6:.1f} min left" for done in range(6, 31, 3)),
    ]


def test_what_a_resumed_run_has_already_says_nothing_of_the_time_left(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.progress_bar("attacking") as show:
        clock.now += 60
        show(900, 1000, "pgd-8")
        clock.now += 60
        show(910, 1000, "pgd-8")
    assert capsys.readouterr().err.splitlines() == [
        "attacking: 900/1000  pgd-8",
        "attacking: 910/1000, 9.0 min left  pgd-8",
    ]


def test_each_phase_has_a_speed_of_its_own(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar("ablating") as show:
        for done, total, seconds in ((1, 2, 600), (2, 2, 600), (8, 400, 30), (16, 400, 30), (4, 400, 30), (8, 400, 30)):
            clock.now += seconds
            show(done, total)
    assert capsys.readouterr().err.splitlines() == [
        "ablating: 1/2",
        "ablating: 2/2, 0.0 min left",
        "ablating: 8/400",
        "ablating: 16/400, 24.0 min left",
        "ablating: 4/400",
        "ablating: 8/400, 49.0 min left",
    ]


def test_so_it_is_in_the_bar_which_goes_on_to_count_the_time(clock: Clock) -> None:
    bars = progress._bars(Console(file=io.StringIO()), auto_refresh=False, get_time=clock)
    show = progress._bar(bars, "attacking")
    clock.now += 60
    show(900, 1000, "pgd-8")
    for done in (910, 920):
        clock.now += 60
        show(done, 1000, "pgd-8")
    assert bars.tasks[0].time_remaining == pytest.approx(480)
    assert bars.tasks[0].elapsed == 180
