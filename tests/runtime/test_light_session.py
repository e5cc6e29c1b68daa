"""The light session compiles beside its caller: who waits for it, and what becomes of errors and of the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.planted import planted_metadata
from tristream.benchmark.contenders import Files
from tristream.benchmark.report import UnavailableError
from tristream.cli.app import app
from tristream.errors import CheckpointError
from tristream.images.preprocess import Preprocessing
from tristream.metadata import EXPORT_KEY, METADATA_KEY, ExportRecord
from tristream.runtime import engines, light_session
from tristream.runtime.light_session import LightSession
from tristream.runtime.predictor import Predictor

REPOSITORY = Path(__file__).parents[2]
SIZE = 64
PATIENCE_S = 60
"""How long a test waits for what has to happen at once, even on a busy machine, before it fails."""

Export = Callable[..., Path]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Writes an ONNX file, by name, whose logit is the mean of the pixels."""
    onnx = pytest.importorskip("onnx", reason="needs the export extra")

    def write(name: str = "mean.onnx", output: str = "logit", operator: str = "ReduceMean") -> Path:
        node = onnx.helper.make_node(operator, ["pixels"], [output], axes=[1, 2, 3], keepdims=0)
        shapes = {"pixels": ["N", 3, SIZE, SIZE], output: ["N"]}
        ends = {key: onnx.helper.make_tensor_value_info(key, 1, shape) for key, shape in shapes.items()}
        graph = onnx.helper.make_graph([node], "mean", [ends["pixels"]], [ends[output]])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
        metadata = planted_metadata("mean", preprocessing=Preprocessing(short_side=SIZE, crop=SIZE))
        record = ExportRecord(stream_names=(), precision="fp32", source_sha256="0" * 64)
        properties = {METADATA_KEY: metadata.model_dump_json(), EXPORT_KEY: record.model_dump_json()}
        onnx.helper.set_model_props(model, properties)
        path = tmp_path / name
        path.write_bytes(model.SerializeToString())
        return path

    return write


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Compiling waits for this event."""
    event, compile_model = Event(), light_session.openvino.compile_model

    def wait_and_compile(*arguments: Any) -> Any:
        if not event.wait(PATIENCE_S):
            raise RuntimeError("nobody lets it compile")
        return compile_model(*arguments)

    monkeypatch.setattr(light_session.openvino, "compile_model", wait_and_compile)
    yield event
    event.set()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling fails, as on a processor for which OpenVINO has no kernel."""

    def fail(*arguments: Any) -> None:
        raise RuntimeError("Exception from somewhere:\nno kernel for ReduceMean")

    monkeypatch.setattr(light_session.openvino, "compile_model", fail)


def test_what_the_file_says_is_there_before_it_is_compiled(export: Export, held: Event) -> None:
    predictor = engines.load(export())
    assert (predictor.model_name, predictor.session.stream_names) == ("mean", ())
    held.set()
    assert predictor.engine.startswith("OpenVINO")
    assert predictor.engine.endswith("inference precision f32")


def test_pictures_are_decoded_while_it_is_compiled(
    export: Export, held: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = Predictor._prepare

    def prepare_and_let_go(*arguments: Any) -> Any:
        prepared = prepare(*arguments)
        held.set()
        return prepared

    monkeypatch.setattr(Predictor, "_prepare", prepare_and_let_go)
    prediction = engines.load(export()).predict(np.full((80, 80, 3), 51, np.uint8))
    assert prediction.logit == pytest.approx(0.2, abs=1e-3)


def test_callers_that_wait_together_get_their_own_scores(export: Export, held: Event) -> None:
    session = LightSession(export(), threads=2)
    levels = np.linspace(0, 1, 12, dtype=np.float32)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(session.run, np.full((3, 3, SIZE, SIZE), level, np.float32)) for level in levels]
        held.set()
        found = [future.result(PATIENCE_S).logits_B for future in asked]
    np.testing.assert_allclose(found, np.repeat(levels[:, None], 3, axis=1), atol=1e-3)


@pytest.mark.parametrize(
    ("damage", "words"), [({"output": "score"}, "lacks an output"), ({"operator": "NoSuch"}, "cannot read")]
)
def test_what_reading_shows_is_told_at_once(export: Export, held: Event, damage: dict[str, str], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        LightSession(export(**damage))


@pytest.mark.usefixtures("failing")
def test_what_compiling_shows_is_told_to_everyone_who_waits(export: Export) -> None:
    session = LightSession(export())
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"mean\.onnx.*\(no kernel for ReduceMean\); export it again"):
            session.run(np.zeros((1, 3, SIZE, SIZE), np.float32))
        with pytest.raises(CheckpointError, match="no kernel"):
            _ = engines.load(export()).engine


@pytest.mark.usefixtures("failing")
def test_a_benchmark_goes_on_without_an_engine_that_cannot_be_compiled(export: Export) -> None:
    with pytest.raises(UnavailableError, match="no kernel"):
        Files(onnx=(export(),))("onnx-fp32", 1)


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("command", ["predict", "info"])
def test_the_commands_tell_what_compiling_shows(command: str, export: Export, picture: Callable[..., Path]) -> None:
    pictures = [str(picture("a.png"))] if command == "predict" else []
    result = CliRunner().invoke(app, [command, *pictures, "--checkpoint", str(export())])
    assert result.exit_code == 2
    assert result.stderr.startswith("CheckpointError: ")
    assert result.stdout == ""


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, in which `light` is the module and `compile_model` what compiles."""
    before = "from tristream.runtime import light_session as light\ncompile_model = light.openvino.compile_model\n"
    command = [sys.executable, "-c", before + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE_S, cwd=REPOSITORY)


def test_a_process_that_never_scores_ends_well(export: Export) -> None:
    code = """if True:
        import sys, time
        from tristream import load

        def slow(*arguments):
            time.sleep(0.3)  # the main thread is through long before
            compiled = compile_model(*arguments)
            print("compiled")
            return compiled

        light.openvino.compile_model = slow
        load(sys.argv[1])
        print("loaded")
    """
    done = run(code, export())
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["loaded", "compiled"], "")


def test_an_interrupt_while_it_is_compiled_ends_the_command(export: Export, picture: Callable[..., Path]) -> None:
    code = """if True:
        import os, signal, threading
        from tristream.cli.app import main
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start deaf to it
        waiting, run = threading.Event(), light.LightSession.run

        def run_and_tell(*arguments):
            waiting.set()
            return run(*arguments)

        def interrupted(*arguments):
            waiting.wait()
            os.kill(os.getpid(), signal.SIGINT)
            return compile_model(*arguments)

        light.LightSession.run = run_and_tell
        light.openvino.compile_model = interrupted
        main()
    """
    done = run(code, "predict", picture("a.png"), "--checkpoint", export())
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
