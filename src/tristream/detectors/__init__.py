"""Detectors: every model in the registry, ours and the baselines, behind one interface."""

from tristream.detectors import univfd as _univfd  # noqa: F401  (registers itself)
from tristream.detectors.base import DETECTORS, Detector, DetectorConfig, DetectorOutput, build_detector
from tristream.detectors.multistream import detector as _multistream  # noqa: F401  (registers itself)

__all__ = ["DETECTORS", "Detector", "DetectorConfig", "DetectorOutput", "build_detector"]
