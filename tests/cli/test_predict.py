"""`tristream predict` as it is called: outputs, exit statuses, messages. The detector scores brightness."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import tristream
from tests.planted import planted_metadata
from tristream.cli.app import app
from tristream.cli.predict import predict
from tristream.metrics.calibration import Calibration
from tristream.runtime import engines
from tristream.runtime.predictor import FALSE_ALARM_RATE, MISS_RATE, STABILITY, Predictor
from tristream.runtime.session import Session

Picture = Callable[..., Path]
BLACK, GREY, WHITE = 0, 128, 255


@pytest.fixture(autouse=True)
def _brightness_detector(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, session: Session, calibration: Calibration
) -> None:
    """Puts the brightness detector behind the seam of engines, and the working folder at `tmp_path`."""
    opened = engines.OpenDetector(session, planted_metadata("brightness", calibration), "abacus")
    monkeypatch.setattr(engines, "open_session", lambda checkpoint, device, threads: opened)
    monkeypatch.setattr(engines, "shipped_detector", lambda: tmp_path / "detector.safetensors")
    monkeypatch.chdir(tmp_path)


def run(*arguments: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)], input=stdin)


def test_all_scored_is_status_0_and_json_is_a_list_of_records(picture: Picture) -> None:
    paths = [picture("b.png", WHITE), picture("a.png", BLACK), picture("c.png", GREY)]
    result = run(*paths, "--format", "json")
    assert result.exit_code == 0, result.output
    records = json.loads(result.stdout)
    assert [r["path"] for r in records] == [str(p) for p in paths]
    assert [r["verdict"] for r in records] == ["likely_fake", "likely_real", "unsure"]
    assert records[2]["reasons"] == ["score_between_thresholds", "strongest_stream"]
    assert [len(r["stability"]["copies"]) for r in records] == [3, 3, 3]
    assert records[0]["thresholds"].keys() == {"fake", "real"}
    assert "3 scored (1 likely_fake, 1 likely_real, 1 unsure), 0 failed, 0 skipped" in result.stderr


def test_some_failed_is_status_1_and_the_rest_is_scored(picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    result = run(picture("a.png"), "empty.png", "gone.png", "no/*.jpg", picture("b.png"), "--format", "json")
    assert result.exit_code == 1
    records = json.loads(result.stdout)
    assert [r["error"] is None for r in records] == [True, False, False, False, True]
    assert "empty file" in records[1]["error"]
    assert "2 scored (2 unsure), 3 failed" in result.stderr


def test_the_table_goes_to_standard_output_and_ends_with_what_it_means(picture: Picture) -> None:
    result = run(picture("a.png", WHITE))
    assert result.exit_code == 0
    assert "likely_fake" in result.stdout
    assert "19 synthetic reals and 19 synthetic fakes" in result.stdout.splitlines()[-1]
    assert "1 scored" not in result.stdout


def test_csv(picture: Picture, tmp_path: Path) -> None:
    result = run(picture("a.png", WHITE), "gone.png", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["verdict"] for row in rows] == ["likely_fake", ""]


def test_folders_skip_and_count(picture: Picture, tmp_path: Path) -> None:
    picture("in/a.png")
    (tmp_path / "in/notes.txt").touch()
    (tmp_path / "in/broken.jpg").write_text("no picture")
    result = run("in", "--format", "json")
    assert [r["path"] for r in json.loads(result.stdout)] == ["in/a.png", "in/broken.jpg"]
    assert result.exit_code == 1
    assert "1 scored (1 unsure), 1 failed, 1 skipped" in result.stderr


def test_a_folder_without_pictures_is_wrong_usage(tmp_path: Path, picture: Picture) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/notes.txt").touch()
    result = run("in")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "no picture or video in in (1 skipped)" in result.stderr
    assert run("in", picture("a.png")).exit_code == 0  # beside something to score it is a notice
    assert "no picture or video in in" in run("in", picture("a.png")).stderr


def test_a_pipe_is_scored_as_dash(picture: Picture) -> None:
    result = run("-", "--format", "json", stdin=picture("a.png", WHITE).read_bytes())
    assert [(r["path"], r["verdict"]) for r in json.loads(result.stdout)] == [("-", "likely_fake")]
    broken = run("-", "--format", "json")
    assert broken.exit_code == 1
    assert "empty" in json.loads(broken.stdout)[0]["error"]


@pytest.mark.parametrize(
    "name", ["new\nline.png", "ünï 写真.png", "-dash.png", "[red]x[/red].png", "a'\"b.png", "caf\udce9.png"]
)
@pytest.mark.parametrize("format", ["json", "csv", "table"])
def test_unusual_file_names(name: str, format: str, picture: Picture) -> None:
    try:
        picture(name)
    except OSError:
        pytest.skip("this file system refuses the name")
    result = run(f"./{name}", "--format", format)
    assert result.exit_code == 0, result.stderr
    shown = f"./{name}".encode("utf-8", "backslashreplace").decode()
    if format == "json":
        assert json.loads(result.stdout)[0]["path"] == shown
    elif format == "csv":
        assert next(csv.DictReader(io.StringIO(result.stdout, newline="")))["path"] == shown
    else:
        assert shown.replace("\n", "\\n") in result.stdout


def test_a_pattern_that_the_shell_left_alone(picture: Picture) -> None:
    picture("in/x/a.jpg")
    picture("in/b.jpg")
    result = run("in/**/*.jpg", "--format", "json")
    assert [r["path"] for r in json.loads(result.stdout)] == ["in/b.jpg", "in/x/a.jpg"]


def test_output_goes_whole_into_the_file_in_the_format_of_its_suffix(picture: Picture, tmp_path: Path) -> None:
    path = picture("a.png", WHITE)
    for name, read in (("out.json", json.loads), ("out.csv", lambda text: list(csv.DictReader(io.StringIO(text))))):
        result = run(path, "-o", name)
        assert (result.exit_code, result.stdout) == (0, "")
        assert read((tmp_path / name).read_text())[0]["verdict"] == "likely_fake"
    assert run(path, "-o", "out.txt").exit_code == 0
    assert "likely_fake" in (tmp_path / "out.txt").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "out.csv", "out.json", "out.txt"]


def test_a_run_that_breaks_leaves_the_old_output(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise KeyboardInterrupt

    path = picture("a.png")
    (tmp_path / "out.json").write_text("before")
    monkeypatch.setattr(Predictor, "_score", broken)
    assert run(path, "-o", "out.json").exit_code == 130
    assert (tmp_path / "out.json").read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "out.json"]
    interrupted = run(path, "--format", "json")
    assert interrupted.exit_code == 130
    assert json.loads(interrupted.stdout) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.png", "--false-alarm-rate", "0.01"], "smallest possible is 0.05"),
        (["a.png", "--miss-rate", "0.01"], "smallest possible is 0.05"),
        (["a.png", "--false-alarm-rate", "2"], "between 0 and 1"),
        (["a.png", "--checkpoint", "model.pth"], "pickle"),
        (["a.png", "--checkpoint", "gone.safetensors"], "no such checkpoint"),
        (["a.png", "-o", "."], "a folder"),
        (["a.png", "-o", "no/out.json"], "folder does not exist"),
        (["a.png", "-o", "a.png"], "one of the files to score"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments: list[str], words: str, picture: Picture) -> None:
    before = picture("a.png").read_bytes()
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert words in line
    assert line.split(":")[0] in ("UsageError", "CheckpointError")
    assert Path("a.png").read_bytes() == before
    assert not Path("no").exists()


def test_wrong_options_are_status_2(picture: Picture) -> None:
    path = picture("a.png")
    for arguments in ((), (path, "--format", "xml"), (path, "--nonsense"), (path, "--batch-size", "0")):
        assert run(*arguments).exit_code == 2


def test_debug_shows_the_traceback(picture: Picture) -> None:
    result = CliRunner().invoke(app, ["--debug", "predict", str(picture("a.png")), "--false-alarm-rate", "0.01"])
    assert type(result.exception).__name__ == "UsageError"


def test_a_detector_without_calibration_tells_what_to_do(
    picture: Picture, monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    bare = engines.OpenDetector(session, planted_metadata("bare"), "abacus")
    monkeypatch.setattr(engines, "open_session", lambda checkpoint, device, threads: bare)
    result = run(picture("a.png"))
    assert result.exit_code == 0
    assert "tristream calibrate" in result.stdout


def test_the_shell_and_python_agree_on_the_default_rates() -> None:
    defaults = {name: p.default for name, p in inspect.signature(predict).parameters.items()}
    chosen = (defaults["false_alarm_rate"], defaults["miss_rate"], defaults["stability"])
    assert chosen == (FALSE_ALARM_RATE, MISS_RATE, STABILITY)


def test_the_re_test_can_be_turned_off(picture: Picture) -> None:
    path = picture("a.png", WHITE)
    off = json.loads(run(path, "--stability", "0", "--format", "json").stdout)
    assert off[0]["stability"] is None
    assert run(path, "--stability", "33").exit_code == run(path, "--stability", "-1").exit_code == 2


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.stdout == f"tristream {tristream.__version__}\n"


REPOSITORY = Path(__file__).parents[2]


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from tristream.cli.app import app; app(['predict', '--help'], standalone_mode=False);"
        "heavy = {'torch', 'pandas', 'timm', 'scipy'} & set(sys.modules); sys.exit(f'{heavy}' if heavy else 0)"
    )
    took_s = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=REPOSITORY)
        took_s.append(time.perf_counter() - start)
        assert done.returncode == 0, done.stderr
        assert "--false-alarm-rate" in done.stdout
    assert min(took_s) < 2  # 0.3 s on an idle machine; the margin is for a busy one


@pytest.mark.parametrize("failing", [[], ["gone.png"]], ids=["all scored", "some failed"])
def test_a_reader_that_leaves_is_no_error(picture: Picture, failing: list[str]) -> None:
    """`tristream predict ... | head`: no traceback, and not the status of a failed picture."""
    code = """if True:
        import sys
        from types import SimpleNamespace
        import numpy as np
        from tristream.cli.app import main
        from tristream.metadata import ModelMetadata
        from tristream.runtime import engines, predictor, session
        black = SimpleNamespace(stream_names=(), run=lambda pixels: session.Scores(pixels.mean((1, 2, 3)), None))
        engines.load = lambda checkpoint, device: predictor.Predictor(
            black, ModelMetadata(name="black", detector="black", config={})
        )
        main()
    """
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", code, "predict", str(picture("a.png")), *failing, "--format", "json"]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    try:
        done = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, cwd=REPOSITORY, env=buffered
        )
    finally:
        os.close(writer)
    assert "Error" not in done.stderr
    assert done.returncode == 141
