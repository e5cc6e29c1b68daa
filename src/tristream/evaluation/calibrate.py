"""Calibration of a checkpoint: thresholds from pictures whose generators and photo sources nothing trained on, and the
domain model from pictures that it was trained on."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from tristream.data.manifest import Manifest
from tristream.data.sample import origins
from tristream.detectors.checkpoint import load_checkpoint, save_checkpoint
from tristream.errors import ManifestError, UsageError
from tristream.evaluation.conditions import CONDITIONS
from tristream.evaluation.domain import TRAINED_ON, TRAINING_PICTURES, DomainPictures, fit_on
from tristream.evaluation.domain import groups as groups_of
from tristream.evaluation.runner import score_manifest
from tristream.metadata import ModelMetadata, sketch
from tristream.metrics.calibration import fit_calibration
from tristream.metrics.domain import halves
from tristream.runtime.engines import torch_device
from tristream.runtime.predictor import default_rates
from tristream.runtime.torch_session import TorchSession
from tristream.typing import Progress

log = logging.getLogger(__name__)


def calibrate_checkpoint(
    checkpoint: Path,
    data: Path,
    split: str,
    output: Path,
    *,
    condition: str = "alike",
    domain: DomainPictures | None = TRAINING_PICTURES,
    name: str | None = None,
    licence: str | None = None,
    half: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> ModelMetadata:
    """Score `split` with the weights as they will be stored, fit, and write a calibrated copy to `output`.

    condition: "alike" by default, so that thresholds rest on pictures and not on the sizes and formats in which this
    split happened to be delivered. What the split shares with others is said in `Calibration.source`. domain: pictures
    for the domain model of a detector with streams. Where none are named, and none of TRAINED_ON are known as its
    training pictures, it keeps the domain model that it has; None drops it. Returns what was stored. Raises UsageError
    when `output` is the input or the detector was trained on pictures of `split`, ManifestError when a picture cannot
    be read: thresholds rest on a whole split.
    """
    if output.resolve() == checkpoint.resolve():
        raise UsageError(f"{output}: is the checkpoint to calibrate; write the calibrated one elsewhere")
    if output.suffix != ".safetensors":
        raise UsageError(f"{output}: a checkpoint is written as .safetensors")
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
    if "trained" in metadata.known(chosen.table["sha256"]) or chosen.digest() == metadata.training_data_sha256:
        raise UsageError(
            f"{checkpoint} was trained on pictures of '{split}'; calibrate on pictures that it has not seen"
        )
    drawn = _trained_on(domain, manifest, metadata, data) if domain and loaded.detector.stream_names else None
    if domain is not None and drawn is not None:
        halves(groups_of(drawn), seed=domain.seed)  # too few are told before anything is scored
    rounded = output.with_name(f".{output.name}.uncalibrated.safetensors")
    try:
        save_checkpoint(rounded, loaded.detector, metadata, half=half)
        stored = load_checkpoint(rounded)
    finally:
        rounded.unlink(missing_ok=True)
    session = TorchSession(stored.detector, torch_device(device))
    total = len(chosen) + (0 if drawn is None else len(drawn))

    def after(before: int) -> Progress | None:
        return progress and (lambda done, _: progress(before + done, total))

    table = score_manifest(session, metadata.preprocessing, chosen, CONDITIONS[condition], progress=after(0))
    if (failed := table[table["error"] != ""]).size:
        raise ManifestError(f"{len(failed)} pictures of '{split}' cannot be read, the first: {failed['error'].iloc[0]}")
    others = manifest.table[manifest.table["split"] != split]
    groups, shared = origins(table), _shared(table, others)
    calibration = fit_calibration(
        table["logit"].to_numpy(),
        table["label"].to_numpy(),
        source=f"{_description(table, shared)}; {CONDITIONS[condition].description}",
        group_N=groups.tolist(),
        shared=shared,
    )
    try:
        default_rates(calibration)
    except UsageError as error:
        log.warning("no verdicts at the default rates: %s", error)
    model = None if domain is None else metadata.domain
    if domain is not None and drawn is not None:
        treated = CONDITIONS[domain.condition]
        model = fit_on(session, metadata.preprocessing, drawn, treated, domain.seed, after(len(chosen)))
    metadata = metadata.model_copy(
        update={"calibration": calibration, "calibration_sketch": sketch(chosen.table["sha256"]), "domain": model}
    )
    save_checkpoint(output, stored.detector, metadata, half=half)
    return metadata


def _trained_on(domain: DomainPictures, manifest: Manifest, metadata: ModelMetadata, data: Path) -> Manifest | None:
    """The sample of the training pictures: of the split that is named, or of TRAINED_ON where the sketch knows any."""
    drawn = domain.drawn(manifest)
    if drawn is None or not metadata.training_sketch:
        return drawn
    name = domain.split or TRAINED_ON
    pictures = manifest.split(name).with_file_columns(["sha256"])
    if "trained" in metadata.known(pictures.table["sha256"]):
        return drawn
    found = f"{data}: what {metadata.name} tells of its training pictures fits none of the split '{name}'"
    if domain.split is not None:
        log.warning("%s; its domain model is fitted on them all the same, as the split was named", found)
        return drawn
    kept = "it has no domain model" if metadata.domain is None else "its domain model stays as it is"
    log.warning("%s; %s. If it was trained on them, say so: --domain-split %s", found, kept, name)
    return None


def _shared(chosen: pd.DataFrame, others: pd.DataFrame) -> list[str]:
    """The photo sources and generators that other splits hold, too, by name."""
    pairs, elsewhere = (set(zip(t["label"], origins(t), strict=True)) for t in (chosen, others))
    return sorted({str(group) for _, group in pairs & elsewhere - {(1, "")}})


def _description(chosen: pd.DataFrame, shared: list[str]) -> str:
    """Which pictures these are, and what of them the other splits hold, too."""
    real, fake = chosen[chosen["label"] == 0], chosen[chosen["label"] == 1]
    words = f"{len(real)} real pictures of {real['source'].nunique()} photo sources"
    words += f" and {len(fake)} fakes of {fake['generator'].nunique()} generators"
    if shared:
        return f"{words}, {len(shared)} of which other splits hold, too ({', '.join(shared[:5])})"
    return f"{words}, none of which any other split holds"
