"""Predictor: one record per picture, in order, whatever happens to the others."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.planted import planted_domain, planted_metadata
from tristream.errors import CheckpointError, UsageError
from tristream.images.preprocess import Preprocessing
from tristream.metrics.calibration import Calibration
from tristream.runtime.predictor import Prediction, Predictor
from tristream.runtime.session import Scores
from tristream.runtime.verdict import Domain, Reason
from tristream.typing import Float32

Picture = Callable[..., Path]
BLACK, GREY, WHITE = 0, 128, 255


def test_one_picture_gives_the_whole_record(predictor: Predictor, picture: Picture) -> None:
    path = picture("photo.png", WHITE)
    prediction = predictor.predict(path)
    assert prediction.path == str(path)
    assert prediction.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert prediction.verdict == "likely_fake"
    assert prediction.reasons == (Reason.SCORE_ABOVE_FAKE_THRESHOLD, Reason.STRONGEST_STREAM)
    assert "none of 19 reserved real pictures" in prediction.explanation
    assert "bright stream (100 %)" in prediction.explanation
    assert prediction.logit == pytest.approx(10)
    assert prediction.probability_fake == pytest.approx(1 / (1 + np.exp(-10)))
    assert prediction.thresholds is not None
    assert prediction.thresholds.fake == pytest.approx(2)
    assert prediction.stream_weights == pytest.approx({"bright": 1, "dark": 0})
    assert prediction.model == "brightness"
    assert prediction.stability is not None
    assert (len(prediction.stability.copies), prediction.stability.flips) == (3, 0)
    assert (prediction.error, prediction.frames, prediction.origin) == (None, None, ())


def test_the_fields_of_the_record_are_those_of_the_architecture_and_words_and_origin() -> None:
    fields = (
        "path sha256 verdict reasons explanation probability_fake logit thresholds stream_weights stability domain "
        "frames origin model error"
    )
    assert " ".join(Prediction.model_fields) == fields


@pytest.mark.parametrize(("grey", "verdict"), [(BLACK, "likely_real"), (GREY, "unsure"), (WHITE, "likely_fake")])
def test_verdicts(predictor: Predictor, picture: Picture, grey: int, verdict: str) -> None:
    assert predictor.predict(picture("a.png", grey)).verdict == verdict


def test_paths_bytes_pillow_pictures_and_arrays_score_alike(predictor: Predictor, picture: Picture) -> None:
    path = picture("a.png", 200)
    pixels = np.asarray(Image.open(path))
    records = [predictor.predict(p) for p in (path, str(path), path.read_bytes(), Image.open(path), pixels)]
    assert len({r.logit for r in records}) == 1
    assert [r.path for r in records] == [str(path), str(path), None, None, None]
    assert [r.sha256 is None for r in records] == [False, False, False, True, True]


def test_records_come_in_the_order_of_the_pictures_and_failures_stop_nothing(
    predictor: Predictor, picture: Picture, tmp_path: Path
) -> None:
    empty, text = tmp_path / "empty.png", tmp_path / "text.png"
    empty.touch()
    text.write_text("no picture")
    paths = [picture(f"{i}.png", grey, (64 + 400 * (i % 3), 64)) for i, grey in enumerate(range(0, 250, 25))]
    mixed = [paths[0], empty, *paths[1:5], tmp_path, tmp_path / "missing.png", *paths[5:], text]
    records = list(predictor.predict_many(mixed, batch_size=3, workers=4))
    assert [r.path for r in records] == [str(p) for p in mixed]
    failed = [r for r in records if r.error]
    assert [r.path for r in failed] == [str(p) for p in (empty, tmp_path, tmp_path / "missing.png", text)]
    assert all(r.verdict is None and r.logit is None and not r.reasons for r in failed)
    assert failed[0].sha256 == hashlib.sha256(b"").hexdigest()
    assert failed[2].sha256 is None
    logits = [r.logit for r in records if r.logit is not None]
    assert logits == sorted(logits)
    assert len(logits) == len(paths)


def test_a_path_that_no_file_can_have_stops_nothing(predictor: Predictor, picture: Picture) -> None:
    odd, clip, good = predictor.predict_many(["a\0b.jpg", "a\0b.mp4", picture("a.png")])
    assert "null byte" in (odd.error or "")
    assert (odd.sha256, clip.sha256, good.error) == (None, None, None)
    assert clip.error


def test_a_batch_of_failures_only(predictor: Predictor, tmp_path: Path) -> None:
    records = list(predictor.predict_many([tmp_path / f"{i}.png" for i in range(5)], batch_size=2))
    assert [r.verdict for r in records] == [None] * 5
    assert list(predictor.predict_many([])) == []


def test_memory_is_bounded_and_what_nobody_asks_for_is_not_decoded(predictor: Predictor, picture: Picture) -> None:
    data = picture("a.png").read_bytes()
    pulled = itertools.count()
    endless: Iterator[bytes] = (data for _ in pulled)
    records = predictor.predict_many(endless, batch_size=4, workers=2)
    for _ in range(9):
        next(records)
    records.close()
    assert next(pulled) <= 9 + 3 * 4
    assert not [t for t in threading.enumerate() if t.name.startswith("tristream-decode")]


def test_crops_per_forward_pass_stay_within_the_batch_size(predictor: Predictor, picture: Picture) -> None:
    wide = [picture(f"{i}.png", WHITE, (900, 100)) for i in range(5)]  # longer than 2:1: three crops each
    assert all(r.logit == pytest.approx(10) for r in predictor.predict_many(wide, stability=0, batch_size=4))
    sizes = predictor.session.batch_sizes  # type: ignore[attr-defined]
    assert max(sizes) <= 4
    assert sum(sizes) == 15


def test_progress_counts_every_record(predictor: Predictor, picture: Picture, tmp_path: Path) -> None:
    seen: list[int] = []
    list(predictor.predict_many([picture("a.png"), tmp_path / "no.png", picture("b.png")], seen.append))
    assert seen == [1, 2, 3]


def test_without_calibration_there_is_a_logit_and_no_verdict(session: object, picture: Picture) -> None:
    record = Predictor(session, planted_metadata("raw")).predict(picture("a.png", WHITE))  # type: ignore[arg-type]
    assert (record.verdict, record.reasons[0]) == ("unsure", Reason.NOT_CALIBRATED)
    assert (record.probability_fake, record.thresholds) == (None, None)
    assert record.logit == pytest.approx(10)
    assert "tristream calibrate" in record.explanation


def test_a_picture_under_64_px_is_unsure(predictor: Predictor, picture: Picture) -> None:
    assert predictor.predict(picture("a.png", WHITE, (63, 500))).reasons[0] == Reason.PICTURE_TOO_SMALL
    assert predictor.predict(picture("b.png", WHITE, (1, 1))).verdict == "unsure"


def test_error_rates_move_the_thresholds(predictor: Predictor, picture: Picture) -> None:
    path = picture("a.png", 143)  # logit 1.2, between the 90 % and the 95 % point of the reals
    assert predictor.predict(path).verdict == "unsure"
    assert predictor.predict(path, false_alarm_rate=0.15).verdict == "likely_fake"


def test_an_impossible_rate_is_refused_before_anything_is_read(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"0\.05"):
        predictor.predict_many([tmp_path / "never-read.png"], false_alarm_rate=0.01)
    with pytest.raises(UsageError):
        predictor.predict_many([], miss_rate=0.0)
    with pytest.raises(UsageError, match="batch size"):
        predictor.predict_many([], batch_size=0)
    for stability in (-1, 33):
        with pytest.raises(UsageError, match="no re-test"):
            predictor.predict_many([], stability=stability)


def test_a_score_that_is_no_number_is_a_failing_record(calibration: object, picture: Picture) -> None:
    class Broken:
        stream_names = ()

        def run(self, pixels: Float32) -> Scores:
            return Scores(np.full(len(pixels), np.nan, np.float32), None)

    record = Predictor(Broken(), planted_metadata("broken", calibration)).predict(picture("a.png"))  # type: ignore[arg-type]
    assert record.verdict is None
    assert "nan" in (record.error or "")


def test_a_failing_engine_is_not_swallowed(calibration: object, picture: Picture) -> None:
    class Dead:
        stream_names = ()

        def run(self, pixels: Float32) -> Scores:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        Predictor(Dead(), planted_metadata("dead", calibration)).predict(picture("a.png"))  # type: ignore[arg-type]


def test_too_little_memory_for_one_picture_fails_that_picture(
    predictor: Predictor, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = Preprocessing.crops

    def greedy(self: Preprocessing, pixels: np.ndarray) -> Float32:
        if len(pixels) == 500:
            raise MemoryError
        return crops(self, pixels)

    monkeypatch.setattr(Preprocessing, "crops", greedy)
    records = list(predictor.predict_many([picture("a.png", size=(500, 500)), picture("b.png")]))
    assert [bool(r.error) for r in records] == [True, False]


def test_a_name_that_is_not_utf8_still_makes_a_record(predictor: Predictor) -> None:
    record = predictor.predict("caf\udce9.jpg")
    assert record.path == "caf\\udce9.jpg"
    assert "no such file" in (record.error or "")
    record.model_dump_json().encode()


class SharpnessSession:
    """Logit = 3 * (mean absolute difference of neighbours in grey levels) - 15: what re-encoding takes away."""

    stream_names = ()

    def run(self, pixels: Float32) -> Scores:
        return Scores(3 * 255 * np.abs(np.diff(pixels, axis=3)).mean((1, 2, 3)) - 15, None)


def noisy(amplitude: int) -> np.ndarray:
    """Grey noise, uint8[300, 300, 3]."""
    noise = np.random.default_rng(0).integers(-amplitude, amplitude + 1, (300, 300, 1))
    return np.repeat(128 + noise, 3, axis=2).astype(np.uint8)


def test_a_verdict_that_a_re_encoded_copy_does_not_get_becomes_unsure(calibration: Calibration) -> None:
    predictor = Predictor(SharpnessSession(), planted_metadata("sharpness", calibration))
    alone, tested = (predictor.predict(noisy(15), stability=copies) for copies in (0, 3))
    assert (alone.verdict, alone.stability) == ("likely_fake", None)
    assert tested.verdict == "unsure"
    assert tested.reasons == (Reason.FLIPS_UNDER_REENCODING,)
    assert tested.stability is not None
    assert tested.stability.flips > 0
    assert tested.stability.spread > 1
    assert (tested.logit, tested.probability_fake) == (alone.logit, alone.probability_fake), (
        "those of the delivered one"
    )
    assert f"{tested.stability.flips} of 3 re-encoded copies do not" in tested.explanation


def test_a_picture_unlike_the_training_pictures_is_unsure_and_says_so(
    session: object, calibration: Calibration, picture: Picture, tmp_path: Path
) -> None:
    """Planted: the distance is the spread of the grey levels, 2 at most among the training pictures."""
    metadata = planted_metadata("brightness", calibration, domain=planted_domain((1.0, 2.0)))
    predictor = Predictor(session, metadata)  # type: ignore[arg-type]
    lines = np.full((300, 300, 3), WHITE, np.uint8)
    lines[::4] = 200
    Image.fromarray(lines).save(tmp_path / "lines.png")
    flat, far, gone, black = predictor.predict_many(
        [picture("flat.png", WHITE), tmp_path / "lines.png", tmp_path / "gone.png", picture("black.png", BLACK)],
        stability=1,
    )
    assert (flat.verdict, black.verdict, gone.domain) == ("likely_fake", "likely_real", None)
    assert flat.domain == Domain(distance=0.0, limit=2.0)
    assert far.domain is not None
    assert far.domain.distance > 10
    assert (far.verdict, far.reasons[0]) == ("unsure", Reason.FAR_FROM_TRAINING_DATA)
    assert "95 % of 2 training pictures lie within 2.0" in far.explanation
    without = Predictor(session, planted_metadata("brightness", calibration))  # type: ignore[arg-type]
    alone = without.predict(tmp_path / "lines.png", stability=0)
    assert (alone.verdict, alone.domain, alone.logit) == ("likely_fake", None, far.logit)


def test_an_engine_that_hides_its_tokens_from_the_domain_check_is_an_error(
    calibration: Calibration, picture: Picture
) -> None:
    metadata = planted_metadata("sharpness", calibration, domain=planted_domain((1.0, 2.0)))
    with pytest.raises(CheckpointError, match="gives no tokens"):
        Predictor(SharpnessSession(), metadata).predict(picture("a.png"))


def test_the_re_test_is_repeatable_and_depends_on_the_picture(calibration: Calibration, tmp_path: Path) -> None:
    predictor = Predictor(SharpnessSession(), planted_metadata("sharpness", calibration))
    pixels = noisy(30)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.png", compress_level=1)
    first, again, other = (predictor.predict(tmp_path / name).stability for name in ("a.png", "a.png", "b.png"))
    assert first == again
    assert first != other, "the settings follow from the SHA-256 of the file"
    assert predictor.predict(pixels).stability == predictor.predict(Image.fromarray(pixels)).stability
    assert first is not None
    assert predictor.predict(tmp_path / "a.png", stability=5).stability.copies[:3] == first.copies  # type: ignore[union-attr]


def test_many_pictures_are_re_tested_unless_told_otherwise_and_in_their_own_order(
    predictor: Predictor, picture: Picture, tmp_path: Path
) -> None:
    paths = [
        picture("a.png", WHITE),
        tmp_path / "gone.png",
        picture("b.png", BLACK, (900, 100)),
        picture("c.png", GREY),
    ]
    assert [r.stability for r in predictor.predict_many(paths, stability=0)] == [None] * 4
    records = list(predictor.predict_many(paths, stability=2, batch_size=3))
    assert [r.verdict for r in records] == ["likely_fake", None, "likely_real", "unsure"]
    assert [r.stability and len(r.stability.copies) for r in records] == [2, None, 2, 2]
    assert [round(c.logit) for r in records if r.stability for c in r.stability.copies] == [10, 10, -10, -10, 0, 0]


def test_a_file_s_claims_stand_beside_the_score_and_do_not_touch_it(predictor: Predictor, picture: Picture) -> None:
    path = picture("a.png", WHITE)
    plain = predictor.predict(path, stability=0)
    info = PngInfo()
    info.add_text("parameters", "a cat, Steps: 20")
    Image.open(path).save(path, pnginfo=info)
    claimed = predictor.predict(path, stability=0)
    assert [c.kind for c in claimed.origin] == ["generation_parameters"]
    assert predictor.predict(path.read_bytes(), stability=0).origin == claimed.origin
    changed = {"origin": plain.origin, "sha256": plain.sha256}
    assert claimed.model_copy(update=changed) == plain
