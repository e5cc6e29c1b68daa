"""The detector inside the package: complete, small enough, and the same for a picture alone or in company."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tristream
from tristream.detectors.checkpoint import read_metadata
from tristream.runtime.engines import shipped_weights

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def predictor() -> tristream.Predictor:
    return tristream.load(device="cpu")


def test_it_carries_all_that_inference_needs() -> None:
    metadata = read_metadata(shipped_weights())
    assert metadata.config["streams"] == ["spatial", "frequency", "semantic"]
    assert metadata.calibration is not None
    assert "none of which any other split holds" in metadata.calibration.source
    assert len(metadata.training_data_sha256) == 64
    assert "research only" in metadata.licence
    assert not any("/" in str(value) for value in str(metadata.config).split()), "no path of the machine it was made on"
    assert shipped_weights().stat().st_size <= 45e6


def test_a_picture_scores_the_same_alone_and_in_company(predictor: tristream.Predictor) -> None:
    pictures = sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".jpg", ".png", ".webp"))
    together = {p.path: p.logit for p in predictor.predict_many(pictures, batch_size=4)}
    assert len(together) == len(pictures) >= 6
    for picture in pictures:
        assert predictor.predict(picture).logit == pytest.approx(together[str(picture)], abs=1e-4)


def test_weights_of_the_streams_sum_to_one_and_differ_between_pictures(predictor: tristream.Predictor) -> None:
    rows = []
    for picture in ("rocket.jpg", "chelsea.png", "drawn-landscape.png"):
        weights = predictor.predict(EXAMPLES / picture).stream_weights
        assert weights is not None
        rows.append(list(weights.values()))
    assert np.sum(rows, axis=1) == pytest.approx(np.ones(3), abs=1e-4)
    assert np.std(rows, axis=0).max() > 1e-3


def test_a_lower_false_alarm_rate_asks_for_more(predictor: tristream.Predictor) -> None:
    strict, usual = predictor.thresholds(false_alarm_rate=0.01), predictor.thresholds()
    assert strict is not None
    assert usual is not None
    assert strict.fake > usual.fake
