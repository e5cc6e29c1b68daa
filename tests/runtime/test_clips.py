"""Videos in predict: the mean of the frames' logits, a row for every frame, and a reason where there is no score."""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.clips import grey, scene, write_clip, write_sound
from tests.planted import planted_domain, planted_metadata
from tristream.cli.app import app
from tristream.errors import CheckpointError, ImageError, UsageError
from tristream.metrics.calibration import Calibration
from tristream.runtime import clips, engines
from tristream.runtime.clips import NO_FACE, Sampling, Timeline
from tristream.runtime.predictor import Prediction, Predictor
from tristream.runtime.records import write_csv
from tristream.runtime.session import Scores
from tristream.runtime.sources import Source, collect
from tristream.runtime.timeline import draw_timeline, write_timeline
from tristream.runtime.verdict import Reason
from tristream.typing import Float32

pytest.importorskip("av", reason="needs the video extra")
Picture = Callable[..., Path]

FACES = Sampling(frames=4, faces=True)


def logit(value: float) -> float:
    """Of a grey frame, see BrightnessSession."""
    return 20 * (value / 255 - 0.5)


def timeline(prediction: Prediction) -> Timeline:
    assert prediction.frames is not None, prediction.error
    return prediction.frames


@pytest.fixture
def dimming(tmp_path: Path) -> Path:
    """Ten frames of a second from bright to dark."""
    return write_clip(tmp_path / "dimming.mp4", grey(*range(250, 50, -20)))


@pytest.fixture
def walk_on(tmp_path: Path) -> Path:
    """Four frames: nobody, a face, the same face elsewhere, nobody."""
    frames = [scene(), scene((200, 100)), scene((20, 100)), scene()]
    return write_clip(tmp_path / "walk-on.mp4", frames, g="1")


def test_the_score_is_the_mean_of_the_frames_logits(predictor: Predictor, dimming: Path) -> None:
    prediction = predictor.predict(dimming, sampling=Sampling(frames=5))
    found = timeline(prediction)
    assert [frame.time_s for frame in found.frames] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    wanted = [logit(value) for value in (230, 190, 150, 110, 70)]
    assert [frame.logit for frame in found.frames] == pytest.approx(wanted, abs=0.2)
    assert prediction.logit == pytest.approx(float(np.mean([frame.logit for frame in found.frames])))
    assert prediction.stream_weights == pytest.approx({"bright": 150 / 255, "dark": 105 / 255}, abs=0.01)
    assert (found.view, found.frames_total, found.frames_scored, found.codec) == ("frame", 10, 5, "h264")
    assert (found.width, found.height, found.duration_s, found.fps) == (96, 64, pytest.approx(1.0), pytest.approx(10.0))
    assert prediction.sha256 == hashlib.sha256(dimming.read_bytes()).hexdigest()
    assert prediction.stability is None, "videos are not re-tested"
    assert (prediction.origin, prediction.error) == ((), None)
    assert "mean of 5 whole frames of a video" in prediction.explanation
    assert "the thresholds are those of pictures" in prediction.explanation


@pytest.mark.parametrize(("value", "verdict"), [(250, "likely_fake"), (128, "unsure"), (5, "likely_real")])
def test_verdicts_are_those_of_the_mean(predictor: Predictor, tmp_path: Path, value: int, verdict: str) -> None:
    assert predictor.predict(write_clip(tmp_path / "a.mp4", grey(value, value))).verdict == verdict


def test_one_bright_frame_does_not_make_a_video_fake(predictor: Predictor, tmp_path: Path) -> None:
    prediction = predictor.predict(write_clip(tmp_path / "a.mp4", grey(255, 20, 20, 20), g="1"))
    assert prediction.verdict == "likely_real"
    assert [frame.verdict for frame in timeline(prediction).frames] == ["likely_fake"] + 3 * ["likely_real"]


