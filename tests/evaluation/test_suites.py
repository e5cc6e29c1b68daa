"""Suites on miniatures of the public layouts: a cell per part, frames and videos, a reason where data are absent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from tests.clips import grey, write_clip
from tests.conftest import BrightnessSession
from tests.data import miniatures
from tests.pictures import planted_manifest
from tests.planted import planted_metadata
from tristream.data.frames import FrameRecipe, make_frames, videos_of
from tristream.data.manifest import Manifest
from tristream.data.readers import recognise
from tristream.errors import ConfigError, UsageError
from tristream.evaluation import suites
from tristream.evaluation.checkpoint import Opened
from tristream.evaluation.figures import Figure
from tristream.evaluation.suites import MEAN, MEASURES, SUITES, SuiteResult, by_video, run_suite
from tristream.evaluation.text import suite_table
from tristream.images.preprocess import Preprocessing
from tristream.metrics import binary
from tristream.runtime.engines import OpenDetector


def planted(tmp_path: Path, name: str) -> Opened:
    path = tmp_path / f"{name}.safetensors"
    path.write_text(name)
    metadata = planted_metadata(name, preprocessing=Preprocessing(short_side=16, crop=16))
    return Opened(path, OpenDetector(BrightnessSession(), metadata, "planted"), "32")


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return planted(tmp_path, "planted")


def test_an_unseen_set_is_told_apart_per_generator_and_by_kind(opened: Opened, tmp_path: Path) -> None:
    mini = miniatures.sofake(tmp_path / "so-fake-ood")
    recognise(mini.root, options=mini.options).manifest.write(tmp_path / "so-fake-ood.parquet")
    result = run_suite("ood", [opened], tmp_path, tmp_path / "out", resamples=20)
    delivered = [c for c in result.cells if c.condition == "delivered"]
    assert [(c.set, c.part, c.n_real, c.n_fake) for c in delivered] == [
        ("So-Fake-OOD", "all", 2, 4), ("So-Fake-OOD", "GPT4o", 2, 2), ("So-Fake-OOD", "tampered-GPT4o", 2, 2),
        ("So-Fake-OOD", MEAN, 2, 4),
        ("So-Fake-OOD, wholly synthetic", "all", 2, 2), ("So-Fake-OOD, wholly synthetic", "GPT4o", 2, 2),
    ]  # fmt: skip
    table = pd.read_parquet(tmp_path / "out" / delivered[0].run / "predictions.parquet").query(
        "condition == 'delivered'"
    )
    assert delivered[0].figures["auroc"].value == binary.auroc(table["logit"], table["label"])
    assert delivered[0].figures["auroc"].reason.startswith("no interval: 2 real pictures")
    means = {m: np.mean([delivered[row].figures[m].value for row in (1, 2)]) for m in ("auroc", "oracle_accuracy")}
    assert {m: delivered[3].figures[m].value for m in means} == pytest.approx(means)
    assert delivered[3].figures["auroc"].reason == "no interval: 2 generators, it takes 5"
    record = json.loads((tmp_path / "out" / delivered[4].run / "record.json").read_text())
    assert record["only"] == {"manipulation": ["real", "full_synthetic"]}
    assert SuiteResult.model_validate_json((tmp_path / "out" / "suite.json").read_text()) == result


def test_every_generator_of_the_matrix_is_set_against_its_own_reals(tmp_path: Path) -> None:
    mini = miniatures.genimage(tmp_path / "GenImage")
    recognise(mini.root).manifest.write(tmp_path / "genimage.parquet")
    detectors = [planted(tmp_path, name) for name in ("on-biggan", "on-adm")]
    result = run_suite("cross-generator", detectors, tmp_path, tmp_path / "out", resamples=20)
    rows: dict[str, list[str]] = {}
    for cell in result.cells:
        if cell.condition == "delivered":
            rows.setdefault(cell.checkpoint, []).append(cell.part)
    assert [name.split()[0] for name in rows] == ["on-biggan", "on-adm"]
    assert all((parts[0], len(parts), parts[-1]) == ("all", 10, MEAN) for parts in rows.values()), "and 8 generators"
    one = next(c for c in result.cells if c.part == "BigGAN" and c.condition == "delivered")
    assert (one.n_real, one.n_fake) == (1, 1)
    scored = sum(sum(d.detector.session.batch_sizes) for d in detectors)
    assert scored == 2 * 2 * 16, "two detectors, two conditions, sixteen pictures of val"
    run_suite("cross-generator", detectors, tmp_path, tmp_path / "out", resamples=20)
    assert sum(sum(d.detector.session.batch_sizes) for d in detectors) == scored, "what is finished is kept"


def frames(tmp_path: Path) -> None:
    """FaceForensics++ c23 in miniature: three frames of each video of one test pair."""
    root = tmp_path / "FaceForensics"
    for split, pairs in {"train": [], "val": [], "test": [["001", "002"]]}.items():
        miniatures.put(root / f"splits/{split}.json", json.dumps(pairs).encode())
    videos = [f"original_sequences/youtube/c23/frames/{n}" for n in ("001", "002")]
    for method in ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"):
        videos += [f"manipulated_sequences/{method}/c23/frames/{n}" for n in ("001_002", "002_001")]
    miniatures.put_pictures(root, *(f"{video}/{frame:03d}.png" for video in videos for frame in range(3)))
    recognise(root, options={"media": "frames"}).manifest.write(tmp_path / "ffpp-c23.parquet")


def test_frames_and_videos_have_cells_and_absent_sets_have_reasons(opened: Opened, tmp_path: Path) -> None:
    frames(tmp_path)
    mini = miniatures.celebdf(tmp_path / "Celeb-DF-v2")
    recognise(mini.root, headers_only=True, options=mini.options).manifest.write(tmp_path / "celebdf.parquet")
    result = run_suite("cross-dataset", [opened], tmp_path, tmp_path / "out", resamples=20)
    found = {(c.set, c.unit, c.part): c for c in result.cells}
    frame, video = (found["FaceForensics++ c23", unit, "FaceSwap"] for unit in ("frame", "video"))
    assert (frame.n_real, frame.n_fake, video.n_real, video.n_fake) == (6, 6, 2, 2)
    assert video.figures["auroc"].value is not None
    assert {unit for _, unit, _ in found} == {"frame", "video", "picture"}
    absent = found["FaceForensics++ c40", "picture", "all"]
    assert absent.run is None
    assert absent.figures["auroc"].value is None
    assert absent.figures["auroc"].reason.startswith(
        f"{tmp_path / 'ffpp-c40.parquet'} is no file; make it with: tristream data index"
    )
    assert "names videos" in found["Celeb-DF-v2", "picture", "all"].figures["auroc"].reason
    table = suite_table(result)
    assert next(iter(table.columns[7].cells)) == "—"
    assert "ffpp-c40.parquet is no file" in str(table.caption)


def test_celeb_df_is_scored_by_frame_and_by_video_after_the_commands_that_its_cell_names(
    opened: Opened, tmp_path: Path
) -> None:
    root = tmp_path / "Celeb-DF-v2"
    clips = {
        "YouTube-real/00170.mp4": (40, 60, 200),
        "Celeb-real/id1_0007.mp4": (30, 50, 70),
        "Celeb-synthesis/id1_id0_0007.mp4": (60, 80, 210),
        "Celeb-synthesis/id1_id3_0007.mp4": (20, 30, 40),
    }
    for name, shades in clips.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_clip(root / name, grey(*shades))
    made = make_frames(videos_of(root, allow_missing=True), tmp_path / "celebdf-frames", FrameRecipe(count=3))
    assert len(made.manifest) == 12
    recognise(tmp_path / "celebdf-frames/manifest.csv").manifest.write(tmp_path / "celebdf.parquet")
    result = run_suite("cross-dataset", [opened], tmp_path, tmp_path / "out", resamples=20)
    cells = {c.unit: c for c in result.cells if c.set == "Celeb-DF-v2" and c.part == "all"}
    assert {unit: (c.n_real, c.n_fake) for unit, c in cells.items()} == {"frame": (6, 6), "video": (2, 2)}
    scored = pd.read_parquet(tmp_path / "out" / cells["frame"].run / "predictions.parquet")
    assert cells["frame"].figures["auroc"].value == roc_auc_score(scored["label"], scored["logit"])
    videos = scored.assign(output=expit(scored["logit"])).groupby("video")[["label", "output"]].mean()
    assert cells["video"].figures["auroc"].value == roc_auc_score(videos["label"], videos["output"])


def test_a_video_is_the_mean_of_the_frames_that_could_be_scored() -> None:
    table = pd.DataFrame({
        "id": list("abcde"), "path": list("abcde"), "label": [0, 0, 1, 1, 1], "generator": ["", "", "x", "x", "x"],
        "source": "s", "group": "g", "split": "test", "condition": "delivered",
        "logit": [-1.0, 9.0, 5.0, np.nan, np.nan],
        "probability": [0.5, 0.7, 0.9, np.nan, np.nan], "error": ["", "", "", "broken", "broken"],
        "video": ["r", "r", "f", "f", "h"],
    })  # fmt: skip
    videos = by_video(table).set_index("id")
    assert videos.loc["r", "probability"] == pytest.approx(0.6)
    mean = (1 / (1 + np.exp(1)) + 1 / (1 + np.exp(-9))) / 2
    assert videos.loc["r", "logit"] == pytest.approx(np.log(mean / (1 - mean))), "of raw outputs, not the mean logit"
    assert videos.loc["f", "logit"] == pytest.approx(5.0)
    raw = by_video(table.assign(probability=np.nan)).set_index("id")
    assert raw.loc["r", "logit"] == videos.loc["r", "logit"], "calibration plays no part"
    assert np.isnan(raw.loc["r", "probability"])
    assert videos.loc["h", "error"] == "no frame of it could be scored"
    assert videos["label"].to_dict() == {"r": 0, "f": 1, "h": 1}
    for nothing in ("", None, np.nan):
        assert len(by_video(table.assign(video=nothing))) == 5, "a picture without a video is one of its own"


def test_every_generator_counts_alike_in_the_mean_and_its_interval_is_over_generators() -> None:
    rng, names = np.random.default_rng(0), [f"g{n}" for n in range(6)]
    shifts = dict(zip(names, (0, 0, 0, 3, 3, 3), strict=True))
    rows = [(0, "", 0.0)] * 60 + [(1, name, shift) for name, shift in shifts.items() for _ in range(20)]
    table = pd.DataFrame(rows, columns=["label", "generator", "shift"])
    table = table.assign(
        id=[str(n) for n in range(len(table))], path=[str(n) for n in range(len(table))], source="s", group="",
        split="test", condition="delivered", logit=table["shift"] + rng.normal(size=len(table)), probability=np.nan,
        error="",
    )  # fmt: skip
    cells = {c.part: c for c in suites._cells(table, "d", SUITES["ood"].sets[0], "run", 0, 200)}
    parts = [cells[name].figures["auroc"].value for name in names]
    mean = cells[MEAN].figures["auroc"]
    assert mean.value == pytest.approx(np.mean(parts))
    assert mean.low < mean.value < mean.high
    assert mean.high - mean.low > 0.1, "it spreads with the generators, which differ"
    for measure in MEASURES[:4]:
        assert cells[MEAN].figures[measure].low is not None
    assert cells[MEAN].figures["balanced_accuracy_at_half"].reason == "the detector is not calibrated"
    assert cells["g5"].figures["oracle_accuracy"].value >= cells["g5"].figures["accuracy_at_zero"].value


def test_a_generator_without_reals_of_its_own_has_no_mean_of_auroc(opened: Opened, tmp_path: Path) -> None:
    planted_manifest(tmp_path, {"validation": 24})
    table = pd.read_csv(tmp_path / "manifest.csv")
    table["source"] = table["generator"] = ["a", "a", "b"] * 8
    table.loc[(table["source"] == "b") & (table["label"] == 0), "source"] = "a"
    Manifest.from_table(table, tmp_path).write(tmp_path / "genimage.parquet")
    result = run_suite("cross-generator", [opened], tmp_path, tmp_path / "out", resamples=20)
    mean = next(cell for cell in result.cells if cell.part == MEAN and cell.condition == "delivered")
    assert mean.figures["auroc"].reason == "b: no real pictures"
    assert mean.figures["accuracy_at_zero"].value is not None


def test_a_suite_keeps_the_cells_of_other_detectors_and_refuses_another_suite(tmp_path: Path) -> None:
    planted_manifest(tmp_path, {"test": 8})
    first, second = (planted(tmp_path, name) for name in ("first", "second"))
    run_suite("in-distribution", [first], tmp_path / "manifest.csv", tmp_path / "out", resamples=20)
    both = run_suite("in-distribution", [second], tmp_path / "manifest.csv", tmp_path / "out", resamples=20)
    assert list(dict.fromkeys(cell.checkpoint.split()[0] for cell in both.cells)) == ["first", "second"]
    planted_manifest(tmp_path, {"validation": 8})
    (tmp_path / "manifest.csv").rename(tmp_path / "genimage.csv")
    Manifest.read(tmp_path / "genimage.csv").write(tmp_path / "genimage.parquet")
    with pytest.raises(UsageError, match="holds another suite"):
        run_suite("cross-generator", [first], tmp_path, tmp_path / "out", resamples=20)


def test_what_a_set_lacks_is_the_reason_of_its_cell(opened: Opened, tmp_path: Path) -> None:
    planted_manifest(tmp_path, {"test": 8})
    manifest = Manifest.read(tmp_path / "manifest.csv")
    manifest.write(tmp_path / "so-fake-ood.parquet")
    Manifest(manifest.table.assign(split="test"), tmp_path).write(tmp_path / "celebdf.parquet")
    cells = run_suite("ood", [opened], tmp_path, tmp_path / "ood", resamples=20).cells
    reasons = {cell.set: cell.figures["auroc"].reason or "" for cell in cells if cell.run is None}
    assert any("has no column 'manipulation'" in reason for reason in reasons.values())
    assert any(cell.run for cell in cells), "the others are scored"
    Manifest(manifest.table.assign(manipulation="other"), tmp_path).write(tmp_path / "so-fake-ood.parquet")
    cells = run_suite("ood", [opened], tmp_path, tmp_path / "ood-2", resamples=20).cells
    assert any("has no picture of this kind" in (cell.figures["auroc"].reason or "") for cell in cells)
    cells = run_suite("cross-dataset", [opened], tmp_path, tmp_path / "cross", resamples=20).cells
    (video,) = (cell for cell in cells if cell.unit == "video")
    assert video.figures["auroc"].reason == "celebdf.parquet has no column 'video', so frames are of no video"


def test_frames_of_one_name_and_two_labels_are_two_videos() -> None:
    table = pd.DataFrame({
        "condition": "delivered", "video": "1", "label": [0, 1, 1], "path": ["a", "b", "c"], "generator": "",
        "source": "", "group": "g", "split": "", "logit": [-1.0, 1.0, 3.0], "probability": [0.3, 0.7, 0.9],
    })  # fmt: skip
    videos = by_video(table)
    assert sorted(videos["label"]) == [0, 1]


def test_a_mean_that_one_generator_cannot_have_names_it() -> None:
    part = np.ones(2, np.bool_)
    found = {"a": {"auroc": Figure(value=0.5, reason="no interval: few")}, "b": {"auroc": Figure(reason="no reals")}}
    mean = suites._mean("auroc", None, {"a": part, "b": part}, found, resamples=20, seed=0)  # type: ignore[arg-type]
    assert (mean.value, mean.reason) == (None, "b: no reals")


def test_a_detector_cannot_choose_where_its_runs_lie(tmp_path: Path) -> None:
    mini = miniatures.folder(tmp_path / "photos")
    manifest = recognise(mini.root).manifest
    type(manifest)(manifest.table.assign(split="test"), manifest.root).write(tmp_path / "photos.csv")
    found = planted(tmp_path, "planted")
    metadata = found.detector.metadata.model_copy(update={"name": "../../outside"})
    opened = Opened(found.path, OpenDetector(found.detector.session, metadata, "planted"), "32")
    result = run_suite("in-distribution", [opened], tmp_path / "photos.csv", tmp_path / "out", resamples=20)
    assert all((tmp_path / "out" / cell.run).resolve().is_relative_to(tmp_path / "out") for cell in result.cells)


def test_in_distribution_takes_the_manifest_itself(opened: Opened, tmp_path: Path) -> None:
    mini = miniatures.folder(tmp_path / "photos")
    manifest = recognise(mini.root).manifest
    type(manifest)(manifest.table.assign(split="test"), manifest.root).write(tmp_path / "photos.csv")
    result = run_suite("in-distribution", [opened], tmp_path / "photos.csv", tmp_path / "out", resamples=20)
    assert {c.condition for c in result.cells} == {"delivered", "fakes_like_reals", "alike"}


def test_a_suite_without_any_data_and_an_unknown_suite_are_told(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"genimage\.parquet is no file; make it with: tristream data index GenImage"):
        run_suite("cross-generator", [opened], tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="unknown suite 'everything'; there are: in-distribution, ood"):
        run_suite("everything", [opened], tmp_path, tmp_path / "out")
    assert all(test_set.obtain for name in SUITES for test_set in SUITES[name].sets)
