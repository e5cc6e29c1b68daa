"""What `info` says is what the checkpoint holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.planted import planted_domain, planted_metadata
from tristream.errors import CheckpointError
from tristream.images.preprocess import Preprocessing
from tristream.metadata import ModelMetadata
from tristream.metrics.calibration import Calibration
from tristream.runtime import engines
from tristream.runtime.info import describe, lines, read_card
from tristream.runtime.session import Session


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session: Session, calibration: Calibration) -> Path:
    """A file that opens as the brightness detector, calibrated, with a crop of 224 px."""
    metadata = ModelMetadata(
        name="brightness",
        detector="planted",
        config={},
        preprocessing=Preprocessing(short_side=240, crop=224),
        calibration=calibration,
        licence="research only",
        training_data_sha256="ab" * 32,
        notes="epoch 3",
    )
    plant(monkeypatch, session, metadata)
    path = tmp_path / "mine.safetensors"
    path.touch()
    return path


def plant(monkeypatch: pytest.MonkeyPatch, session: Session, metadata: ModelMetadata) -> None:
    opened = engines.OpenDetector(session, metadata, "abacus 1.0, fp32, 2 threads")
    monkeypatch.setattr(engines, "open_session", lambda *arguments, **more: opened)


def test_it_says_what_the_checkpoint_holds(checkpoint: Path) -> None:
    info = describe(checkpoint)
    assert (info.model, info.detector, info.licence, info.notes) == (
        "brightness", "planted", "research only", "epoch 3",
    )  # fmt: skip
    assert (info.engine, info.streams) == ("abacus 1.0, fp32, 2 threads", ("bright", "dark"))
    assert (info.input_px, info.shorter_side_px) == (224, 240)
    assert info.calibration is not None
    assert (info.calibration.reals, info.calibration.fakes) == (19, 19)
    assert info.calibration.probability_fake == "sigmoid(1 x logit +0)"
    assert info.calibration.thresholds is not None
    assert info.calibration.thresholds.fake == pytest.approx(2)
    words = dict(lines(info))
    assert "19 synthetic reals and 19 synthetic fakes" in words["calibration"]
    assert "likely_fake above logit 2.00: at most 5 % of real pictures, measured, not guaranteed" in words["thresholds"]
    assert words["model card"].startswith("none")


def test_the_domain_check_is_told_or_told_to_be_missing(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    assert describe(checkpoint).domain is None
    assert "not checked" in dict(lines(describe(checkpoint)))["domain"]
    plant(monkeypatch, session, planted_metadata("checked", domain=planted_domain((1.0, 2.0))))
    info = describe(checkpoint)
    assert info.domain is not None
    assert (info.domain.limit, info.domain.held_out, info.domain.fitted, info.domain.directions) == (2.0, 2, 20, 1)
    assert dict(lines(info))["domain"].startswith(
        "unsure beyond distance 2.00, within which 95 % of 2 training pictures"
    )


def test_the_card_lies_beside_the_weights(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no MODEL_CARD\.md beside it"):
        read_card(checkpoint)
    card = checkpoint.with_name("MODEL_CARD.md")
    card.write_text("# Card", encoding="utf-8")
    assert read_card(checkpoint) == "# Card"
    assert describe(checkpoint).card == str(card)
    assert read_card().startswith("# Model card")


def test_too_few_reserved_pictures_for_the_default_rates_are_said(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, session: Session, calibration: Calibration
) -> None:
    few = calibration.model_copy(update={"real_logits": (-1.0, 0.0)})
    plant(monkeypatch, session, ModelMetadata(name="few", detector="planted", config={}, calibration=few))
    info = describe(checkpoint)
    assert info.calibration is not None
    assert info.calibration.thresholds is None
    assert "cannot be promised from 2 reserved reals" in dict(lines(info))["thresholds"]


def test_a_detector_without_calibration_says_what_to_run(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    plant(monkeypatch, session, ModelMetadata(name="raw", detector="planted", config={}))
    info = describe(checkpoint)
    assert info.calibration is None
    assert "tristream calibrate" in dict(lines(info))["calibration"]