def test_pictures_and_videos_keep_their_order(predictor: Predictor, picture: Picture, dimming: Path) -> None:
    done: list[int] = []
    names = [picture("a.png", 255), dimming, picture("b.png", 0), picture("c.png"), dimming.with_name("gone.mp4")]
    records = list(predictor.predict_many(names, done.append, batch_size=2))
    assert [record.path for record in records] == [str(name) for name in names]
    assert [record.frames is not None for record in records] == [False, True, False, False, False]
    assert done == [1, 2, 3, 4, 5]
    assert "no such file" in (records[4].error or "")


def test_more_frames_than_a_batch_are_scored_in_batches(predictor: Predictor, session: object, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "long.mp4", grey(*([100] * 40)))
    (prediction,) = predictor.predict_many([path], sampling=Sampling(frames=40), batch_size=8)
    assert timeline(prediction).frames_scored == 40
    assert max(session.batch_sizes) == 8  # type: ignore[attr-defined]


def test_frames_are_decoded_as_they_are_scored(predictor: Predictor, tmp_path: Path) -> None:
    """At no time are all frames of a video held."""
    path = write_clip(tmp_path / "long.mp4", grey(*([100] * 60)))
    seen: list[int] = []
    run, frames = predictor.session.run, itertools.count(1)

    def counting(sources: object) -> object:
        for source in sources:  # type: ignore[attr-defined]
            next(frames)
            yield source

    def watched(pixels: Float32) -> Scores:
        seen.append(next(frames))
        return run(pixels)

    predictor.session.run = watched  # type: ignore[method-assign]
    read = clips.ClipReader._sources
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips.ClipReader, "_sources", lambda *arguments: counting(read(*arguments)))
        list(predictor.predict_many([path], sampling=Sampling(frames=60), batch_size=4))
    assert seen[0] < 20, "the first batch was scored long before the last frame was decoded"


def test_faces_are_cropped_and_a_frame_without_one_is_a_row(predictor: Predictor, walk_on: Path) -> None:
    pytest.importorskip("cv2", reason="needs the video extra")
    prediction = predictor.predict(walk_on, sampling=FACES)
    found = timeline(prediction)
    assert (found.view, found.frames_scored, len(found.frames)) == ("face", 2, 4)
    assert (found.face_model or "").startswith("face_detection_yunet_2023mar.onnx ")
    assert [frame.reason is None for frame in found.frames] == [False, True, True, False]
    assert found.frames[0].reason == NO_FACE
    assert found.frames[0].logit is None
    first, second = found.frames[1].box, found.frames[2].box
    assert first is not None
    assert second is not None
    assert first.width == first.height
    assert first.left - second.left == pytest.approx(180, abs=8)
    assert prediction.logit == pytest.approx(float(np.mean([f.logit for f in found.frames if f.logit is not None])))
    assert "mean of 2 face crops of a video" in prediction.explanation
    assert "2 more without a face" in prediction.explanation
    whole = predictor.predict(walk_on, sampling=Sampling(frames=4))
    assert timeline(whole).face_model is None
    assert whole.logit != prediction.logit


