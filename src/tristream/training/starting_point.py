"""What a run starts from: a new detector or a checkpoint's, what its checkpoints will say of it, the files it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tristream.detectors import Detector, build_detector
from tristream.detectors.checkpoint import load_checkpoint, read_metadata
from tristream.errors import CheckpointError
from tristream.metadata import ModelMetadata, sketch
from tristream.training.config import TrainConfig
from tristream.training.departures import departures


def starting_point(config: TrainConfig) -> tuple[Detector, ModelMetadata]:
    """The detector to train and what its checkpoints will say of it; a parent's licence is handed down."""
    if config.init_from is not None:
        parent = load_checkpoint(config.init_from)
        notes = f"{parent.metadata.name} ({parent.metadata.training_data_sha256[:12]})"
        return parent.detector, ModelMetadata(
            name=config.name,
            detector=parent.metadata.detector,
            config=parent.metadata.config,
            preprocessing=parent.metadata.preprocessing,
            licence=parent.metadata.licence,
            initialisation=f"fine-tuned from {parent.metadata.name}",
            deviations=tuple(dict.fromkeys((*parent.metadata.deviations, *departures(config, type(parent.detector))))),
            training_sketch=parent.metadata.training_sketch,
            notes=notes,
        )
    options = dict(config.detector)
    name = options.pop("name", "multistream")
    detector = build_detector(name, options)
    return detector, ModelMetadata(
        name=config.name,
        detector=name,
        config=_portable(options),
        preprocessing=config.preprocessing,
        initialisation=detector.initialisation,
        deviations=(*detector.deviations, *departures(config, type(detector))),
        training_sketch=sketch(digest for _, path in weight_files(options, name) for digest in _trained_on(path)),
    )


def _trained_on(path: Path) -> tuple[str, ...]:
    """The sketch of the pictures that weights learnt from, where the file is a checkpoint of ours."""
    try:
        return read_metadata(path).training_sketch
    except CheckpointError:
        return ()


def _portable(options: Any) -> Any:
    """A detector's options without paths of this machine: weights are named by their file alone."""
    if isinstance(options, dict):
        return {k: Path(v).name if k == "weights" else _portable(v) for k, v in options.items()}
    return list(options) if isinstance(options, tuple) else options


def weight_files(options: Mapping[str, Any], name: str) -> Iterator[tuple[str, Path]]:
    """Every file that a detector's options load weights from."""
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from weight_files(value, f"{name}.{key}")
        elif key == "weights" and value not in ("hub", "none"):
            yield f"{name}.{key}", Path(value)
