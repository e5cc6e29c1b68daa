"""Calibration of a checkpoint on pictures whose generators and photo sources nothing trained on."""

from __future__ import annotations

from pathlib import Path

from tristream.data.manifest import Manifest
from tristream.detectors.checkpoint import load_checkpoint, save_checkpoint
from tristream.errors import ManifestError
from tristream.evaluation.conditions import CONDITIONS
from tristream.evaluation.runner import Progress, score_manifest
from tristream.metrics.calibration import Calibration, fit_calibration
from tristream.runtime.engines import torch_device
from tristream.runtime.torch_session import TorchSession


def calibrate_checkpoint(
    checkpoint: Path,
    data: Path,
    split: str,
    output: Path,
    *,
    name: str | None = None,
    licence: str | None = None,
    half: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Calibration:
    """Score `split` as delivered with the weights as they will be stored, fit, and write a calibrated copy to `output`.

    Raises ManifestError when a picture cannot be read: thresholds must not rest on a part of the split.
    """
    loaded = load_checkpoint(checkpoint)
    metadata = loaded.metadata.model_copy(update={
        "calibration": None, "name": name or loaded.metadata.name, "licence": licence or loaded.metadata.licence,
    })  # fmt: skip
    save_checkpoint(output, loaded.detector, metadata, half=half)
    stored = load_checkpoint(output)
    manifest = Manifest.read(data).split(split).with_file_columns(["sha256"])
    session = TorchSession(stored.detector, torch_device(device))
    table = score_manifest(session, metadata.preprocessing, manifest, CONDITIONS["delivered"], progress=progress)
    if (failed := table[table["error"] != ""]).size:
        raise ManifestError(f"{len(failed)} pictures of '{split}' cannot be read, the first: {failed['error'].iloc[0]}")
    real, fake = table[table["label"] == 0], table[table["label"] == 1]
    words = (
        f"{len(real)} real pictures of {real['source'].nunique()} photo sources and {len(fake)} fakes of "
        f"{fake['generator'].nunique()} generators, none of them trained on"
    )
    calibration = fit_calibration(table["logit"].to_numpy(), table["label"].to_numpy(), source=words)
    save_checkpoint(output, stored.detector, metadata.model_copy(update={"calibration": calibration}), half=half)
    return calibration