def test_a_video_without_any_face_fails_and_keeps_its_rows(predictor: Predictor, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the video extra")
    prediction = predictor.predict(write_clip(tmp_path / "wall.mp4", [scene()] * 3), sampling=FACES)
    assert (prediction.verdict, prediction.logit) == (None, None)
    assert "no face found in any of 3 frames; without --faces whole frames are scored" in (prediction.error or "")
    assert [frame.reason for frame in timeline(prediction).frames] == [NO_FACE] * 3
    assert predictor.predict(tmp_path / "wall.mp4").error is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text("no video at all"), "not a video"),
        (lambda path: path.touch(), "empty file"),
        (write_sound, "without a video track"),
    ],
)
def test_what_cannot_be_read_is_a_record_that_says_why(
    predictor: Predictor, picture: Picture, tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    broken = tmp_path / "broken.mp4"
    make(broken)
    failed, good = predictor.predict_many([broken, picture("a.png")])
    assert words in (failed.error or "")
    assert (failed.path, failed.verdict, good.error) == (str(broken), None, None)


def test_half_a_video_is_a_failure(predictor: Predictor, dimming: Path) -> None:
    data = dimming.read_bytes()
    prediction = predictor.predict(data[: len(data) // 2])
    assert "truncated MP4 or MOV" in (prediction.error or "")
    assert prediction.sha256 == hashlib.sha256(data[: len(data) // 2]).hexdigest()


def test_without_the_extra_the_record_names_the_command(
    predictor: Predictor, dimming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert "pip install 'tristream[video]'" in (predictor.predict(dimming).error or "")
    monkeypatch.setitem(sys.modules, "cv2", None)
    for sampling in (FACES, Sampling(faces=True, face_model=dimming.with_name("mine.onnx"))):
        assert "pip install 'tristream[video]'" in (predictor.predict(dimming, sampling=sampling).error or "")


def test_a_face_model_that_is_none_is_noticed_before_anything_is_scored(predictor: Predictor, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the video extra")
    (tmp_path / "pickle.onnx").write_bytes(b"\x80\x04]")
    with pytest.raises(CheckpointError, match="YuNet"):
        predictor.predict_many([], sampling=Sampling(faces=True, face_model=tmp_path / "pickle.onnx"))


def test_a_score_that_is_no_number_is_a_row_with_a_reason(calibration: Calibration, dimming: Path) -> None:
    class Doubtful:
        stream_names = ()

        def run(self, pixels: Float32) -> Scores:
            means = pixels.mean((1, 2, 3))
            return Scores(np.where(means > 0.5, np.nan, means).astype(np.float32), None)

    predictor = Predictor(Doubtful(), planted_metadata("doubtful", calibration))
    prediction = predictor.predict(dimming, sampling=Sampling(frames=10))
    reasons = [frame.reason for frame in timeline(prediction).frames]
    assert [reason is None for reason in reasons] == [False] * 7 + [True] * 3
    assert "dimming.mp4, frame 1: the detector's score is nan" in (reasons[0] or "")
    assert prediction.logit == pytest.approx(np.mean([110, 90, 70]) / 255, abs=0.01)
    assert "7 more without a score" in prediction.explanation


def test_a_video_is_far_where_most_of_its_frames_are(session: object, calibration: Calibration, tmp_path: Path) -> None:
    """Planted: the distance is the spread of the grey levels, 2 at most among the training pictures."""
    metadata = planted_metadata("brightness", calibration, domain=planted_domain((1.0, 2.0)))
    predictor = Predictor(session, metadata)  # type: ignore[arg-type]
    flat, striped = np.full((96, 96, 3), 250, np.uint8), np.full((96, 96, 3), 250, np.uint8)
    striped[::16, :] = striped[1::16, :] = striped[2::16, :] = 180
    for name, frames, verdict in (
        ("near", [flat, flat, striped], "likely_fake"),
        ("far", [flat, striped, striped], "unsure"),
    ):
        prediction = predictor.predict(write_clip(tmp_path / f"{name}.mp4", frames, g="1"))
        assert prediction.verdict == verdict, prediction.explanation
        distances = [frame.distance for frame in timeline(prediction).frames]
        assert prediction.domain is not None
        assert prediction.domain.distance == pytest.approx(float(np.median(distances)))  # type: ignore[arg-type]
    assert prediction.reasons[0] == Reason.FAR_FROM_TRAINING_DATA


def test_crops_that_are_too_small_are_unsure(predictor: Predictor, tmp_path: Path) -> None:
    prediction = predictor.predict(write_clip(tmp_path / "small.mp4", grey(255, 255, size=(96, 48))))
    assert prediction.reasons[0] == Reason.PICTURE_TOO_SMALL


def test_content_says_what_is_a_video_and_folders_are_searched_for_them(
    dimming: Path, picture: Picture, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.mp4", "b.jpg", "c.dat"):
        (folder / name).write_bytes(dimming.read_bytes())
    picture("in/d.mov")
    found = collect([str(folder)])
    assert [(Path(s.name or "").name, s.is_clip) for s in found.sources] == [
        ("a.mp4", True), ("b.jpg", True), ("d.mov", False)
    ]  # fmt: skip
    assert found.skipped == 1
    assert collect([str(folder / "c.dat")]).sources[0].is_clip
    assert Source(None, dimming.read_bytes()).is_clip
    assert not Source("x.mp4", ImageError("x.mp4: no such file")).is_clip


def test_a_pipe_in_the_place_of_a_file_is_not_opened_to_look(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.dat")
    assert not Source.of(tmp_path / "pipe.dat").is_clip


def test_csv_has_a_row_for_the_video(predictor: Predictor, walk_on: Path, picture: Picture, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the video extra")
    with (tmp_path / "out.csv").open("w") as stream:
        write_csv(predictor.predict_many([walk_on, picture("a.png")], sampling=FACES), stream, ("bright", "dark"))
    header, video, still = (tmp_path / "out.csv").read_text().splitlines()
    places = [header.split(",").index(name) for name in ("view", "frames", "frames_scored")]
    import csv

    rows = list(csv.reader([video, still]))
    assert [[row[place] for place in places] for row in rows] == [["face", "4", "2"], ["", "", ""]]


def test_the_record_is_json_that_reads_back(predictor: Predictor, walk_on: Path) -> None:
    prediction = predictor.predict(walk_on, sampling=Sampling(frames=2))
    assert Prediction.model_validate_json(prediction.model_dump_json()) == prediction


def test_the_timeline_shows_frames_where_they_are(predictor: Predictor, walk_on: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the video extra")
    prediction = predictor.predict(walk_on, sampling=FACES)
    drawn = np.asarray(draw_timeline(prediction)).astype(int)
    amber = (np.abs(drawn - np.array([0xF9, 0xA8, 0x25])).sum(axis=2) < 30).any(axis=0)
    columns = np.flatnonzero(np.diff(amber.astype(int)) == 1)
    assert len(columns) == 2, "a dot for each scored frame"
    path = write_timeline(prediction, tmp_path)
    assert path is not None
    assert path.name == f"walk-on.mp4-{(prediction.sha256 or '')[:8]}.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_timelines_of_videos_with_long_names_have_names_of_their_own(predictor: Predictor, tmp_path: Path) -> None:
    first = write_clip(tmp_path / f"{'å' * 125}1.mp4", grey(80))
    second = first.with_name(f"{'å' * 125}2.mp4")
    second.write_bytes(first.read_bytes())
    paths = [write_timeline(predictor.predict(video), tmp_path) for video in (first, second)]
    assert len(set(paths)) == 2
    assert all(path is not None and path.name.startswith("å" * 90) and path.is_file() for path in paths)


def test_a_timeline_without_thresholds_or_scores_is_drawn_too(
    session: object, predictor: Predictor, tmp_path: Path
) -> None:
    plain = Predictor(session, planted_metadata("brightness", None))  # type: ignore[arg-type]
    assert draw_timeline(plain.predict(write_clip(tmp_path / "one.mp4", grey(80)))).size == (960, 360)
    pytest.importorskip("cv2", reason="needs the video extra")
    empty = predictor.predict(write_clip(tmp_path / "wall.mp4", [scene()]), sampling=FACES)
    assert draw_timeline(empty).size == (960, 360)
    still = predictor.predict(np.zeros((80, 80, 3), np.uint8))
    assert write_timeline(still, tmp_path) is None
    with pytest.raises(UsageError, match="no timeline"):
        draw_timeline(still)


def test_the_command_scores_videos_and_draws_their_timelines(
    predictor: Predictor, dimming: Path, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "load", lambda *_: predictor)
    monkeypatch.chdir(tmp_path)
    arguments = ["predict", "dimming.mp4", str(picture("a.png")), "--frames", "4", "--timeline", "drawn/here"]
    result = CliRunner().invoke(app, [*arguments, "--format", "json"])
    assert result.exit_code == 0, result.output
    video, still = json.loads(result.stdout)
    assert (video["path"], len(video["frames"]["frames"]), still["frames"]) == ("dimming.mp4", 4, None)
    assert still["stability"] is not None
    assert len(list((tmp_path / "drawn/here").glob("dimming.mp4-*.png"))) == 1
    (tmp_path / "text.mp4").write_text("not a video")
    assert CliRunner().invoke(app, ["predict", "dimming.mp4", "text.mp4"]).exit_code == 1
