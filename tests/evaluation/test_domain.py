"""The domain model that `calibrate` stores: of which pictures, of which detectors, kept or dropped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.conftest import BrightnessSession
from tests.detectors.conftest import small_detector
from tests.evaluation.test_runner import SMALL_CROPS, checkpoint, leaning_right, score_manifest_of
from tristream.cli.app import app
from tristream.data.manifest import Manifest
from tristream.data.sample import sample
from tristream.detectors.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from tristream.errors import ManifestError
from tristream.evaluation.calibrate import calibrate_checkpoint
from tristream.evaluation.conditions import CONDITIONS
from tristream.evaluation.domain import DomainPictures, fit_on
from tristream.metadata import ModelMetadata, sketch
from tristream.metrics.domain import DomainModel
from tristream.runtime.engines import load


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """12 reserved and 60 training pictures, dark reals and bright fakes, two training pictures a group."""
    random = np.random.default_rng(0)
    rows = []
    for index in range(72):
        label, split = index % 2, "reserved" if index < 12 else "train"
        pixels = np.clip(random.normal(80 + 90 * label, 20 + 5 * random.random(), (64, 64, 3)), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{index}.png")
        rows.append({"path": f"{index}.png", "label": label, "split": split, "group": f"{split} {index // 2}"})
    pd.DataFrame(rows).to_csv(tmp_path / "manifest.csv", index=False)
    return Manifest.read(tmp_path / "manifest.csv")


def test_half_of_the_groups_is_fitted_on_and_fresh_pictures_are_near(manifest: Manifest) -> None:
    done: list[tuple[int, int]] = []
    model = fit_on(
        BrightnessSession(), SMALL_CROPS, manifest.split("train"), CONDITIONS["delivered"],
        progress=lambda *state: done.append(state),
    )  # fmt: skip
    assert (model.n_fitted, len(model.distances), done[-1]) == (30, 30, (60, 60))
    assert model.source == "60 pictures of the split 'train', as delivered: the file's own pixels"
    scores = BrightnessSession().run(np.full((1, 3, 64, 64), 0.5, np.float32))
    assert scores.tokens_BSD is not None
    assert model.distance(scores.tokens_BSD.reshape(1, -1)) > model.limit, "without noise, unlike every picture above"


def test_the_sample_is_drawn_from_the_named_split_or_from_train(manifest: Manifest) -> None:
    drawn = DomainPictures(count=10).drawn(manifest)
    assert drawn is not None
    assert (len(drawn), set(drawn.table["split"])) == (10, {"train"})
    assert drawn.table["path"].tolist() != manifest.split("train").table["path"].tolist()[:10]
    assert sample(manifest, None, "0").table.equals(manifest.table)
    turned = replace(manifest, table=manifest.table[::-1].reset_index(drop=True))
    again = DomainPictures(count=10).drawn(turned)
    assert again is not None
    assert again.table["path"].tolist() == drawn.table["path"].tolist()[::-1], "the order of the rows plays no part"
    named = DomainPictures("reserved").drawn(manifest)
    assert named is not None
    assert len(named) == 12
    assert DomainPictures().drawn(manifest.split("reserved")) is None
    with pytest.raises(ManifestError, match="no split 'gone'"):
        DomainPictures("gone").drawn(manifest)


def test_calibrate_stores_it_and_predict_looks_at_it(manifest: Manifest, tmp_path: Path) -> None:
    source = leaning_right(checkpoint(tmp_path / "small.safetensors"), manifest.split("reserved"))
    data, first, second, third = (
        tmp_path / name for name in ("manifest.csv", "1.safetensors", "2.safetensors", "3.safetensors")
    )
    seen: list[tuple[int, int]] = []
    stored = calibrate_checkpoint(
        source, data, "reserved", first, condition="delivered", progress=lambda *state: seen.append(state)
    )
    assert stored == read_metadata(first)
    assert stored.domain is not None
    assert (stored.domain.n_fitted, len(stored.domain.distances)) == (30, 30)
    assert (seen[-1], {total for _, total in seen}) == ((72, 72), {72})
    predictor = load(first, "cpu")
    coarse = {"false_alarm_rate": 0.2, "miss_rate": 0.2, "stability": 0}
    trained_on = predictor.predict(tmp_path / "20.png", **coarse)
    strange = predictor.predict(np.full((64, 64, 3), 255, np.uint8), **coarse)
    assert trained_on.domain is not None
    assert strange.domain is not None
    assert trained_on.domain.limit == stored.domain.limit
    assert strange.domain.distance > trained_on.domain.distance

    manifest.split("reserved").write(data)  # somebody else's pictures: nothing was trained on them
    assert calibrate_checkpoint(first, data, "reserved", second).domain == stored.domain, "its weights are the same"
    arguments = ["--checkpoint", str(first), "--data", str(data), "-o", str(third), "--no-domain"]
    done = CliRunner().invoke(app, ["calibrate", *arguments])
    assert done.exit_code == 0, done.output
    assert "domain: not checked" in done.output
    assert read_metadata(third).domain is None


def test_a_split_train_of_other_pictures_is_not_where_the_training_pictures_lie(
    manifest: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = leaning_right(checkpoint(tmp_path / "small.safetensors"), manifest.split("reserved"))
    loaded, data = load_checkpoint(source), tmp_path / "manifest.csv"
    pictures = manifest.split("train").with_file_columns(["sha256"]).table["sha256"]

    def calibrated(
        trained_on: Iterable[str], out: str, split: str | None = None, domain: DomainModel | None = None
    ) -> ModelMetadata:
        path = tmp_path / f"{out}.safetensors"
        marked = loaded.metadata.model_copy(update={"training_sketch": sketch(trained_on), "domain": domain})
        save_checkpoint(path, loaded.detector, marked)
        output = path.with_name(f"{out}-calibrated.safetensors")
        return calibrate_checkpoint(path, data, "reserved", output, domain=DomainPictures(split))

    own = calibrated(pictures[:1], "own").domain
    assert own is not None
    assert "fits none" not in caplog.text
    assert calibrated(["0" * 64], "other").domain is None
    assert "what small tells of its training pictures fits none of the split 'train'; it has no domain" in caplog.text
    planted = own.model_copy(update={"source": "of an earlier day"})
    assert calibrated(["0" * 64], "earlier", domain=planted).domain == planted
    assert "its domain model stays as it is" in caplog.text
    named = calibrated(["0" * 64], "named", "train", domain=planted).domain
    assert named is not None
    assert named != planted
    assert "its domain model is fitted on them all the same" in caplog.text


def test_a_detector_without_streams_has_none(manifest: Manifest, tmp_path: Path) -> None:
    source, out = tmp_path / "probe.safetensors", tmp_path / "out.safetensors"
    detector = small_detector("univfd")
    metadata = read_metadata(checkpoint(tmp_path / "small.safetensors"))
    config = {"backbone": "vit_tiny_patch16_224", "weights": "none", "embedding": 32}
    save_checkpoint(source, detector, metadata.model_copy(update={"detector": "univfd", "config": config}))
    assert not load_checkpoint(source).detector.stream_names
    scored = score_manifest_of(source, manifest.split("reserved")).groupby("label")["logit"].mean()
    if scored[1] < scored[0]:  # a random probe may lean the other way: turn the labels round
        Manifest(manifest.table.assign(label=1 - manifest.table["label"]), manifest.root).write(
            tmp_path / "manifest.csv"
        )
    stored = calibrate_checkpoint(source, tmp_path / "manifest.csv", "reserved", out, condition="delivered")
    assert stored.calibration is not None
    assert stored.domain is None
