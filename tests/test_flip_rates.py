"""Flip rates are shares of the right pictures: planted flips, failures left out, nothing of nothing."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.planted import planted_metadata
from tests.runtime.test_predictor import SharpnessSession, noisy
from tristream.data.manifest import Manifest
from tristream.metrics.calibration import Calibration
from tristream.runtime.predictor import Predictor

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture
def flip_rates(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(TOOLS)
    import flip_rates

    return flip_rates


def test_flips_are_counted_by_class_among_the_right_pictures(
    flip_rates: ModuleType, calibration: Calibration, tmp_path: Path
) -> None:
    """Planted: re-encoding takes away the noise that makes fakes fake; flat reals stay, reals with
    some noise are unsure before and likely real after; one picture is broken."""
    rows = []
    for index in range(24):
        label = index % 2
        amplitude = 15 if label else 10 * (index % 4 == 0)
        Image.fromarray(noisy(amplitude)).save(tmp_path / f"{index}.png")
        rows.append({"path": f"{index}.png", "label": label, "split": "reserved"})
    (tmp_path / "broken.png").write_bytes(b"no picture")
    rows.append({"path": "broken.png", "label": 1, "split": "reserved"})
    pd.DataFrame(rows).to_csv(tmp_path / "manifest.csv", index=False)
    predictor = Predictor(SharpnessSession(), planted_metadata("sharpness", calibration))
    manifest = Manifest.read(tmp_path / "manifest.csv")
    found = flip_rates.flip_rates(predictor, manifest, 2, 100, 0, lambda done, total: None)
    assert (found["fake"]["n"], found["fake"]["n_failed"], found["fake"]["n_with_verdict"]) == (12, 1, 12)
    assert (found["fake"]["flips"]["value"], found["fake"]["lost"]["value"]) == (1.0, 1.0)
    assert 0.6 < found["fake"]["lost"]["low"] < 1
    assert (found["real"]["n"], found["real"]["n_failed"], found["real"]["flips"]["value"]) == (12, 0, 0.5)
    assert (found["real"]["n_with_verdict"], found["real"]["lost"]["value"]) == (6, 0.0)


def test_a_share_has_an_interval_over_groups_or_a_reason(flip_rates: ModuleType) -> None:
    hit = np.arange(200) % 4 == 0
    figure = flip_rates.share(hit, np.arange(200).astype(str), 0, 500, 0)
    assert figure.value == 0.25
    assert figure.low == pytest.approx(0.19, abs=0.02)
    assert figure.high == pytest.approx(0.31, abs=0.02)
    wide = flip_rates.share(hit, (np.arange(200) % 8).astype(str), 0, 500, 0)
    assert wide.high - wide.low > 2 * (figure.high - figure.low), "pictures of one group flip together"
    assert flip_rates.share(hit[:8], np.arange(8).astype(str), 1, 500, 0).reason.startswith("no interval: 8 fake")
    assert flip_rates.share(hit[:0], np.arange(0).astype(str), 1, 500, 0).reason == "no such picture"
