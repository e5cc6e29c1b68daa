"""Detectors: every model in the registry, ours and the baselines, behind one interface."""

from tristream.detectors import cnndetect as _cnndetect  # noqa: F401  (these register themselves)
from tristream.detectors import f3net as _f3net  # noqa: F401
from tristream.detectors import univfd as _univfd  # noqa: F401
from tristream.detectors import xception as _xception  # noqa: F401
from tristream.detectors.base import DETECTORS, Detector, DetectorConfig, DetectorOutput, Probe, build_detector
from tristream.detectors.multistream import detector as _multistream  # noqa: F401

__all__ = ["DETECTORS", "Detector", "DetectorConfig", "DetectorOutput", "Probe", "build_detector"]
