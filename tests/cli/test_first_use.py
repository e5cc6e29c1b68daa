"""The first minute on the command line: info, doctor, benchmark, completion, and what wrong use is told."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import tristream
from tristream.benchmark import contenders
from tristream.cli.app import app
from tristream.cli.benchmark import benchmark
from tristream.images.preprocess import Preprocessing
from tristream.metadata import ModelMetadata
from tristream.metrics.calibration import Calibration
from tristream.runtime import engines
from tristream.runtime.session import Session

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def brightness(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, session: Session, calibration: Calibration
) -> ModelMetadata:
    """Puts the brightness detector behind the seam of engines, and the working folder at `tmp_path`."""
    preprocessing = Preprocessing(short_side=64, crop=64)
    metadata = ModelMetadata(
        name="brightness", detector="planted", config={}, preprocessing=preprocessing, calibration=calibration
    )
    opened = engines.OpenDetector(session, metadata, "abacus 1.0")
    monkeypatch.setattr(engines, "open_session", lambda *arguments, **more: opened)
    monkeypatch.setattr(contenders.Files, "__call__", lambda self, name, threads: opened)
    monkeypatch.chdir(tmp_path)
    return metadata


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_info_in_words_and_as_json(brightness: ModelMetadata) -> None:
    result = run("info")
    assert result.exit_code == 0, result.output
    assert "abacus 1.0" in result.stdout
    assert "tristream info --card" in result.stderr
    described = json.loads(run("info", "--format", "json").stdout)
    assert (described["model"], described["streams"]) == ("brightness", ["bright", "dark"])


def test_info_prints_the_card() -> None:
    result = run("info", "--card")
    assert result.exit_code == 0
    assert result.stdout.startswith("# Model card")


def test_doctor_is_well_and_its_status_says_when_it_is_not(
    brightness: ModelMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "all is well"
    monkeypatch.setattr("tristream.runtime.doctor._reads", lambda format: False)
    result = run("doctor", "--format", "json")
    assert result.exit_code == 1
    (broken,) = [check for check in json.loads(result.stdout)["checks"] if check["status"] == "broken"]
    assert broken["name"] == "pictures"
    assert broken["next_step"]
    assert "something is broken" in run("doctor").stdout


def test_benchmark_as_a_table_and_as_json(brightness: ModelMetadata, tmp_path: Path, picture) -> None:  # type: ignore[no-untyped-def]
    quick = [
        "--seconds",
        "0.01",
        "--rounds",
        "2",
        "--batch",
        "1",
        "--threads",
        "1",
        "--engines",
        "torch-eager,onnx-int8",
    ]
    result = run("benchmark", picture("a.png"), *quick)
    assert result.exit_code == 0, result.output
    assert "end to end" in result.stdout
    assert "ratio to torch-eager" in result.stdout
    assert "processor" in result.stdout
    result = run("benchmark", "a.png", *quick, "-o", "speed.json")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    report = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert report["environment"]["processor"]
    assert [engine["name"] for engine in report["engines"]] == ["torch-eager", "onnx-int8"]


def test_the_help_of_benchmark_names_the_engines_that_there_are() -> None:
    assert inspect.signature(benchmark).parameters["engines"].default.split(",") == list(contenders.ENGINES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["benchmark", "--engines", "tensorflow"], "no engine 'tensorflow'; there are: torch-eager"),
        (["benchmark", "--threads", "two"], "--threads 'two': expected whole numbers, such as 1,2"),
        (["benchmark", "gone.png"], "gone.png"),
        (["info", "--checkpoint", "."], "a folder; name the"),
        (["predcit", "a.png"], "Did you mean 'predict'?"),
        (["predict"], "Missing argument 'PATH...'"),
        (["evaluate", "--data", "gone.csv", "--out", "x"], "gone.csv"),
    ],
)
def test_wrong_use_is_told_what_to_do(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())


def test_a_picture_without_a_command_is_told_the_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    picture,  # type: ignore[no-untyped-def]
) -> None:
    monkeypatch.chdir(tmp_path)
    picture("my photo.png")
    result = run("my photo.png", "--format", "json")
    assert result.exit_code == 2
    assert result.stderr.strip().endswith("tristream predict 'my photo.png' --format json")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("asked", ["option", "variable"])
def test_completion_prints_a_script_for_the_shell_that_is_named(shell: str, asked: str) -> None:
    """`--show-completion` finds out the shell by itself, or takes it as an argument where that is switched off."""
    option = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    more = option if asked == "option" else {"_TRISTREAM_COMPLETE": f"source_{shell}"}
    words = ["--show-completion", shell] if asked == "option" else []
    program = "import sys; sys.argv[0] = 'tristream'; from tristream.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | more,
    )
    assert done.returncode == 0, done.stderr
    assert f"complete_{shell}" in done.stdout
    assert "tristream" in done.stdout


def test_a_library_that_is_missing_is_one_line_that_tells_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(checkpoint: object, device: object) -> None:
        raise ModuleNotFoundError("No module named 'abacus'", name="abacus")

    monkeypatch.setattr(engines, "load", gone)
    result = CliRunner().invoke(app, ["predict", "x.png"])
    assert result.exit_code == 2
    assert "'abacus'" in result.output
    assert "tristream doctor" in result.output


@pytest.mark.parametrize("command", ["export -o x.onnx", "evaluate --data x.csv --out y", "train -c x.yaml"])
def test_a_missing_extra_is_the_one_that_the_command_needs(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("pandas", "torch"):
        monkeypatch.setitem(sys.modules, library, None)
    for module in [
        name
        for name in sys.modules
        if name.startswith(("tristream.data", "tristream.evaluation", "tristream.export", "tristream.training"))
    ]:
        if module.count(".") == 1:  # importing it again sets the package's attribute, too: that is undone as well
            monkeypatch.setattr(tristream, module.partition(".")[2], sys.modules[module])
        monkeypatch.delitem(sys.modules, module)
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 2
    assert "needs the 'research' extra" in result.output
