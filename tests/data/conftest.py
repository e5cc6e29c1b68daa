"""Miniature data sets, painted by the tests, and the shared pictures where they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Paint = Callable[..., Path]


@pytest.fixture
def paint(tmp_path: Path) -> Paint:
    """`paint("real/a.png", seed=1)` writes a picture of noise below `tmp_path`; equal seeds make equal bytes."""

    def paint(path: str, seed: int | None = None, size: tuple[int, int] = (20, 16)) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed if seed is not None else list(path.encode()))
        Image.fromarray(noise.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(file)
        return file

    return paint


@pytest.fixture(scope="session")
def shared_data() -> Path:
    beside = Path(__file__).parents[3] / "shared"
    folder = Path(os.environ.get("TRISTREAM_SHARED", beside)) / "data"
    if not folder.is_dir():
        pytest.skip(f"the shared pictures are not here: no {folder}")
    return folder
