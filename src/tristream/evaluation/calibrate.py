"""Calibration of a checkpoint on pictures whose generators and photo sources nothing trained on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tristream.data.manifest import Manifest
from tristream.detectors.checkpoint import load_checkpoint, save_checkpoint
from tristream.errors import ManifestError, UsageError
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
    condition: str = "alike",
    name: str | None = None,
    licence: str | None = None,
    half: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Calibration:
    """Score `split` with the weights as they will be stored, fit, and write a calibrated copy to `output`.

    condition: "alike" by default, so that thresholds rest on pictures and not on the sizes and formats in which this
    split happened to be delivered. What the split shares with others is said in `Calibration.source`. Raises UsageError
    when `output` is the input, ManifestError when a picture cannot be read: thresholds rest on a whole split.
    """
    if output.resolve() == checkpoint.resolve():
        raise UsageError(f"{output}: is the checkpoint to calibrate; write the calibrated one elsewhere")
    loaded = load_checkpoint(checkpoint)
    metadata = loaded.metadata.model_copy(
        update={
            "calibration": None,
            "name": name or loaded.metadata.name,
            "licence": licence or loaded.metadata.licence,
        }
    )
    manifest = Manifest.read(data)
    chosen = manifest.split(split).with_file_columns(["sha256"])
    rounded = output.with_name(f".{output.name}.uncalibrated.safetensors")
    try:
        save_checkpoint(rounded, loaded.detector, metadata, half=half)
        stored = load_checkpoint(rounded)
    finally:
        rounded.unlink(missing_ok=True)
    session = TorchSession(stored.detector, torch_device(device))
    table = score_manifest(session, metadata.preprocessing, chosen, CONDITIONS[condition], progress=progress)
    if (failed := table[table["error"] != ""]).size:
        raise ManifestError(f"{len(failed)} pictures of '{split}' cannot be read, the first: {failed['error'].iloc[0]}")
    source = (
        f"{_description(table, manifest.table[manifest.table['split'] != split])}; {CONDITIONS[condition].description}"
    )
    calibration = fit_calibration(table["logit"].to_numpy(), table["label"].to_numpy(), source=source)
    save_checkpoint(output, stored.detector, metadata.model_copy(update={"calibration": calibration}), half=half)
    return calibration


def _description(chosen: pd.DataFrame, others: pd.DataFrame) -> str:
    """Which pictures these are, and what of them the other splits hold, too."""
    real, fake = chosen[chosen["label"] == 0], chosen[chosen["label"] == 1]
    sources, generators = set(real["source"]), set(fake["generator"])
    shared = (sources & set(others[others["label"] == 0]["source"])) | (generators & set(others["generator"]) - {""})
    words = f"{len(real)} real pictures of {len(sources)} photo sources"
    words += f" and {len(fake)} fakes of {len(generators)} generators"
    if shared:
        return f"{words}, {len(shared)} of which other splits hold, too ({', '.join(sorted(shared)[:5])})"
    return f"{words}, none of which any other split holds"
