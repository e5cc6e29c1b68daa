"""Ablation by masking: exact masks, one pass for all subsets, thresholds of their own, a share for each stream."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.conftest import BrightnessSession
from tests.detectors.conftest import small_detector
from tests.planted import planted_domain, planted_metadata
from tristream.errors import ManifestError, UsageError
from tristream.evaluation.ablation import ablate
from tristream.evaluation.checkpoint import Opened, PictureSet
from tristream.evaluation.conditions import CONDITIONS, masked
from tristream.evaluation.runner import Fitted, score_together
from tristream.images.preprocess import Preprocessing
from tristream.runtime.engines import OpenDetector
from tristream.runtime.session import Scores, score_subsets
from tristream.typing import Float32


class TwoStreams(BrightnessSession):
    """`bright` sees the mean of a picture, which tells fakes; `dark` sees the corner, which tells nothing."""

    def run_subsets(self, pixels: Float32, subsets: list[tuple[str, ...]]) -> list[Scores]:
        self.batch_sizes.append(len(pixels))
        seen = {"bright": 20 * (pixels.mean((1, 2, 3)) - 0.5), "dark": 20 * (pixels[:, 0, 0, 0] - 0.5)}
        return [
            Scores(
                np.mean([seen[name] for name in subset], axis=0),
                np.array([[(n in subset) / len(subset) for n in self.stream_names]] * len(pixels), np.float32),
                np.zeros((len(pixels), 2, 1), np.float32),
            )
            for subset in subsets
        ]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    path = tmp_path / "planted.safetensors"
    path.write_bytes(b"weights")
    metadata = planted_metadata("planted", preprocessing=Preprocessing(short_side=32, crop=32))
    return Opened(path, OpenDetector(TwoStreams(), metadata, "planted"), "32")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Per split 20 dark reals and 20 bright fakes, each with a corner of its own."""
    rng = np.random.default_rng(0)
    rows = []
    for split in ("test", "reserved"):
        for index in range(40):
            label = index % 2
            pixels = np.clip(rng.normal(100 + 40 * label, 15, (32, 32, 3)), 0, 255)
            pixels[0, 0] = rng.integers(60, 196)
            name = f"{split}-{index}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name)
            rows.append({"path": name, "label": label, "source": "drawn", "split": split})
    pd.DataFrame(rows).to_csv(tmp_path / "manifest.csv", index=False)
    return tmp_path / "manifest.csv"


def test_every_subset_is_scored_calibrated_and_given_its_share(opened: Opened, data: Path, tmp_path: Path) -> None:
    summary = ablate(opened, PictureSet(data, "test"), tmp_path / "out", PictureSet(data, "reserved"))
    assert list(summary.conditions) == ["masked-bright", "masked-dark", "masked-bright+dark"]
    auroc = {n: c.overall.figures["auroc"].value for n, c in summary.conditions.items()}
    assert auroc["masked-bright"] == 1
    assert auroc["masked-dark"] < 0.75
    assert sum(figure.value for figure in summary.stream_shares.values()) == pytest.approx(
        auroc["masked-bright+dark"] - 0.5
    )
    assert summary.stream_shares["bright"].value > summary.stream_shares["dark"].value
    session = opened.detector.session
    assert sum(session.batch_sizes) == 80, "each picture is scored once for all subsets"
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["conditions"]["masked-dark"]["streams"] == ["dark"]
    assert record["recalibrated_on"]["split"] == "reserved"
    assert record["detector"]["streams"] == ["bright", "dark"]
    weights = pd.read_parquet(tmp_path / "out" / "predictions.parquet").set_index("condition")
    assert (weights.loc["masked-dark", "weight_bright"] == 0).all()


def test_thresholds_are_those_of_the_calibration_split_under_the_same_mask(
    opened: Opened, data: Path, tmp_path: Path
) -> None:
    summary = ablate(opened, PictureSet(data, "test"), tmp_path / "out", PictureSet(data, "reserved"))
    bright, both = (summary.conditions[f"masked-{name}"] for name in ("bright", "bright+dark"))
    assert bright.is_recalibrated
    reals, fakes = 20 * (100 / 255 - 0.5), 20 * (140 / 255 - 0.5)
    assert reals < bright.balanced_accuracy_threshold < fakes
    assert bright.balanced_accuracy_threshold != both.balanced_accuracy_threshold
    assert bright.overall.figures["balanced_accuracy_at_threshold"].value == 1
    without = ablate(opened, PictureSet(data, "test"), tmp_path / "bare", None)
    figure = without.conditions["masked-bright"].overall.figures["balanced_accuracy_at_threshold"]
    assert figure.reason == "no threshold was fitted"


