"""A detector that tests can predict by hand: the brighter a picture, the more it is called fake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.server import Server, serving
from tests.planted import planted_metadata
from tristream.metrics.calibration import Calibration
from tristream.runtime.predictor import Predictor
from tristream.runtime.session import Scores
from tristream.typing import Float32

BLACK, GREY, WHITE = 0, 128, 255
"""Likely real, unsure and likely fake at the default error rates."""


class BrightnessSession:
    """Logit = 20 * (mean brightness - 0.5); two streams whose weights follow the brightness and whose tokens of one
    number are the spread of the pixels, in grey levels, and zero."""

    stream_names = ("bright", "dark")

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []

    def run(self, pixels: Float32) -> Scores:
        self.batch_sizes.append(len(pixels))
        brightness = pixels.mean((1, 2, 3))
        spread = 255 * pixels.std((1, 2, 3))
        tokens = np.stack([spread, np.zeros_like(spread)], axis=1)[..., None]
        return Scores(20 * (brightness - 0.5), np.stack([brightness, 1 - brightness], axis=1), tokens)


@pytest.fixture
def calibration() -> Calibration:
    """19 reals from -9 to 2 and 19 fakes from -2 to 9: the smallest possible rate is 1/20."""
    return Calibration(
        slope=1.0,
        intercept=0.0,
        balanced_accuracy_threshold=0.0,
        real_logits=tuple(np.linspace(-9, 2, 19).tolist()),
        fake_logits=tuple(np.linspace(-2, 9, 19).tolist()),
        source="19 synthetic reals and 19 synthetic fakes",
    )


@pytest.fixture
def session() -> BrightnessSession:
    return BrightnessSession()


@pytest.fixture
def predictor(session: BrightnessSession, calibration: Calibration) -> Predictor:
    return Predictor(session, planted_metadata("brightness", calibration))


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Path]:
    """Writes a picture of one grey value below `tmp_path`."""

    def write(name: str, grey: int = GREY, size: tuple[int, int] = (96, 80)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (grey, grey, grey)).save(path, "PNG")
        return path

    return write


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine in place of the Hub."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server
