"""The detector inside the package: complete, small enough, and the same for a picture alone or in company."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tristream
from tristream.data.files import file_facts
from tristream.detectors.checkpoint import read_metadata
from tristream.metrics.binary import auroc
from tristream.runtime.engines import shipped_detector, shipped_weights
from tristream.runtime.light_session import LightSession
from tristream.runtime.predictor import default_thresholds
from tristream.runtime.verdict import decide

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


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
    assert shipped_weights().stat().st_size <= 50e6


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


def test_a_third_of_what_is_called_likely_real_is_fake_as_the_readme_says(predictor: tristream.Predictor) -> None:
    assert predictor.calibration is not None
    thresholds = default_thresholds(predictor.calibration)
    wrong = predictor.calibration.verdicts(thresholds.fake, thresholds.real).fake_among_likely_real(0.5).wrong
    assert wrong == pytest.approx(1 / 3, abs=0.03)
    readme = " ".join((Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8").split())
    assert "where half are fake, about a third of what is called so is" in readme


def test_the_light_file_is_the_export_of_the_shipped_checkpoint() -> None:
    light = LightSession(shipped_detector())
    assert light.record.precision == "int8"
    assert light.record.source_sha256 == file_facts(shipped_weights(), ["sha256"])["sha256"]
    assert light.metadata == read_metadata(shipped_weights())
    assert shipped_detector().stat().st_size < 36e6


def test_the_light_file_says_what_the_checkpoint_says(predictor: tristream.Predictor) -> None:
    heavy = tristream.load(shipped_weights(), "cpu")
    for picture in ("rocket.jpg", "chelsea.png", "drawn-landscape.png"):
        logits = [p.predict(EXAMPLES / picture, stability=0).logit for p in (predictor, heavy)]
        assert logits[0] == pytest.approx(logits[1], abs=0.1)


@pytest.mark.parametrize("condition", ["delivered", "alike"])
def test_int8_costs_no_accuracy_on_the_corpus_test_split(condition: str) -> None:
    """From the records, which are of the files that are shipped."""
    tables = []
    for name, file in (("shipped", shipped_weights()), ("shipped-int8", shipped_detector())):
        folder = ROOT / "results" / name / "corpus-test"
        assert file_facts(file, ["sha256"])["sha256"] in (folder / "record.json").read_text(encoding="utf-8")
        table = pd.read_parquet(folder / "predictions.parquet")
        tables.append(table[table["condition"] == condition].set_index("path"))
    heavy, light = tables[0], tables[1].loc[tables[0].index]
    labels = heavy["label"].to_numpy()
    assert abs(auroc(heavy["logit"].to_numpy(), labels) - auroc(light["logit"].to_numpy(), labels)) <= 0.005
    thresholds = default_thresholds(read_metadata(shipped_weights()).calibration)
    changed = sum(
        decide(float(a), thresholds).verdict != decide(float(b), thresholds).verdict
        for a, b in zip(heavy["logit"], light["logit"], strict=True)
    )
    assert changed <= 0.01 * len(heavy)


def test_flips_were_counted_with_the_file_that_is_shipped() -> None:
    found = json.loads((ROOT / "results" / "flip-rates.json").read_text(encoding="utf-8"))
    assert found["checkpoint"]["sha256"] == file_facts(shipped_detector(), ["sha256"])["sha256"]