def test_distances_are_of_the_whole_detector_and_not_recorded_where_streams_are_masked(data: Path) -> None:
    manifest, domain = PictureSet(data, "test").read(), planted_domain((1.0, 2.0))
    for condition, is_missing in ((CONDITIONS["delivered"], False), (masked(("bright",)), True)):
        (table,) = score_together(
            TwoStreams(), Preprocessing(short_side=32, crop=32), manifest, [condition], Fitted(None, domain)
        )
        assert table["distance"].isna().all() == is_missing


def test_a_finished_ablation_is_read_and_another_calibration_is_refused(
    opened: Opened, data: Path, tmp_path: Path
) -> None:
    pictures, reserved = PictureSet(data, "test"), PictureSet(data, "reserved")
    first = ablate(opened, pictures, tmp_path / "out", reserved)
    before = len(opened.detector.session.batch_sizes)
    assert ablate(opened, pictures, tmp_path / "out", reserved) == first
    assert len(opened.detector.session.batch_sizes) == before, "nothing is scored again"
    with pytest.raises(ManifestError, match="holds another run"):
        ablate(opened, pictures, tmp_path / "out", PictureSet(data, "reserved", limit=10))
    record = (tmp_path / "out/record.json").read_text()
    with pytest.raises(ManifestError, match=r"another run \(other recalibrated_on"):
        ablate(opened, pictures, tmp_path / "out", None)
    assert (tmp_path / "out/record.json").read_text() == record


def test_a_picture_that_stands_twice_counts_twice(opened: Opened, data: Path, tmp_path: Path) -> None:
    table = pd.read_csv(data)
    test = table[table["split"] == "test"]
    copy = test.iloc[[0]].assign(path="again.png")
    shutil.copy(data.parent / str(test["path"].iloc[0]), data.parent / "again.png")
    pd.concat([table, copy]).to_csv(data, index=False)
    summary = ablate(opened, PictureSet(data, "test"), tmp_path / "out", None)
    assert summary.stream_shares is not None
    shares = [share.value for share in summary.stream_shares.values()]
    whole = max(summary.conditions.values(), key=lambda condition: len(condition.streams or ())).overall
    assert whole.n_real + whole.n_fake == len(test) + 1
    assert sum(shares) == pytest.approx(whole.figures["auroc"].value - 0.5)


def test_a_stream_that_tells_nothing_has_no_threshold(opened: Opened, data: Path, tmp_path: Path) -> None:
    table = pd.read_csv(data)
    table["label"] = 1 - table["label"]  # fakes score below reals
    table.to_csv(data, index=False)
    summary = ablate(opened, PictureSet(data, "test"), tmp_path / "out", PictureSet(data, "reserved"))
    bright = summary.conditions["masked-bright"]
    assert (bright.is_recalibrated, bright.balanced_accuracy_threshold) == (True, None)


def test_an_engine_without_masks_and_a_detector_without_streams_are_told(
    opened: Opened, data: Path, tmp_path: Path
) -> None:
    metadata = opened.detector.metadata
    light = Opened(opened.path, OpenDetector(BrightnessSession(), metadata, "light"), "32")
    with pytest.raises(UsageError, match=r"cannot be masked in an exported file; name a \.safetensors checkpoint"):
        ablate(light, PictureSet(data, "test"), tmp_path / "out", None)
    bare = BrightnessSession()
    bare.stream_names = ()  # type: ignore[assignment]
    with pytest.raises(UsageError, match="has no streams to mask"):
        ablate(
            Opened(opened.path, OpenDetector(bare, metadata, "bare"), "32"), PictureSet(data, "test"), tmp_path, None
        )
    with pytest.raises(UsageError, match="no stream colour; there are: bright, dark"):
        score_subsets(TwoStreams(), [np.zeros((1, 3, 8, 8), np.float32)], [("colour",)])


def test_pytorch_masks_exactly_as_the_detector_does() -> None:
    from tristream.runtime.torch_session import TorchSession, scores_of

    detector = small_detector("multistream", streams=["frequency", "semantic"])
    crops = np.random.default_rng(0).random((3, 3, 64, 64), np.float32)
    subsets = [("frequency",), ("semantic",), ("frequency", "semantic")]
    found = TorchSession(detector).run_subsets(crops, subsets)
    for subset, scores in zip(subsets, found, strict=True):
        mask = torch.tensor([[name in subset for name in detector.stream_names]]).expand(3, -1)
        with torch.inference_mode():
            alone = scores_of(detector.eval()(torch.from_numpy(crops), mask))
        np.testing.assert_allclose(scores.logits_B, alone.logits_B, atol=1e-5)
        np.testing.assert_allclose(scores.stream_weights_BS, alone.stream_weights_BS, atol=1e-5)
    assert not np.allclose(found[0].logits_B, found[1].logits_B)
