"""The benchmark finds the speeds that were planted, whatever the machine does in between."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.planted import exported_file
from tristream.benchmark.contenders import Files
from tristream.benchmark.report import BenchmarkReport, EngineName, Measurement, UnavailableError, header
from tristream.benchmark.run import Pictures, Settings, open_contenders, run_benchmark
from tristream.errors import UsageError
from tristream.images.drawn import draw_scene, encode
from tristream.images.preprocess import Preprocessing
from tristream.metadata import ModelMetadata
from tristream.runtime import engines
from tristream.runtime.engines import OpenDetector
from tristream.runtime.session import Scores
from tristream.typing import Float32

PICTURES = Pictures(tuple(encode(draw_scene(96, 80, seed), "PNG") for seed in range(3)), "three drawn")
METADATA = ModelMetadata(
    name="planted", detector="none", config={}, preprocessing=Preprocessing(short_side=64, crop=64)
)
COST_S = {"torch-eager": 0.020, "torch-channels-last": 0.010, "onnx-int8": 0.004}
"""Per picture, on one thread."""
TICK_S = 0.002
"""What it costs to look at the clock, which is done once per run."""


class Clock:
    """A clock that only work moves. From its `slow_from`-th second on the machine is half as fast."""

    def __init__(self, slow_from: float = float("inf")) -> None:
        self.now, self.slow_from = 0.0, slow_from
        self.lock = threading.Lock()

    def __call__(self) -> float:
        self.work(TICK_S)
        return self.now

    def work(self, seconds: float) -> None:
        with self.lock:
            self.now += seconds * (2 if self.now >= self.slow_from else 1)


class PlantedSession:
    """Takes a planted time per picture; its first run takes a second more, as a warm-up does."""

    stream_names = ("one", "two")

    def __init__(self, clock: Clock, cost_s: float, offset: float = 0.0) -> None:
        self.clock, self.cost_s, self.offset, self.cold = clock, cost_s, offset, True

    def run(self, pixels: Float32) -> Scores:
        self.clock.work(len(pixels) * self.cost_s + self.cold)
        self.cold = False
        return Scores(pixels.mean((1, 2, 3)) + np.float32(self.offset), np.full((len(pixels), 2), 0.5, np.float32))


def opener(clock: Clock, missing: tuple[str, ...] = ("torch-compile", "onnx-fp32"), offset: float = 0.0):
    def open_engine(name: EngineName, threads: int) -> OpenDetector:
        if name in missing:
            raise UnavailableError(f"{name} is not here")
        session = PlantedSession(clock, COST_S[name] / threads, offset if name == "onnx-int8" else 0.0)
        return OpenDetector(session, METADATA, f"planted {name}")

    return open_engine


def measure(clock: Clock | None = None, settings: Settings | None = None, **planted: object) -> BenchmarkReport:
    clock = clock or Clock()
    settings = settings or Settings(threads=(1,), batches=(1, 4), seconds=0.4, rounds=4)
    contenders = open_contenders(opener(clock, **planted), settings, clock)  # type: ignore[arg-type]
    return run_benchmark(PICTURES, contenders, settings, clock=clock)


def find(report: BenchmarkReport, **wanted: object) -> Measurement:
    (found,) = [m for m in report.measurements if all(getattr(m, name) == value for name, value in wanted.items())]
    return found


def test_planted_speeds_are_found_and_the_warm_up_is_not_counted() -> None:
    report = measure()
    for name, cost_s in COST_S.items():
        found = find(report, stage="forward", engine=name, batch=1)
        assert found.ms_per_picture == pytest.approx(1000 * (cost_s + TICK_S), rel=0.01)
        assert found.pictures_per_second.median == pytest.approx(1 / (cost_s + TICK_S), rel=0.01)
        assert found.pictures_per_second.least == pytest.approx(1 / (cost_s + TICK_S), rel=0.01)
    int8 = find(report, stage="forward", engine="onnx-int8", batch=4)
    assert int8.ratio is not None
    assert int8.ratio.median == pytest.approx((4 * 0.020 + TICK_S) / (4 * 0.004 + TICK_S), rel=0.01)
    assert find(report, stage="end_to_end", engine="onnx-int8", batch=4).counted % 4 == 0
    assert report.reference == "torch-eager"
    assert find(report, stage="forward", engine="torch-eager", batch=4).ratio is None


def test_a_machine_that_slows_down_hits_all_engines_alike() -> None:
    steady = measure()
    drifting = measure(Clock(slow_from=8.0))
    for name in ("torch-channels-last", "onnx-int8"):
        expected, found = (find(r, stage="forward", engine=name, batch=4).ratio for r in (steady, drifting))
        assert expected is not None
        assert found is not None
        assert found.median == pytest.approx(expected.median, rel=0.05)
    speed = find(drifting, stage="forward", engine="torch-eager", batch=4).pictures_per_second
    assert speed.largest / speed.least == pytest.approx(2, rel=0.1)  # the spread shows what happened


def test_every_stage_is_measured_with_every_setting() -> None:
    report = measure(settings=Settings(threads=(1, 2), batches=(1, 2), seconds=0.1, rounds=2))
    assert {m.stage for m in report.measurements} == {"decode", "preprocess", "forward", "end_to_end"}
    settings = {(m.threads, m.batch) for m in report.measurements if m.stage == "end_to_end"}
    assert settings == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert len(report.measurements) == 2 + 2 * len(COST_S) * 4
    fast, slow = (find(report, stage="forward", engine="torch-eager", batch=2, threads=t) for t in (2, 1))
    assert fast.pictures_per_second.median > 1.5 * slow.pictures_per_second.median


def test_what_is_not_here_is_skipped_with_its_reason_and_the_next_engine_is_the_reference() -> None:
    report = measure(missing=("torch-eager", "torch-channels-last", "torch-compile", "onnx-fp32"))
    assert report.reference == "onnx-int8"
    assert next((s.name, s.reason) for s in report.skipped) == ("torch-eager", "torch-eager is not here")
    assert ("onnx-fp32", "skipped: onnx-fp32 is not here") in header(report)
    with pytest.raises(UsageError, match="no engine to measure: torch-eager: torch-eager is not here"):
        measure(missing=(*COST_S, "torch-compile", "onnx-fp32"))


def test_an_engine_that_scores_otherwise_is_seen() -> None:
    report = measure(offset=0.25)
    difference = {engine.name: engine.logit_difference for engine in report.engines}
    assert difference["torch-eager"] is None
    assert difference["torch-channels-last"] == 0
    assert difference["onnx-int8"] == pytest.approx(0.25)


def test_an_engine_that_takes_other_crops_is_not_timed() -> None:
    def open_engine(name: EngineName, threads: int) -> OpenDetector:
        opened = opener(Clock())(name, threads)
        crop = 64 if name == "torch-eager" else 96
        return replace(
            opened, metadata=METADATA.model_copy(update={"preprocessing": Preprocessing(short_side=crop, crop=crop)})
        )

    settings = Settings(threads=(1,), batches=(1,), seconds=0.1, rounds=1)
    with pytest.raises(UsageError, match=r"takes crops of 96 px from a shorter side of .*: name files of one detector"):
        run_benchmark(PICTURES, open_contenders(open_engine, settings), settings, clock=Clock())


def test_progress_counts_every_turn() -> None:
    seen: list[tuple[int, int, str]] = []
    clock = Clock()
    settings = Settings(threads=(1,), batches=(1,), seconds=0.1, rounds=2, engines=("onnx-int8",))
    contenders = open_contenders(opener(clock), settings, clock)
    run_benchmark(
        PICTURES, contenders, settings, lambda done, total, words="": seen.append((done, total, words)), clock
    )
    assert [done for done, _, _ in seen] == list(range(9))
    assert seen[2] == (2, 8, "forward onnx-int8")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"engines": ("tensorflow",)}, "no engine 'tensorflow'; there are: torch-eager"),
        ({"engines": ()}, "nothing to measure"),
        ({"threads": (0,)}, "start at 1"),
        ({"batches": (1, 0)}, "start at 1"),
        ({"rounds": 0}, "start at 1"),
        ({"seconds": float("nan")}, "a time above 0"),
    ],
)
def test_wrong_settings_are_wrong_usage(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Settings(**values)  # type: ignore[arg-type]


def test_pictures_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PICTURES.files[0])
    (tmp_path / "notes.txt").touch()
    assert Pictures.read([str(tmp_path)]).files == PICTURES.files[:1]
    (tmp_path / "a.png").unlink()
    with pytest.raises(UsageError, match="no picture in"):
        Pictures.read([str(tmp_path)])


def test_videos_and_broken_files_are_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "b.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    with pytest.raises(UsageError, match=r"a\.png: not a picture"):
        Pictures.read([str(tmp_path)])
    (tmp_path / "c.png").write_bytes(PICTURES.files[0])
    read = Pictures.read([str(tmp_path)])
    assert read.files == PICTURES.files[:1]
    assert read.words.startswith("1 of 3 files, ")
    assert read.words.endswith("; 2 left out: videos, or not readable")


def test_drawn_pictures_are_of_usual_sizes() -> None:
    drawn = Pictures.drawn()
    assert "1600 x 1200" in drawn.words
    assert all(100_000 < len(content) < 3_000_000 for content in drawn.files)


def test_another_detector_is_not_compared_with_the_shipped_file(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no int8 file; make one with 'tristream export'"):
        Files(checkpoint=tmp_path / "mine.safetensors")("onnx-int8", 1)


def test_exported_files_are_told_apart_by_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, quantised = tmp_path / "int8.onnx", tmp_path / "fp32.onnx"
    plain.write_bytes(exported_file("fp32"))
    quantised.write_bytes(exported_file("int8"))

    def open_session(path: Path, device: str, threads: int) -> OpenDetector:
        return OpenDetector(None, METADATA, lambda: f"compiled {path.name}")  # type: ignore[arg-type]

    monkeypatch.setattr(engines, "open_session", open_session)
    opened = [Files(onnx=(plain, quantised))(name, 1).described for name in ("onnx-fp32", "onnx-int8")]  # type: ignore[arg-type]
    assert opened == ["compiled int8.onnx", "compiled fp32.onnx"], "named so that the name misleads; and compiled"
    with pytest.raises(UnavailableError, match="no such file"):
        Files(onnx=(tmp_path / "gone.onnx",))("onnx-int8", 1)
    with pytest.raises(UnavailableError, match="no fp32 file"):
        Files(onnx=(quantised,))("onnx-fp32", 1)


def test_torch_contenders_score_as_the_detector_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="needs the research extra")
    from tristream.detectors import build_detector
    from tristream.detectors.checkpoint import save_checkpoint

    torch.manual_seed(0)
    config = {"streams": ["frequency"], "image_size": 64, "options": {"frequency": {"weights": "none"}}}
    detector = build_detector("multistream", config, load_weights=False).eval()
    metadata = METADATA.model_copy(update={"detector": "multistream", "config": config})
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, detector, metadata)
    pixels = np.random.default_rng(0).random((2, 3, 64, 64), np.float32)
    with torch.inference_mode():
        expected = detector(torch.from_numpy(pixels)).logits.numpy()
    names: tuple[EngineName, ...] = ("torch-eager", "torch-channels-last")
    for name in names:
        opened = Files(checkpoint=path)(name, 1)
        np.testing.assert_allclose(opened.session.run(pixels).logits_B, expected, atol=1e-5)
        assert "fp32, 1 thread" in opened.engine
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("shutil.which", lambda program: None)
    with pytest.raises(UnavailableError, match=r"C\+\+ compiler"):
        Files(checkpoint=path)("torch-compile", 1)
