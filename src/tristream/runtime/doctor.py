"""Is this installation whole? What the machine is, what is installed, and a self-test; behind `tristream doctor`."""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from typing import Literal

import numpy as np
from PIL import features

from tristream import __version__, environment
from tristream.config import StrictModel
from tristream.errors import MissingExtraError, TristreamError
from tristream.images.decode import decode
from tristream.images.drawn import draw_scene, encode
from tristream.runtime import engines
from tristream.runtime.predictor import Prediction, Predictor

Status = Literal["ok", "note", "broken"]

TOLERANCE = 1e-3
"""Largest difference in logits between a picture alone, again and in company; what the exported detector promises."""
SIZES = ((640, 480), (480, 640), (900, 300))
"""Width and height of the self-test's pictures; the last is scored as three crops."""


class Check(StrictModel):
    """One thing that was looked at."""

    name: str
    status: Status
    """ok; note: works, but less than it could; broken: something that tristream promises does not work."""
    finding: str
    next_step: str = ""


class Extra(StrictModel):
    """An optional part of tristream, as the installed package declares it."""

    name: str
    requires: tuple[str, ...]
    """Names of the packages that it adds to the core."""
    missing: tuple[str, ...]

    @property
    def command(self) -> str:
        return f"pip install 'tristream[{self.name}]'"


class Diagnosis(StrictModel):
    """The record that `tristream doctor --format json` prints."""

    tristream: str
    checks: tuple[Check, ...]
    extras: tuple[Extra, ...]
    """Empty where tristream runs from its sources without being installed."""

    @property
    def broken(self) -> bool:
        return any(check.status == "broken" for check in self.checks)


def diagnose() -> Diagnosis:
    """Look at everything. Opens the shipped detector; needs no network and writes nothing."""
    try:
        installed: Distribution | None = distribution("tristream")
    except PackageNotFoundError:
        installed = None
    checks = [_python(installed), _processor(), _memory(), _core(installed), *_codecs(), _gpu(), *_detector()]
    return Diagnosis(tristream=__version__, checks=tuple(checks), extras=tuple(_extras(installed)))


def _python(installed: Distribution | None) -> Check:
    finding = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    wanted = re.search(r">=\s*(\d+)\.(\d+)", (installed.metadata["Requires-Python"] or "") if installed else "")
    have = tuple(map(int, platform.python_version_tuple()[:2]))
    if wanted and have < tuple(map(int, wanted.groups())):
        return Check(
            name="Python",
            status="broken",
            finding=finding,
            next_step=f"install Python {wanted[1]}.{wanted[2]} or later",
        )
    return Check(name="Python", status="ok", finding=finding)


def _processor() -> Check:
    known = environment.processor_features()
    finding = f"{environment.processor()}, {environment.usable_cores()} cores usable"
    return Check(name="processor", status="ok", finding=f"{finding}, {', '.join(known)}" if known else finding)


def _memory() -> Check:
    size = environment.memory_bytes()
    return Check(name="memory", status="ok", finding="unknown" if size is None else f"{size / 2**30:.1f} GiB")


def _core(installed: Distribution | None) -> Check:
    if installed is None:
        return Check(
            name="tristream",
            status="note",
            finding=f"{__version__}: runs from its sources, is not installed",
            next_step="pip install . in the repository",
        )
    missing = [name for name in _requirements(installed) if _version(name) is None]
    if missing:
        return Check(
            name="tristream",
            status="broken",
            finding=f"{__version__}, without {', '.join(missing)}",
            next_step=f"pip install {' '.join(missing)}",
        )
    names = ", ".join(f"{name} {_version(name)}" for name in _requirements(installed))
    return Check(name="tristream", status="ok", finding=f"{__version__} with {names}")


def _extras(installed: Distribution | None) -> Iterator[Extra]:
    if installed is None:
        return
    core = set(_requirements(installed))
    for name in sorted(installed.metadata.get_all("Provides-Extra") or ()):
        added = tuple(r for r in _requirements(installed, name) if r not in core)
        yield Extra(name=name, requires=added, missing=tuple(r for r in added if _version(r) is None))


def _requirements(installed: Distribution, extra: str | None = None) -> tuple[str, ...]:
    """Names of what the core (`extra` None) or an extra requires; an extra made of extras brings theirs.

    Markers other than the extra's name are taken as true, and versions are left to pip: `pip check` compares them.
    """
    found: dict[str, None] = {}
    for line in installed.requires or ():
        requirement, _, marker = line.partition(";")
        match = re.search(r"""extra\s*==\s*['"]([^'"]+)['"]""", marker)
        if (match[1] if match else None) != extra:
            continue
        name, inner = re.match(r"\s*([\w.-]+)\s*(?:\[([^\]]*)\])?", requirement).groups()  # type: ignore[union-attr]
        if _same(name, installed.metadata["Name"]):
            for part in (inner or "").split(","):
                found |= dict.fromkeys(_requirements(installed, part.strip()) if part.strip() != extra else ())
        else:
            found[name] = None
    return tuple(found)


