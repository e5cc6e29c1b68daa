"""The doctor sees what is missing and what is broken, and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from email.message import Message

import numpy as np
import pytest

from tests.planted import planted_metadata
from tristream.errors import CheckpointError, MissingExtraError
from tristream.metrics.calibration import Calibration
from tristream.runtime import doctor, engines
from tristream.runtime.doctor import SelfTestError, diagnose, self_test
from tristream.runtime.predictor import Predictor
from tristream.runtime.session import Scores
from tristream.typing import Float32


class Installed:
    """A distribution with planted requirements: numpy is there, the others are not."""

    def __init__(self, requires: list[str], python: str = ">=3.11", extras: tuple[str, ...] = ()) -> None:
        self.requires = requires
        self.metadata = Message()
        self.metadata["Name"] = "tristream"
        self.metadata["Requires-Python"] = python
        for extra in extras:
            self.metadata["Provides-Extra"] = extra


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, predictor: Predictor) -> Callable[..., None]:
    """Puts a planted installation and the brightness detector in place of what is there."""
    predictor.engine = "brightness"
    monkeypatch.setattr(engines, "load", lambda *arguments: predictor)

    def plant(*requires: str, **more: object) -> None:
        monkeypatch.setattr(doctor, "distribution", lambda name: Installed(list(requires), **more))  # type: ignore[arg-type]

    plant("numpy<3,>=1.26")
    return plant


def statuses(diagnosis: doctor.Diagnosis) -> dict[str, str]:
    return {check.name: check.status for check in diagnosis.checks}


def test_a_whole_installation_is_well(install: Callable[..., None]) -> None:
    diagnosis = diagnose()
    assert not diagnosis.broken
    assert statuses(diagnosis)["detector"] == statuses(diagnosis)["self-test"] == "ok"


def test_extras_are_those_of_the_installed_package(install: Callable[..., None]) -> None:
    install(
        "numpy>=1.26",
        "numpy>=1.26; extra == 'data'",
        "absent-table-library>=2; extra == 'data'",
        "tristream[data]; extra == 'research'",
        'absent.training_library; python_version < "4" and extra == "research"',
        extras=("data", "research"),
    )
    data, research = diagnose().extras
    assert (data.name, data.requires, data.missing) == ("data", ("absent-table-library",), ("absent-table-library",))
    assert research.requires == ("absent-table-library", "absent.training_library")
    assert research.command == "pip install 'tristream[research]'"


def test_a_missing_requirement_of_the_core_is_broken(install: Callable[..., None]) -> None:
    install("numpy", "absent-library>=1")
    (check,) = [check for check in diagnose().checks if check.status == "broken"]
    assert check.finding.endswith("without absent-library")
    assert check.next_step == "pip install absent-library"


def test_too_old_a_python_is_broken(install: Callable[..., None]) -> None:
    install("numpy", python=">=9.1")
    assert statuses(diagnose())["Python"] == "broken"


@pytest.mark.parametrize(("lost", "status"), [("AVIF", "note"), ("JPEG", "broken")])
def test_a_codec_that_does_not_read_is_seen(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch, lost: str, status: str
) -> None:
    reads = doctor._reads
    monkeypatch.setattr(doctor, "_reads", lambda format: format != lost and reads(format))
    (check,) = [check for check in diagnose().checks if check.name == "pictures"]
    assert check.status == status
    assert check.finding.endswith(f"not {lost}")
    assert "pillow" in check.next_step


@pytest.mark.parametrize("error", [CheckpointError("no detector"), MissingExtraError("predict", "research")])
def test_a_detector_that_does_not_open_is_broken_and_not_tested(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def load() -> Predictor:
        raise error

    monkeypatch.setattr(engines, "load", load)
    diagnosis = diagnose()
    assert diagnosis.broken
    assert statuses(diagnosis)["detector"] == "broken"
    assert "self-test" not in statuses(diagnosis)
    (check,) = [check for check in diagnosis.checks if check.name == "detector"]
    assert "pip install" in f"{check.finding} {check.next_step}"


class Unfaithful:
    """The brightness of a picture as its logit, and one planted fault."""

    stream_names = ("one", "two")

    def __init__(self, fault: str) -> None:
        self.fault, self.runs = fault, 0

    def run(self, pixels: Float32) -> Scores:
        self.runs += 1
        logits = pixels.mean((1, 2, 3))
        weights = np.full((len(pixels), 2), 0.5, np.float32)
        match self.fault:
            case "mates":
                logits = logits + 0.01 * (len(pixels) - 1)
            case "moods":
                logits = logits + 0.01 * self.runs
            case "nan":
                logits = logits * np.float32("nan")
            case "weights":
                weights = weights * np.float32(0.9)
        return Scores(logits, weights)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("mates", "alone and in a batch"), ("moods", "scored twice"), ("nan", "nan"), ("weights", "weights sum to 0.9")],
)
def test_the_self_test_finds_a_planted_fault(calibration: Calibration, fault: str, words: str) -> None:
    fine = make_predictor(Unfaithful("none"), calibration)
    assert "score the same" in self_test(fine)
    with pytest.raises(SelfTestError, match=words):
        self_test(make_predictor(Unfaithful(fault), calibration))


def make_predictor(session: Unfaithful, calibration: Calibration) -> Predictor:
    return Predictor(session, planted_metadata("planted", calibration))
