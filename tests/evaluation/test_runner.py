"""The runner: one row per picture and condition, failures kept apart, records, resume, calibration."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.conftest import BrightnessSession
from tests.detectors.conftest import SMALL, small_detector
from tests.planted import planted_domain, planted_identity
from tristream.data.manifest import Manifest
from tristream.detectors.checkpoint import load_checkpoint, save_checkpoint
from tristream.errors import ManifestError, UsageError
from tristream.evaluation.calibrate import calibrate_checkpoint
from tristream.evaluation.checkpoint import PictureSet, evaluate_checkpoint
from tristream.evaluation.conditions import ALIKE_SHORT_SIDE, CONDITIONS, PictureContext
from tristream.evaluation.run_folder import find_runs, read_run
from tristream.evaluation.runner import Fitted, evaluate, score_manifest
from tristream.images.preprocess import Preprocessing
from tristream.metadata import SKETCH, ModelMetadata, sketch
from tristream.report.report import make_report

SMALL_CROPS = Preprocessing(short_side=64, crop=64)
ANY = PictureContext("", 0)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """12 dark reals and 12 bright fakes, one group each, and a fake that is no picture."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(24):
        label = index % 2
        pixels = np.clip(rng.normal(80 + 90 * label, 20, (70, 80, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
        rows.append(
            {"path": f"{index}.png", "label": label, "source": "lamp" if label else "cave", "split": "reserved"}
        )
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    rows.append({"path": "broken.png", "label": 1, "source": "lamp", "split": "test"})
    pd.DataFrame(rows).to_csv(tmp_path / "manifest.csv", index=False)
    return Manifest.read(tmp_path / "manifest.csv").with_file_columns(["sha256"])


def test_every_picture_is_one_row_in_order_and_failures_have_no_logit(manifest: Manifest) -> None:
    done: list[tuple[int, int]] = []
    table = score_manifest(
        BrightnessSession(), SMALL_CROPS, manifest, CONDITIONS["delivered"], batch_size=7,
        progress=lambda *state: done.append(state),
    )  # fmt: skip
    assert table["path"].tolist() == manifest.table["path"].tolist()
    assert table["logit"].isna().tolist() == [False] * 24 + [True]
    assert table["error"].iloc[-1].startswith(f"{manifest.file(24)}: truncated PNG")
    assert (table["weight_bright"][:24] + table["weight_dark"][:24]).to_numpy() == pytest.approx(np.ones(24))
    assert done[-1] == (25, 25)


def test_a_picture_that_a_codec_cannot_hold_is_a_failed_row(tmp_path: Path) -> None:
    for name, width in (("narrow.png", 80), ("wide.png", 16384)):
        Image.new("RGB", (width, 70)).save(tmp_path / name)
    (tmp_path / "wide.csv").write_text("path,label\nnarrow.png,0\nwide.png,1\n")
    manifest = Manifest.read(tmp_path / "wide.csv").with_file_columns(["sha256"])
    table = score_manifest(BrightnessSession(), SMALL_CROPS, manifest, CONDITIONS["webp-50"])
    assert table["logit"].isna().tolist() == [False, True]
    assert "16384 x 70 pixels cannot be encoded as WEBP" in table["error"].iloc[1]


def test_batches_and_workers_change_nothing(manifest: Manifest) -> None:
    one = score_manifest(BrightnessSession(), SMALL_CROPS, manifest, CONDITIONS["alike"], batch_size=1, workers=1)
    many = score_manifest(BrightnessSession(), SMALL_CROPS, manifest, CONDITIONS["alike"], batch_size=9, workers=4)
    pd.testing.assert_frame_equal(one, many)


def test_distances_are_recorded_where_there_is_a_domain_model(manifest: Manifest) -> None:
    table = score_manifest(
        BrightnessSession(), SMALL_CROPS, manifest, CONDITIONS["delivered"], domain=planted_domain((1.0, 2.0))
    )
    assert table["distance"].isna().tolist() == [False] * 24 + [True]
    assert table["distance"][:24].between(10, 25).all(), "pixels that deviate by 20 grey levels, rescaled"
    without = score_manifest(BrightnessSession(), SMALL_CROPS, manifest, CONDITIONS["delivered"])
    assert without["distance"].isna().all()


def test_evaluate_writes_predictions_metrics_and_a_record(manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    session = BrightnessSession()
    summary = evaluate(session, SMALL_CROPS, Fitted(), manifest, out, planted_identity(), resamples=50)
    assert (out / "DONE").is_file()
    predictions = pd.read_parquet(out / "predictions.parquet")
    assert predictions.groupby("condition").size().to_dict() == {"delivered": 25, "alike": 25}
    record = json.loads((out / "record.json").read_text())
    assert record["pictures"] == 25
    assert len(record["manifest_digest"]) == 64
    overall = summary.conditions["alike"].overall
    assert (overall.n_real, overall.n_fake, overall.n_failed) == (12, 12, 1)
    assert overall.figures["auroc"].value == 1.0
    assert json.loads((out / "metrics.json").read_text())["conditions"]["alike"]["overall"]["n_real"] == 12


def test_an_interrupted_evaluation_goes_on_and_another_run_is_not_overwritten(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    class Interrupted(BrightnessSession):
        def run(self, pixels):  # the second condition fails on its first batch
            if len(self.batch_sizes) == 4:
                raise KeyboardInterrupt
            return super().run(pixels)

    with pytest.raises(KeyboardInterrupt):
        evaluate(Interrupted(), SMALL_CROPS, Fitted(), manifest, out, planted_identity("a"), resamples=10, batch_size=7)
    assert not (out / "DONE").exists()
    session = BrightnessSession()
    evaluate(session, SMALL_CROPS, Fitted(), manifest, out, planted_identity("a"), resamples=10, batch_size=7)
    assert sum(session.batch_sizes) == 24, "only the second condition was scored again"
    with pytest.raises(ManifestError, match="other checkpoint"):
        evaluate(session, SMALL_CROPS, Fitted(), manifest, out, planted_identity("b"), resamples=10)


def test_records_of_older_releases_hold_descriptions_alone_and_are_read(manifest: Manifest, tmp_path: Path) -> None:
    out, session = tmp_path / "out", BrightnessSession()
    evaluate(session, SMALL_CROPS, Fitted(), manifest, out, planted_identity("a"), resamples=10)
    record = json.loads((out / "record.json").read_text())
    record["conditions"] = {name: facts["description"] for name, facts in record["conditions"].items()}
    (out / "record.json").write_text(json.dumps(record))
    before = len(session.batch_sizes)
    evaluate(session, SMALL_CROPS, Fitted(), manifest, out, planted_identity("a"), resamples=10)
    assert len(session.batch_sizes) == before
    (out / "record.json").write_text(json.dumps(record | {"conditions": {"delivered": "else", "alike": "else"}}))
    with pytest.raises(ManifestError, match="other conditions"):
        evaluate(session, SMALL_CROPS, Fitted(), manifest, out, planted_identity("a"), resamples=10)


def test_each_condition_may_stand_once(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="each once, got: alike, alike"):
        evaluate(
            BrightnessSession(), SMALL_CROPS, Fitted(), manifest, tmp_path / "o", {}, conditions=["alike", "alike"]
        )


def test_alike_gives_both_classes_the_same_sizes_and_codec() -> None:
    rng = np.random.default_rng(0)
    for shape in ((1000, 700, 3), (240, 300, 3), (90, 90, 3)):
        treated = CONDITIONS["alike"].apply(rng.integers(0, 256, shape, dtype=np.uint8), ANY)
        assert min(treated.shape[:2]) <= min(ALIKE_SHORT_SIDE, round(0.8 * min(shape[:2])))
    flat = np.full((100, 100, 3), 77, np.uint8)
    assert np.abs(CONDITIONS["alike"].apply(flat, ANY).astype(int) - 77).max() <= 2


def test_delivered_is_bit_identical() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    assert np.array_equal(CONDITIONS["delivered"].apply(pixels, ANY), pixels)


def checkpoint(path: Path) -> Path:
    """A small detector whose logit grows with brightness: every weight that counts is positive by construction."""
    detector = small_detector("multistream", streams=["frequency"])
    config = {**SMALL["multistream"], "streams": ["frequency"]}
    save_checkpoint(
        path,
        detector,
        ModelMetadata(name="small", detector="multistream", config=config, preprocessing=SMALL_CROPS),
    )
    return path


def test_calibration_is_stored_with_its_source_and_read_back(manifest: Manifest, tmp_path: Path) -> None:
    source = leaning_right(checkpoint(tmp_path / "small.safetensors"), manifest.split("reserved"))
    out = tmp_path / "calibrated.safetensors"
    stored = calibrate_checkpoint(
        source, tmp_path / "manifest.csv", "reserved", out, name="named", half=True, condition="delivered"
    )
    calibration = stored.calibration
    assert calibration is not None
    assert stored == load_checkpoint(out).metadata
    assert stored.name == "named"
    assert stored.domain is None, "there is no split named train"
    assert len(calibration.real_logits) == len(calibration.fake_logits) == 12
    assert (
        "12 real pictures of 1 photo sources and 12 fakes of 1 generators, 1 of which other splits hold"
        in calibration.source
    )
    again = score_manifest_of(out, manifest.split("reserved"))
    assert sorted(again[again["label"] == 0]["logit"]) == pytest.approx(calibration.real_logits, abs=1e-5)
    with pytest.raises(ManifestError, match="cannot be read"):
        calibrate_checkpoint(source, tmp_path / "manifest.csv", "test", out)


def test_a_calibration_that_cannot_serve_is_told(
    manifest: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = leaning_right(checkpoint(tmp_path / "small.safetensors"), manifest.split("reserved"))
    listed = tmp_path / "manifest.csv"
    with pytest.raises(UsageError, match=r"a checkpoint is written as \.safetensors"):
        calibrate_checkpoint(source, listed, "reserved", tmp_path / "out.txt")
    calibrate_checkpoint(source, listed, "reserved", tmp_path / "out.safetensors", condition="delivered")
    assert "no verdicts at the default rates: a false-alarm rate of 0.05 cannot be promised from 12" in caplog.text


def test_pictures_that_were_trained_on_are_known_even_among_others(
    manifest: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load_checkpoint(leaning_right(checkpoint(tmp_path / "small.safetensors"), manifest.split("reserved")))
    trained_on = [*manifest.table["sha256"][:2], *(f"{n:064x}" for n in range(2**10, 2**10 + 20))]
    metadata = loaded.metadata.model_copy(update={"training_sketch": sketch(trained_on)})
    save_checkpoint(tmp_path / "trained.safetensors", loaded.detector, metadata)
    with pytest.raises(UsageError, match="was trained on pictures of 'reserved'; calibrate on pictures that it has"):
        calibrate_checkpoint(
            tmp_path / "trained.safetensors", tmp_path / "manifest.csv", "reserved", tmp_path / "out.safetensors"
        )
    assert not (tmp_path / "out.safetensors").exists()
    evaluate_checkpoint(
        tmp_path / "trained.safetensors", PictureSet(tmp_path / "manifest.csv", "reserved"), tmp_path / "seen"
    )
    assert "small was trained on at least 2 of these pictures" in caplog.text
    assert read_run(tmp_path / "seen").record.known == {"trained": 2}
    caplog.clear()
    evaluate_checkpoint(
        tmp_path / "trained.safetensors", PictureSet(tmp_path / "manifest.csv", "test"), tmp_path / "other"
    )
    assert "of these pictures" not in caplog.text
    assert read_run(tmp_path / "other").record.known is None


def test_thresholds_and_figures_of_the_same_pictures_are_told(
    manifest: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = leaning_right(checkpoint(tmp_path / "small.safetensors"), manifest.split("reserved"))
    out, data = tmp_path / "out.safetensors", tmp_path / "manifest.csv"
    calibrate_checkpoint(source, data, "reserved", out)
    evaluate_checkpoint(out, PictureSet(data, "reserved"), tmp_path / "same")
    assert "has its thresholds from at least 24 of these pictures" in caplog.text
    report = make_report(find_runs([tmp_path / "same"]))
    notes = [note for table in report.tables if table.name.startswith(("overall", "gap")) for note in table.notes]
    told = "small: has its thresholds from at least 24 of these pictures."
    assert notes.count(told) == 2, "below every table with a figure of them"


def test_the_sketch_finds_its_share_of_an_overlap() -> None:
    digests = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(4000)]
    metadata = ModelMetadata(name="", detector="", config={}, training_sketch=sketch(digests[:3000]))
    assert len(metadata.training_sketch) == SKETCH
    assert metadata.known(digests[:3000]) == {"trained": SKETCH}
    assert metadata.known(digests[3000:]) == {}
    assert 10 <= metadata.known(digests[2700:])["trained"] <= 45, "300 of 3,000 shared: 25.6 of 256 are expected"
    together = sketch([*digests[:10], *sketch(digests[10:3000])])
    assert together == metadata.training_sketch, "of a sketch and more pictures: as if all had been seen"


def leaning_right(path: Path, manifest: Manifest) -> Path:
    """A random detector may lean the other way: turn its last layer round, so that fakes score above reals."""
    table = score_manifest_of(path, manifest)
    if table[table["label"] == 1]["logit"].mean() < table[table["label"] == 0]["logit"].mean():
        loaded = load_checkpoint(path)
        for parameter in loaded.detector.fusion.classifier[2].parameters():
            parameter.data.neg_()
        save_checkpoint(path, loaded.detector, loaded.metadata)
    return path


def score_manifest_of(path: Path, manifest: Manifest) -> pd.DataFrame:
    from tristream.runtime.torch_session import TorchSession

    loaded = load_checkpoint(path)
    return score_manifest(
        TorchSession(loaded.detector), loaded.metadata.preprocessing, manifest, CONDITIONS["delivered"]
    )


def test_evaluate_checkpoint_names_what_was_run(manifest: Manifest, tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "small.safetensors")
    out = tmp_path / "out"
    evaluate_checkpoint(
        source,
        PictureSet(tmp_path / "manifest.csv", "reserved"),
        out,
        conditions=["delivered"],
        command="tristream evaluate",
    )
    record = json.loads((out / "record.json").read_text())
    assert record["checkpoint"]["file"] == "small.safetensors"
    assert str(tmp_path) not in json.dumps(record), "a record holds no path of the machine"
    with pytest.raises(UsageError, match="expected 32 or bf16"):
        evaluate_checkpoint(source, PictureSet(tmp_path / "manifest.csv", "reserved"), out, precision="8")