def _same(one: str, other: str) -> bool:
    return re.sub(r"[-_.]+", "-", one).lower() == re.sub(r"[-_.]+", "-", other).lower()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _codecs() -> Iterator[Check]:
    """A drawn picture through each format and back, as `predict` would read it."""
    formats = ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF")
    read = [format for format in formats if _reads(format)]
    unread = [format for format in formats if format not in read]
    if unread:
        yield Check(
            name="pictures",
            status="note" if set(unread) <= {"WEBP", "AVIF"} else "broken",
            finding=f"reads {', '.join(read)}, not {', '.join(unread)}",
            next_step="pip install --upgrade --force-reinstall pillow",
        )
    else:
        yield Check(name="pictures", status="ok", finding=f"reads {', '.join(read)}")
    heif = _version("pillow-heif")
    if heif is None:
        yield Check(
            name="HEIC",
            status="note",
            finding="iPhone pictures are not read",
            next_step="pip install 'tristream[heif]'",
        )
    else:
        yield _attempt("HEIC", lambda: _import("pillow_heif", f"pillow-heif {heif}"), "pip install -U pillow-heif")


def _reads(format: str) -> bool:
    if format in ("WEBP", "AVIF") and not features.check(format.lower()):
        return False
    try:
        return decode(encode(draw_scene(48, 32), format)).format == format
    except (TristreamError, OSError, KeyError):  # Pillow's for a codec that it was built without
        return False


def _gpu() -> Check:
    torch_version = _version("torch")
    if torch_version is None:
        return Check(name="GPU", status="ok", finding="not looked for: PyTorch is not installed, scoring needs none")

    def find() -> str:
        _import("torch", "")
        name = environment.accelerator()
        return f"{name or 'none'} (PyTorch {torch_version})"

    return _attempt("GPU", find, "pip install --force-reinstall torch torchvision")


def _import(module: str, finding: str) -> str:
    __import__(module)
    return finding


def _attempt(name: str, work: Callable[[], str], next_step: str) -> Check:
    """A check that is broken when `work` raises: a damaged installation raises whatever it trips over."""
    try:
        return Check(name=name, status="ok", finding=work())
    except Exception as error:
        finding = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        said = isinstance(error, MissingExtraError)  # its message is the command
        return Check(name=name, status="broken", finding=finding, next_step="" if said else next_step)


def _detector() -> Iterator[Check]:
    """Opens the shipped detector and scores drawn pictures end to end: what must hold whatever the weights are."""
    opened: list[Predictor] = []

    def open_shipped() -> str:
        opened.append(engines.load())
        return f"{opened[0].model_name} on {opened[0].engine}"

    yield _attempt("detector", open_shipped, "pip install --force-reinstall tristream, or see the message")
    if opened:
        yield _attempt(
            "self-test",
            lambda: self_test(opened[0]),
            "pip install --force-reinstall tristream; if it stays, report it with the output of tristream doctor",
        )


class SelfTestError(TristreamError):
    """The detector broke a promise that does not depend on its weights."""


def self_test(predictor: Predictor) -> str:
    """Score drawn pictures from their bytes to the verdict. Raises SelfTestError for the first promise that is broken.

    Returns in words what held.
    Every score is finite, the same twice, and the same alone as in a batch, within TOLERANCE; stream weights sum to 1;
    a calibrated detector gives a probability.
    """
    files = [encode(draw_scene(*size, seed=seed), "JPEG", quality=90) for seed, size in enumerate(SIZES)]
    alone = list(predictor.predict_many(files, stability=0, batch_size=1))
    for prediction in alone:
        _check_one(prediction, calibrated=predictor.calibration is not None)
    again = list(predictor.predict_many(files, stability=0, batch_size=1))
    together = list(predictor.predict_many(files, stability=0, batch_size=len(files)))
    for words, others in (("scored twice", again), ("alone and in a batch", together)):
        difference = float(np.max(np.abs(np.subtract(_logits(alone), _logits(others)))))
        if not difference <= TOLERANCE:  # also NaN
            raise SelfTestError(
                f"the same picture {words}: logits differ by {difference:.2g}, at most {TOLERANCE:g} may"
            )
    return f"{len(files)} drawn pictures score the same twice, alone and in company; stream weights sum to 1"


def _check_one(prediction: Prediction, calibrated: bool) -> None:
    if prediction.error is not None or prediction.logit is None:
        raise SelfTestError(f"a drawn picture was not scored: {prediction.error}")
    if not math.isfinite(prediction.logit):
        raise SelfTestError(f"the logit of a drawn picture is {prediction.logit}")
    weights = prediction.stream_weights
    if weights is not None and abs(sum(weights.values()) - 1) > TOLERANCE:
        raise SelfTestError(f"the stream weights sum to {sum(weights.values()):.4f}, expected 1")
    if calibrated and prediction.probability_fake is None:
        raise SelfTestError("the detector is calibrated but gives no probability")


def _logits(predictions: list[Prediction]) -> list[float]:
    return [math.nan if p.logit is None else p.logit for p in predictions]
