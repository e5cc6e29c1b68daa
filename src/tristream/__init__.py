"""tristream: a multi-stream detector of deepfakes and AI-generated images that says how far it can be trusted.

>>> import tristream
>>> tristream.load().predict("photo.jpg").verdict   # doctest: +SKIP
'likely_real'

The names below are imported on first use: `import tristream` loads neither PyTorch nor an inference runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tristream.runtime.engines import load
    from tristream.runtime.predictor import Prediction, Predictor

    __version__: str

__all__ = ["Prediction", "Predictor", "__version__", "load"]

_HOME = {
    "load": "tristream.runtime.engines",
    "Prediction": "tristream.runtime.predictor",
    "Predictor": "tristream.runtime.predictor",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = _version()
    elif name in _HOME:
        from importlib import import_module

        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'tristream' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """Of the installed distribution; "0+source" when the sources are used without being installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("tristream")
    except PackageNotFoundError:
        return "0+source"
